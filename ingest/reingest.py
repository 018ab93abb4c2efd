"""Bringing the index up to date from within the server: in the background, one run at a time, with its progress in the database.

Whoever asks while a run is under way gets another one behind it, so that the last saved file is always in. Any replica can show how far
it is.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
from dataclasses import dataclass
from typing import Literal, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.errors import AdvisorError
from bot.store import now_text
from ingest.build import Report
from ingest.run import Workshop, run_in

log = logging.getLogger(__name__)

GIVEN_UP_S = 300
"""A run that told nothing for so long has ended with its process."""
BUSY_S = 1.0
TRIES = 60
"""How often to come back while another process ingests."""
TELL_S = 0.3
KEPT = 50


State = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    state: State
    what: str
    done: int
    total: int
    outcome: str
    at: dt.datetime


class Reingest:
    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._engine: AsyncEngine = workshop.engine
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[str] = []

    async def ask(self, account: str) -> str:
        """Asks for a run; its id. It begins at once, or behind the one that is under way."""
        ident, now = secrets.token_hex(8), now_text()
        row = {"id": ident, "state": "running", "account": account, "what": "Waiting", "done": 0, "total": 0, "outcome": ""}
        async with self._engine.begin() as connection:
            await connection.execute(sa.insert(tables.knowledge_runs).values(**row, created_at=now, updated_at=now))
        self._waiting.append(ident)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return ident

    async def last(self) -> Run | None:
        table = tables.knowledge_runs
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(table).order_by(table.c.created_at.desc()).limit(1))).first()
        if row is None:
            return None
        told = dt.datetime.fromisoformat(row.updated_at)
        lost = row.state == "running" and (dt.datetime.now(dt.UTC) - told).total_seconds() > GIVEN_UP_S
        state, outcome = ("failed", "The server stopped while this ran. Run it again.") if lost else (row.state, row.outcome)
        return Run(row.id, cast(State, state), row.what, row.done, row.total, outcome, told)

    async def ended(self) -> None:
        """Waits until nothing is left to do."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """Ends what is under way; the index stays as it is."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._waiting:
            mine, self._waiting = self._waiting, []
            try:
                report = await self._run(mine)
                await self._tell(mine, state="done", outcome=said(report))
            except AdvisorError as error:
                await self._tell(mine, state="failed", outcome=str(error)[:2000])
            except asyncio.CancelledError:
                await self._tell(mine, state="failed", outcome="The server stopped while this ran. Run it again.")
                raise
            except Exception as error:
                log.exception("A run of ingest failed.")
                outcome = f"Something unexpected happened ({type(error).__name__}). The log says more."
                await self._tell(mine, state="failed", outcome=outcome)

    async def _run(self, mine: list[str]) -> Report:
        now: dict[str, object] = {}

        def progress(what: str, done: int, total: int) -> None:
            now.update(what=what[:200], done=done, total=total)

        telling = asyncio.create_task(self._tell_on(mine, now))
        try:
            for _ in range(TRIES):
                try:
                    return await run_in(self._workshop, progress=progress)
                except AdvisorError as error:
                    if type(error) is not AdvisorError or "under way" not in str(error):
                        raise
                    progress("Another ingest is under way", 0, 0)
                    await asyncio.sleep(BUSY_S)
            return await run_in(self._workshop, progress=progress)
        finally:
            telling.cancel()
            await asyncio.wait([telling])

    async def _tell_on(self, mine: list[str], now: dict[str, object]) -> None:
        while True:
            if now:
                await self._tell(mine, **now)
            await asyncio.sleep(TELL_S)

    async def _tell(self, mine: list[str], **values: object) -> None:
        table = tables.knowledge_runs
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(table).where(table.c.id.in_(mine)).values(**values, updated_at=now_text()))
            if values.get("state"):
                kept = sa.select(table.c.id).order_by(table.c.created_at.desc()).limit(KEPT).subquery()
                await connection.execute(sa.delete(table).where(table.c.id.not_in(sa.select(kept.c.id))))


def said(report: Report) -> str:
    """What a run did, in words."""
    parts = [f"{n} {word}" for n, word in ((report.added, "added"), (report.changed, "changed"), (report.removed, "removed")) if n]
    what = ", ".join(parts) or "nothing had changed"
    return f"{what[0].upper()}{what[1:]}, in {report.seconds:.1f} s. The guides hold {report.chunks:,} passages."
