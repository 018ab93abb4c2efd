"""What people asked and how it was answered, noted down an answer at a time: the ground of coverage, numbers and knowledge tasks.

Answers, and replies of advisors, are read once each, in the order in which they were stored. Notes can be made anew.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.database import insert, writing
from bot.index import Index
from bot.passage import Chunk

BATCH = 100
LATE = 2000
"""PostgreSQL gives numbers before transactions end: so many messages are looked at once more for those that came in late."""
UNANSWERED = frozenset({"no_answer", "partial", "handoff"})
SOURCE_NAME = 400


@dataclass(frozen=True, slots=True)
class Noted:
    """How many answers were noted, and whether more are waiting."""

    count: int
    more: bool


class Asked:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def note(self, index: Index) -> Noted:
        """Notes the next answers. Two replicas that do it at once do it one after the other."""
        said, answers, replies, notes = tables.messages, tables.answers, tables.replies, tables.answer_notes
        body, status = sa.func.coalesce(answers.c.body, replies.c.body), sa.func.coalesce(answers.c.status, "reply")
        query = (
            sa.select(said.c.seq, said.c.created_at, said.c.id, status.label("status"), body.label("body"))
            .select_from(said.outerjoin(answers, answers.c.id == said.c.id).outerjoin(replies, replies.c.id == said.c.id))
            .where(body.is_not(None))
            .where(~sa.exists().where(notes.c.answer_id == said.c.id))
            .order_by(said.c.seq)
        )
        async with self._engine.connect() as connection:  # mostly there is nothing new: then nobody has to wait for the lock
            since = int(await peek(connection, "answers") or 0)
            if (await connection.execute(query.where(said.c.seq > since - LATE).limit(1))).first() is None:
                return Noted(0, False)
        async with writing(self._engine).begin() as connection:
            since = int(await take(connection, "answers") or 0)
            rows = (await connection.execute(query.where(said.c.seq > since - LATE).limit(BATCH))).all()
            if not rows:
                return Noted(0, False)
            facts: list[dict[str, Any]] = []
            counts: Counter[tuple[str, str]] = Counter()
            noted = []
            for row in rows:
                answer = _read(row.body)
                week = monday(row.created_at)
                guide = _guide(answer, index)
                noted.append(
                    {
                        "answer_id": row.id, "week": week, "status": row.status, "shelf": guide.partition("/")[0][:100], "guide": guide,
                        "gap": int(row.status in UNANSWERED and bool(answer["trace"]["retrieved"])),
                    }
                )  # fmt: skip
                facts += [{"answer_id": row.id, "n": n, "fact": fact[:200]} for n, fact in _facts(answer, index)]
                if row.status != "reply":
                    counts.update((week, source) for source in _sources(answer))
            await connection.execute(sa.insert(notes), noted)
            if facts:
                await connection.execute(sa.insert(tables.answer_facts), facts)
            await _count(connection, counts)
            await put(connection, "answers", str(max(since, rows[-1].seq)))
        return Noted(len(rows), len(rows) == BATCH)


def _read(body: bytes) -> dict[str, Any]:
    """What is needed of an answer. One of another shape is counted, and says nothing else."""
    try:
        value = json.loads(body)
        return {"citations": value["citations"], "trace": {"retrieved": value["trace"]["retrieved"]}}
    except (ValueError, KeyError, TypeError):
        return {"citations": [], "trace": {"retrieved": []}}


async def take(connection: AsyncConnection, name: str) -> str | None:
    """What is remembered under a name; until the transaction ends nobody else takes it."""
    table = tables.learned
    await connection.execute(insert(connection, table).values(name=name, value="").on_conflict_do_nothing())
    return (await connection.execute(sa.select(table.c.value).where(table.c.name == name).with_for_update())).scalar_one() or None


async def peek(connection: AsyncConnection, name: str) -> str | None:
    """The same, taking nothing."""
    table = tables.learned
    return (await connection.execute(sa.select(table.c.value).where(table.c.name == name))).scalar_one_or_none()


async def put(connection: AsyncConnection, name: str, value: str) -> None:
    await connection.execute(sa.update(tables.learned).where(tables.learned.c.name == name).values(value=value))


def monday(moment: str) -> str:
    """The first day of the week of an ISO time or date."""
    day = dt.date.fromisoformat(moment[:10])
    return (day - dt.timedelta(days=day.weekday())).isoformat()


def weeks(until: dt.date, count: int) -> list[str]:
    """The Mondays of the last so many weeks, the present one last."""
    last = until - dt.timedelta(days=until.weekday())
    return [(last - dt.timedelta(weeks=back)).isoformat() for back in reversed(range(count))]


async def _count(connection: AsyncConnection, counts: Mapping[tuple[str, str], int]) -> None:
    table = tables.source_counts
    if not counts:
        return
    new = insert(connection, table)
    change = new.on_conflict_do_update(index_elements=["week", "source"], set_={"count": table.c.count + new.excluded.count})
    await connection.execute(change, [{"week": week, "source": source, "count": n} for (week, source), n in sorted(counts.items())])


def _guide(answer: Mapping[str, Any], index: Index) -> str:
    """The guide that an answer rests on most, or else the one that was nearest."""
    cited = Counter(citation["guide"]["slug"] for citation in answer["citations"] if citation["guide"])
    if cited:
        return str(cited.most_common(1)[0][0])[:300]
    for chunk in chunks_of(index, (found["chunk_id"] for found in answer["trace"]["retrieved"])):
        if chunk.guide is not None:
            return chunk.guide.slug[:300]
    return ""


def chunks_of(index: Index, chunk_ids: Iterable[str]) -> list[Chunk]:
    """Those that are still there, in the order given."""
    return [index.chunks[index.rows[ident]] for ident in chunk_ids if ident in index.rows]


def _facts(answer: Mapping[str, Any], index: Index) -> list[tuple[int, str]]:
    """The facts that an answer cites, by number of the citation. Answers of older versions do not name them: then the passage does."""
    result = []
    for citation in answer["citations"]:
        fact = citation.get("fact") or _fact_of(citation, index)
        if fact and fact != "advice":
            result.append((citation["n"], fact))
    return result


def _fact_of(citation: Mapping[str, Any], index: Index) -> str:
    for chunk in chunks_of(index, [citation["chunk_id"]]):
        for span in chunk.spans:
            if citation["quote"] in chunk.text[span.start : span.end]:
                named: Sequence[str] = [f for f in span.facts if f in chunk.facts]
                same = [f for f in named if chunk.facts[f].source.title == citation["source"]["title"]]
                return (same or named or [""])[0]
    return ""


def _sources(answer: Mapping[str, Any]) -> set[str]:
    """Names of the sources that an answer cites; our own advice is none."""
    cited = [citation["source"] for citation in answer["citations"] if citation["source"]["tier"] != "advice"]
    return {": ".join(part for part in (source["publisher"], source["title"]) if part)[:SOURCE_NAME] for source in cited}
