"""Who did what, when: a log that can only be added to.

Every row holds the SHA-256 of itself and of the row before it, so that a row that was changed, left out or put in between shows. The
database refuses changes by itself, too (triggers; see the migration). Who can write to the database past both may make a whole new chain:
note `head` elsewhere from time to time, and `verify` says whether that row is still what it was.

`detail` never holds what applicants wrote, nor addresses or passwords: ids, hashes and states, so that forgetting stays possible.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.database import reading
from bot.errors import InputError
from bot.store import now_text
from bot.tables import audit as table

START = "0" * 64
"""What the first row follows."""

SYSTEM = "system"
FIELDS = ("number", "at", "actor", "action", "subject", "detail", "previous", "hash")
_LOCK = 0xA0D17  # any number, the same in every replica
_PART = 500


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    at: str
    actor: str  # an account's id, "system", "cli", or "slack:TEAM:USER"
    action: str  # "account.add", "reply.send", …
    subject: str  # the id of what it was done to
    detail: dict[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Integrity:
    """Whether the chain holds. `broken_at` is the number of the first row that is not what it was; `problem` says it in a sentence."""

    entries: int
    head: str
    broken_at: int | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


class Audit:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record(
        self, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None, connection: AsyncConnection | None = None
    ) -> None:
        """Adds a row. With `connection` it stands or falls with that transaction; call it last there: from here to the end of the
        transaction everybody else who records waits."""
        if connection is not None:
            await _append(connection, actor, action, subject, detail or {})
            return
        async with self._engine.execution_options(sqlite_begin="IMMEDIATE").begin() as own:
            await _append(own, actor, action, subject, detail or {})

    async def entries(
        self, *, actor: str = "", action: str = "", subject: str = "", since: str = "", until: str = "", before: int = 0, limit: int = 100
    ) -> list[Entry]:
        """The newest first. `action` may be the beginning of one ("account" or "account."); `since` and `until` are days
        (2026-11-26), both counted; `before` is the number of the last entry of the page before."""
        query = sa.select(table).order_by(table.c.number.desc()).limit(limit)
        if actor:
            query = query.where(table.c.actor == actor)
        if action:
            query = query.where(sa.or_(table.c.action == action, table.c.action.startswith(action.rstrip(".") + ".", autoescape=True)))
        if subject:
            query = query.where(table.c.subject == subject)
        if since:
            query = query.where(table.c.at >= _day(since).isoformat())
        if until:
            query = query.where(table.c.at < (_day(until) + dt.timedelta(days=1)).isoformat())
        if before:
            query = query.where(table.c.number < before)
        async with self._engine.connect() as connection:
            return [_entry(dict(row)) for row in (await connection.execute(query)).mappings()]

    async def actions(self) -> list[str]:
        async with self._engine.connect() as connection:
            return sorted((await connection.execute(sa.select(table.c.action).distinct())).scalars())

    async def all(self) -> AsyncIterator[Entry]:
        """Every entry as of one moment, the oldest first."""
        async for row in self._rows():
            yield _entry(row)

    async def verify(self, head: str = "") -> Integrity:
        """Reckons the whole chain again. `head`: a hash that was noted earlier and must still be in it."""
        previous, count, seen = START, 0, head in ("", START)
        async for row in self._rows():
            count += 1
            if row["number"] != count:
                return Integrity(count, previous, count, f"Entry {count} is missing.")
            if row["previous"] != previous:
                return Integrity(count, previous, count, f"Entry {count} does not follow the one before it.")
            if row["hash"] != _hash(previous, count, row["at"], row["actor"], row["action"], row["subject"], row["detail"]):
                return Integrity(count, previous, count, f"Entry {count} was changed after it was written.")
            previous = row["hash"]
            seen = seen or previous == head
        if not seen:
            return Integrity(count, previous, None, "The hash that was noted is not in the log any more: its end was cut off or rewritten.")
        return Integrity(count, previous)

    async def export(self, form: str = "jsonl") -> AsyncIterator[str]:
        """Lines of the whole log, as JSON Lines or CSV. `detail` is the JSON text that was hashed."""
        if form == "csv":
            yield _csv_line(FIELDS)
        async for row in self._rows():
            values = [row[name] for name in FIELDS]
            if form == "csv":
                yield _csv_line(values)
            else:
                yield json.dumps(dict(zip(FIELDS, values, strict=True)), ensure_ascii=False) + "\n"

    async def _rows(self) -> AsyncIterator[Mapping[str, Any]]:
        async with reading(self._engine).connect() as connection:
            async with connection.stream(sa.select(table).order_by(table.c.number)) as result:
                async for part in result.mappings().partitions(_PART):
                    for row in part:
                        yield dict(row)


async def _append(connection: AsyncConnection, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    last = (await connection.execute(sa.select(table.c.number, table.c.hash).order_by(table.c.number.desc()).limit(1))).first()
    number, previous = (last.number + 1, last.hash) if last else (1, START)
    at = now_text()
    text = json.dumps(detail, sort_keys=True, separators=(",", ":"))  # ASCII: the same bytes in every database
    actor, action, subject = _clean(actor, 200), _clean(action, 100), _clean(subject, 200)
    await connection.execute(
        sa.insert(table).values(
            number=number, at=at, actor=actor, action=action, subject=subject, detail=text, previous=previous,
            hash=_hash(previous, number, at, actor, action, subject, text),
        )
    )  # fmt: skip


def _hash(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()


def _clean(text: str, most: int) -> str:
    return "".join(c for c in text if c.isprintable() and not "\ud800" <= c <= "\udfff")[:most]


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(**{**{name: row[name] for name in FIELDS}, "detail": json.loads(row["detail"])})


def _day(text: str) -> dt.date:
    try:
        return min(dt.date.fromisoformat(text), dt.date(9000, 1, 1))
    except ValueError:
        raise InputError(f"'{text[:40]}' is no day. Write it like 2026-11-26.") from None


def _csv_line(values: Any) -> str:
    out = io.StringIO()
    # A cell that begins with one of these is a formula to a spreadsheet.
    csv.writer(out).writerow(["'" + v if isinstance(v, str) and v[:1] in "=+-@\t\r" and v else v for v in values])
    return out.getvalue()
