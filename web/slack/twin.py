"""A local Slack to try the app on, and to test it with: workspaces, people and channels, their events truly signed, and Slack's Web API.

It plays what the app can see of slack.com: it checks arguments and limits and refuses with Slack's own codes, it delivers events over HTTP
or Socket Mode and again where they were not acknowledged, and it can be told to fail. It is no proof of how Slack renders anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

ACK_S = 3.0
"""How long Slack waits for an acknowledgement."""
LOG = 5000


@dataclass(slots=True)
class User:
    id: str
    name: str
    team: str
    is_admin: bool = False
    locale: str = "en-US"
    is_bot: bool = False
    deleted: bool = False
    email: str = ""
    is_email_confirmed: bool = True
    is_guest: bool = False


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    team: str
    kind: str = "channel"  # channel, group, im, mpim
    members: set[str] = field(default_factory=set)
    is_ext_shared: bool = False
    archived: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)

    def message(self, ts: str) -> dict[str, Any] | None:
        return next((m for m in self.messages if m["ts"] == ts), None)

    def thread(self, ts: str) -> list[dict[str, Any]]:
        return [m for m in self.messages if m["ts"] == ts or m.get("thread_ts") == ts]


@dataclass(slots=True)
class Team:
    id: str
    name: str
    bot_user: str
    bot_id: str
    token: str = ""  # of the app, once it is installed
    refresh_token: str = ""
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    homes: dict[str, dict[str, Any]] = field(default_factory=dict)
    ephemerals: list[dict[str, Any]] = field(default_factory=list)
    prompts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by channel
    titles: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)  # by channel:thread


@dataclass(slots=True)
class Fault:
    """How the next `times` calls of a method ("*": any) go wrong. `after`: only once so many calls have gone through. `done`: the call has
    its effect all the same, and only its answer is lost."""

    method: str
    times: int = 1
    status: int = 200
    error: str = ""
    retry_after: int = 1
    timeout: bool = False
    after: int = 0
    done: bool = False


class Twin:
    def __init__(
        self, *, signing_secret: str = "twin-signing-secret", client_id: str = "1.2", client_secret: str = "twin-client-secret",
        app_token: str = "xapp-twin", app_id: str = "ATWIN", rotating: bool = False,
    ) -> None:  # fmt: skip
        self.signing_secret, self.client_id, self.client_secret = signing_secret, client_id, client_secret
        self.app_token, self.app_id, self.rotating = app_token, app_id, rotating
        self.url = ""  # of this server
        self.app_url = ""  # of the app; empty: Socket Mode only
        self.teams: dict[str, Team] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.triggers: dict[str, tuple[float, str, str]] = {}  # id -> (until, team, user)
        self.responses: dict[str, dict[str, Any]] = {}  # of response_urls
        self.codes: dict[str, tuple[str, str]] = {}  # OAuth: code -> (team, user)
        self.revoked: set[str] = set()
        self.expired: set[str] = set()
        self.faults: list[Fault] = []
        self.log: deque[tuple[str, dict[str, Any], dict[str, Any]]] = deque(maxlen=LOG)  # method, arguments, answer
        self.deliveries: list[tuple[str, int, float]] = []  # event id, status, seconds until the acknowledgement
        self.sockets: list[Any] = []
        self.waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}  # Socket Mode: envelope -> its acknowledgement
        self.version = 0  # counts changes
        self.echo = True  # the app is told of its own messages, too
        self.retry_s: tuple[float, ...] = (0.2, 0.5, 1.0)
        self.clock: Callable[[], float] = time.time
        self.watchers: list[Callable[[], Awaitable[None]]] = []
        self.ended = asyncio.Event()
        self._numbers = itertools.count(1)
        self._last_us = 0
        self._http: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # The world

    def team(self, id: str = "T1", name: str = "School", *, installed: bool = True) -> Team:
        """A workspace with a member, an advisor, an admin, a channel, and a direct chat of each with the app."""
        made = Team(id, name, bot_user=f"UBOT{id}", bot_id=f"B{id}")
        self.teams[id] = made
        made.users[made.bot_user] = User(made.bot_user, "IMG Advisor", id, is_bot=True)
        for user, who, admin in ((f"U1{id}", "Amara", False), (f"U2{id}", "Advisor Ana", False), (f"U3{id}", "Admin Ada", True)):
            made.users[user] = User(user, who, id, admin)
            self.channel(id, f"D{user}", who, kind="im", members={user, made.bot_user})
        self.channel(id, f"C1{id}", "match-2027", members=set(made.users))
        if installed:
            self.issue(made)
        return made

    def channel(
        self, team: str, id: str, name: str, *, kind: str = "channel", members: set[str] | None = None, is_ext_shared: bool = False
    ) -> Channel:
        made = Channel(id, name, team, kind, members or set(self.teams[team].users), is_ext_shared)
        self.teams[team].channels[id] = made
        return made

    def issue(self, team: Team) -> None:
        """A new token; the old one stays good until it expires, as Slack's do."""
        team.token = f"xoxe.xoxb-{team.id}-{secrets.token_hex(12)}" if self.rotating else f"xoxb-{team.id}-{secrets.token_hex(12)}"
        team.refresh_token = f"xoxe-1-{secrets.token_hex(12)}" if self.rotating else ""

    def by_token(self, token: str) -> Team | None:
        return next((team for team in self.teams.values() if token and team.token == token), None)

    def by_channel(self, channel: str) -> Team | None:
        return next((team for team in self.teams.values() if channel in team.channels), None)

    def now_ts(self) -> str:
        """A message's name: never the same twice, also where the clock stands. In whole microseconds: a float of this size is coarser."""
        self._last_us = max(self._last_us + 1, int(self.clock() * 1_000_000))
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def number(self, prefix: str) -> str:
        return f"{prefix}{next(self._numbers):06d}{secrets.token_hex(3).upper()}"

    def changed(self) -> None:
        self.version += 1

    def fail(self, method: str, **how: Any) -> Fault:
        fault = Fault(method, **how)
        self.faults.append(fault)
        return fault

    def calls(self, method: str) -> list[dict[str, Any]]:
        """Arguments of the calls of a method that were granted."""
        return [arguments for name, arguments, answer in self.log if name == method and answer.get("ok")]

    # What people do

    async def say(self, user: str, channel: str, text: str, thread_ts: str | None = None, **more: Any) -> str:
        """Writes a message; its ts. The events are acknowledged, or given up, when this returns."""
        message, events = self.write(user, channel, text, thread_ts, **more)
        await asyncio.gather(*(self.deliver(event) for event in events))
        return str(message["ts"])

    def write(
        self, user: str, channel: str, text: str, thread_ts: str | None = None, **more: Any
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A message, and the events of it that the app is to get."""
        team = self.by_channel(channel)
        assert team is not None, f"there is no channel {channel}"
        place = team.channels[channel]
        message = {"type": "message", "user": user, "text": text, "ts": self.now_ts(), "team": team.id, **more}
        if thread_ts:
            message["thread_ts"] = thread_ts
        place.messages.append(message)
        self.changed()
        kind = {"im": "im", "mpim": "mpim", "group": "group"}.get(place.kind, "channel")
        event = {**message, "channel": channel, "channel_type": kind, "event_ts": message["ts"]}
        event.setdefault("user_team", self._team_of(user, team.id))
        events = [self.event(team.id, event, place.is_ext_shared)]
        if f"<@{team.bot_user}>" in text and place.kind != "im":
            mention = {name: value for name, value in event.items() if name != "channel_type"} | {"type": "app_mention"}
            events.append(self.event(team.id, mention, place.is_ext_shared))
        return message, events

    async def edit(self, channel: str, ts: str, text: str) -> None:
        team, place, message = self._found(channel, ts)
        before = dict(message)
        message |= {"text": text, "edited": {"user": message["user"], "ts": self.now_ts()}}
        self.changed()
        event = {
            "type": "message", "subtype": "message_changed", "channel": channel, "channel_type": self._kind(place),
            "message": dict(message), "previous_message": before, "ts": self.now_ts(), "event_ts": self.now_ts(), "hidden": True,
        }  # fmt: skip
        await self.deliver(self.event(team.id, event, place.is_ext_shared))

    async def delete(self, channel: str, ts: str) -> None:
        team, place, message = self._found(channel, ts)
        place.messages.remove(message)
        self.changed()
        event = {
            "type": "message", "subtype": "message_deleted", "channel": channel, "channel_type": self._kind(place), "deleted_ts": ts,
            "previous_message": message, "ts": self.now_ts(), "event_ts": self.now_ts(), "hidden": True,
        }  # fmt: skip
        await self.deliver(self.event(team.id, event, place.is_ext_shared))

    async def open_home(self, user: str, tab: str = "home") -> None:
        team = self._team_by_user(user)
        event: dict[str, Any] = {"type": "app_home_opened", "user": user, "channel": f"D{user}", "tab": tab, "event_ts": self.now_ts()}
        if tab == "home" and user in team.homes:
            event["view"] = team.homes[user]
        await self.deliver(self.event(team.id, event))

    async def open_assistant(self, user: str) -> str:
        """The older assistant pane; its thread's ts."""
        team, ts = self._team_by_user(user), self.now_ts()
        place = {"user_id": user, "channel_id": f"D{user}", "thread_ts": ts, "context": {}}
        root = {"type": "message", "subtype": "assistant_app_thread", "user": team.bot_user, "bot_id": team.bot_id, "text": "New chat"}
        team.channels[f"D{user}"].messages.append({**root, "ts": ts})
        await self.deliver(self.event(team.id, {"type": "assistant_thread_started", "assistant_thread": place, "event_ts": ts}))
        return ts

    async def command(self, user: str, channel: str, text: str, command: str = "/img") -> dict[str, Any]:
        """What the command was acknowledged with."""
        team = self._team_by_user(user)
        body = {
            "token": "verification", "team_id": team.id, "team_domain": team.name.lower(), "channel_id": channel, "user_id": user,
            "channel_name": team.channels[channel].name, "user_name": team.users[user].name, "command": command, "text": text,
            "api_app_id": self.app_id, "response_url": self.response_url(team.id, channel, user), "trigger_id": self.trigger(team.id, user),
            "is_enterprise_install": "false",
        }  # fmt: skip
        answer = await self.deliver(body, "slash_commands")
        if answer.get("text") or answer.get("blocks"):
            self.respond(team, channel, user, {"response_type": "ephemeral", **answer})
        return answer

    async def click(
        self, user: str, channel: str, action: dict[str, Any], message: dict[str, Any] | None = None, *, view: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Presses a button, or chooses from a menu: `action` is the element as it was shown, with what was chosen."""
        team = self._team_by_user(user)
        body: dict[str, Any] = {
            **self._interaction("block_actions", team, user), "actions": [{"action_ts": self.now_ts(), "block_id": "b", **action}],
        }  # fmt: skip
        if view is not None:
            body |= {"view": view, "container": {"type": "view", "view_id": view["id"]}}
        elif message is not None:
            ephemeral = bool(message.get("is_ephemeral"))
            thread = {"thread_ts": message["thread_ts"]} if message.get("thread_ts") else {}
            body |= {
                "channel": {"id": channel, "name": team.channels[channel].name}, **({} if ephemeral else {"message": message}),
                "container": {"type": "message", "message_ts": message["ts"], "channel_id": channel, "is_ephemeral": ephemeral, **thread},
                "response_url": self.response_url(team.id, channel, user, message["ts"]),
            }  # fmt: skip
        return await self.deliver(body, "interactive")

    async def submit(self, user: str, view: dict[str, Any], values: dict[str, Any] | None = None) -> dict[str, Any]:
        """Sends a modal off; `values`: block_id -> action_id -> what was entered."""
        team = self._team_by_user(user)
        shown = {**view, "state": {"values": values or {}}}
        answer = await self.deliver({**self._interaction("view_submission", team, user), "view": shown, "response_urls": []}, "interactive")
        match answer.get("response_action"):
            case "update":
                self.put_view(team.id, user, answer["view"], into=view["id"])
            case "push":
                self.put_view(team.id, user, answer["view"], pushed=True)
            case None | "clear":
                self.views.pop(view["id"], None)
        self.changed()
        return answer

    async def shortcut(self, user: str, callback_id: str, channel: str | None = None, ts: str | None = None) -> dict[str, Any]:
        """A global shortcut, or with a channel and a message one on that."""
        team = self._team_by_user(user)
        if channel is None or ts is None:
            return await self.deliver({**self._interaction("shortcut", team, user), "callback_id": callback_id}, "interactive")
        message = team.channels[channel].message(ts)
        body = {
            **self._interaction("message_action", team, user), "callback_id": callback_id, "message": message, "message_ts": ts,
            "channel": {"id": channel, "name": team.channels[channel].name},
            "response_url": self.response_url(team.id, channel, user, ts),
        }  # fmt: skip
        return await self.deliver(body, "interactive")

    async def uninstall(self, team: str) -> None:
        """As Slack tells it: the tokens are dead when the events arrive."""
        found = self.teams[team]
        self.revoked.add(found.token)
        await self.deliver(self.event(team, {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [found.bot_user]}}))
        await self.deliver(self.event(team, {"type": "app_uninstalled"}))

    # Delivering

    def event(self, team: str, event: dict[str, Any], is_ext_shared: bool = False) -> dict[str, Any]:
        found = self.teams[team]
        event.setdefault("event_ts", self.now_ts())
        return {
            "token": "verification", "team_id": team, "api_app_id": self.app_id, "event": event, "type": "event_callback",
            "event_id": self.number("Ev"), "event_time": int(self.clock()), "is_ext_shared_channel": is_ext_shared,
            "authorizations": [
                {"enterprise_id": None, "team_id": team, "user_id": found.bot_user, "is_bot": True, "is_enterprise_install": False}
            ],
        }  # fmt: skip

    async def deliver(self, body: dict[str, Any], kind: str = "events_api", *, tries: int | None = None) -> dict[str, Any]:
        """Hands a payload to the app and waits for the acknowledgement. Events are sent again where it does not come; other things not."""
        waits = self.retry_s if kind == "events_api" else ()
        waits = waits if tries is None else waits[: tries - 1]
        answer: dict[str, Any] = {}
        for number, wait in enumerate((0.0, *waits)):
            await asyncio.sleep(wait)
            began = time.monotonic()
            retry = {"x-slack-retry-num": str(number), "x-slack-retry-reason": "http_error"} if number else {}
            status, answer = await (self._over_socket(body, kind) if self.sockets else self.post(body, kind, retry))
            self.deliveries.append((str(body.get("event_id", "")), status, time.monotonic() - began))
            if status == 200:
                break
        return answer

    async def post(
        self, body: dict[str, Any], kind: str = "events_api", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """One signed request: (status, what came back). Status 0: nothing did in time."""
        raw, content_type = packed(body, kind)
        try:
            response = await self.http.post(
                f"{self.app_url}/slack/events", content=raw,
                headers={"content-type": content_type, **self.signed(raw), **(headers or {})}, timeout=ACK_S,
            )  # fmt: skip
        except httpx.HTTPError:
            return 0, {}
        try:
            said = response.json() if response.content else {}
        except ValueError:
            said = {"text": response.text}
        return response.status_code, said if isinstance(said, dict) else {}

    def signed(self, raw: bytes, at: float | None = None, secret: str | None = None) -> dict[str, str]:
        stamp = str(int(at if at is not None else self.clock()))
        made = hmac.new((secret or self.signing_secret).encode(), b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        return {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={made}"}

    async def _over_socket(self, body: dict[str, Any], kind: str) -> tuple[int, dict[str, Any]]:
        envelope = secrets.token_hex(8)
        told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.waiting[envelope] = told
        sent = {"envelope_id": envelope, "type": kind, "payload": body, "accepts_response_payload": kind != "events_api"}
        try:
            await self.sockets[-1].send_text(json.dumps(sent))
            return 200, await asyncio.wait_for(told, ACK_S)
        except (TimeoutError, RuntimeError):
            return 0, {}
        finally:
            self.waiting.pop(envelope, None)

    @property
    def http(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(limits=httpx.Limits(max_connections=200))
        return self._http

    def soon(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self.ended.set()
        for task in list(self._tasks):
            task.cancel()
        if self._http is not None:
            await self._http.aclose()

    # Parts

    def response_url(self, team: str, channel: str, user: str, ts: str | None = None) -> str:
        ident = secrets.token_hex(8)
        self.responses[ident] = {"team": team, "channel": channel, "user": user, "ts": ts, "left": 5, "until": self.clock() + 1800}
        return f"{self.url}/response/{ident}"

    def respond(self, team: Team, channel: str, user: str, said: dict[str, Any], ts: str | None = None) -> None:
        """What comes in by a response_url."""
        old = next((m for m in team.ephemerals if m["ts"] == ts), None)
        if said.get("delete_original"):
            if old is not None:
                team.ephemerals.remove(old)
        elif said.get("replace_original") and old is not None:
            old |= {"text": said.get("text", ""), "blocks": said.get("blocks", [])}
        else:
            message = {
                "type": "message", "user": team.bot_user, "bot_id": team.bot_id, "text": said.get("text", ""),
                "blocks": said.get("blocks", []), "ts": self.now_ts(),
            }  # fmt: skip
            if said.get("thread_ts"):
                message["thread_ts"] = said["thread_ts"]
            if said.get("response_type") == "in_channel":
                team.channels[channel].messages.append(message)
            else:
                team.ephemerals.append({**message, "channel": channel, "to": user, "is_ephemeral": True})
        self.changed()

    def trigger(self, team: str, user: str) -> str:
        ident = f"{secrets.token_hex(6)}.{secrets.token_hex(6)}"
        self.triggers[ident] = (self.clock() + ACK_S, team, user)
        return ident

    def put_view(self, team: str, user: str, view: dict[str, Any], *, into: str | None = None, pushed: bool = False) -> dict[str, Any]:
        ident = into or self.number("V")
        made = {**view, "id": ident, "team_id": team, "to": user, "hash": secrets.token_hex(4), "app_id": self.app_id, "pushed": pushed}
        made.setdefault("state", {"values": {}})
        self.views[ident] = made
        self.changed()
        return made

    def _interaction(self, kind: str, team: Team, user: str) -> dict[str, Any]:
        return {
            "type": kind, "team": {"id": team.id, "domain": team.name.lower()}, "user": {"id": user, "team_id": team.id},
            "api_app_id": self.app_id, "token": "verification", "trigger_id": self.trigger(team.id, user), "enterprise": None,
            "is_enterprise_install": False,
        }  # fmt: skip

    def _found(self, channel: str, ts: str) -> tuple[Team, Channel, dict[str, Any]]:
        team = self.by_channel(channel)
        assert team is not None
        message = team.channels[channel].message(ts)
        assert message is not None, "there is no such message"
        return team, team.channels[channel], message

    def _kind(self, place: Channel) -> str:
        return {"im": "im", "mpim": "mpim", "group": "group"}.get(place.kind, "channel")

    def _team_of(self, user: str, here: str) -> str:
        return next((team.id for team in self.teams.values() if user in team.users), here)

    def _team_by_user(self, user: str) -> Team:
        return next(team for team in self.teams.values() if user in team.users)


def packed(body: dict[str, Any], kind: str) -> tuple[bytes, str]:
    """A payload as Slack sends it over HTTP: events as JSON, commands as a form, the rest as JSON in a form."""
    if kind == "events_api":
        return json.dumps(body).encode(), "application/json"
    form = body if kind == "slash_commands" else {"payload": json.dumps(body)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"
