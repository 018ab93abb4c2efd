"""Modals. One opens within the three seconds that Slack gives, with what there is to say by then; the rest follows."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bot.errors import AdvisorError
from web.slack.calls import Refused, Unreachable, call
from web.slack.parts import Block, plain_text, section
from web.slack.words import mrkdwn

if TYPE_CHECKING:
    from web.slack.app import Slack

log = logging.getLogger(__name__)

View = dict[str, Any]
HOME = "slack.home"
"""The kind of the jobs that publish somebody's home tab."""
BROKEN = "This does not work at the moment. Please try again in a little while."
MOST_IN_VIEW = 100
SOON_S = 2.0
"""Slack waits 3 s for an acknowledgement."""


def window(
    title: str, blocks: list[Block], *, callback: str = "", submit: str = "", close: str = "Close", keeps: dict[str, Any] | None = None
) -> View:
    """`keeps`: what the modal has to know when it comes back; Slack keeps up to 3,000 characters."""
    return {
        "type": "modal", "title": plain_text(title, 24), "close": plain_text(close, 24), "blocks": blocks[:MOST_IN_VIEW],
        **({"submit": plain_text(submit, 24)} if submit else {}), **({"callback_id": callback} if callback else {}),
        "private_metadata": json.dumps(keeps or {}, separators=(",", ":")),
    }  # fmt: skip


def loading(title: str) -> View:
    return window(title, [section(":hourglass_flowing_sand: One moment…")])


def told(title: str, text: str) -> View:
    """A modal that says one thing."""
    return window(title, [section(mrkdwn(text))])


def kept(view: View) -> dict[str, Any]:
    try:
        found = json.loads(view.get("private_metadata") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def entered(view: View, name: str) -> Any:
    """What was put into the input `name` (its block's and its action's id): text, the value of an option, or a list of those."""
    state = ((view.get("state") or {}).get("values") or {}).get(name, {}).get(name) or {}
    for key in ("selected_options", "selected_option"):
        if key in state:
            chosen = state[key]
            return [option["value"] for option in chosen] if isinstance(chosen, list) else (chosen or {}).get("value")
    return next((state[key] for key in ("value", "selected_conversation", "selected_user") if state.get(key)), None)


async def refresh_home(slack: Slack, team: str, user: str) -> None:
    """Has somebody's home tab published anew."""
    await slack.jobs.put(HOME, f"{team}:{user}:{secrets.token_hex(8)}", {"user": user}, owner=team, lane=f"home:{team}:{user}")


async def show(slack: Slack, team: str, trigger: str, title: str, make: Callable[[], Awaitable[View]], *, push: bool = False) -> None:
    """Opens a modal at once, and fills it when `make` is done. `push`: on top of the one that is open."""
    client = await slack.client(team)
    opening = client.views_push if push else client.views_open
    try:
        opened = await call(opening(trigger_id=trigger, view=loading(title)))
    except (Refused, Unreachable) as error:
        log.info("A modal could not be opened (%s).", error)
        return
    await fill(slack, team, opened["view"]["id"], title, make)


async def fill(slack: Slack, team: str, view_id: str, title: str, make: Callable[[], Awaitable[View]]) -> None:
    """Puts what `make` makes into an open modal, or why there is none."""
    await _put(slack, team, view_id, await _made(title, make))


async def answer(ack: Any, slack: Slack, team: str, view_id: str, title: str, make: Callable[[], Awaitable[View]]) -> None:
    """Acknowledges what was sent off with what `make` makes; where that takes long, with a promise that is kept later."""
    work = asyncio.create_task(_made(title, make))
    done, _ = await asyncio.wait({work}, timeout=SOON_S)
    if done:
        await ack(response_action="update", view=work.result())
        return
    await ack(response_action="update", view=loading(title))
    view = await work
    await asyncio.sleep(1)  # the acknowledgement has to be there first, or it would cover this
    await _put(slack, team, view_id, view)


async def _made(title: str, make: Callable[[], Awaitable[View]]) -> View:
    try:
        return await make()
    except AdvisorError as error:
        return told(title, str(error))
    except Exception as error:
        log.warning("A modal could not be filled (%s).", type(error).__name__)
        return told(title, BROKEN)


async def _put(slack: Slack, team: str, view_id: str, view: View) -> None:
    client = await slack.client(team)
    try:
        await call(client.views_update(view_id=view_id, view=view))
    except (Refused, Unreachable) as error:  # closed meanwhile
        log.info("A modal could not be filled (%s).", error)
