"""What advisors note for each other on a hand-off. Applicants never see it; it is forgotten with the conversation."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.errors import Forbidden, InputError, NotFound
from bot.store import clean, new_id, now_text, read_time

LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Note:
    id: str
    handoff_id: str
    author: str
    text: str
    created_at: dt.datetime


class Notes:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, handoff_id: str, author: str, text: str) -> Note:
        """
        Raises:
            InputError: empty or too long. NotFound: there is no such hand-off.
        """
        text = clean(text.replace("\r\n", "\n")).strip()
        if not text or len(text) > LONGEST:
            raise InputError(f"A note has 1 to {LONGEST} characters; this one has {len(text)}.")
        row = {"id": new_id(), "handoff_id": clean(handoff_id), "author": author, "text": text, "created_at": now_text()}
        try:
            async with self._engine.begin() as connection:
                await connection.execute(sa.insert(tables.notes).values(row))
        except IntegrityError:
            raise NotFound("There is no such hand-off. Its conversation may have been forgotten.") from None
        return _note(row)

    async def of(self, handoff_id: str) -> list[Note]:
        """Oldest first."""
        table = tables.notes
        query = sa.select(table).where(table.c.handoff_id == clean(handoff_id)).order_by(table.c.created_at, table.c.id)
        async with self._engine.connect() as connection:
            return [_note(dict(row)) for row in (await connection.execute(query)).mappings()]

    async def remove(self, note_id: str, author: str) -> None:
        """
        Raises:
            Forbidden: somebody else wrote it. NotFound.
        """
        table = tables.notes
        async with self._engine.begin() as connection:
            done = await connection.execute(sa.delete(table).where(table.c.id == clean(note_id), table.c.author == author))
            if done.rowcount:
                return
            if (await connection.execute(sa.select(table.c.id).where(table.c.id == clean(note_id)))).first():
                raise Forbidden("Somebody else wrote this note. Ask them to remove it.")
        raise NotFound("There is no such note.")


def _note(row: dict[str, str]) -> Note:
    return Note(row["id"], row["handoff_id"], row["author"], row["text"], read_time(row["created_at"]))
