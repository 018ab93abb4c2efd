"""Answers that an advisor stands for: replies that were sent, and answers that readers found helpful. One click makes a golden question of
one: from then on `img-advisor eval --questions FOLDER` tells whether it is still answered like this."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.answer import Answer, Reply
from bot.database import insert
from bot.errors import NotFound
from bot.golden import GoldenQuestion, add_entry, entry_from
from bot.store import asked_before


@dataclass(frozen=True, slots=True)
class Approved:
    """`advisor` is who sent it; "" for an answer of the bot that a reader found helpful. `entry` names the golden question made of it."""

    id: str
    question: str
    answer: Answer
    advisor: str
    at: dt.datetime
    entry: str | None

    @property
    def fits(self) -> bool:
        """Whether a golden question can be made of it: it must rest on sections of our guides."""
        return any(citation.guide and "#" in citation.guide.url for citation in self.answer.citations)


class ApprovedAnswers:
    """`file`: where the golden questions are written."""

    def __init__(self, engine: AsyncEngine, file: Path) -> None:
        self._engine = engine
        self.file = file

    async def latest(self, most: int = 30) -> list[Approved]:
        """The newest first."""
        said, votes = tables.messages, tables.feedback
        liked = sa.exists().where(votes.c.answer_id == said.c.id, votes.c.value > 0)
        query = _query().where(sa.or_(said.c.role == "advisor", liked)).order_by(said.c.seq.desc()).limit(most)
        async with self._engine.connect() as connection:
            return [_approved(row) for row in await connection.execute(query)]

    async def get(self, message_id: str) -> Approved:
        """
        Raises:
            NotFound.
        """
        async with self._engine.connect() as connection:
            row = (await connection.execute(_query().where(tables.messages.c.id == message_id))).first()
        if row is None:
            raise NotFound("There is no such answer. Its conversation may have been forgotten.")
        return _approved(row)

    async def make_golden(self, message_id: str, account: str, question: str = "") -> GoldenQuestion:
        """Writes it to the file; done twice, it is there once.

        Args:
            question: as it is to be asked; empty: as the applicant asked it.
        Raises:
            NotFound. InputError: it cites no section of a guide, or the file cannot be written. DocumentError: the file is broken.
        """
        found = await self.get(message_id)
        entry = entry_from(found.answer, question or found.question, f"console-{hashlib.sha256(message_id.encode()).hexdigest()[:10]}")
        add_entry(self.file, entry)
        row = {"message_id": message_id, "entry": entry.id, "account": account, "created_at": dt.datetime.now(dt.UTC).isoformat()}
        async with self._engine.begin() as connection:
            await connection.execute(insert(connection, tables.golden_entries).values(row).on_conflict_do_nothing())
        return entry


def _query() -> sa.Select[Any]:
    said = tables.messages
    body = sa.func.coalesce(tables.answers.c.body, tables.replies.c.body)
    return (
        sa.select(
            said.c.id, said.c.created_at, tables.replies.c.advisor, body.label("body"), asked_before(said).label("question"),
            tables.golden_entries.c.entry,
        )
        .select_from(
            said.outerjoin(tables.answers, tables.answers.c.id == said.c.id)
            .outerjoin(tables.replies, tables.replies.c.id == said.c.id)
            .outerjoin(tables.golden_entries, tables.golden_entries.c.message_id == said.c.id)
        )
        .where(body.is_not(None))
    )  # fmt: skip


def _approved(row: Any) -> Approved:
    answer = (Reply if row.advisor else Answer).model_validate_json(row.body)
    return Approved(row.id, row.question or "", answer, row.advisor or "", dt.datetime.fromisoformat(row.created_at), row.entry)
