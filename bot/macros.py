"""Macros: cited snippets that advisors write once and insert into many drafts. Each has a day by which it is to be read again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.errors import Conflict, InputError, NotFound
from bot.store import clean, new_id, now_text, read_time

LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Macro:
    """`text` may name evidence by its keys. A review day that is past does not hide a macro; it warns."""

    id: str
    title: str
    text: str
    review_by: dt.date
    author: str
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime

    def overdue(self, today: dt.date) -> bool:
        return self.review_by < today


class Macros:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def all(self) -> list[Macro]:
        """By title."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(sa.select(tables.macros))).mappings().all()
        return sorted(map(_macro, rows), key=lambda macro: (macro.title.casefold(), macro.id))

    async def get(self, macro_id: str) -> Macro:
        """
        Raises:
            NotFound.
        """
        table = tables.macros
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(table).where(table.c.id == clean(macro_id)))).mappings().one_or_none()
        if row is None:
            raise NotFound("There is no such macro. Somebody may have removed it.")
        return _macro(row)

    async def add(self, title: str, text: str, review_by: str, author: str) -> Macro:
        """
        Raises:
            InputError: names the field that is wrong.
        """
        now = now_text()
        row = {"id": new_id(), **_checked(title, text, review_by), "author": author, "version": 1, "created_at": now, "updated_at": now}
        async with self._engine.begin() as connection:
            await connection.execute(sa.insert(tables.macros).values(row))
        return _macro(row)

    async def change(self, macro_id: str, title: str, text: str, review_by: str, author: str, version: int) -> Macro:
        """`version`: the one that was read.

        Raises:
            InputError. Conflict: somebody else has changed it meanwhile. NotFound.
        """
        table = tables.macros
        values = {**_checked(title, text, review_by), "author": author, "version": version + 1, "updated_at": now_text()}
        async with self._engine.begin() as connection:
            done = await connection.execute(
                sa.update(table).where(table.c.id == clean(macro_id), table.c.version == version).values(values)
            )
        macro = await self.get(macro_id)
        if not done.rowcount:
            raise Conflict("Somebody else has changed this macro meanwhile. Read it again, then change it.")
        return macro

    async def remove(self, macro_id: str) -> None:
        """One that is not there is removed already."""
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(tables.macros).where(tables.macros.c.id == clean(macro_id)))


def _checked(title: str, text: str, review_by: str) -> dict[str, Any]:
    title, text = clean(title).strip(), clean(text.replace("\r\n", "\n")).strip()
    if not title or len(title) > 200:
        raise InputError("A macro has a title of 1 to 200 characters; give one.")
    if not text or len(text) > LONGEST:
        raise InputError(f"The text of a macro has 1 to {LONGEST} characters; this one has {len(text)}.")
    try:
        day = dt.date.fromisoformat(review_by.strip())
    except ValueError:
        raise InputError("A macro has a day by which it is to be read again; give it as YYYY-MM-DD.") from None
    return {"title": title, "text": text, "review_by": day.isoformat()}


def _macro(row: Any) -> Macro:
    return Macro(
        row["id"], row["title"], row["text"], dt.date.fromisoformat(row["review_by"]), row["author"], row["version"],
        read_time(row["created_at"]), read_time(row["updated_at"]),
    )  # fmt: skip
