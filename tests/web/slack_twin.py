"""The app and the twin, on one event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvicorn
from data_copy import DATABASE, copy_data
from pydantic import SecretStr

from bot import tables
from bot.advisor import Advisor
from bot.settings import Settings
from bot.workspaces import Tokens
from web.app import create_app, server_config
from web.slack.app import Slack
from web.slack.twin import Twin
from web.slack.twin_server import guest, listening, running

KEY = "yQK2xWfH0mJq8P3r5t7v9y1B3D5F7H9J1L3N5P7R9T0="


@dataclass(slots=True)
class Play:
    """A twin with a workspace T1 in which the app is installed, and the app."""

    twin: Twin
    slack: Slack

    @property
    def advisor(self) -> Advisor:
        return self.slack.advisor

    def thread(self, channel: str, ts: str) -> list[dict[str, Any]]:
        """What the app has said in a thread."""
        team = self.twin.by_channel(channel)
        assert team is not None
        return [m for m in team.channels[channel].thread(ts) if m["user"] == team.bot_user]

    async def answers(self, channel: str, ts: str, number: int = 1, longest_s: float = 60) -> list[dict[str, Any]]:
        """Waits until so many messages of the app stand finished in a thread."""

        async def there() -> bool:
            found = self.thread(channel, ts)
            return len(found) >= number and not any(message.get("streaming") for message in found)

        try:
            await until(there, longest_s)
        except TimeoutError as error:
            stands = "\n".join(map(str, self.thread(channel, ts)))
            error.add_note(f"{await queue(self.slack)}\nlaid aside: {len(self.slack.spool.names())}\nin the thread {ts}: {stands}")
            raise
        return self.thread(channel, ts)

    async def idle(self, longest_s: float = 60) -> None:
        """Waits until nothing is left to be done."""

        async def none_open() -> bool:
            counts = await self.slack.jobs.counts()
            return not counts.get("waiting") and not counts.get("running")

        await until(none_open, longest_s)


async def queue(slack: Slack) -> str:
    """The jobs, for whoever wonders what became of one."""
    async with slack.advisor.engine.connect() as connection:
        jobs = tables.jobs.c["kind", "lane", "state", "attempts", "due_at", "ended_at", "note"]
        rows = await connection.execute(sa.select(jobs).order_by(tables.jobs.c.seq))
        return "\n".join(map(str, rows))


async def until(true: Callable[[], Awaitable[bool]], longest_s: float = 60) -> None:
    async with asyncio.timeout(longest_s):
        while not await true():
            await asyncio.sleep(0.02)


def copied(data: Path, to: Path) -> None:
    """The index of a data folder, without what other tests have asked there."""
    copy_data(data, to)
    with closing(sqlite3.connect(to / DATABASE)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM conversations")


def own(settings: Settings, folder: Path) -> Settings:
    """The same knowledge with a data folder of its own."""
    copied(settings.data, folder / "data")
    return settings.model_copy(update={"data": folder / "data"})


def slack_settings(settings: Settings, twin: Twin, **more: Any) -> Settings:
    values = {
        "slack_signing_secret": SecretStr(twin.signing_secret), "slack_api_url": f"{twin.url}/api/", "slack_client_id": twin.client_id,
        "slack_client_secret": SecretStr(twin.client_secret), "slack_encryption_key": SecretStr(KEY), "public_url": "https://advisor.example",
        "slack_app_token": SecretStr(twin.app_token),
    }  # fmt: skip
    return settings.model_copy(update={**values, **more})


@asynccontextmanager
async def app_for(settings: Settings, twin: Twin) -> AsyncIterator[Slack]:
    """The server, listening."""
    app = create_app(settings)
    listener = listening(0)
    twin.app_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with guest(uvicorn.Server(server_config(app, settings)), listener):
        assert app.state.doors.slack is not None
        yield app.state.doors.slack


async def install(slack: Slack, twin: Twin, team: str) -> None:
    """As the OAuth pages do at their end."""
    found = twin.teams[team]
    await slack.workspaces.save(
        team, name=found.name, bot_user=found.bot_user, bot_id=found.bot_id, scopes=("chat:write",), tokens=Tokens(found.token),
        installed_by=f"U3{team}",
    )  # fmt: skip


@asynccontextmanager
async def play(settings: Settings, folder: Path, *, more: dict[str, Any] | None = None, **how: Any) -> AsyncIterator[Play]:
    """With a database of its own in `folder`."""
    if not (folder / "data").exists():
        copied(settings.data, folder / "data")
    twin = Twin(**how)
    async with running(twin):
        twin.team("T1")
        mine = slack_settings(settings.model_copy(update={"data": folder / "data"}), twin, **(more or {}))
        async with app_for(mine, twin) as slack:
            await install(slack, twin, "T1")
            yield Play(twin, slack)
