"""Sessions of the console: a random token in the browser, its hash here."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.store import time_text
from bot.tables import sessions as table

_NOTED_EVERY = dt.timedelta(minutes=1)
"""How exactly it is known when a session was last used; each note is a write."""


@dataclass(frozen=True, slots=True)
class Session:
    id: str  # the token's hash: tells sessions apart and opens nothing
    account_id: str
    created_at: dt.datetime
    seen_at: dt.datetime
    device: str


class Sessions:
    """`idle` without a request, or `longest` after it began, a session is over."""

    def __init__(
        self, engine: AsyncEngine, idle: dt.timedelta = dt.timedelta(hours=2), longest: dt.timedelta = dt.timedelta(days=1)
    ) -> None:
        self._engine, self._idle, self._longest = engine, idle, longest

    async def open(self, account_id: str, device: str = "") -> str:
        """The token of a new session. It cannot be had again."""
        token, now = secrets.token_urlsafe(32), time_text(_now())
        row = {"token_hash": _hash(token), "account_id": account_id, "created_at": now, "seen_at": now, "device": device[:200]}
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(table).where(self._over()))
            await connection.execute(sa.insert(table).values(row))
        return token

    async def find(self, token: str) -> Session | None:
        """The session that the token opens, if it is not over; using it keeps it awake."""
        async with self._engine.connect() as connection:
            query = sa.select(table).where(table.c.token_hash == _hash(token), sa.not_(self._over()))
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            return None
        found, now = _session(dict(row)), _now()
        if now - found.seen_at >= _NOTED_EVERY:
            async with self._engine.begin() as connection:
                await connection.execute(sa.update(table).where(table.c.token_hash == found.id).values(seen_at=time_text(now)))
        return found

    async def of(self, account_id: str) -> list[Session]:
        """Those that are not over; the one used last comes first."""
        query = sa.select(table).where(table.c.account_id == account_id, sa.not_(self._over())).order_by(table.c.seen_at.desc())
        async with self._engine.connect() as connection:
            return [_session(dict(row)) for row in (await connection.execute(query)).mappings()]

    async def end(self, session_id: str) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(table).where(table.c.token_hash == session_id))

    async def end_all(self, account_id: str, *, but: str = "", connection: AsyncConnection | None = None) -> int:
        """How many there were. `but` is the id of one that goes on."""
        gone = sa.delete(table).where(table.c.account_id == account_id, table.c.token_hash != but)
        if connection is not None:
            return (await connection.execute(gone)).rowcount
        async with self._engine.begin() as own:
            return (await own.execute(gone)).rowcount

    def _over(self) -> sa.ColumnElement[bool]:
        now = _now()
        return sa.or_(table.c.seen_at <= time_text(now - self._idle), table.c.created_at <= time_text(now - self._longest))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _session(row: Mapping[str, Any]) -> Session:
    times = {name: dt.datetime.fromisoformat(row[name]) for name in ("created_at", "seen_at")}
    return Session(row["token_hash"], row["account_id"], device=row["device"], **times)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
