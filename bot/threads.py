"""Which thread of a workspace is which conversation, and which message of it was answered where."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.answer import Profile
from bot.database import insert
from bot.store import Store, now_text
from bot.workspaces import site


@dataclass(frozen=True, slots=True)
class Thread:
    team: str
    channel: str
    thread: str
    conversation_id: str
    user: str
    private: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A message that was taken up as a question. `answer_ts` is the message that answers it."""

    team: str
    channel: str
    ts: str
    conversation_id: str
    text_hash: str
    answer_id: str | None
    answer_ts: str | None


class Threads:
    def __init__(self, engine: AsyncEngine, store: Store) -> None:
        self._engine = engine
        self._store = store

    async def find(self, team: str, channel: str, thread: str) -> Thread | None:
        table = tables.workspace_threads
        return await self._thread(table.c.team == team, table.c.channel == channel, table.c.thread == thread)

    async def of(self, conversation_id: str) -> Thread | None:
        return await self._thread(tables.workspace_threads.c.conversation_id == conversation_id)

    async def open(self, team: str, channel: str, thread: str, user: str, *, private: bool) -> Thread:
        """The thread's conversation, begun where there is none. A private one goes on with what its user last told about themselves."""
        if found := await self.find(team, channel, thread):
            return found
        conversation, _ = await self._store.start(site(team))
        if private and (profile := await self.profile(team, user)):
            await self._store.set_profile(conversation, profile)
        row = {
            "team": team, "channel": channel, "thread": thread, "conversation_id": conversation, "user": user, "private": private,
            "created_at": now_text(),
        }  # fmt: skip
        async with self._engine.begin() as connection:
            await connection.execute(insert(self._engine, tables.workspace_threads).values(row).on_conflict_do_nothing())
        made = await self.find(team, channel, thread)
        assert made is not None
        if made.conversation_id != conversation:  # another replica was first
            await self._store.forget(conversation)
        return made

    async def latest(self, team: str, user: str) -> Thread | None:
        """The newest conversation that a user has with the app alone."""
        table = tables.workspace_threads
        return await self._thread(table.c.team == team, table.c.user == user, table.c.private)

    async def own(self, team: str, user: str, command: str) -> list[Thread]:
        """What a user has asked without others reading it: directly, or by a command (whose threads are `command:user`)."""
        table = tables.workspace_threads
        alone = sa.or_(table.c.private, table.c.thread == f"{command}:{user}")
        async with self._engine.connect() as connection:
            rows = await connection.execute(sa.select(table).where(table.c.team == team, table.c.user == user, alone))
            return [_thread(row) for row in rows.mappings()]

    async def profile(self, team: str, user: str) -> Profile | None:
        """What a user has told in private, last."""
        table, talks = tables.workspace_threads, tables.conversations
        query = (
            sa.select(talks.c.profile)
            .join(table, table.c.conversation_id == talks.c.id)
            .where(table.c.team == team, table.c.user == user, table.c.private, talks.c.profile.is_not(None))
            .order_by(table.c.created_at.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            value = (await connection.execute(query)).scalar()
        return Profile(**value) if value else None

    async def owns(self, team: str, answer_id: str) -> bool:
        """An answer was given in this workspace."""
        said, talks = tables.messages, tables.conversations
        here = (said.c.id == answer_id, talks.c.site == site(team))
        query = sa.select(said.c.id).join(talks, talks.c.id == said.c.conversation_id).where(*here)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).first() is not None

    # Messages

    async def ask(self, thread: Thread, ts: str, text: str) -> None:
        """Notes that a message is a question of this conversation."""
        row = {"text_hash": text_hash(text), "conversation_id": thread.conversation_id, "answer_id": None, "answer_ts": None}
        row_in = insert(self._engine, tables.workspace_messages).values(team=thread.team, channel=thread.channel, ts=ts, **row)
        kept = {"text_hash": row["text_hash"], "conversation_id": thread.conversation_id}
        async with self._engine.begin() as connection:
            await connection.execute(row_in.on_conflict_do_update(index_elements=["team", "channel", "ts"], set_=kept))

    async def asked(self, team: str, channel: str, ts: str) -> Asked | None:
        table = tables.workspace_messages
        query = sa.select(table).where(table.c.team == team, table.c.channel == channel, table.c.ts == ts)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        return Asked(**row) if row else None

    async def answered(self, team: str, channel: str, ts: str, **values: Any) -> None:
        """Notes `answer_id`, `answer_ts`, or both."""
        table = tables.workspace_messages
        change = sa.update(table).where(table.c.team == team, table.c.channel == channel, table.c.ts == ts).values(**values)
        async with self._engine.begin() as connection:
            await connection.execute(change)

    async def posted(self, team: str, channel: str, thread: str) -> set[str]:
        """Timestamps of the answers that are known to stand in a channel's thread."""
        said, table = tables.workspace_messages, tables.workspace_threads
        query = (
            sa.select(said.c.answer_ts)
            .join(table, table.c.conversation_id == said.c.conversation_id)
            .where(table.c.team == team, table.c.channel == channel, table.c.thread == thread, said.c.answer_ts.is_not(None))
        )
        async with self._engine.connect() as connection:
            return {row.answer_ts for row in await connection.execute(query)}

    async def withdraw(self, asked: Asked) -> None:
        """Forgets a question and its answer."""
        if asked.answer_id is not None:
            await self._store.withdraw(asked.answer_id)
        table = tables.workspace_messages
        gone = sa.delete(table).where(table.c.team == asked.team, table.c.channel == asked.channel, table.c.ts == asked.ts)
        async with self._engine.begin() as connection:
            await connection.execute(gone)

    # Replies of advisors

    async def unsent_replies(self, since: str, kind: str) -> list[tuple[str, Thread]]:
        """Replies to conversations of workspaces for which no job of this kind was ever put, and where they belong."""
        replies, said, table, jobs = tables.replies, tables.messages, tables.workspace_threads, tables.jobs
        query = (
            sa.select(replies.c.id, table)
            .join(said, said.c.id == replies.c.id)
            .join(table, table.c.conversation_id == said.c.conversation_id)
            .where(said.c.created_at > since, ~sa.exists().where(jobs.c.kind == kind, jobs.c.key == replies.c.id))
            .order_by(said.c.seq)
            .limit(100)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [(row["id"], _thread(row)) for row in rows]

    async def _thread(self, *where: Any) -> Thread | None:
        table = tables.workspace_threads
        query = sa.select(table).where(*where).order_by(table.c.created_at.desc()).limit(1)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        return _thread(row) if row else None



def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _thread(row: Any) -> Thread:
    return Thread(row["team"], row["channel"], row["thread"], row["conversation_id"], row["user"], row["private"])
