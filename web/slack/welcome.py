"""An open chat: questions to begin with. And the end: an app that was removed forgets everything."""

from __future__ import annotations

import logging
from typing import Any

from bot.jobs import Later
from web.slack import phrases
from web.slack.app import Slack
from web.slack.calls import Refused, Unreachable, call
from web.slack.prompts import suggested

log = logging.getLogger(__name__)


def add(slack: Slack) -> None:
    async def opened(body: dict[str, Any], event: dict[str, Any]) -> None:
        """The messages tab of the app: prompts belong to the whole chat, not to a thread of it."""
        await _suggest(slack, body["team_id"], event["user"], event["channel"], None)

    async def started(body: dict[str, Any], event: dict[str, Any]) -> None:
        """The assistant pane of apps that were set up before 2026."""
        thread = event["assistant_thread"]
        await _suggest(slack, body["team_id"], thread["user_id"], thread["channel_id"], thread["thread_ts"])

    async def gone(body: dict[str, Any], event: dict[str, Any]) -> None:
        await removed(slack, body, event)

    slack.events.event("app_home_opened", matchers=[_messages_tab])(opened)
    slack.events.event("assistant_thread_started")(started)
    slack.events.event("app_uninstalled")(gone)
    slack.events.event("tokens_revoked")(gone)


async def _messages_tab(event: dict[str, Any]) -> bool:
    return event.get("tab") == "messages"


async def _suggest(slack: Slack, team: str, user: str, channel: str, thread: str | None) -> None:
    client = await slack.client(team)
    prompts = suggested(await slack.threads.profile(team, user))
    try:
        await call(
            client.assistant_threads_setSuggestedPrompts(
                channel_id=channel, thread_ts=thread, title=phrases.PROMPTS_TITLE, prompts=prompts
            )
        )
    except (Refused, Unreachable, Later) as error:  # a chat without them is a chat all the same
        log.info("No questions could be suggested (%s).", error)


async def removed(slack: Slack, body: dict[str, Any], event: dict[str, Any]) -> None:
    """The workspace has removed the app, or taken back its token: nothing of it is kept."""
    team = body["team_id"]
    if event["type"] == "tokens_revoked" and not (event.get("tokens") or {}).get("bot"):
        return
    # Installed again since? Nobody removes it within the second in which it was installed.
    if not await slack.workspaces.remove(team, installed_until=float(body.get("event_time") or 0)):
        return
    slack.forget_tokens(team)
    await slack.note(team, "", f"workspace.{'uninstall' if event['type'] == 'app_uninstalled' else 'revoke'}")
    log.info("A workspace has removed the app; its data is gone.")
