"""Knowledge tasks: what the guides lack or have wrong, gathered from what people asked and from what advisors corrected.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.asked import take
from bot.database import writing
from bot.errors import InputError, NotFound
from bot.store import now_text

State = Literal["open", "doing", "done", "declined"]
STATES: tuple[State, ...] = ("open", "doing", "done", "declined")
Kind = Literal["gap", "fact"]

LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Where an answer would belong, and what to look for. All of it comes from the guides and the question."""

    guides: tuple[dict[str, str], ...] = ()  # slug, title, section, url: the nearest sections
    sources: tuple[dict[str, str], ...] = ()  # title, publisher, url: what those sections rest on
    missing: tuple[str, ...] = ()  # words of the question that none of them holds

    def json(self) -> dict[str, Any]:
        return {"guides": list(self.guides), "sources": list(self.sources), "missing": list(self.missing)}


@dataclass(frozen=True, slots=True)
class Task:
    """`question` is the one that was asked first, "" when its conversation was forgotten. `asked` counts questions or corrections."""

    id: str
    kind: Kind
    state: State
    place: str
    suggestion: Suggestion
    note: str
    account: str | None
    reopened: int
    question: str
    asked: int
    last_at: dt.datetime
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    answer_id: str
    conversation_id: str
    text: str
    status: str
    asked_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Corrected:
    """What an advisor made of a draft's sentence."""

    reply_id: str
    handoff_id: str
    before: str
    after: str
    at: dt.datetime


class Tasks:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def correct(self, connection: AsyncConnection, place: str, suggestion: Suggestion) -> str:
        """The task of a section whose facts advisors corrected: the one that is still to be done, or a new one."""
        table = tables.knowledge_tasks
        await take(connection, "tasks")
        query = sa.select(table.c.id).where(table.c.kind == "fact", table.c.place == place, table.c.state.in_(("open", "doing")))
        found = (await connection.execute(query.limit(1))).scalar_one_or_none()
        return str(found) if found is not None else await open_task(connection, "fact", place, suggestion)

    async def counts(self) -> dict[State, int]:
        table = tables.knowledge_tasks
        async with self._engine.connect() as connection:
            found = {
                row.state: row.n
                for row in await connection.execute(sa.select(table.c.state, sa.func.count().label("n")).group_by(table.c.state))
            }
        return {state: found.get(state, 0) for state in STATES}

    async def in_state(self, state: State, *, most: int = 50, since: int = 0) -> list[Task]:
        """What was asked by most comes first."""
        query = _tasks().where(tables.knowledge_tasks.c.state == state)
        query = query.order_by(sa.desc("asked"), sa.desc("last_at"), tables.knowledge_tasks.c.id).limit(most).offset(since)
        async with self._engine.connect() as connection:
            return [_task(row._mapping) for row in await connection.execute(query)]

    async def get(self, task_id: str) -> Task:
        """
        Raises:
            NotFound.
        """
        async with self._engine.connect() as connection:
            row = (await connection.execute(_tasks().where(tables.knowledge_tasks.c.id == task_id))).first()
        if row is None:
            raise _no_task()
        return _task(row._mapping)

    async def questions(self, task_id: str, most: int = 100) -> list[AskedQuestion]:
        """The newest first."""
        members = tables.task_questions
        query = unanswered(members.c.task_id == task_id, members).order_by(members.c.asked_at.desc()).limit(most)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [AskedQuestion(r.answer_id, r.conversation_id, r.text, r.status, dt.datetime.fromisoformat(r.asked_at)) for r in rows]

    async def corrected(self, task_id: str, most: int = 100) -> list[Corrected]:
        edits, replies, said = tables.reply_edits, tables.replies, tables.messages
        query = (
            sa.select(edits.c.reply_id, edits.c.changes, replies.c.handoff_id, said.c.created_at)
            .join(replies, replies.c.id == edits.c.reply_id)
            .join(said, said.c.id == edits.c.reply_id)
            .where(edits.c.task_id == task_id)
            .order_by(said.c.created_at.desc())
            .limit(most)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Corrected(row.reply_id, row.handoff_id, change["before"], change["after"], dt.datetime.fromisoformat(row.created_at))
            for row in rows
            for change in row.changes
            if change["kind"] == "fact"
        ]

    async def move(self, task_id: str, state: str, account: str) -> Task:
        """
        Raises:
            NotFound. InputError: there is no such state.
        """
        if state not in STATES:
            raise InputError("A task is open, doing, done or declined.")
        table = tables.knowledge_tasks
        values = {"state": state, "account": None if state == "open" else account, "updated_at": now_text()}
        async with self._engine.begin() as connection:
            done = await connection.execute(sa.update(table).where(table.c.id == task_id).values(values))
        if not done.rowcount:
            raise _no_task()
        return await self.get(task_id)

    async def note(self, task_id: str, text: str) -> None:
        """
        Raises:
            NotFound. InputError: too long.
        """
        if len(text) > LONGEST_NOTE:
            raise InputError(f"The note has {len(text)} characters; shorten it to {LONGEST_NOTE}.")
        table = tables.knowledge_tasks
        async with self._engine.begin() as connection:
            done = await connection.execute(
                sa.update(table).where(table.c.id == task_id).values(note=text.replace("\x00", "").strip() or None)
            )
        if not done.rowcount:
            raise _no_task()

    async def merge(self, task_id: str, into: str) -> None:
        """Puts all questions of a task into another one of its kind, and removes it.

        Raises:
            NotFound. InputError: it is the same task, or of another kind.
        """
        one, other = await self.get(task_id), await self.get(into)
        if one.id == other.id or one.kind != other.kind:
            raise InputError("A task can be merged into another one of the same kind.")
        async with writing(self._engine).begin() as connection:
            await take(connection, "tasks")
            for table in (tables.task_questions, tables.reply_edits):
                await connection.execute(sa.update(table).where(table.c.task_id == one.id).values(task_id=other.id))
            await connection.execute(sa.delete(tables.knowledge_tasks).where(tables.knowledge_tasks.c.id == one.id))


