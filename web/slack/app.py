"""The Slack app of one process, wired: queue, workspaces, two Bolt apps, and who does what."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy.exc import SQLAlchemyError

from bot.advisor import Advisor
from bot.answer import Answer
from bot.errors import NotFound
from bot.jobs import Crew, GiveUp, Hand, Job, Jobs, Later
from bot.settings import Settings
from bot.threads import Threads
from bot.workspaces import Keys, Mode, Tokens, Workspace, Workspaces
from web.slack import phrases
from web.slack.calls import Refused, Unreachable, call, retry_after
from web.slack.door import put
from web.slack.spool import Spool

log = logging.getLogger(__name__)

TIMEOUT_S = 10
"""Longest wait for one call of Slack's API."""

FRESH_S = 60.0
"""How long a workspace's token is used without asking the database; and how long one outlives a database that is down."""

RENEW_BEFORE_S = 600.0
"""A token that ends within this time is renewed first."""


class Slack:
    """`events` takes what comes from the queue, acknowledged long ago: a listener that raises is tried again. `actions` takes commands,
    buttons, shortcuts and modals: its listeners acknowledge at once and put what takes long into the queue."""

    def __init__(self, settings: Settings, advisor: Advisor) -> None:
        self.settings = settings
        self.advisor = advisor
        self.base_url = settings.public_url
        self.counted: Callable[[Answer, float], None] = lambda answer, seconds: None  # told of each answer, and how long it took
        self.jobs = Jobs(advisor.engine)
        self.workspaces = Workspaces(advisor.engine, Keys(settings.slack_encryption_key.get_secret_value()))
        self.threads = Threads(advisor.engine, advisor.store)
        self.crew = Crew(self.jobs, on_failure=self._given_up)
        self.spool = Spool(settings.data / "slack-spool")
        self.events = self._bolt(wait=True)
        self.actions = self._bolt(wait=False)
        self._session: aiohttp.ClientSession | None = None
        self._known: dict[str, tuple[float, Workspace, Tokens]] = {}
        self._shares: dict[tuple[str, str], tuple[float, bool]] = {}
        self._own: str | None = None  # the workspace whose token is a setting
        self._renewing = asyncio.Lock()
        self._looks: list[tuple[float, Callable[[], Awaitable[None]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._told: dict[str, Callable[[Job], Awaitable[None]]] = {}
        self._asides: set[asyncio.Task[Any]] = set()
        self._waiting: OrderedDict[str, float] = OrderedDict()  # who was told to wait, and when
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.on("slack.event", self._event)
        self.every(2.0, self._unspool)
        from web.slack.surfaces import SURFACES

        for add in SURFACES:
            add(self)
        self.events.event(re.compile(".*"))(_nothing)  # what else we subscribed to

    def on(self, kind: str, hand: Hand, *, given_up: Callable[[Job], Awaitable[None]] | None = None) -> None:
        """Who does jobs of a kind, and who tells people when one is given up."""
        self.crew.hands[kind] = hand
        if given_up is not None:
            self._told[kind] = given_up

    def every(self, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        """Something to do again and again, in each replica."""
        self._looks.append((seconds, look))

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        await self._install_from_settings()
        self._tasks = [asyncio.create_task(self.crew.run())]
        self._tasks += [asyncio.create_task(self._again_and_again(seconds, look)) for seconds, look in self._looks]

    async def stop(self) -> None:
        await self.crew.stop()
        for task in self._tasks[1:]:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        for aside in list(self._asides):
            aside.cancel()
        if self._session is not None:
            await self._session.close()

    # Clients

    def bare_client(self, token: str | None = None) -> AsyncWebClient:
        """Never tries again by itself: only who calls knows whether a call may be repeated."""
        return AsyncWebClient(
            token=token, base_url=self.settings.slack_api_url, timeout=TIMEOUT_S, session=self._session, logger=silent, retry_handlers=[]
        )

    async def client(self, team: str) -> AsyncWebClient:
        """
        Raises:
            NotFound: the app is not installed there.
        """
        _, tokens = await self.installation(team)
        return self.bare_client(tokens.access)

    async def installation(self, team: str) -> tuple[Workspace, Tokens]:
        """The workspace and a token that is good for a while.

        Raises:
            NotFound: the app is not installed there.
        """
        known = self._known.get(team)
        now = time.monotonic()
        if known is not None and now - known[0] < FRESH_S and not _ends_soon(known[2]):
            return known[1], known[2]
        try:
            if self._own is None and await self.workspaces.find(team) is None:
                await self._install_from_settings()  # Slack did not answer when we started
                if self._own is None and self.settings.slack_bot_token.get_secret_value():
                    raise Unreachable("auth.test")
            workspace = await self.workspaces.get(team)
            tokens = await self._tokens(workspace)
        except (SQLAlchemyError, OSError):
            if known is None:
                raise
            return known[1], known[2]  # better an old token than none while the database is down
        except NotFound:
            self._known.pop(team, None)
            raise
        if _ends_soon(tokens) and tokens.refresh:
            tokens = await self._renewed(workspace, tokens)
        self._known[team] = (now, workspace, tokens)
        return workspace, tokens

    async def mode(self, team: str, channel: str) -> Mode:
        """When a channel is answered; one that is shared with other organizations is left in peace until somebody says otherwise."""
        if chosen := await self.workspaces.mode(team, channel):
            return chosen
        workspace, _ = await self.installation(team)
        return "silent" if await self._shared(team, channel) else workspace.preferences.mode

    async def _shared(self, team: str, channel: str) -> bool:
        """With outsiders. What Slack does not tell is taken for so."""
        known = self._shares.get((team, channel))
        if known is not None and time.monotonic() - known[0] < 300:
            return known[1]
        try:
            info = (await call((await self.client(team)).conversations_info(channel=channel)))["channel"]
        except Refused as refused:
            log.info("A channel cannot be looked at (%s).", refused.error)
            return True
        shared = bool(info.get("is_ext_shared") or info.get("is_pending_ext_shared"))
        self._shares[team, channel] = (time.monotonic(), shared)
        while len(self._shares) > 5000:
            del self._shares[next(iter(self._shares))]
        return shared

    async def respond(self, url: str, said: dict[str, Any]) -> None:
        """Posts to a response_url: good for half an hour.

        Raises:
            Refused: it is no address of Slack's, or is not good any more. Unreachable.
        """
        if not url.startswith(("https://hooks.slack.com/", self.settings.slack_api_url.rstrip("/").removesuffix("/api") + "/")):
            raise Refused("no_response_url")
        assert self._session is not None
        try:
            async with self._session.post(url, json=said) as response:
                if response.status == 429:
                    raise Later(retry_after(response.headers))
                if response.status >= 500:
                    raise Unreachable(str(response.status))
                if response.status >= 400:
                    raise Refused("expired_url")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from None

    async def note(self, team: str, user: str, action: str, **detail: Any) -> None:
        """For the audit log: who did what in a workspace."""
        await self.advisor.audit.record(f"slack:{team}:{user}" if user else "slack", action, team, detail)

    def forget_tokens(self, team: str) -> None:
        """The next call reads them anew."""
        self._known.pop(team, None)

    async def _tokens(self, workspace: Workspace) -> Tokens:
        if workspace.has_tokens:
            tokens = await self.workspaces.tokens(workspace.team)
            if tokens is not None:
                return tokens
        if token := self.settings.slack_bot_token.get_secret_value():
            if self._own is None:
                await self._install_from_settings()
            if self._own is None:
                raise Unreachable("auth.test")
            if self._own == workspace.team:  # not of one whose token the setting was before
                return Tokens(token)
        raise NotFound("No token is kept for this workspace. Install the app again with /slack/install.")

    async def _renewed(self, workspace: Workspace, old: Tokens) -> Tokens:
        """One replica renews; the others find the new token in the database."""
        async with self._renewing:
            now = await self.workspaces.tokens(workspace.team)
            if now is None or now != old:
                return now or old
            settings = self.settings
            made = await self.bare_client().oauth_v2_access(
                client_id=settings.slack_client_id, client_secret=settings.slack_client_secret.get_secret_value(),
                grant_type="refresh_token", refresh_token=old.refresh,
            )  # fmt: skip
            new = tokens_of(made.data)  # type: ignore[arg-type]
            if await self.workspaces.renew(workspace.team, old, new):
                return new
            return await self.workspaces.tokens(workspace.team) or new

    async def _install_from_settings(self) -> None:
        """The workspace whose token is a setting. Slack not answering is no reason not to start."""
        token = self.settings.slack_bot_token.get_secret_value()
        if not token:
            return
        try:
            who = await call(self.bare_client(token).auth_test())
        except (Refused, GiveUp, Later, Unreachable) as error:
            log.error("Slack does not take IMG_ADVISOR_SLACK_BOT_TOKEN, or does not answer (%s).", error)
            return
        self._own = str(who["team_id"])
        found = await self.workspaces.find(who["team_id"])
        if found is None or (found.bot_user, found.bot_id) != (who["user_id"], who["bot_id"]) or found.has_tokens:
            await self.workspaces.save(
                who["team_id"], name=who.get("team", ""), bot_user=who["user_id"], bot_id=who["bot_id"], scopes=(), tokens=None,
                installed_by="settings",
            )  # fmt: skip

    # Bolt

    def _bolt(self, *, wait: bool) -> AsyncApp:
        """Signatures are verified at our own door, before anything is queued."""

        async def authorize(enterprise_id: str | None, team_id: str | None, user_id: str | None) -> AuthorizeResult | None:
            return await self._authorize(enterprise_id, team_id, user_id)  # Bolt takes functions only, no methods

        app = AsyncApp(
            name="img-advisor", logger=logging.getLogger("web.slack.bolt"), client=self._bolt_client(), authorize=authorize,  # type: ignore[arg-type]
            request_verification_enabled=False, ssl_check_enabled=False, url_verification_enabled=False, process_before_response=wait,
            attaching_conversation_kwargs_enabled=False, user_facing_authorize_error_message=phrases.LOCKED,
        )  # fmt: skip
        app.error(_remember_failure)
        return app

    def _bolt_client(self) -> AsyncWebClient:
        return AsyncWebClient(base_url=self.settings.slack_api_url, timeout=TIMEOUT_S, logger=silent, retry_handlers=[])

    async def _authorize(self, enterprise_id: str | None, team_id: str | None, user_id: str | None) -> AuthorizeResult | None:
        if team_id is None:
            return None
        try:
            workspace, tokens = await self.installation(team_id)
        except NotFound:
            return None
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_user_id=workspace.bot_user, bot_id=workspace.bot_id, bot_token=tokens.access,
            user_id=user_id,
        )  # fmt: skip

    async def _event(self, job: Job) -> None:
        request = AsyncBoltRequest(mode="socket_mode", body=job.payload, context={"job": job})
        await self.events.async_dispatch(request)
        if (failure := request.context.get("failure")) is not None:
            raise failure

    async def dispatch(self, body: dict[str, Any]) -> Any:
        """A command, button, shortcut or modal; the BoltResponse to acknowledge with.

        Raises:
            whatever a listener raised before it had acknowledged.
        """
        request = AsyncBoltRequest(mode="socket_mode", body=body)
        answer = await self.actions.async_dispatch(request)
        if answer.status >= 500 and (failure := request.context.get("failure")) is not None:
            raise failure
        return answer

    async def once(self, signature: str) -> bool:
        """False: a request of this signature was taken before, here or by another replica."""
        if signature in self._seen:
            return False
        self._seen[signature] = None
        while len(self._seen) > 10_000:
            self._seen.popitem(last=False)
        try:
            async with asyncio.timeout(1.0):
                return await self.jobs.put("slack.request", signature, {}, state="done")
        except (SQLAlchemyError, OSError):
            return True  # then this process's own memory has to do

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that nobody waits for, and that may fail."""
        task = asyncio.create_task(_quietly(work))
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _unspool(self) -> None:
        """Puts into the queue what was laid aside while the database was down."""
        for path in await asyncio.to_thread(self.spool.names):
            payload = await asyncio.to_thread(self.spool.read, path)
            if payload is not None:
                await put(self, payload)
                await asyncio.to_thread(self.spool.remove, path)

    async def tell_to_wait(self, payload: dict[str, Any]) -> None:
        """Tells who asked, once in five minutes, that it will take its time. Without a database only a token that is still known helps."""
        event, team = payload["event"], payload["team_id"]
        channel, user, known = event.get("channel"), event.get("user"), self._known.get(team)
        mine = event.get("type") == "app_mention" or (event.get("channel_type") == "im" and event.get("type") == "message")
        if not mine or known is None or not user or event.get("subtype"):
            return
        now = time.monotonic()
        if now - self._waiting.get(f"{team}:{channel}:{user}", -1e9) < 300:
            return
        self._waiting[f"{team}:{channel}:{user}"] = now
        while len(self._waiting) > 1000:
            self._waiting.popitem(last=False)
        client = self.bare_client(known[2].access)
        await call(client.chat_postEphemeral(channel=channel, user=user, text=phrases.WAITING, thread_ts=event.get("thread_ts")))

    async def _given_up(self, job: Job) -> None:
        if job.kind in self._told:
            await self._told[job.kind](job)

    async def _again_and_again(self, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await look()
            except Exception as error:
                log.warning("A periodic look at Slack's matters failed (%s); trying again.", type(error).__name__)
            await asyncio.sleep(seconds)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        log.info("Something that may fail did (%s).", type(error).__name__)


async def _nothing() -> None:
    pass


def tokens_of(made: dict[str, Any]) -> Tokens:
    """What oauth.v2.access hands out."""
    ends = made.get("expires_in")
    return Tokens(made["access_token"], made.get("refresh_token"), time.time() + int(ends) if ends else None)


def _ends_soon(tokens: Tokens) -> bool:
    return tokens.expires_at is not None and tokens.expires_at < time.time() + RENEW_BEFORE_S


async def _remember_failure(error: Exception, context: Any) -> None:
    """Bolt would log it with what people wrote in it."""
    context["failure"] = error
    if not isinstance(error, GiveUp):
        log.info("A listener failed: %s", type(error).__name__)


silent = logging.getLogger("web.slack.sdk")
silent.addHandler(logging.NullHandler())
silent.setLevel(logging.CRITICAL)  # at DEBUG the SDK logs whole bodies
silent.propagate = False
