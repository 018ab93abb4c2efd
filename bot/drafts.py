"""Drafts of replies: proposed -> edited -> approved -> sent, or discarded.

Nothing that was typed is ever overwritten: every save is a version of its own. A save names the version it was written over; one that
comes too late is kept beside the others, and whoever saved it is shown both. `Draft.version` is the one that holds.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.audit import Audit
from bot.database import is_away
from bot.errors import Conflict, InputError, NotFound
from bot.reply import LONGEST
from bot.store import clean, new_id, now_text, read_time

State = Literal["proposed", "edited", "approved", "sent", "discarded"]
Kind = Literal["proposed", "refreshed", "edited", "restored", "rewritten", "beside"]
Tone = Literal["warm", "neutral", "formal"]
Length = Literal["short", "normal", "full"]
OPEN: tuple[State, ...] = ("proposed", "edited", "approved")
RETRIES_S = (0.2, 1.0, 3.0)
"""How long a save waits for a database that went away, before it says so."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Draft:
    """`seen` tells the applicant's messages that it answers from those that came later."""

    id: str
    handoff_id: str
    state: State
    tone: Tone
    length: Length
    language: str
    version: int
    seen: int
    created_at: dt.datetime
    updated_at: dt.datetime
    approved_version: int | None
    approved_by: str | None
    approved_at: dt.datetime | None
    reply_id: str | None
    sent_at: dt.datetime | None

    @property
    def open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Version:
    draft_id: str
    number: int
    kind: Kind
    text: str
    author: str
    base: int | None
    sha256: str
    created_at: dt.datetime


class DraftConflict(Conflict):
    """Somebody saved meanwhile. Both texts are kept."""

    def __init__(self, theirs: Version, mine: Version) -> None:
        super().__init__("Somebody else has changed this draft meanwhile. Both texts are kept; look at both and choose.")
        self.theirs, self.mine = theirs, mine


class WroteAgain(Conflict):
    """The applicant wrote after the draft was made. `seen` stands for having read that."""

    def __init__(self, seen: int) -> None:
        super().__init__("The applicant wrote again after this draft was made. Read it, then refresh the draft or send it anyway.")
        self.seen = seen


