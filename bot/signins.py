"""Sign-ins that are on their way through the identity provider: what must be known again when somebody comes back."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.store import time_text
from bot.tables import sign_ins as table

LASTS = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SignIn:
    nonce: str
    verifier: str
    next: str
    carry: str


class SignIns:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, state: str, sign_in: SignIn) -> None:
        row = {
            "state_hash": _hash(state), "nonce": sign_in.nonce, "verifier": sign_in.verifier, "next": sign_in.next, "carry": sign_in.carry,
            "created_at": time_text(_now()),
        }  # fmt: skip
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(table).where(table.c.created_at < time_text(_now() - LASTS)))
            await connection.execute(sa.insert(table).values(row))

    async def take(self, state: str) -> SignIn | None:
        """Once: whoever comes with the same state again gets nothing."""
        async with self._engine.begin() as connection:
            taken = sa.delete(table).where(table.c.state_hash == _hash(state)).returning(table)
            row = (await connection.execute(taken)).mappings().first()
        if row is None or row["created_at"] < time_text(_now() - LASTS):
            return None
        return SignIn(row["nonce"], row["verifier"], row["next"], row["carry"])


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode(errors="replace")).hexdigest()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
