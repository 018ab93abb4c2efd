"""Which message of a workspace tells of which hand-off, and what it said last; and what a person of a workspace has waiting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.answer import Profile
from bot.database import insert
from bot.store import OPEN, State
from bot.tables import conversations, handoff_notices, handoffs, workspace_threads


@dataclass(frozen=True, slots=True)
class Notice:
    """`shown` is the state of the hand-off that the message tells, as `mark_of` puts it."""

    team: str
    handoff_id: str
    channel: str
    ts: str
    shown: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A hand-off that somebody asked for, and where."""

    handoff_id: str
    state: State
    advisor: str | None
    channel: str
    thread: str
    conversation_id: str


class Notices:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, notice: Notice) -> None:
        """Said, or said anew."""
        row = {"team": notice.team, "handoff_id": notice.handoff_id, "channel": notice.channel, "ts": notice.ts, "shown": notice.shown}
        put = insert(self._engine, handoff_notices).values(row)
        told = {name: row[name] for name in ("channel", "ts", "shown")}
        async with self._engine.begin() as connection:
            await connection.execute(put.on_conflict_do_update(index_elements=["team", "handoff_id"], set_=told))

    async def find(self, team: str, handoff_id: str) -> Notice | None:
        table = handoff_notices
        query = sa.select(table).where(table.c.team == team, table.c.handoff_id == handoff_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        return Notice(**row) if row else None

    async def remove(self, team: str, handoff_id: str) -> None:
        table = handoff_notices
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(table).where(table.c.team == team, table.c.handoff_id == handoff_id))

    async def untold(self, team: str, sites: sa.ColumnElement[bool]) -> list[str]:
        """Hand-offs that nobody has taken on and that no message of this workspace tells of, oldest first."""
        table = handoff_notices
        told = sa.exists().where(table.c.handoff_id == handoffs.c.id, table.c.team == team)
        query = (
            sa.select(handoffs.c.id)
            .join(conversations, conversations.c.id == handoffs.c.conversation_id)
            .where(handoffs.c.state == "requested", sites, ~told)
            .order_by(handoffs.c.created_at)
            .limit(50)
        )
        async with self._engine.connect() as connection:
            return [row.id for row in await connection.execute(query)]

    async def outdated(self) -> list[tuple[Notice, str]]:
        """Messages that tell what is not so any more, and when that changed; "" where the hand-off was forgotten."""
        table = handoff_notices
        now = mark_of(handoffs.c.state, sa.func.coalesce(handoffs.c.advisor, ""))
        query = (
            sa.select(table, sa.func.coalesce(handoffs.c.updated_at, "").label("changed"))
            .select_from(table.outerjoin(handoffs, handoffs.c.id == table.c.handoff_id))
            .where(sa.or_(handoffs.c.id.is_(None), now != table.c.shown))
            .limit(100)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [(Notice(*(row[name] for name in ("team", "handoff_id", "channel", "ts", "shown"))), row["changed"]) for row in rows]

    # What is a person's own

    async def waiting(self, team: str, user: str, most: int = 20) -> list[Waiting]:
        """Open hand-offs of the conversations that somebody began, newest first."""
        table = workspace_threads
        query = (
            sa.select(
                handoffs.c.id, handoffs.c.state, handoffs.c.advisor, table.c.channel, table.c.thread, handoffs.c.conversation_id
            )
            .join(table, table.c.conversation_id == handoffs.c.conversation_id)
            .where(table.c.team == team, table.c.user == user, handoffs.c.state.in_(OPEN))
            .order_by(handoffs.c.created_at.desc())
            .limit(most)
        )  # fmt: skip
        async with self._engine.connect() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return [Waiting(*row) for row in rows]

    async def set_profile(self, team: str, user: str, profile: Profile | None) -> int:
        """Puts a profile into all conversations that somebody has with the app alone, or takes it out of them; how many."""
        table = workspace_threads
        value = profile.model_dump(mode="json", exclude_none=True) if profile is not None else None
        mine = sa.select(table.c.conversation_id).where(table.c.team == team, table.c.user == user, table.c.private)
        async with self._engine.begin() as connection:
            done = await connection.execute(sa.update(conversations).where(conversations.c.id.in_(mine)).values(profile=value))
        return done.rowcount


def mark_of(state: sa.ColumnElement[str], advisor: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    return state + ":" + advisor