class Drafts:
    def __init__(self, engine: AsyncEngine, audit: Audit) -> None:
        self._engine = engine
        self._writing = engine.execution_options(sqlite_begin="IMMEDIATE")  # a change reads first: SQLite wants the write lock before
        self._audit = audit

    # What is there

    async def get(self, draft_id: str) -> Draft:
        """
        Raises:
            NotFound.
        """
        async with self._engine.connect() as connection:
            return await _draft(connection, draft_id)

    async def of(self, handoff_id: str) -> list[Draft]:
        """All drafts of a hand-off, the newest first; at most one of them, the first, is open."""
        table = tables.drafts
        query = (
            sa.select(table)
            .where(table.c.handoff_id == clean(handoff_id))
            .order_by(table.c.state.not_in(OPEN), table.c.created_at.desc(), table.c.id)
        )
        async with self._engine.connect() as connection:
            return [_read_draft(dict(row)) for row in (await connection.execute(query)).mappings()]

    async def versions(self, draft_id: str) -> list[Version]:
        """The newest first."""
        table = tables.draft_versions
        query = sa.select(table).where(table.c.draft_id == clean(draft_id)).order_by(table.c.number.desc())
        async with self._engine.connect() as connection:
            return [_read_version(dict(row)) for row in (await connection.execute(query)).mappings()]

    async def version(self, draft_id: str, number: int) -> Version:
        """
        Raises:
            NotFound.
        """
        async with self._engine.connect() as connection:
            return await _version(connection, draft_id, number)

    async def last_asked(self, handoff_id: str) -> int:
        """Number of the applicant's last message; it grows with each."""
        async with self._engine.connect() as connection:
            return await _last_asked(connection, handoff_id)

    # Changes

    async def propose(self, handoff_id: str, text: str, *, author: str, tone: Tone, length: Length, language: str, seen: int) -> Draft:
        """A new draft; where one is open, a new version of it: what was there stays among its versions.

        Raises:
            NotFound: there is no such hand-off.
        """
        now, ident, table = now_text(), new_id(), tables.drafts
        asked = {"tone": tone, "length": length, "language": language, "seen": seen, "updated_at": now}

        async def write(connection: AsyncConnection) -> Draft:
            query = sa.select(table).where(table.c.handoff_id == handoff_id, table.c.state.in_(OPEN)).with_for_update()
            row = (await connection.execute(query)).mappings().one_or_none()
            if row is None:
                new = {"id": ident, "handoff_id": handoff_id, "state": "proposed", "version": 1, "created_at": now, **asked}
                await connection.execute(sa.insert(table).values(new))
                await _insert_version(connection, ident, 1, "proposed", text, author, None)
                return await _draft(connection, ident)
            number = await _next_number(connection, row["id"])
            await _insert_version(connection, row["id"], number, "refreshed", text, author, row["version"])
            return await _change(connection, row["id"], version=number, state="proposed", approved_version=None, **asked)

        try:
            return await self._write(write)
        except IntegrityError:  # no such hand-off, or another one was first to open a draft
            if [draft for draft in await self.of(handoff_id) if draft.open]:
                return await self._write(write)
            raise NotFound("There is no such hand-off. Its conversation may have been forgotten.") from None

    async def save(self, draft_id: str, text: str, author: str, base: int, kind: Kind = "edited") -> Version:
        """The version that holds now. Saving what holds already, as after a connection broke, changes nothing.

        Raises:
            DraftConflict: `base` holds no more; the text is kept beside. Conflict: the draft is sent or discarded.
            InputError: too long. NotFound.
        """
        text = clean(text.replace("\r\n", "\n"))
        if len(text) > LONGEST:
            raise InputError(f"The draft has {len(text)} characters; shorten it to {LONGEST}. What is typed stays in your browser.")

        async def write(connection: AsyncConnection) -> tuple[Version, Version | None]:
            draft = await _draft(connection, draft_id, lock=True)
            holds = await _version(connection, draft_id, draft.version)
            if holds.text == text:
                return holds, None
            late = draft.version != base
            if late and (same := await _same(connection, draft_id, text, author)):
                return same, holds
            number = await _next_number(connection, draft_id)
            mine = await _insert_version(connection, draft_id, number, "beside" if late or not draft.open else kind, text, author, base)
            if not draft.open:
                return mine, holds
            if not late:
                await _change(connection, draft_id, version=number, state="edited", approved_version=None, updated_at=now_text())
            return mine, holds if late else None

        mine, theirs = await self._write(write)
        if theirs is not None:
            draft = await self.get(draft_id)
            if not draft.open:
                raise Conflict(f"This draft is {draft.state} already. What you wrote is kept among its versions.")
            raise DraftConflict(theirs, mine)
        return mine

    async def approve(self, draft_id: str, number: int, by: str) -> Draft:
        """
        Raises:
            Conflict: that version holds no more, or the draft is over. NotFound.
        """

        return await self._write(lambda connection: self._approved(connection, draft_id, number, by))

    async def discard(self, draft_id: str, by: str) -> Draft:
        """Ends a draft unsent; its versions stay.

        Raises:
            Conflict: it was sent. NotFound.
        """

        async def write(connection: AsyncConnection) -> Draft:
            draft = await _draft(connection, draft_id, lock=True)
            if draft.state == "sent":
                raise Conflict("This draft was sent already.")
            if draft.state == "discarded":
                return draft
            changed = await _change(connection, draft_id, state="discarded", updated_at=now_text())
            await self._audit.record(by, "draft.discard", draft_id, {"version": draft.version, "handoff": draft.handoff_id}, connection)
            return changed

        return await self._write(write)

    async def sent(self, connection: AsyncConnection, draft_id: str, number: int, *, by: str, seen: int, reply_id: str, own: int) -> None:
        """Belongs into the transaction that stores the reply: the draft is approved, sent and audited, or nothing is.

        Args:
            own: how many sentences are the advisor's own words.
        Raises:
            WroteAgain. Conflict: another version holds, or the draft is over. NotFound.
        """
        draft = await self._approved(connection, draft_id, number, by)
        latest = await _last_asked(connection, draft.handoff_id)
        if latest > max(seen, draft.seen):
            raise WroteAgain(latest)
        await _change(connection, draft_id, state="sent", reply_id=reply_id, sent_at=now_text(), updated_at=now_text())
        detail = {
            "version": number, "sha256": (await _version(connection, draft_id, number)).sha256, "own_words": own, "reply": reply_id,
            "handoff": draft.handoff_id,
        }  # fmt: skip
        await self._audit.record(by, "draft.send", draft_id, detail, connection)

    async def _approved(self, connection: AsyncConnection, draft_id: str, number: int, by: str) -> Draft:
        draft = await _draft(connection, draft_id, lock=True)
        if not draft.open:
            raise Conflict(f"This draft is {draft.state} already.")
        if draft.version != number:
            raise Conflict("Somebody else has changed this draft meanwhile. Read it again before you approve it.")
        if draft.approved_version == number and draft.approved_by == by:
            return draft
        version = await _version(connection, draft_id, number)
        changed = await _change(
            connection, draft_id, state="approved", approved_version=number, approved_by=by, approved_at=now_text(), updated_at=now_text()
        )
        detail = {"version": number, "sha256": version.sha256, "handoff": draft.handoff_id}
        await self._audit.record(by, "draft.approve", draft_id, detail, connection)
        return changed

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[Value]]) -> Value:
        """One transaction, begun again while the database is away for a moment: all of this module's are safe to repeat."""
        for pause in (*RETRIES_S, None):
            try:
                async with self._writing.begin() as connection:
                    return await work(connection)
            except Exception as error:
                if pause is None or not is_away(error):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")


