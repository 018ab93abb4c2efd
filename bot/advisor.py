"""The one front door. A channel hands in a Question and renders the events that come back.

plan -> gather -> write -> verify -> save. Writers (the extractive composer, a chat model) are interchangeable; what they write is shown
only after the verifier has compared it, sentence by sentence, with the passages it names.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.answer import (
    Answer,
    AnswerEvent,
    Checks,
    Clarify,
    Event,
    HandoffRef,
    Question,
    Retrieved,
    Sentence,
    SentenceEvent,
    SourceRef,
    Status,
    StatusEvent,
    Trace,
    Turn,
)
from bot.cite import Citations, oldest, warnings
from bot.collector import paused
from bot.compose import LEAST_WORDS, WORDS, Draft, compose
from bot.embedding import Embedder
from bot.errors import InputError, ModelFailed, NotFound
from bot.evidence import Evidence
from bot.index import Index, load_index, stored_version
from bot.judge import Judgement, judge
from bot.passage import Chunk, FactRef, Passage
from bot.plan import Part, Plan, Planner, Scope, readable
from bot.prompts import Prompts
from bot.retrieve import Found, Retriever, evidence_of
from bot.store import Store
from bot.terms import Terms
from bot.vectors import SnapshotMissing, Vectors
from bot.verify import Polarity, Verifier
from bot.worker import Batch, Worker
from bot.writer import ModelWriter

Value = TypeVar("Value")
log = logging.getLogger(__name__)

LOOK_AGAIN_S = 1.0
"""How often at most the database is asked whether another index version is in use."""

OFFERED = 14
"""Sentences of evidence given to a chat model for each part of a question."""

BEARS_ON = 4
"""A part counts as answered by what others wrote when one of its best few sentences is cited."""

MOST_K = 50


@dataclass(frozen=True, slots=True)
class GuidePage:
    """A guide as indexed, for its page: Markdown with `{#anchor}` after headings and `[^fact-id]` marks after sentences."""

    slug: str
    title: str
    summary: str
    audience: tuple[str, ...]
    topics: tuple[str, ...]
    as_of: str
    review_by: str
    body: str
    facts: dict[str, FactRef]


@dataclass(slots=True)
class Room:
    """A collection in use: its index, and the queue of questions to it."""

    index: Index
    retriever: Retriever
    batch: Batch[_Search, list[Found]]
    looked_at: float = 0.0

    def vector(self, item: Evidence) -> np.ndarray:
        return self.index.span_vectors(self.index.rows[item.chunk.chunk_id])[item.number]


@dataclass(frozen=True, slots=True)
class _Search:
    parts: tuple[Part, ...]
    k: int = 8
    keep: Callable[[Chunk], bool] | None = None


@dataclass(slots=True)
class _Work:
    """An answer in the making."""

    question: Question
    plan: Plan
    room: Room
    citations: Citations
    began: float
    found: list[Found] = field(default_factory=list)
    judged: list[Judgement] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    breaks: set[int] = field(default_factory=set)  # numbers of sentences that open a paragraph
    used: list[Evidence] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    dropped: int = 0
    model: str | None = None
    fallback: str | None = None
    timings: dict[str, float] = field(default_factory=dict)

    def since(self, name: str, start: float) -> None:
        self.timings[name] = round(1000 * (time.perf_counter() - start), 2)


class Advisor:
    """Answers questions. Built by `bot.bootstrap.open_advisor`."""

    def __init__(
        self, *, engine: AsyncEngine, store: Store, vectors: Vectors, embedder: Embedder, terms: Terms, polarity: Polarity,
        planner: Planner, prompts: Prompts, writer: ModelWriter | None = None, model: str | None = None, collection: str = "default",
        chunker: str | None = None,
        today: Callable[[], dt.date] = dt.date.today,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.store = store
        self._vectors = vectors
        self._embedder = embedder
        self._terms = terms
        self._polarity = polarity
        self._planner = planner
        self._prompts = prompts
        self._writer = writer
        self._model = model
        self._collection = collection
        self._chunker = chunker
        self._today = today
        self._worker = Worker()
        self._verifier = Verifier(terms, embedder.embed, polarity)
        self._rooms: dict[str, Room] = {}
        self._opening = asyncio.Lock()
        self._busy: OrderedDict[str, asyncio.Lock] = OrderedDict()
        self._pages: tuple[str, dict[str, GuidePage]] = ("", {})

    # -- answering -------------------------------------------------------------------------------------------------

    async def stream(self, question: Question) -> AsyncGenerator[Event, None]:
        """Status events, verified sentences one by one, and the whole Answer last.

        With `question.conversation_id` the history and profile come from the store, and question and answer are saved there; messages of
        one conversation are answered one after the other. Closing the iterator early stops the work.

        Raises:
            InputError: empty or too long a question. UnknownCollection, IndexMissing, IndexMismatch: see bot.errors.
        """
        readable(question.text)
        if question.conversation_id is None:
            async with aclosing(self._answered(question)) as events:
                async for event in events:
                    yield event
            return
        ident = question.conversation_id
        async with self._lock(ident):
            known = question.model_copy(
                update={"history": await self.store.history(ident), "profile": question.profile or await self.store.profile(ident)}
            )
            message = await self.store.add_question(ident, question.text, question.language)
            async with aclosing(self._answered(known)) as events:
                async for event in events:
                    if isinstance(event, AnswerEvent):
                        await self._save(ident, message, event.answer)
                    yield event

    async def _save(self, conversation_id: str, message: str, answer: Answer) -> None:
        try:
            await self.store.add_answer(conversation_id, message, answer)
        except NotFound:  # forgotten while the answer was being made: then it must not be kept
            log.info("A conversation was forgotten before its answer was ready.")

    async def answer(self, question: Question) -> Answer:
        """The last event of `stream`."""
        async for event in self.stream(question):
            if isinstance(event, AnswerEvent):
                return event.answer
        raise AssertionError("a stream ends with an answer")

    def _lock(self, conversation_id: str) -> asyncio.Lock:
        lock = self._busy.pop(conversation_id, None) or asyncio.Lock()
        self._busy[conversation_id] = lock
        while len(self._busy) > 2000:
            oldest_id = next(iter(self._busy))
            if self._busy[oldest_id].locked():
                break
            del self._busy[oldest_id]
        return lock

    async def _answered(self, question: Question) -> AsyncGenerator[Event, None]:
        began = time.perf_counter()
        yield StatusEvent(text=self._say("reading"))
        room = await self._room(question.collection)
        plan = self._planner.plan(question.text, question.history, guides=room.index.collection == self._collection)
        work = _Work(question, plan, room, Citations(self._today()), began)
        if plan.scope is not None:
            await self._out_of_scope(work, plan.scope)
            for event in self._shown(work):
                yield event
            yield AnswerEvent(answer=self._finished(work, plan.scope.status))  # type: ignore[arg-type]
            return
        yield StatusEvent(text=self._say("searching"))
        start = time.perf_counter()
        work.found = await self._find(work, _Search(plan.parts))
        work.judged = [judge(found, self._today()) for found in work.found]
        work.since("retrieve", start)
        guides = {p.document_id for found, judged in zip(work.found, work.judged, strict=True) if judged.answerable for p in found.passages}
        if guides:
            yield StatusEvent(text=self._say("found", guides=len(guides)))
        start = time.perf_counter()
        if self._writer is not None and guides:
            async with aclosing(self._write(work)) as events:
                async for event in events:
                    yield event
        shown = len(work.sentences)
        await self._worker.run(self._compose, work)
        work.since("compose", start)
        for event in self._shown(work, shown):
            yield event
        yield AnswerEvent(answer=self._finished(work, self._status(work)))

    async def _find(self, work: _Work, search: _Search) -> list[Found]:
        """Once more with the index loaded anew when its vectors are gone: the database may name newer ones, or brings them back."""
        try:
            return await work.room.batch.one(search)
        except SnapshotMissing:
            self._rooms.pop(work.room.index.collection, None)
            work.room = await self._room(work.question.collection)
            return await work.room.batch.one(search)

    def _shown(self, work: _Work, since: int = 0) -> Iterable[SentenceEvent]:
        for sentence in work.sentences[since:]:
            yield SentenceEvent(sentence=sentence, citations=work.citations.get(sentence.citations))

    # -- writing ---------------------------------------------------------------------------------------------------

    async def _write(self, work: _Work) -> AsyncGenerator[SentenceEvent, None]:
        """The chat model's sentences, each shown as soon as it is verified. What it leaves open is left to the composer."""
        assert self._writer is not None
        offered = self._offered(work)
        keys = {item.key: item for item in offered}
        asked = " ".join(part.text for part in work.plan.parts)
        correcting = bool(work.plan.premises)
        if correcting:
            await self._worker.run(self._correct, work)
            for event in self._shown(work):
                yield event
        written = 0
        try:
            async with aclosing(
                self._writer.write(
                    asked, offered, history=work.question.history, profile=work.question.profile, language=work.question.language or "en"
                )
            ) as drafts:
                async for draft in drafts:
                    evidence = tuple(keys[key] for key in draft.keys if key in keys)
                    sentence = await self._worker.run(self._verified, work, Draft(draft.text, evidence, draft.kind))
                    if sentence is None:
                        work.dropped += 1
                        continue
                    written += 1
                    self._keep(work, sentence, evidence)
                    yield next(iter(self._shown(work, len(work.sentences) - 1)))
            if written and work.dropped > written:
                work.fallback = "most of what it wrote could not be verified"
            if not written:
                work.fallback = "nothing it wrote could be verified" if work.dropped else "it found no answer"
        except ModelFailed as error:
            work.fallback = error.reason
        work.model = self._model if written else None
        if written and (work.fallback is None or written >= 2):
            work.answered |= {i for i, judged in enumerate(work.judged) if judged.answerable and self._touched(work, i)}

    def _offered(self, work: _Work) -> list[Evidence]:
        result: dict[str, Evidence] = {}
        for found, judged in zip(work.found, work.judged, strict=True):
            if judged.answerable:
                for item in found.evidence[:OFFERED]:
                    result.setdefault(item.key, item)
        return list(result.values())

    def _touched(self, work: _Work, part: int) -> bool:
        """Whether something said so far rests on the evidence of a part."""
        own = {item.key for item in work.found[part].evidence[:BEARS_ON]}
        return any(item.key in own for item in work.used)

    def _compose(self, work: _Work) -> None:
        """What no model has answered, from the guides' own sentences; then which parts stay open."""
        if work.plan.premises and not work.sentences:
            self._correct(work)
        open_parts = [i for i, judged in enumerate(work.judged) if judged.answerable and i not in work.answered]
        words = max(LEAST_WORDS, WORDS // max(1, len(open_parts))) - 12 * bool(work.sentences)
        for i in open_parts:
            work.breaks.add(len(work.sentences))
            for draft in compose(work.found[i], work.room.vector, words=words, taken=work.used):
                sentence = self._verified(work, draft)
                if sentence is None:
                    work.dropped += 1
                    continue
                self._keep(work, sentence, draft.evidence)
                work.answered.add(i)
            if i not in work.answered and self._touched(work, i):
                work.answered.add(i)
        if work.answered or work.used:
            for i, part in enumerate(work.plan.parts):
                if i not in work.answered and not (work.plan.premises and len(work.plan.parts) == 1):
                    names = [self._terms.name(n) for n in work.judged[i].missing]
                    self._frame(work, "part_missing_name" if names else "part_missing", part=part.text.strip(" ?."), names=names)
        else:
            self._nothing(work)

    def _correct(self, work: _Work) -> None:
        """The correction of a widespread error, from the section that holds it."""
        for premise in work.plan.premises[:2]:
            for item in self._section(work.room, premise.section)[:2]:
                draft = compose(Found(work.found[0].query, [], [item]), work.room.vector, first=item)
                sentence = self._verified(work, draft[0]) if draft else None
                if sentence is not None:
                    self._keep(work, sentence, (item,))

    def _section(self, room: Room, section: str) -> list[Evidence]:
        slug, _, anchor = section.partition("#")
        chunks = [c for c in room.index.chunks if c.document_id == slug and c.anchor == anchor]
        return [Evidence(c, i, 1.0) for c in chunks for i in range(len(c.spans))]

    def _nothing(self, work: _Work) -> None:
        names = [self._terms.name(n) for n in (work.judged[0].missing if work.judged else ())]
        self._frame(work, "no_answer_name" if names else "no_answer", names=names)
        if work.found and not names and self._say_what_is_not_held(work, work.found[0]):
            return
        titles = list(dict.fromkeys(p.chunk.heading[0] for found in work.found for p in found.passages[:3] if p.score > 0.2))[:3]
        if titles:
            self._frame(work, "nearest", guides=titles)
        self._frame(work, "ask_human")

    def _say_what_is_not_held(self, work: _Work, found: Found) -> bool:
        """The section that names what the guides lack and who has it, where it fits the question better than what they hold."""
        if found.not_held is None or (found.passages and found.not_held.score < found.passages[0].score):
            return False
        for item in evidence_of(found.not_held)[:2]:
            sentence = self._verified(work, Draft(item.span.said, (item,), "advice"))
            if sentence is not None:
                work.sentences.append(sentence)
        return True

    async def _out_of_scope(self, work: _Work, scope: Scope) -> None:
        for name in scope.phrase.split():
            self._frame(work, name)
        if scope.section:
            for item in self._section(work.room, scope.section)[:3]:
                sentence = await self._worker.run(
                    self._verified, work, Draft(item.span.said, (item,), "advice" if item.span.facts == ("advice",) else "fact")
                )
                if sentence is not None:
                    self._keep(work, sentence, (item,))

    def _verified(self, work: _Work, draft: Draft) -> Sentence | None:
        """The sentence with its citations, or None when its evidence does not bear it out."""
        if not draft.evidence:
            return None
        quotes = [item.quote for item in draft.evidence]
        context = tuple(dict.fromkeys(line for item in draft.evidence for line in item.context))
        as_of = [fact.as_of for item in draft.evidence for fact in item.cited]
        verdict = self._verifier.check(draft.text, quotes, context=context, as_of=as_of)
        if not verdict.supported:
            plain = draft.evidence[0].span.said
            if len(draft.evidence) > 1 or plain == draft.text or draft.text.split(" (as of ")[0].rstrip(".") != plain.rstrip("."):
                return None
            return self._verified(work, Draft(plain, draft.evidence, draft.kind))
        return Sentence(
            text=draft.text, citations=work.citations.of(draft.evidence), figures=list(verdict.figures), support=verdict.support,
            kind="advice" if all(item.span.facts == ("advice",) for item in draft.evidence) else "fact",
        )  # fmt: skip

    def _keep(self, work: _Work, sentence: Sentence, evidence: Sequence[Evidence]) -> None:
        work.sentences.append(sentence)
        work.used.extend(evidence)

    def _frame(self, work: _Work, name: str, **values: object) -> None:
        work.sentences.append(Sentence(text=self._say(name, **values), support=1.0, kind="frame"))

    def _say(self, name: str, **values: object) -> str:
        return self._prompts.render(f"say.{name}", **values)

    # -- the answer object -----------------------------------------------------------------------------------------

    def _status(self, work: _Work) -> Status:
        if not work.answered and not work.used:
            return "no_answer"
        if work.plan.premises and work.used:
            return "corrected_premise"
        return "answered" if len(work.answered) == len(work.plan.parts) else "partial"

    def _finished(self, work: _Work, status: Status) -> Answer:
        parts: list[str] = []
        for i, sentence in enumerate(work.sentences):
            marks = "".join(f"[{n}]" for n in sentence.citations)
            glue = "" if not parts else "\n\n" if i in work.breaks else " "
            parts.append(glue + sentence.text + (f" {marks}" if marks else ""))
        claims = [s for s in work.sentences if s.kind != "frame"]
        figures = sum(len(s.figures) for s in claims)
        citations = work.citations.all
        work.since("total", work.began)
        unanswered = status in ("no_answer", "partial")
        return Answer(
            id=secrets.token_urlsafe(12),
            conversation_id=work.question.conversation_id,
            created_at=dt.datetime.now(dt.UTC),
            status=status,
            language=work.question.language or "en",
            text="".join(parts),
            sentences=work.sentences,
            citations=citations,
            checks=Checks(sentences=len(claims), supported=len(claims), figures=figures, figures_supported=figures, dropped=work.dropped),
            as_of=oldest(citations),
            warnings=warnings(citations, self._conflicts(work), self._prompts),
            clarify=Clarify(question=self._say("greeting_question"), options=self._suggestions(work)) if status == "clarify" else None,
            suggestions=self._suggestions(work),
            handoff=HandoffRef(reason=self._say("handoff_reason"), state="offered") if unanswered or status == "handoff" else None,
            trace=Trace(
                mode="llm" if work.model else "extractive",
                model=work.model,
                knowledge_version=work.room.index.knowledge_version,
                prompt_version=self._prompts.version,
                retrieved=self._retrieved(work),
                timings_ms=work.timings,
                plan=[*work.plan.steps, *(_judged_in_words(i, judged) for i, judged in enumerate(work.judged, 1))],
                fallback=work.fallback,
            ),
        )  # fmt: skip

    def _retrieved(self, work: _Work) -> list[Retrieved]:
        """Passages of all parts in turn, best first, each once."""
        result: dict[str, Retrieved] = {}
        for rank in range(8):
            for found in work.found:
                if rank < len(found.passages):
                    passage = found.passages[rank]
                    result.setdefault(passage.chunk_id, Retrieved(chunk_id=passage.chunk_id, score=passage.score))
        return list(result.values())

    def _conflicts(self, work: _Work) -> list[tuple[dict[str, Any], list[int]]]:
        """Known disagreements that a cited fact takes part in, with the numbers of its citations."""
        concerned: dict[str, list[int]] = {}
        for item in work.used:
            numbers = work.citations.of([item])
            for fact in item.facts:
                for ident in fact.conflicts:
                    concerned.setdefault(ident, []).extend(n for n in numbers if n not in concerned.get(ident, []))
        known = work.room.index.conflicts
        return [(known[ident], numbers) for ident, numbers in list(concerned.items())[:3] if ident in known]

    def _suggestions(self, work: _Work) -> list[str]:
        """What the neighbouring sections answer, as their guides put the question."""
        cited = {item.chunk.chunk_id for item in work.used}
        result: list[str] = []
        for found in work.found:
            for passage in found.passages:
                questions = [q for q in passage.chunk.questions if q[:1].isupper()]
                if questions and passage.chunk_id not in cited and passage.score > 0.3 and questions[0] not in result:
                    result.append(questions[0])
        return result[:3]

    # -- searching -------------------------------------------------------------------------------------------------

    async def search(
        self, query: str, *, history: Sequence[Turn] = (), k: int = 5, collection: str | None = None, filters: dict[str, Any] | None = None
    ) -> list[Passage]:
        """Ranked passages, best first. `filters`: topics, guide (slug or its start), source_tier, as_of_from.

        Raises:
            InputError: an empty query, k outside 1..50, or an unknown filter. UnknownCollection, IndexMissing, IndexMismatch.
        """
        if not 1 <= k <= MOST_K:
            raise InputError(f"k is {k}; choose 1 to {MOST_K}.")
        keep = _filter(filters or {})
        parts = self._planner.questions(query, history)
        work = _Work(Question(text=query, collection=collection), Plan(parts), await self._room(collection), Citations(self._today()), 0.0)
        found = await self._find(work, _Search(parts, max(k, 8), keep))
        if len(found) == 1:
            return found[0].passages[:k]
        merged: dict[str, Passage] = {}
        for rank in range(max(k, 8)):
            for each in found:
                if rank < len(each.passages):
                    merged.setdefault(each.passages[rank].chunk_id, each.passages[rank])
        return [_ranked(p, i) for i, p in enumerate(list(merged.values())[:k], 1)]

    def _search(self, room: Retriever, searches: Sequence[_Search]) -> list[list[Found]]:
        """All parts of all questions that wait, with one call to the embedder and to Chroma for those that share k and filter."""
        groups: dict[tuple[int, int], list[tuple[int, Part]]] = {}
        for number, search in enumerate(searches):
            for part in search.parts:
                groups.setdefault((search.k, id(search.keep)), []).append((number, part))
        result: list[list[Found]] = [[] for _ in searches]
        for (k, _), members in groups.items():
            keep = searches[members[0][0]].keep
            found = room.find([room.query(part.text, about=part.about, context=part.context) for _, part in members], k, keep)
            for (number, _), each in zip(members, found, strict=True):
                result[number].append(each)
        return result

    async def _room(self, collection: str | None) -> Room:
        name = collection or self._collection
        room = self._rooms.get(name)
        now = time.monotonic()
        if room is not None and now - room.looked_at < LOOK_AGAIN_S:
            return room
        async with self._opening:
            room = self._rooms.get(name)
            if room is not None:
                if now - room.looked_at < LOOK_AGAIN_S:
                    return room
                if await stored_version(self.engine, name) == room.index.meta["snapshot"]:
                    room.looked_at = now
                    return room
            with paused():
                index = await load_index(self.engine, self._vectors, name, self._embedder.fingerprint, self._chunker)
                retriever = await asyncio.to_thread(Retriever, index, self._terms, self._embedder.embed, self._polarity)
            batch: Batch[_Search, list[Found]] = Batch(self._worker, lambda searches: self._search(retriever, searches))
            self._rooms[name] = room = Room(index, retriever, batch, now)
            return room

    # -- guides and readiness --------------------------------------------------------------------------------------

    async def guides(self) -> list[GuidePage]:
        """All guides of the default collection, by slug."""
        return list((await self._guide_pages()).values())

    async def guide(self, slug: str) -> GuidePage:
        """
        Raises:
            NotFound: there is no such guide.
        """
        pages = await self._guide_pages()
        if slug not in pages:
            raise NotFound("There is no such guide. The list of guides shows what there is.")
        return pages[slug]

    async def _guide_pages(self) -> dict[str, GuidePage]:
        room = await self._room(None)
        snapshot = room.index.meta["snapshot"]
        if self._pages[0] != snapshot:
            table = tables.documents
            query = (
                sa.select(table.c.document_id, table.c.title, table.c.body, table.c.meta)
                .where(table.c.collection == self._collection)
                .order_by(table.c.document_id)
            )
            async with self.engine.connect() as connection:
                rows = (await connection.execute(query)).all()
            self._pages = (snapshot, {row.document_id: _page(*row) for row in rows if row.meta["kind"] == "guide"})
        return self._pages[1]

    async def status(self) -> dict[str, Any]:
        """For readiness: knowledge_version, documents, chunks, collection, embedder, model (or None).

        Raises:
            IndexMissing, IndexMismatch.
        """
        index = (await self._room(None)).index
        return {
            "knowledge_version": index.knowledge_version, "documents": len({c.document_id for c in index.chunks}),
            "chunks": len(index.chunks), "collection": index.collection, "embedder": index.meta["embedder"], "model": self._model,
        }  # fmt: skip

    async def fitted(self, work: Callable[[Retriever, Planner], Value]) -> Value:
        """Runs a fit of the ranking and the refusal on the worker."""
        room = await self._room(None)
        return await self._worker.run(work, room.retriever, self._planner)

    async def measured(self, measure: Callable[[Verifier, Terms], Value]) -> Value:
        """Runs a measurement of the verifier on the worker, as answers do."""
        return await self._worker.run(measure, self._verifier, self._terms)

    async def close(self) -> None:
        await asyncio.to_thread(self._worker.close)
        await self.engine.dispose()


def _judged_in_words(part: int, judged: Judgement) -> str:
    return f"part {part}: {'answerable' if judged.answerable else 'not answerable'} ({judged.probability:.2f})"


def _page(slug: str, title: str, body: str, meta: dict[str, Any]) -> GuidePage:
    facts = {
        key: FactRef(key, SourceRef(**fact["source"]), fact["as_of"], fact["volatile"], fact["confidence"], tuple(fact["conflicts"]))
        for key, fact in meta.get("facts", {}).items()
    }
    return GuidePage(
        slug, title, meta["summary"], tuple(meta["audience"]), tuple(meta["topics"]), meta["as_of"], meta["review_by"], body, facts
    )


def _ranked(passage: Passage, rank: int) -> Passage:
    return Passage(passage.chunk, passage.score, rank, passage.span_scores, passage.cosine, passage.coverage, passage.details)


def _filter(filters: dict[str, Any]) -> Callable[[Chunk], bool] | None:
    """
    Raises:
        InputError: an unknown filter.
    """
    known = {"topics", "guide", "source_tier", "as_of_from"}
    wrong = set(filters) - known
    if wrong:
        raise InputError(f"There is no filter '{sorted(wrong)[0][:40]}'. Use {', '.join(sorted(known))}.")
    if not filters:
        return None
    topics = filters.get("topics") or []
    wanted = {topics} if isinstance(topics, str) else set(map(str, topics))
    guide, tier, since = filters.get("guide"), filters.get("source_tier"), filters.get("as_of_from")

    def keep(chunk: Chunk) -> bool:
        return (
            (not wanted or bool(wanted & set(chunk.topics)))
            and (not guide or chunk.document_id.startswith(str(guide)))
            and (not tier or any(f.source.tier == tier for f in chunk.facts.values()) or chunk.source.tier == tier)
            and (not since or (chunk.as_of != "unknown" and chunk.as_of >= str(since)))
        )

    return keep
