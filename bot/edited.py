"""What advisors made of drafts, noted when a draft was sent; where they corrected a fact, a knowledge task for its section."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.answer import Reply
from bot.asked import monday, take
from bot.database import writing
from bot.edits import Change, difference
from bot.evidence import Evidence
from bot.gaps import suggest
from bot.index import Index
from bot.passage import Chunk
from bot.tasks import Suggestion, Tasks
from bot.terms import Terms

BATCH = 50
PROPOSED = ("proposed", "refreshed")


async def note_edits(engine: AsyncEngine, tasks: Tasks, index: Index, terms: Terms) -> int:
    """Notes the next drafts that were sent; returns how many."""
    edits, drafts, replies = tables.reply_edits, tables.drafts, tables.replies
    query = (
        sa.select(drafts.c.id, drafts.c.reply_id, drafts.c.approved_version, drafts.c.sent_at, replies.c.body)
        .join(replies, replies.c.id == drafts.c.reply_id)
        .where(drafts.c.state == "sent", ~sa.exists().where(edits.c.reply_id == drafts.c.reply_id))
        .order_by(drafts.c.sent_at)
        .limit(BATCH)
    )
    async with engine.connect() as connection:
        if (await connection.execute(query.limit(1))).first() is None:
            return 0
    async with writing(engine).begin() as connection:
        await take(connection, "tasks")
        rows = (await connection.execute(query)).all()
        for row in rows:
            found = difference(*await _texts(connection, row.id, row.approved_version))
            wrong = [change for change in found.changes if change.kind == "fact"]
            task = await tasks.correct(connection, *_place(wrong, row.body, index, terms)) if wrong else None
            await connection.execute(
                sa.insert(edits).values(
                    reply_id=row.reply_id, week=monday(row.sent_at), kind=found.kind, changes=[asdict(change) for change in found.changes],
                    task_id=task,
                )
            )  # fmt: skip
    return len(rows)


async def _texts(connection: AsyncConnection, draft_id: str, approved: int) -> tuple[str, str]:
    """The text as it was proposed last before what was sent, and what was sent."""
    table = tables.draft_versions
    query = sa.select(table.c.text).where(table.c.draft_id == draft_id, table.c.number <= approved)
    proposed = query.where(table.c.kind.in_(PROPOSED)).order_by(table.c.number.desc()).limit(1)
    sent = str((await connection.execute(query.where(table.c.number == approved))).scalar_one())
    return str((await connection.execute(proposed)).scalar_one_or_none() or sent), sent


def _place(wrong: Iterable[Change], body: bytes, index: Index, terms: Terms) -> tuple[str, Suggestion]:
    """The section whose facts were corrected, by the evidence that the sentences name, or else by what the reply cites."""
    keys = {key for change in wrong for key in change.keys}
    chunks = _of_keys(index, keys) or _cited(index, body)
    first = chunks[0] if chunks else None
    place = f"{first.guide.slug}#{first.anchor}"[:400] if first is not None and first.guide else ""
    return place, suggest(chunks, "", terms, index.keywords)


def _of_keys(index: Index, keys: set[str]) -> list[Chunk]:
    if not keys:
        return []
    return [chunk for chunk in index.chunks if any(Evidence(chunk, number).key in keys for number in range(len(chunk.spans)))]


def _cited(index: Index, body: bytes) -> list[Chunk]:
    cited: list[Any] = Reply.model_validate_json(body).citations
    return [index.chunks[index.rows[c.chunk_id]] for c in cited if c.chunk_id in index.rows]
