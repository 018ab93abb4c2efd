"""How often somebody may try to sign in: per account and per network address, with waits that double.

Counted in the database, so that it holds across replicas and restarts, and before a password is looked at, so that trying many at once
gains nothing. Keys are hashes; what is a day old is removed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.database import insert, writing
from bot.errors import LoginRefused
from bot.store import time_text
from bot.tables import login_failures as table

FREE = {"account": 5, "address": 30}
"""Tries before the first wait. Many people of one school may share a network address."""

FIRST_WAIT_S, LONGEST_WAIT_S = 30, 3600
_FORGOTTEN_AFTER = dt.timedelta(hours=24)


class Attempts:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def count(self, **names: str) -> None:
        """Counts a try for each of `account` and `address`.

        Raises:
            LoginRefused: there were too many; says how long to wait. Such a try is not counted.
        """
        keys = {_key(kind, name): kind for kind, name in names.items() if name}
        async with writing(self._engine).begin() as connection:
            now = dt.datetime.now(dt.UTC)
            await connection.execute(sa.delete(table).where(table.c.last_at < time_text(now - _FORGOTTEN_AFTER)))
            for key in sorted(keys):  # always in this order: two who try at once wait for each other, and not in a circle
                await self._count(connection, key, FREE[keys[key]], now)

    async def _count(self, connection: AsyncConnection, key: str, free: int, now: dt.datetime) -> None:
        values = {"key": key, "count": 1, "last_at": time_text(now)}
        counted = insert(connection, table).values(values).on_conflict_do_update(
            index_elements=["key"], set_={"count": table.c.count + 1, "last_at": time_text(now)}
        )
        row: Any = (await connection.execute(counted.returning(table.c.count, table.c.until))).one()
        if row.until is not None and row.until > time_text(now):
            wait = math.ceil((dt.datetime.fromisoformat(row.until) - now).total_seconds())
            raise LoginRefused(f"There were too many tries. Please wait {_say(wait)}, then try again.", wait_s=wait)
        if row.count >= free:
            wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(row.count - free, 20))
            until = time_text(now + dt.timedelta(seconds=wait))
            await connection.execute(sa.update(table).where(table.c.key == key).values(until=until))

    async def take_back(self, address: str) -> None:
        """A try that was a success counts for nothing: a school's people share one network address."""
        key, free = _key("address", address), FREE["address"]
        values = {"count": table.c.count - 1, "until": sa.case((table.c.count - 1 < free, sa.null()), else_=table.c.until)}
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(table).where(table.c.key == key, table.c.count > 0).values(values))

    async def forgive(self, **names: str) -> None:
        """Starts again from nothing: after a success, or by an admin."""
        keys = [_key(kind, name) for kind, name in names.items()]
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(table).where(table.c.key.in_(keys)))

    async def waits(self, accounts: list[str]) -> dict[str, dt.datetime]:
        """Which of these accounts are locked, and until when."""
        keys = {_key("account", name): name for name in accounts}
        query = sa.select(table.c.key, table.c.until).where(table.c.key.in_(list(keys)), table.c.until > time_text(dt.datetime.now(dt.UTC)))
        async with self._engine.connect() as connection:
            return {keys[row.key]: dt.datetime.fromisoformat(row.until) for row in await connection.execute(query)}


def _key(kind: str, name: str) -> str:
    return hashlib.sha256(f"{kind}\n{name}".encode(errors="replace")).hexdigest()


def _say(seconds: int) -> str:
    return f"{seconds} second{'s' if seconds != 1 else ''}" if seconds < 90 else f"{math.ceil(seconds / 60)} minutes"
