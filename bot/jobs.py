"""Work that must be done once, whatever crashes: a queue in the database that several processes share.

What is put under a kind and a key is taken on once, however often it is put. Whoever takes a job holds it for LEASE_S seconds and prolongs
that while it works; a job whose holder died falls back to the others. Jobs of one lane are done one after the other, in the order in which
they were put. A job that is over is kept without its payload for KEEP_S, so that what comes late under its key is known to be done.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.database import insert

log = logging.getLogger(__name__)

LEASE_S = 30.0
TRIES = 12
LONGEST_DELAY_S = 300.0
KEEP_S = 7 * 24 * 3600.0
OPEN = ("waiting", "running")
MANY = 3
"""So many jobs may be put at a time before the work on others waits for a moment."""
BATCH = 200
"""So many jobs are put in one transaction, when they come at once."""


@dataclass(slots=True)
class Job:
    seq: int
    kind: str
    key: str
    owner: str
    payload: dict[str, Any]
    note: dict[str, Any]
    attempts: int
    worker: str


class GiveUp(Exception):
    """Trying again would not help."""


class Later(Exception):
    """Not now: somebody asked us to wait so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"in {seconds:.0f} s")
        self.seconds = seconds


class Lost(Exception):
    """The job is somebody else's now, or was withdrawn: stop working on it."""


