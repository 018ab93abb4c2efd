"""Questions that the guides could not answer -> knowledge tasks, those that ask the same in one.

Two questions are alike when their vectors are near and they share words or the nearest section; questions about different states, visas
or exams never are.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.asked import chunks_of, take
from bot.database import writing
from bot.index import Index
from bot.keywords import Keywords
from bot.passage import Chunk
from bot.tasks import State, Suggestion, open_task, unanswered
from bot.terms import Terms

Embed = Callable[[Sequence[str]], Awaitable[np.ndarray]]

BATCH = 50
NEAR = 0.84
"""Cosine of questions that may be alike; below it two questions of our guides hardly ever ask the same."""
SAME = 0.94
"""Cosine from which two questions are alike whatever their words."""
SHARED = 0.5
"""Share of the shorter question's words that the other one must hold."""
RARE = 0.01
"""Share of the passages that hold a word, up to which it tells what a question is about."""
NAMING = ("state", "country", "visa", "exam", "pathway", "specialty", "form")
"""Kinds of names that tell questions apart."""


@dataclass(slots=True)
class _Question:
    answer_id: str
    text: str
    asked_at: str
    body: bytes
    vector: np.ndarray
    words: frozenset[str]
    names: dict[str, set[str]]
    place: str


@dataclass(slots=True)
class _Cluster:
    id: str
    state: State
    place: str
    members: list[_Question]
    centre: np.ndarray


async def gather(engine: AsyncEngine, index: Index, terms: Terms, embed: Embed) -> int:
    """Puts the next unanswered questions into tasks; returns how many there were."""
    notes = tables.answer_notes
    async with engine.connect() as connection:
        rows = (await connection.execute(unanswered(notes.c.gap == 1).order_by(notes.c.answer_id).limit(BATCH))).all()
    if not rows:
        return 0
    vectors = await embed([row.text for row in rows])
    new = [_question(row, vector, index, terms) for row, vector in zip(rows, vectors, strict=True)]
    async with writing(engine).begin() as connection:
        await take(connection, "tasks")
        query = sa.select(notes.c.answer_id).where(notes.c.answer_id.in_([q.answer_id for q in new]), notes.c.gap == 1)
        still = set((await connection.execute(query)).scalars())
        clusters = await _clusters(connection, index, terms)
        for question in sorted((q for q in new if q.answer_id in still), key=lambda q: q.asked_at):
            cluster = _nearest(question, clusters)
            if cluster is None:
                cluster = await _open(connection, question, index, terms)
                clusters.append(cluster)
            await _join(connection, cluster, question)
    return len(rows)


def alike(a: _Question, b: _Question) -> float:
    """Cosine of two questions that ask for the same; 0 for others."""
    if any(a.names.get(kind) and b.names.get(kind) and not a.names[kind] & b.names[kind] for kind in NAMING):
        return 0.0
    cosine = float(a.vector @ b.vector)
    shared = len(a.words & b.words)
    enough = shared >= 2 and shared >= SHARED * min(len(a.words), len(b.words))
    if cosine >= SAME or cosine >= NEAR and (enough or shared and a.place and a.place == b.place):
        return cosine
    return 0.0


def _nearest(question: _Question, clusters: Iterable[_Cluster]) -> _Cluster | None:
    best, score = None, 0.0
    for cluster in clusters:
        if float(question.vector @ cluster.centre) < NEAR:  # near to all of it: chains of questions do not run together
            continue
        like = max((alike(question, member) for member in cluster.members), default=0.0)
        if like > score:
            best, score = cluster, like
    return best


async def _clusters(connection: AsyncConnection, index: Index, terms: Terms) -> list[_Cluster]:
    members, table = tables.task_questions, tables.knowledge_tasks
    rows = (
        await connection.execute(
            unanswered(table.c.kind == "gap", members, more=(table.c.id, table.c.state, table.c.place, members.c.vector))
        )
    ).all()
    found: dict[str, _Cluster] = {}
    for row in rows:
        cluster = found.setdefault(row.id, _Cluster(row.id, row.state, row.place, [], np.zeros(0, np.float32)))
        cluster.members.append(_question(row, np.frombuffer(row.vector, np.float32), index, terms, place=row.place))
    for cluster in found.values():
        cluster.centre = _centre(cluster.members)
    return list(found.values())


