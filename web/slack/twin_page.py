"""The twin's page: what Slack would show of the app. What is typed and pressed there reaches the app truly signed.

It is for this machine alone: it takes no request that another page or another name made a browser send.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from web.pages import page
from web.slack.limits import problems
from web.slack.manifest import manifest
from web.slack.twin import Channel, Team, Twin

STATIC = Path(__file__).parent.parent / "static"
PATIENCE_S = 20.0
"""How long a page waits for news before it asks again."""
MOST_MESSAGES, MOST_CALLS = 400, 40
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
}  # fmt: skip


def page_routes(twin: Twin) -> list[BaseRoute]:
    here = Page(twin)
    return [
        Route("/", here.show),
        Route("/world", here.world),
        Route("/act", here.act, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


class Page:
    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    async def show(self, request: Request) -> Response:
        if not self._mine(request):
            return Response("This page is for this machine alone.", 403)
        return page("twin.html", headers=HEADERS)

    async def world(self, request: Request) -> Response:
        """What `user` sees, as soon as it differs from version `since`."""
        if not self._mine(request):
            return JSONResponse({"error": "not from here"}, 403)
        twin, since = self._twin, request.query_params.get("since", "")
        until = time.monotonic() + PATIENCE_S
        while str(twin.version) == since and time.monotonic() < until and not await request.is_disconnected():
            await asyncio.sleep(0.05)
        team, user = self._who(request.query_params.get("user", ""))
        return JSONResponse(seen(twin, team, user), headers=HEADERS)

    async def act(self, request: Request) -> Response:
        """Something that a person does; what the app said to it."""
        if not self._mine(request) or not request.headers.get("content-type", "").startswith("application/json"):
            return JSONResponse({"error": "not from here"}, 403)
        try:
            asked = json.loads(await request.body())
            _, user = self._who(str(asked.get("user", "")))
            done = await getattr(self, f"_{_WAYS[asked['do']]}")(user, asked)
        except (KeyError, ValueError, AssertionError, AttributeError, TypeError) as error:
            return JSONResponse({"error": f"This can not be done ({type(error).__name__})."}, 400)
        self._twin.changed()
        return JSONResponse({"answer": done or {}}, headers=HEADERS)

    def _mine(self, request: Request) -> bool:
        """Asked of this server under its own name, and by its own page."""
        own = urlsplit(self._twin.url).netloc
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        names = {own, own.replace("127.0.0.1", "localhost")}
        return host in names and (origin is None or urlsplit(origin).netloc == host)

    def _who(self, user: str) -> tuple[Team, str]:
        for team in self._twin.teams.values():
            if user in team.users and not team.users[user].is_bot:
                return team, user
        team = next(iter(self._twin.teams.values()))
        return team, next(ident for ident, one in team.users.items() if not one.is_bot)

    # What people do

    async def _say(self, user: str, asked: dict[str, Any]) -> None:
        text = str(asked["text"])[:8000]
        if text.startswith("/"):
            command, _, rest = text.partition(" ")
            self._twin.soon(self._twin.command(user, asked["channel"], rest, command))
            return
        self._twin.soon(self._twin.say(user, asked["channel"], text, asked.get("thread") or None))

    async def _edit(self, user: str, asked: dict[str, Any]) -> None:
        assert self._own(user, asked)
        self._twin.soon(self._twin.edit(asked["channel"], asked["ts"], str(asked["text"])[:8000]))

    async def _delete(self, user: str, asked: dict[str, Any]) -> None:
        assert self._own(user, asked)
        self._twin.soon(self._twin.delete(asked["channel"], asked["ts"]))

    def _own(self, user: str, asked: dict[str, Any]) -> bool:
        message = self._channel(asked["channel"]).message(asked["ts"])
        return message is not None and message["user"] == user

    async def _click(self, user: str, asked: dict[str, Any]) -> dict[str, Any]:
        team, _ = self._who(user)
        if asked.get("view"):
            view = self._view(team, user, asked["view"])
            shown = {**view, "state": {"values": asked.get("values") or {}}}
            return await self._twin.click(user, "", asked["action"], view=shown)
        channel = self._channel(asked["channel"])
        message = channel.message(asked["ts"]) or {m["ts"]: m for m in team.ephemerals if m["to"] == user}[asked["ts"]]
        return await self._twin.click(user, channel.id, asked["action"], message)

    async def _submit(self, user: str, asked: dict[str, Any]) -> dict[str, Any]:
        team, _ = self._who(user)
        return await self._twin.submit(user, self._view(team, user, asked["view"]), asked.get("values") or {})

    async def _close(self, user: str, asked: dict[str, Any]) -> None:
        team, _ = self._who(user)
        self._twin.views.pop(self._view(team, user, asked["view"])["id"], None)

    async def _shortcut(self, user: str, asked: dict[str, Any]) -> dict[str, Any]:
        return await self._twin.shortcut(user, asked["callback"], asked.get("channel"), asked.get("ts"))

    async def _home(self, user: str, asked: dict[str, Any]) -> None:
        self._twin.soon(self._twin.open_home(user, "messages" if asked.get("tab") == "messages" else "home"))

    def _channel(self, ident: str) -> Channel:
        return {ident: place for team in self._twin.teams.values() for ident, place in team.channels.items()}[ident]

    def _view(self, team: Team, user: str, ident: str) -> dict[str, Any]:
        home = team.homes.get(user)
        if home is not None and home["id"] == ident:
            return home
        view = self._twin.views[ident]
        assert view["to"] == user
        return view


_WAYS = {name: name for name in ("say", "edit", "delete", "click", "submit", "close", "shortcut", "home")}


def seen(twin: Twin, team: Team, user: str) -> dict[str, Any]:
    """All that one person can see of a workspace, and what went over the wire."""
    channels = [place for place in team.channels.values() if user in place.members and not place.archived]
    features = manifest("https://twin.example")["features"]
    return {
        "version": twin.version, "me": user, "bot": team.bot_user, "app": team.users[team.bot_user].name,
        "team": {"id": team.id, "name": team.name},
        "people": [
            {"id": one.id, "name": one.name, "team": other.name, "bot": one.is_bot, "admin": one.is_admin, "here": other.id == team.id}
            for other in twin.teams.values() for one in other.users.values()
        ],
        "channels": [_channel(team, place, user) for place in channels],
        "home": team.homes.get(user),
        "modals": [view for view in twin.views.values() if view["to"] == user and view["type"] == "modal"],
        "shortcuts": features["shortcuts"], "commands": [each["command"] for each in features["slash_commands"]],
        "calls": [
            {"method": method, "ok": bool(said.get("ok")), "error": said.get("error")} for method, _, said in list(twin.log)[-MOST_CALLS:]
        ],
        "deliveries": [{"status": status, "ms": round(seconds * 1000)} for _, status, seconds in twin.deliveries[-MOST_CALLS:]],
    }  # fmt: skip


def _channel(team: Team, place: Channel, user: str) -> dict[str, Any]:
    whispers = [m for m in team.ephemerals if m["channel"] == place.id and m["to"] == user]
    said = sorted([*place.messages[-MOST_MESSAGES:], *whispers], key=lambda message: float(message["ts"]))
    statuses = {key.partition(":")[2]: text for key, text in team.statuses.items() if key.startswith(f"{place.id}:")}
    return {
        "id": place.id, "name": place.name, "kind": place.kind, "shared": place.is_ext_shared, "prompts": team.prompts.get(place.id),
        "direct": place.kind == "im" and team.bot_user in place.members, "statuses": statuses, "messages": [_shown(m) for m in said],
    }  # fmt: skip


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.items() if name not in ("metadata", "touched", "app_id", "team")}
    wrong = problems(message["blocks"], "message") if message.get("blocks") else []
    return {**kept, **({"wrong": wrong} if wrong else {})}