class Jobs:
    def __init__(self, engine: AsyncEngine, *, lease_s: float = LEASE_S) -> None:
        self._engine = engine.execution_options(sqlite_begin="IMMEDIATE")
        self.lease_s = lease_s
        self.worker = secrets.token_hex(8)
        self.woken = asyncio.Event()
        self.putting = 0
        """How many are being put at this moment."""
        self._turn = asyncio.Lock()
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[bool]]] = []
        self._writer: asyncio.Task[None] | None = None

    # Putting

    async def put(
        self, kind: str, key: str, payload: dict[str, Any], *, owner: str = "", lane: str = "", delay_s: float = 0.0, state: str = "waiting"
    ) -> bool:
        """False: it was put before. Those that come at the same time are written together. With state "done" only the key is taken."""
        row = {
            "kind": kind, "key": key[:200], "owner": owner, "lane": lane[:200], "payload": payload if state == "waiting" else None,
            "note": None, "state": state, "attempts": 0, "due_at": time.time() + delay_s, "worker": None,
            "ended_at": None if state == "waiting" else time.time(),
        }  # fmt: skip
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, told))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        self.putting += 1
        try:
            return await told
        finally:
            self.putting -= 1

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                new = await self._insert([row for row, _ in batch])
            except BaseException as error:
                for _, told in batch:
                    if not told.done():
                        told.set_exception(error if isinstance(error, Exception) else ConnectionError("stopped"))
                if not isinstance(error, Exception):
                    raise
                continue
            for row, told in batch:
                first = (row["kind"], row["key"]) in new
                new.discard((row["kind"], row["key"]))
                if not told.done():
                    told.set_result(first)
            self.woken.set()

    async def _insert(self, rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
        table = tables.jobs
        async with self._begin() as connection:
            if self._engine.dialect.name == "postgresql":
                now = await self._now(connection)
                rows = [{**row, "due_at": now + row["due_at"] - time.time()} for row in rows]
            query = insert(connection, table).values(rows).on_conflict_do_nothing().returning(table.c.kind, table.c.key)
            return {(row.kind, row.key) for row in await connection.execute(query)}

    # Taking

    async def take(self, kinds: Sequence[str], most: int, *, but: Collection[int] = ()) -> list[Job]:
        """Jobs that are due and that nobody holds, oldest first; they are this process's for `lease_s`. `but`: numbers of jobs to leave."""
        table, before = tables.jobs, tables.jobs.alias()
        blocked = sa.exists().where(before.c.lane == table.c.lane, before.c.seq < table.c.seq, before.c.state.in_(OPEN))
        async with self._begin() as connection:
            now = await self._now(connection)
            due = (
                sa.select(table.c.seq)
                .where(table.c.state.in_(OPEN), table.c.due_at <= now, table.c.kind.in_(kinds), table.c.seq.not_in(but))
                .where(sa.or_(table.c.lane == "", ~blocked))
                .order_by(table.c.seq)
                .limit(most)
                .with_for_update(skip_locked=True)
            )
            found = [row.seq for row in await connection.execute(due)]
            if not found:
                return []
            worker = f"{self.worker}.{secrets.token_hex(4)}"
            mine = (
                sa.update(table)
                .where(table.c.seq.in_(found))
                .values(state="running", due_at=now + self.lease_s, worker=worker, attempts=table.c.attempts + 1)
                .returning(table)
            )
            rows = sorted((await connection.execute(mine)).mappings(), key=lambda row: row["seq"])
        return [
            Job(row["seq"], row["kind"], row["key"], row["owner"], row["payload"] or {}, row["note"] or {}, row["attempts"], worker)
            for row in rows
        ]

    async def hold(self, job: Job) -> None:
        """Prolongs the lease.

        Raises:
            Lost.
        """
        async with self._begin() as connection:
            await self._change(connection, job, due_at=await self._now(connection) + self.lease_s)

    async def note(self, job: Job, **values: Any) -> None:
        """Remembers how far the job is, for the next try.

        Raises:
            Lost.
        """
        job.note = {**job.note, **values}
        async with self._begin() as connection:
            await self._change(connection, job, note=job.note)

    async def done(self, job: Job) -> None:
        await self._over(job, "done")

    async def fail(self, job: Job) -> None:
        await self._over(job, "failed")

    async def again(self, job: Job, delay_s: float, *, counted: bool = True) -> None:
        """Gives it back, to be tried after so many seconds."""
        with suppress(Lost):
            async with self._begin() as connection:
                due = await self._now(connection) + delay_s
                attempts = tables.jobs.c.attempts - (0 if counted else 1)
                await self._change(connection, job, state="waiting", due_at=due, worker=None, attempts=attempts)

    async def _over(self, job: Job, state: str) -> None:
        with suppress(Lost):
            async with self._begin() as connection:
                await self._change(connection, job, state=state, payload=None, ended_at=await self._now(connection), worker=None)
        self.woken.set()

    async def _change(self, connection: Any, job: Job, **values: Any) -> None:
        table = tables.jobs
        change = sa.update(table).where(table.c.seq == job.seq, table.c.state == "running", table.c.worker == job.worker).values(**values)
        if not (await connection.execute(change)).rowcount:
            raise Lost

    # Looking after

    async def amend(self, kind: str, key: str, payload: dict[str, Any]) -> bool:
        """Changes what a job that nobody has begun is to do. False: it has begun, is over, or was never put."""
        table = tables.jobs
        unbegun = (table.c.kind == kind, table.c.key == key, table.c.state == "waiting", table.c.attempts == 0)
        async with self._begin() as connection:
            return bool((await connection.execute(sa.update(table).where(*unbegun).values(payload=payload))).rowcount)

    async def cancel(self, kind: str, key: str) -> bool:
        """Ends a job that nobody is working on. False: somebody is, it is over, or was never put."""
        table = tables.jobs
        still = (table.c.kind == kind, table.c.key == key, table.c.state == "waiting")
        async with self._begin() as connection:
            ended = {"state": "done", "payload": None, "worker": None, "ended_at": await self._now(connection)}
            return bool((await connection.execute(sa.update(table).where(*still).values(**ended))).rowcount)

    async def state(self, kind: str, key: str) -> str | None:
        table = tables.jobs
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(table.c.state).where(table.c.kind == kind, table.c.key == key))).first()
        return row.state if row else None

    async def counts(self) -> dict[str, int]:
        """Jobs by state."""
        table = tables.jobs
        async with self._engine.connect() as connection:
            rows = await connection.execute(sa.select(table.c.state, sa.func.count()).group_by(table.c.state))
            return {state: number for state, number in rows}

    async def remove(self, owner: str) -> None:
        """All jobs of an owner, whatever their state."""
        async with self._begin() as connection:
            await connection.execute(sa.delete(tables.jobs).where(tables.jobs.c.owner == owner))

    async def sweep(self) -> None:
        """Removes what has been over for long."""
        table = tables.jobs
        async with self._begin() as connection:
            old = await self._now(connection) - KEEP_S
            await connection.execute(sa.delete(table).where(table.c.state.in_(("done", "failed")), table.c.ended_at < old))

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction. SQLite has one writer at a time: in turn is sooner than each trying again and again whether it is free."""
        if self._engine.dialect.name != "sqlite":
            async with self._engine.begin() as connection:
                yield connection
            return
        async with self._turn, self._engine.begin() as connection:
            yield connection

    async def _now(self, connection: Any) -> float:
        """Seconds since 1970, by one clock for all: replicas on several machines have PostgreSQL's in common."""
        if self._engine.dialect.name != "postgresql":
            return time.time()
        return float((await connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())"))).scalar_one())


Hand = Callable[[Job], Awaitable[None]]


@dataclass(slots=True)
class Crew:
    """Does the jobs of this process: at most `at_once` at a time."""

    jobs: Jobs
    hands: dict[str, Hand] = field(default_factory=dict)
    at_once: int = 8
    look_every_s: float = 0.5
    on_failure: Callable[[Job], Awaitable[None]] | None = None  # of a job that is given up
    _running: dict[asyncio.Task[None], int] = field(default_factory=dict)  # each with the number of its job
    _stopping: bool = False

    async def run(self) -> None:
        """Until stopped. A database that does not answer is asked again and again."""
        wait_s, swept = self.look_every_s, 0.0
        while not self._stopping:
            self.jobs.woken.clear()
            taken: list[Job] = []
            room = self.at_once - len(self._running)
            try:
                await self._let_in()
                if time.monotonic() - swept > 3600:
                    await self.jobs.sweep()
                    swept = time.monotonic()
                if room > 0:
                    # A process that was held up may find the lease of its own work run out: it goes on with it, not twice.
                    taken = await self.jobs.take(list(self.hands), room, but=set(self._running.values()))
                wait_s = self.look_every_s
            except (SQLAlchemyError, OSError) as error:
                log.warning("The queue cannot be read (%s); trying again.", type(error).__name__)
                wait_s = min(wait_s * 2, 5.0)
            for job in taken:
                task = asyncio.create_task(self._do(job))
                self._running[task] = job.seq
                task.add_done_callback(self._ended)
            if not taken:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.jobs.woken.wait(), wait_s)

    async def _let_in(self) -> None:
        """What comes in is taken in first, for a moment: somebody waits for it to be acknowledged."""
        until = time.monotonic() + 0.5
        while self.jobs.putting > MANY and time.monotonic() < until:
            await asyncio.sleep(0.01)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Lets what runs end for a moment, then gives it back."""
        self._stopping = True
        self.jobs.woken.set()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self.jobs.woken.set()

    async def _do(self, job: Job) -> None:
        work = asyncio.ensure_future(self.hands[job.kind](job))
        holding = asyncio.create_task(self._hold(job, work))
        try:
            await work
        except asyncio.CancelledError:
            work.cancel()
            if self._stopping:
                await self._settled(self.jobs.again(job, 0.0, counted=False))
        except Lost:
            log.info("Job %s was withdrawn, or taken over by another process.", job.seq)
        except Later as later:
            await self._settled(self.jobs.again(job, later.seconds, counted=False))
        except GiveUp as why:
            log.warning("Job %s (%s) is given up: %s", job.seq, job.kind, why)
            await self._failed(job)
        except Exception as error:
            # What an exception says may hold what people wrote: only its kind is logged.
            if job.attempts >= TRIES:
                log.error("Job %s (%s) is given up after %d tries: %s", job.seq, job.kind, job.attempts, type(error).__name__)
                await self._failed(job)
            else:
                log.warning("Job %s (%s) failed (%s); trying again.", job.seq, job.kind, type(error).__name__)
                log.debug("Job %s", job.seq, exc_info=error)
                await self._settled(self.jobs.again(job, delay_s(job.attempts)))
        else:
            await self._settled(self.jobs.done(job))
        finally:
            holding.cancel()

    async def _hold(self, job: Job, work: asyncio.Future[None]) -> None:
        """A job that can no longer be held is let go: another process may have it by now."""
        until = time.monotonic() + self.jobs.lease_s
        while True:
            await asyncio.sleep(self.jobs.lease_s / 3)
            try:
                await self.jobs.hold(job)
                until = time.monotonic() + self.jobs.lease_s
            except Lost:
                work.cancel()
                return
            except (SQLAlchemyError, OSError):
                if time.monotonic() + self.jobs.lease_s / 3 > until:
                    work.cancel()
                    return

    async def _failed(self, job: Job) -> None:
        if self.on_failure is not None:
            try:
                await self.on_failure(job)
            except Exception as error:
                log.warning("Nobody could be told that job %s was given up (%s).", job.seq, type(error).__name__)
        await self._settled(self.jobs.fail(job))

    async def _settled(self, writing: Awaitable[None]) -> None:
        """A database that is down takes no note; the lease runs out, and the job is tried again."""
        try:
            await writing
        except (SQLAlchemyError, OSError) as error:
            log.warning("The end of a job could not be noted (%s).", type(error).__name__)


def delay_s(attempts: int) -> float:
    """Longer after each try, and never the same for two."""
    return float(min(LONGEST_DELAY_S, 2.0 ** (attempts - 1)) * random.uniform(0.75, 1.25))
