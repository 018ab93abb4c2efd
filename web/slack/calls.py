"""Calls of Slack's API, and what their failures mean for whoever called.

A call that may or may not have had its effect (no answer, an error of Slack's own) is never repeated here: it fails, the job is tried
again, and looks first what the last try left behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.jobs import GiveUp, Later

log = logging.getLogger(__name__)

LOCKED_OUT = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "no_permission", "org_login_required", "team_access_not_granted"}
)
GONE = frozenset({"channel_not_found", "is_archived", "not_in_channel", "thread_not_found", "user_not_found", "cannot_reply_to_message"})
WAIT_S = 30.0
"""How long to wait when Slack does not say how long."""


class Unreachable(Exception):
    """Slack did not answer, or answered with an error of its own; nobody knows whether the call had its effect."""


class LockedOut(GiveUp):
    """The token opens nothing any more."""


class Refused(GiveUp):
    """Slack says no, and why; it would say so again."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


async def call(work: Awaitable[Any]) -> dict[str, Any]:
    """
    Raises:
        Later: rate-limited. LockedOut: the token was revoked. Refused: Slack's own code says why. Unreachable.
    """
    try:
        response = await work
    except SlackApiError as error:
        raise _meaning(error) from None
    except (aiohttp.ClientError, asyncio.IncompleteReadError, OSError, ValueError, AttributeError) as error:
        # The last two: the SDK stumbles over a body that is no JSON, as gateways send it.
        raise Unreachable(type(error).__name__) from None
    return dict(response.data)


def _meaning(error: SlackApiError) -> Exception:
    response: Any = error.response
    data = getattr(response, "data", None)
    status = int(getattr(response, "status_code", None) or getattr(response, "status", 0) or 0)
    code = str(data.get("error", "")) if isinstance(data, dict) else ""
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return Later(retry_after(getattr(response, "headers", {})))
    if code in LOCKED_OUT:
        return LockedOut(code)
    if code == "token_expired":
        return Unreachable(code)
    if status >= 500 or code in ("internal_error", "fatal_error", "service_unavailable", "request_timeout") or not code:
        return Unreachable(code or str(status))
    return Refused(code)


def retry_after(headers: Any) -> float:
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return min(max(float(value), 1.0), 3600.0)
    except ValueError:
        return WAIT_S