def _centre(members: Sequence[_Question]) -> np.ndarray:
    middle = np.mean([member.vector for member in members], axis=0)
    return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-9))


async def _open(connection: AsyncConnection, question: _Question, index: Index, terms: Terms) -> _Cluster:
    nearest = chunks_of(index, _retrieved(question.body))
    suggestion = suggest(nearest, question.text, terms, index.keywords)
    ident = await open_task(connection, "gap", question.place, suggestion, question.asked_at)
    return _Cluster(ident, "open", question.place, [], question.vector)


async def _join(connection: AsyncConnection, cluster: _Cluster, question: _Question) -> None:
    table = tables.knowledge_tasks
    await connection.execute(
        sa.insert(tables.task_questions).values(
            answer_id=question.answer_id,
            task_id=cluster.id,
            vector=np.asarray(question.vector, np.float32).tobytes(),
            asked_at=question.asked_at,
        )
    )
    await connection.execute(sa.update(tables.answer_notes).where(tables.answer_notes.c.answer_id == question.answer_id).values(gap=2))
    # What was done and is asked for again, without an answer, is not done. What was declined stays so.
    done_before = sa.and_(table.c.state == "done", table.c.updated_at < question.asked_at)
    reopened = sa.update(table).where(table.c.id == cluster.id, done_before)
    await connection.execute(reopened.values(state="open", reopened=table.c.reopened + 1, account=None))
    cluster.members.append(question)
    cluster.centre = _centre(cluster.members)


def suggest(nearest: Sequence[Chunk], question: str, terms: Terms, keywords: Keywords, most: int = 3) -> Suggestion:
    guides: dict[str, dict[str, str]] = {}
    sources: dict[str, dict[str, str]] = {}
    for chunk in nearest:
        if chunk.guide is None or len(guides) == most:
            continue
        guide = chunk.guide
        guides.setdefault(guide.url, {"slug": guide.slug, "title": guide.title, "section": guide.section, "url": guide.url})
        named = [fact.source for fact in chunk.facts.values() if fact.source.tier != "advice"]
        for source in sorted(named, key=lambda source: source.tier != "primary")[:2]:
            sources.setdefault(source.title, {"title": source.title, "publisher": source.publisher, "url": source.url or ""})
    return Suggestion(tuple(guides.values()), tuple(sources.values())[:most], tuple(_missing(nearest[:5], question, terms, keywords))[:6])


def _missing(nearest: Sequence[Chunk], question: str, terms: Terms, keywords: Keywords) -> list[str]:
    """Telling words of the question that none of the passages holds, the rarest in the guides first."""
    held = {token for chunk in nearest for token in terms.tokens(f"{' '.join(chunk.heading)} {chunk.text}")}
    found: dict[str, int] = {}
    for word in question.split():
        tokens = terms.tokens(word)
        if tokens and not held & set(tokens):
            seen = min(_documents(keywords, token) for token in tokens)
            if seen <= max(1, RARE * keywords.documents):
                found.setdefault(word.strip(".,;:!?\"'()“”¿¡"), seen)
    return sorted(found, key=lambda word: found[word])


def _documents(keywords: Keywords, token: str) -> int:
    term = keywords.vocabulary.get(token)
    return 0 if term is None else int(keywords.starts[term + 1] - keywords.starts[term])


def _question(row: Any, vector: np.ndarray, index: Index, terms: Terms, place: str | None = None) -> _Question:
    return _Question(
        row.answer_id, row.text, row.asked_at, row.body, vector, frozenset(terms.tokens(row.text)), terms.found(row.text),
        place if place is not None else _place(row.body, index),
    )  # fmt: skip


def _place(body: bytes, index: Index) -> str:
    for chunk in chunks_of(index, _retrieved(body)):
        if chunk.guide is not None:
            return f"{chunk.guide.slug}#{chunk.anchor}"[:400]
    return ""


def _retrieved(body: bytes) -> list[str]:
    return [found["chunk_id"] for found in json.loads(body)["trace"]["retrieved"]]
