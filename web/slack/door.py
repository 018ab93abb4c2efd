"""What Slack sends over HTTP: verified, acknowledged at once, and queued.

An event is acknowledged when it lies in the queue. While the database is down it is laid beside it, in a file of the data folder, from
where it is put into the queue as soon as that works again.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError

from web.problems import WebError, documented
from web.slack import phrases
from web.slack.spool import Full
from web.state import StateHere

if TYPE_CHECKING:
    from web.slack.app import Slack

router = APIRouter()
log = logging.getLogger(__name__)

WINDOW_S = 300
"""Requests that are older than this, or from further in the future, are refused: Slack's own rule."""

QUEUE_S = 1.5
"""Longest wait for the queue before an event is laid beside it: Slack waits 3 s."""

INTERACTIONS = ("block_actions", "block_suggestion", "message_action", "shortcut", "view_submission", "view_closed")

LONGEST_S = 2.8
"""Longest wait for a listener to acknowledge."""


def slack_of(state: StateHere) -> Slack:
    """
    Raises:
        WebError: Slack is not set up.
    """
    if state.slack is None:
        raise WebError("not-found", "Slack is not set up on this server. README.md tells how.")
    return state.slack


@router.post(
    "/slack/events", tags=["slack"], summary="Events, commands and buttons of Slack", responses=documented("forbidden", "not-found"),
    response_class=JSONResponse,
)  # fmt: skip
async def receive(request: Request, state: StateHere) -> Response:
    """Open to Slack alone: each request is signed."""
    slack = slack_of(state)
    body = await request.body()
    signature = verified(slack.settings.slack_signing_secret.get_secret_value(), request.headers, body)
    payload = read(body, request.headers.get("content-type", ""))
    if payload.get("type") == "url_verification":
        return JSONResponse({"challenge": str(payload.get("challenge", ""))[:200]})
    if payload.get("ssl_check"):
        return Response()
    return await take(slack, payload, signature)


def verified(secret: str, headers: Any, body: bytes) -> str:
    """The signature.

    Raises:
        WebError: it is missing, wrong, or too old.
    """
    stamp, given = headers.get("x-slack-request-timestamp", ""), headers.get("x-slack-signature", "")
    if not secret:
        raise WebError("forbidden", "This server takes Slack's events by Socket Mode only.")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 13) or abs(time.time() - int(stamp)) > WINDOW_S:
        raise WebError("forbidden", "The request's time is missing or more than 5 minutes away from this server's clock.")
    made = "v0=" + hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(made.encode(), given.encode(errors="replace")):
        raise WebError("forbidden", "The request is not signed by Slack for this app.")
    return made


def read(body: bytes, content_type: str) -> dict[str, Any]:
    """
    Raises:
        WebError: it is neither JSON nor a form as Slack sends them.
    """
    try:
        text = body.decode()
        if content_type.startswith("application/x-www-form-urlencoded"):
            fields = {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True, max_num_fields=100).items()}
            found = json.loads(fields["payload"]) if "payload" in fields else fields
        else:
            found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise WebError("invalid-input", "The request's body is not what Slack sends.") from None
    return found


async def take(slack: Slack, payload: dict[str, Any], signature: str) -> Response:
    """What comes over HTTP: `signature` is known to be right."""
    if payload.get("type") == "event_callback":
        await queue(slack, payload)
        return Response()
    if "command" not in payload and payload.get("type") not in INTERACTIONS:
        raise WebError("invalid-input", "This is neither an event nor a command, button, shortcut or modal.")
    if not await slack.once(signature):
        raise WebError("forbidden", "This request was taken before.")
    status, body, headers = await interact(slack, payload)
    return Response(body, status, headers)


async def interact(slack: Slack, payload: dict[str, Any]) -> tuple[int, str, dict[str, str]]:
    """A command, button, shortcut or modal: what to acknowledge it with."""
    try:
        async with asyncio.timeout(LONGEST_S):
            answer = await slack.dispatch(payload)
    except (SQLAlchemyError, OSError):
        if "command" not in payload:
            raise
        said = {"response_type": "ephemeral", "text": phrases.DOWN}
        return 200, json.dumps(said), {"content-type": "application/json"}
    headers = {name: values[0] for name, values in answer.headers.items() if values}
    return answer.status, answer.body or "", headers


async def queue(slack: Slack, payload: dict[str, Any]) -> bool:
    """Puts an event into the queue; False: it is there already, or is nobody's business.

    Raises:
        WebError: it is no event; or there is no place left to keep it, and Slack has to send it again.
    """
    event, team, ident = payload.get("event"), payload.get("team_id"), payload.get("event_id")
    if not (isinstance(event, dict) and isinstance(event.get("type"), str) and isinstance(team, str) and isinstance(ident, str)):
        raise WebError("invalid-input", "The event lacks its type, event_id or team_id.")
    if ignored(event):
        return False
    try:
        async with asyncio.timeout(QUEUE_S):
            return await put(slack, payload)
    except (SQLAlchemyError, OSError):  # TimeoutError is one of them
        try:
            new = await asyncio.to_thread(slack.spool.lay, payload)
        except Full:
            raise WebError("stopping", "The event cannot be kept at the moment.") from None
        if new:
            log.warning("The database does not answer: an event of Slack was laid aside.")
            slack.soon(slack.tell_to_wait(payload))
        return new


async def put(slack: Slack, payload: dict[str, Any]) -> bool:
    team, event = payload["team_id"], payload["event"]
    return await slack.jobs.put("slack.event", payload["event_id"], payload, owner=team, lane=f"event:{team}:{lane_of(event)}")


def ignored(event: dict[str, Any]) -> bool:
    """What apps say, ourselves included, and what only decorates a channel."""
    if event.get("type") != "message":
        return False
    said = event.get("message") if event.get("subtype") == "message_changed" else event
    if event.get("subtype") == "message_deleted":
        said = event.get("previous_message")
    if not isinstance(said, dict):
        return True
    if said.get("bot_id") or said.get("subtype") == "bot_message":
        return event.get("subtype") != "message_deleted"  # somebody may delete what we said
    return event.get("subtype") not in (None, "file_share", "thread_broadcast", "message_changed", "message_deleted")


def lane_of(event: dict[str, Any]) -> str:
    """Events of one thread are taken in their order."""
    said = event.get("message") or event.get("previous_message") or event
    channel = event.get("channel")
    if isinstance(channel, str) and isinstance(said, dict):
        return f"{channel}:{said.get('thread_ts') or said.get('ts') or ''}"
    return str(event.get("user") or event.get("type"))[:40]
