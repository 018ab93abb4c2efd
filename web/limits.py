"""How much one visitor, and one site, may ask; how large a request may be; who may use the operators' routes.

Counts are kept in memory, for each server process on its own.
"""

from __future__ import annotations

import ipaddress
import math
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.settings import Settings
from web.problems import WebError, problem, respond
from web.sites import Sites

MAX_BODY_BYTES = 256 * 1024
MAX_CONSOLE_BYTES = 1024 * 1024
"""Forms of the console: a guide, or a long reply in a script of which a form sends three characters for each byte."""
DRAIN_BYTES = 8 * 1024 * 1024
"""How much of a body that is too large is still read, so that its sender gets to see the answer instead of a broken connection."""


class Window:
    """At most `limit` events in any `period_s` seconds for each key; the least recently seen keys are forgotten beyond `keys`."""

    def __init__(self, limit: int, period_s: float, *, keys: int = 20_000, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.period_s, self._keys, self._clock = limit, period_s, keys, clock
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Seconds until `key` may go on; 0: now."""
        times = self._seen.get(key)
        if times is None:
            return 0.0
        now = self._clock()
        while times and times[0] <= now - self.period_s:
            times.popleft()
        return times[0] + self.period_s - now if len(times) >= self.limit else 0.0

    def count(self, key: str) -> None:
        times = self._seen.setdefault(key, deque())
        times.append(self._clock())
        self._seen.move_to_end(key)
        while len(self._seen) > self._keys:
            self._seen.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit, and what is said when it is reached."""

    window: Window
    per: str  # "visitor" or "site"
    what: str


class Limits:
    """Raises WebError (429) when a visitor or a site has had its share. A request that is refused is not counted."""

    def __init__(self, settings: Settings, sites: Sites, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._trust_proxy = settings.trust_proxy
        self._sites = sites
        self._rules = {
            "message": [
                Rule(Window(settings.visitor_messages_per_minute, 60, clock=clock), "visitor", "messages in a minute"),
                Rule(Window(settings.site_messages_per_minute, 60, clock=clock), "site", "messages in a minute from all visitors together"),
            ],
            "conversation": [
                Rule(Window(settings.visitor_conversations_per_hour, 3600, clock=clock), "visitor", "new conversations in an hour")
            ],
            "request": [Rule(Window(settings.visitor_requests_per_minute, 60, clock=clock), "visitor", "requests in a minute")],
        }

    def check(self, request: HTTPConnection, kind: str) -> None:
        rules = self._rules[kind]
        keys = {"visitor": visitor(request, self._trust_proxy)}
        if any(rule.per == "site" for rule in rules):
            keys["site"] = self._sites.of(request)
        for rule in rules:
            wait = math.ceil(rule.window.wait_s(keys[rule.per]))
            if wait > 0:
                raise WebError(
                    "too-many-requests",
                    f"That was a lot at once: at most {rule.window.limit} {rule.what} can be taken. Please try again in {_say_wait(wait)}.",
                    retry_after_s=wait,
                )
        for rule in rules:
            rule.window.count(keys[rule.per])


def _say_wait(seconds: int) -> str:
    if seconds < 90:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{math.ceil(seconds / 60)} minutes"


def visitor(request: HTTPConnection, trust_proxy: bool) -> str:
    """The client's address. X-Forwarded-For counts only behind a proxy that we trust, and then its last entry: the one that proxy wrote.

    IPv6 addresses count by their /64, which is what one household gets.
    """
    host = request.client.host if request.client else "unknown"
    if trust_proxy:
        forwarded = request.headers.get("x-forwarded-for", "").split(",")[-1].strip()
        host = forwarded or host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def bearer(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


def check_operator(request: Request, settings: Settings) -> None:
    """Lets operators and evaluators through: everyone while only this machine can connect, else whoever shows the API key.

    Behind a trusted proxy the loopback address says nothing about who is asking, so the key is needed there too.

    Raises:
        WebError: 403 when no key is configured, 401 when the key is missing or wrong.
    """
    if settings.loopback_only and not settings.trust_proxy:
        return
    key = settings.api_key.get_secret_value()
    if not key:
        raise WebError(
            "key-not-set", "This route is closed: the server can be reached from outside and has no API key. Set IMG_ADVISOR_API_KEY."
        )
    given = bearer(request)
    if given is None or not secrets.compare_digest(given.encode(), key.encode()):
        raise WebError(
            "unauthorized", "The API key is missing or wrong. Send 'Authorization: Bearer' with the value of IMG_ADVISOR_API_KEY."
        )


class BodyLimit:
    """Reads a request's body before the app does, and answers 413 when it is too large, whatever its Content-Length claims."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        most = max(self.max_bytes, MAX_CONSOLE_BYTES) if scope["path"].startswith("/console/") else self.max_bytes
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size <= most:
                parts.append(message.get("body", b""))
            elif size > DRAIN_BYTES:
                break
        if size > most:
            await self._refuse(most, scope, receive, send)
            return
        await self.app(scope, _replay(b"".join(parts), receive), send)

    async def _refuse(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        shown = problem("too-large", f"The request is larger than {most // 1024} kB. Shorten the text and send it again.")
        await respond(None, shown, {"Connection": "close"})(scope, receive, send)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
