"""/img: a question that only its asker sees answered, and the words that steer the app."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from bot.errors import NotFound
from bot.jobs import Later
from bot.workspaces import MODES, Mode
from web.slack.app import Slack
from web.slack.calls import Refused, Unreachable, call
from web.slack.parts import button, context, section
from web.slack.speak import Place
from web.slack.talk import ask
from web.slack.texts import written
from web.slack.words import mrkdwn, plain, shortened

log = logging.getLogger(__name__)

SET_MODE, SET_DEFAULT, SET_COLLECTION, DELETE_ALL = "set_mode", "set_default_mode", "set_collection", "delete_all"
THREAD = "img"
"""Stands for the thread of what somebody asks with /img in a channel: one conversation a person and channel."""

NAMES: dict[Mode, str] = {
    "mention": "Only when mentioned",
    "follow": "Also in threads it is part of",
    "all": "Every message",
    "silent": "Never; mentions are answered privately",
}
HELP = (
    "*/img question* – the answer, for you alone; you may share it\n"
    "*/img settings* – when I answer in this channel\n"
    "*/img mode* `mention`, `follow`, `all` or `silent` – the same, by a word\n"
    "*/img forget* – forgets what you asked me privately in this workspace\n"
    "*/img export*, */img delete* – for admins: everything that was asked in this workspace\n"
    "You can also write to me directly, or mention me in a channel."
)
FORBIDDEN = "Only an admin of this workspace can do that."


def add(slack: Slack) -> None:
    command = Command(slack)
    slack.actions.command(re.compile(r"/img.*"))(command.given)
    for name in (SET_MODE, SET_DEFAULT, SET_COLLECTION):
        slack.actions.action(name)(command.chosen)
    slack.actions.action(DELETE_ALL)(command.delete_all)


class Command:
    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    async def given(self, ack: Any, body: dict[str, Any]) -> None:
        text = written(str(body.get("text") or ""))
        word, _, rest = text.partition(" ")
        known: dict[str, Callable[[dict[str, Any], str], Awaitable[dict[str, Any]]]] = {
            "": self._help, "help": self._help, "settings": self._settings, "mode": self._mode, "forget": self._forget,
            "export": self._export, "delete": self._delete,
        }  # fmt: skip
        verb = known.get(word.lower())
        if verb is not None and (not rest or word.lower() == "mode"):
            await ack({"response_type": "ephemeral", **await verb(body, rest.strip().lower())})
            return
        place = Place(
            body["team_id"], body["channel_id"], THREAD, str(body["trigger_id"])[:80], body["user_id"], private=False, ephemeral=True,
            respond=str(body.get("response_url") or ""),
        )  # fmt: skip
        await ask(self._slack, place, text)
        await ack()

    async def _help(self, body: dict[str, Any], rest: str) -> dict[str, Any]:
        return {"text": HELP}

    async def _settings(self, body: dict[str, Any], rest: str) -> dict[str, Any]:
        team, channel, user = body["team_id"], body["channel_id"], body["user_id"]
        workspace = await self._slack.workspaces.get(team)
        admin = await self.is_admin(team, user)
        shown = []
        if not channel.startswith("D"):
            mode = await self._slack.mode(team, channel)
            shown.append(_choice("*In this channel* I answer", SET_MODE, NAMES, mode, channel) if admin else _line("In this channel", mode))
        default = workspace.preferences.mode
        shown.append(_choice("*In other channels*", SET_DEFAULT, NAMES, default) if admin else _line("In other channels", default))
        allowed = {"": "The guides that come along", **{name: name for name in workspace.preferences.allowed}}
        if admin and len(allowed) > 1:
            shown.append(_choice("*I answer from*", SET_COLLECTION, allowed, workspace.preferences.collection or ""))
        note = "Channels that are shared with other organizations are left in peace until an admin says otherwise here."
        shown.append(context(note if admin else f"{note} {FORBIDDEN}"))
        return {"text": "Settings of IMG Advisor", "blocks": shown}

    async def _mode(self, body: dict[str, Any], rest: str) -> dict[str, Any]:
        if rest not in MODES:
            return {"text": "Choose one of: " + ", ".join(f"`{mode}` ({NAMES[mode].lower()})" for mode in MODES)}
        if not await self.is_admin(body["team_id"], body["user_id"]):
            return {"text": FORBIDDEN}
        await self._set_mode(body["team_id"], body["channel_id"], rest, body["user_id"])  # type: ignore[arg-type]
        return {"text": f"In this channel I answer now: {NAMES[rest].lower()}."}  # type: ignore[index]

    async def _set_mode(self, team: str, channel: str, mode: Mode, user: str) -> None:
        await self._slack.workspaces.set_mode(team, channel, mode, user)
        await self._slack.note(team, user, "workspace.mode", channel=channel, mode=mode)

    async def _forget(self, body: dict[str, Any], rest: str) -> dict[str, Any]:
        team, user = body["team_id"], body["user_id"]
        forgotten = 0
        for thread in await self._slack.threads.own(team, user, THREAD):
            await self._slack.advisor.store.forget(thread.conversation_id)
            forgotten += 1
        said = f"Forgotten: {_count(forgotten)} that you had with me alone." if forgotten else "There is nothing of yours that I remember."
        return {"text": f"{said} Messages that stand in Slack stay there until you delete them."}

    async def _export(self, body: dict[str, Any], rest: str) -> dict[str, Any]:
        team, user = body["team_id"], body["user_id"]
        if not await self.is_admin(team, user):
            return {"text": FORBIDDEN}
        if not self._slack.base_url:
            return {"text": "The operator of this server can export it: `img-advisor slack export`. (IMG_ADVISOR_PUBLIC_URL is not set.)"}
        link = await self._slack.workspaces.begin(f"export.{team}.{user}.")
        url = f"{self._slack.base_url}/slack/export?key={link}"
        return {"text": f"<{url}|Download what was asked in this workspace>. The link works once, for ten minutes."}

    async def _delete(self, body: dict[str, Any], rest: str) -> dict[str, Any]:
        team, user = body["team_id"], body["user_id"]
        if not await self.is_admin(team, user):
            return {"text": FORBIDDEN}
        number = len(await self._slack.workspaces.conversations(team))
        text = (
            f"*Delete everything that was asked in this workspace?* {_count(number)}, with answers, profiles and hand-offs. "
            "This cannot be undone."
        )
        yes = button(DELETE_ALL, "Delete all", team, "danger")
        return {"text": "Delete everything?", "blocks": [section(text), {"type": "actions", "elements": [yes]}]}

    # Buttons

    async def chosen(self, ack: Any, body: dict[str, Any], action: dict[str, Any]) -> None:
        """A menu of the settings. Who may choose is asked anew: what was shown to an admin may lie about for long."""
        await ack()
        team, user = body["team"]["id"], body["user"]["id"]
        value = str((action.get("selected_option") or {}).get("value", ""))
        if not await self.is_admin(team, user):
            await self._slack.respond(body["response_url"], {"replace_original": False, "text": FORBIDDEN})
            return
        if action["action_id"] == SET_COLLECTION:
            await self._collection(team, user, value.partition("|")[0])
            return
        mode, _, channel = value.partition("|")
        if mode not in MODES:
            return
        if action["action_id"] == SET_MODE:
            await self._set_mode(team, channel or body["channel"]["id"], mode, user)  # type: ignore[arg-type]
        else:
            await self._slack.workspaces.choose(team, mode=mode)
            await self._slack.note(team, user, "workspace.mode", mode=mode)
            self._slack.forget_tokens(team)

    async def _collection(self, team: str, user: str, name: str) -> None:
        workspace = await self._slack.workspaces.get(team)
        if name and name not in workspace.preferences.allowed:
            return
        await self._slack.workspaces.choose(team, collection=name or None)
        await self._slack.note(team, user, "workspace.collection", collection=name)
        self._slack.forget_tokens(team)

    async def delete_all(self, ack: Any, body: dict[str, Any]) -> None:
        await ack()
        team, user = body["team"]["id"], body["user"]["id"]
        if not await self.is_admin(team, user):
            return
        number = await self._slack.workspaces.remove_conversations(team)
        await self._slack.note(team, user, "workspace.delete", conversations=number)
        await self._slack.respond(
            body["response_url"],
            {"replace_original": True, "text": f"Deleted: {_count(number)}."},
        )

    async def is_admin(self, team: str, user: str) -> bool:
        """An admin or owner of this workspace. Slack has to say so: who installed the app may have left since."""
        try:
            found = (await call((await self._slack.client(team)).users_info(user=user)))["user"]
        except (Refused, Unreachable, Later, NotFound) as error:
            log.info("Nobody can tell whether somebody is an admin (%s).", type(error).__name__)
            return False
        ours = found.get("team_id", team) == team and not found.get("deleted") and not found.get("is_restricted")
        return ours and bool(found.get("is_admin") or found.get("is_owner"))


def _count(number: int) -> str:
    return f"{number} {'conversation' if number == 1 else 'conversations'}"


def _choice(label: str, action: str, names: Any, chosen: str, channel: str = "") -> dict[str, Any]:
    def option(value: str) -> dict[str, Any]:
        text = {"type": "plain_text", "text": shortened(plain(names[value]), 75)}
        return {"text": text, "value": f"{value}|{channel}"}

    options = [option(value) for value in names]
    menu = {
        "type": "static_select",
        "action_id": action,
        "options": options,
        "initial_option": option(chosen if chosen in names else next(iter(names))),
    }
    return section(label, accessory=menu)


def _line(what: str, mode: Mode) -> dict[str, Any]:
    return section(f"*{what}* I answer: {mrkdwn(NAMES[mode].lower())}.")