async def _draft(connection: AsyncConnection, draft_id: str, *, lock: bool = False) -> Draft:
    query = sa.select(tables.drafts).where(tables.drafts.c.id == clean(draft_id))
    row = (await connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such draft. Its conversation may have been forgotten.")
    return _read_draft(dict(row))


async def _version(connection: AsyncConnection, draft_id: str, number: int) -> Version:
    table = tables.draft_versions
    query = sa.select(table).where(table.c.draft_id == clean(draft_id), table.c.number == number)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound("There is no such version of this draft.")
    return _read_version(dict(row))


async def _same(connection: AsyncConnection, draft_id: str, text: str, author: str) -> Version | None:
    """A late text that was kept beside already."""
    table = tables.draft_versions
    query = sa.select(table).where(table.c.draft_id == draft_id, table.c.sha256 == _hash(text), table.c.author == author)
    row = (await connection.execute(query.order_by(table.c.number.desc()).limit(1))).mappings().one_or_none()
    return _read_version(dict(row)) if row is not None else None


async def _next_number(connection: AsyncConnection, draft_id: str) -> int:
    table = tables.draft_versions
    query = sa.select(sa.func.max(table.c.number)).where(table.c.draft_id == draft_id)
    return int((await connection.execute(query)).scalar_one() or 0) + 1


async def _insert_version(
    connection: AsyncConnection, draft_id: str, number: int, kind: Kind, text: str, author: str, base: int | None
) -> Version:
    text = clean(text.replace("\r\n", "\n"))
    row = {
        "draft_id": draft_id, "number": number, "kind": kind, "text": text, "author": author, "base": base, "sha256": _hash(text),
        "created_at": now_text(),
    }  # fmt: skip
    await connection.execute(sa.insert(tables.draft_versions).values(row))
    return _read_version(row)


async def _change(connection: AsyncConnection, draft_id: str, **values: Any) -> Draft:
    table = tables.drafts
    await connection.execute(sa.update(table).where(table.c.id == draft_id).values(values))
    return await _draft(connection, draft_id)


async def _last_asked(connection: AsyncConnection, handoff_id: str) -> int:
    said, moved = tables.messages, tables.handoffs
    query = (
        sa.select(sa.func.max(said.c.seq))
        .join(moved, moved.c.conversation_id == said.c.conversation_id)
        .where(moved.c.id == clean(handoff_id), said.c.role == "user")
    )
    return int((await connection.execute(query)).scalar_one() or 0)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_draft(row: Mapping[str, Any]) -> Draft:
    times = {name: row[name] and read_time(row[name]) for name in ("created_at", "updated_at", "approved_at", "sent_at")}
    return Draft(**(dict(row) | times))


def _read_version(row: Mapping[str, Any]) -> Version:
    return Version(**(dict(row) | {"created_at": read_time(row["created_at"])}))