# Rows ----------------------------------------------------------------------------------------------------------------


def unanswered(which: sa.ColumnElement[bool], members: sa.Table | None = None, more: Sequence[Any] = ()) -> sa.Select[Any]:
    """Questions with the answers that could not answer them, from the notes or from the tasks' members."""
    asked, answers, notes = tables.messages, tables.answers, tables.answer_notes
    start = members if members is not None else notes
    at = members.c.asked_at if members is not None else asked.c.created_at
    joined = start.join(answers, answers.c.id == start.c.answer_id).join(asked, asked.c.id == answers.c.question_id)
    if members is not None:
        joined = joined.join(tables.knowledge_tasks, tables.knowledge_tasks.c.id == members.c.task_id)
    columns = (start.c.answer_id, asked.c.conversation_id, asked.c.text, at.label("asked_at"), answers.c.status, answers.c.body, *more)
    return sa.select(*columns).select_from(joined).where(which)


async def open_task(connection: AsyncConnection, kind: Kind, place: str, suggestion: Suggestion, since: str = "") -> str:
    """`since`: when it was asked for first; empty: now."""
    ident, now = secrets.token_hex(8), now_text()
    row = {"id": ident, "kind": kind, "state": "open", "place": place, "created_at": since or now, "updated_at": now}
    await connection.execute(sa.insert(tables.knowledge_tasks).values(**row, suggestion=suggestion.json()))
    return ident


def _tasks() -> sa.Select[Any]:
    table, members, edits, answers, said = (
        tables.knowledge_tasks, tables.task_questions, tables.reply_edits, tables.answers, tables.messages
    )  # fmt: skip
    first = (
        sa.select(said.c.text)
        .select_from(
            members.join(answers, answers.c.id == members.c.answer_id).join(said, said.c.id == answers.c.question_id)
        )
        .where(members.c.task_id == table.c.id)
        .order_by(members.c.asked_at)
        .limit(1)
        .correlate(table)
        .scalar_subquery()
    )

    def of(what: Any, other: sa.Table) -> Any:
        return sa.select(what).select_from(other).where(other.c.task_id == table.c.id).correlate(table).scalar_subquery()

    asked = of(sa.func.count(), members) + of(sa.func.count(), edits)
    last = sa.func.coalesce(of(sa.func.max(members.c.asked_at), members), table.c.created_at)
    return sa.select(table, first.label("question"), asked.label("asked"), last.label("last_at"))


def _task(row: Mapping[str, Any]) -> Task:
    suggestion = Suggestion(*(tuple(row["suggestion"][name]) for name in ("guides", "sources", "missing")))
    return Task(
        row["id"], row["kind"], row["state"], row["place"], suggestion, row["note"] or "", row["account"], row["reopened"],
        row["question"] or "", row["asked"], dt.datetime.fromisoformat(row["last_at"]), dt.datetime.fromisoformat(row["created_at"]),
    )  # fmt: skip


def _no_task() -> NotFound:
    return NotFound("There is no such task. It may have been merged into another one.")
