"""Facts that changed in the guides, the past answers that cited them, and what would have to be said now.

A fact is what a mark `[^id]` of the guides stands for: the sentences that carry it, its source and its date. After each ingest the facts
are compared with what they were; what changed stays on record until somebody has dealt with it.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.answer import Answer, Citation
from bot.asked import peek, put, take
from bot.database import insert, writing
from bot.edits import changed
from bot.errors import NotFound
from bot.evidence import Evidence
from bot.index import Index
from bot.passage import FactRef
from bot.prompts import Prompts
from bot.store import asked_before, now_text, time_text

Kind = Literal["fact", "scope", "date", "gone"]
"""fact: a sentence says something else; scope: sentences came or went; date: looked up anew, and nothing else; gone: told no more."""


@dataclass(frozen=True, slots=True)
class FactState:
    """`said` are the sentences that carry the fact, as answers say them; `quotes` the same as citations quote them. `places` and `links`
    tell where each stands: title of the guide and its section, and the address."""

    said: tuple[str, ...]
    quotes: tuple[str, ...]
    places: tuple[str, ...]
    links: tuple[str, ...]
    as_of: str
    source: str
    url: str

    def json(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Change:
    id: str
    fact: str
    kind: Kind
    open: bool
    before: FactState
    after: FactState | None
    created_at: dt.datetime
    answers: int = 0  # that cited it, and for which nothing was decided yet

    @property
    def place(self) -> str:
        """Where the first of the sentences stood that changed."""
        return self._where(self.before, 0) or next(iter(self.before.places), self.fact)

    @property
    def link(self) -> str:
        """Where the first of the new sentences stands; "" where there is none."""
        where = self._where(self.after, 1) if self.after else ""
        return self.after.links[self.after.places.index(where)] if self.after and where else ""

    def _where(self, state: FactState, side: int) -> str:
        told = " ".join(pair[side] for pair in self.pairs if pair[side])
        return next((place for said, place in zip(state.said, state.places, strict=False) if said in told), "")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """What was said, and what is said in its place; "" where nothing is. Sentences that stand as they stood are left out."""
        if self.after is None:
            return [(said, "") for said in self.before.said]
        return [(pair.before, pair.after) for pair in changed(self.before.said, self.after.said).changes if pair.kind != "tone"]


@dataclass(frozen=True, slots=True)
class Correction:
    """A past answer that said what the guides say no more. `text` is what to tell the applicant."""

    answer_id: str
    conversation_id: str
    site: str
    answered_at: dt.datetime
    language: str
    question: str
    old: str  # the sentence of the answer
    new_sentences: tuple[str, ...]  # what the guides say now; none where they say nothing
    text: str
    state: Literal["open", "drafted", "dismissed"]
    handoff_id: str | None = None

    @property
    def new(self) -> str:
        return " ".join(self.new_sentences)


class Changes:
    def __init__(self, engine: AsyncEngine, prompts: Prompts) -> None:
        self._engine = engine
        self._prompts = prompts

    async def notice(self, index: Index) -> int:
        """Compares the facts of an index with those known; returns how many changes were put on record. The first time there are none."""
        table = tables.known_facts
        async with self._engine.connect() as connection:
            if await peek(connection, "facts") == index.knowledge_version:
                return 0
        async with writing(self._engine).begin() as connection:
            seen = await take(connection, "facts")
            if seen == index.knowledge_version:
                return 0
            now = states(index)
            known = {row.fact: read_state(row.state) for row in await connection.execute(sa.select(table))}
            differing = [fact for fact in {*known, *now} if known.get(fact) != now.get(fact)]
            found = [] if seen is None else _changes(differing, known, now)
            if found:
                await _supersede(connection, [change["fact"] for change in found])
                await connection.execute(sa.insert(tables.fact_changes), found)
            for part in _parts(differing):
                await connection.execute(sa.delete(table).where(table.c.fact.in_(part)))
            rows = [{"fact": fact, "state": now[fact].json()} for fact in differing if fact in now]
            if rows:
                await connection.execute(sa.insert(table), rows)
            await put(connection, "facts", index.knowledge_version)
        return len(found)

    async def latest(self, *, everything: bool = False) -> list[Change]:
        """The newest first; without `everything` only those that nobody has closed."""
        changes, cited, done = tables.fact_changes, tables.answer_facts, tables.corrections
        waiting = (
            sa.select(sa.func.count(sa.distinct(cited.c.answer_id)))
            .where(cited.c.fact == changes.c.fact)
            .where(cited.c.answer_id.in_(_before(changes.c.created_at)))
            .where(~sa.exists().where(done.c.change_id == changes.c.id, done.c.answer_id == cited.c.answer_id))
            .correlate(changes)
            .scalar_subquery()
        )
        query = sa.select(changes, waiting.label("answers")).order_by(changes.c.created_at.desc(), changes.c.fact).limit(200)
        if not everything:
            query = query.where(changes.c.state == "open")
        async with self._engine.connect() as connection:
            return [_change(row._mapping) for row in await connection.execute(query)]

    async def get(self, change_id: str) -> Change:
        """
        Raises:
            NotFound.
        """
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(tables.fact_changes).where(tables.fact_changes.c.id == change_id))).first()
        if row is None:
            raise NotFound("There is no such change.")
        return _change({**row._mapping, "answers": 0})

    async def close(self, change_id: str) -> None:
        table = tables.fact_changes
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(table).where(table.c.id == change_id).values(state="done"))

    async def corrections(self, change: Change, most: int = 50) -> list[Correction]:
        """The past answers that told what has changed, the newest first. Answers whose sentence still stands are left out."""
        said, cited, done = tables.messages, tables.answer_facts, tables.corrections
        body = sa.func.coalesce(tables.answers.c.body, tables.replies.c.body)
        query = (
            sa.select(
                said.c.id, said.c.conversation_id, said.c.created_at, tables.conversations.c.site, body.label("body"),
                asked_before(said).label("question"), done.c.state, done.c.handoff_id,
            )
            .select_from(
                said.join(tables.conversations, tables.conversations.c.id == said.c.conversation_id)
                .outerjoin(tables.answers, tables.answers.c.id == said.c.id)
                .outerjoin(tables.replies, tables.replies.c.id == said.c.id)
                .outerjoin(done, sa.and_(done.c.answer_id == said.c.id, done.c.change_id == change.id))
            )
            .where(said.c.id.in_(sa.select(cited.c.answer_id).where(cited.c.fact == change.fact)))
            .where(said.c.created_at < time_text(change.created_at))
            .order_by(said.c.seq.desc())
            .limit(most)
        )  # fmt: skip
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [found for row in rows if (found := self._correction(change, row))]

    async def settle(
        self, change_id: str, answer_id: str, state: Literal["drafted", "dismissed"], account: str, handoff_id: str | None = None
    ) -> None:
        """Notes what was decided about an answer; the last decision counts."""
        values = {"state": state, "account": account, "handoff_id": handoff_id, "created_at": now_text()}
        async with self._engine.begin() as connection:
            new = insert(connection, tables.corrections).values(change_id=change_id, answer_id=answer_id, **values)
            await connection.execute(new.on_conflict_do_update(index_elements=["change_id", "answer_id"], set_=values))

    def letter(self, change: Change, correction: Correction, index: Index, name: str = "") -> str:
        """The correction as a draft of a reply: each new sentence with the key of its evidence, so that it is borne out when it is sent."""
        keys = _keys(change.fact, index)
        new = [f"{said} [{keys[said]}]" if said in keys else said for said in correction.new_sentences]
        text = self._text(change, correction.answered_at.isoformat(), [correction.old], new, correction.language)
        greeting, end = (self._prompts.say(part, correction.language, "letter") for part in ("greeting_neutral", "sign_off_neutral"))
        return "\n\n".join((greeting, text, end + (f"\n{name}" if name else "")))

    def _correction(self, change: Change, row: Any) -> Correction | None:
        answer = _read_answer(row.body)
        numbers = [c.n for c in answer.citations if c.fact == change.fact or not c.fact and c.quote in change.before.quotes]
        still = set(change.after.quotes) if change.after else set()
        wrong = [c for c in answer.citations if c.n in numbers and c.quote not in still]
        told = [s.text for s in answer.sentences if set(s.citations) & {c.n for c in wrong}]
        if not wrong or not told:
            return None
        new = _now_said(change, wrong)
        return Correction(
            answer_id=row.id, conversation_id=row.conversation_id, site=row.site, answered_at=dt.datetime.fromisoformat(row.created_at),
            language=answer.language, question=row.question or "", old=" ".join(told), new_sentences=tuple(new),
            text=self._text(change, row.created_at, told, new, answer.language), state=row.state or "open", handoff_id=row.handoff_id,
        )  # fmt: skip

    def _text(self, change: Change, answered_at: str, told: Sequence[str], new: Sequence[str], language: str) -> str:
        state = change.after or change.before
        return self._prompts.say(
            "correction", language, date=_day(answered_at, language), place=change.place, told=" ".join(told), new=" ".join(new),
            source=state.source, as_of=state.as_of,
        )  # fmt: skip


def states(index: Index) -> dict[str, FactState]:
    """Every fact that the guides and tables tell, by its id."""
    found: dict[str, dict[str, tuple[str, str, str]]] = {}
    named: dict[str, FactRef] = {}
    for chunk in (*index.chunks, *index.table_rows):
        place = f"{chunk.guide.title}: {chunk.guide.section}" if chunk.guide else " > ".join(chunk.heading)
        link = chunk.guide.url if chunk.guide else ""
        for span in chunk.spans:
            for fact in span.facts:
                if fact != "advice" and fact in chunk.facts:
                    named.setdefault(fact, chunk.facts[fact])
                    found.setdefault(fact, {}).setdefault(span.said, (chunk.text[span.start : span.end], place, link))
    return {fact: _state(named[fact], told) for fact, told in found.items()}


def _state(fact: FactRef, told: dict[str, tuple[str, str, str]]) -> FactState:
    said = tuple(sorted(told))
    quotes, places, links = (tuple(told[one][side] for one in said) for side in range(3))
    source = ": ".join(part for part in (fact.source.publisher, fact.source.title) if part)
    return FactState(said, quotes, places, links, fact.as_of, source, fact.source.url or "")


def read_state(value: dict[str, Any]) -> FactState:
    lists = {name: tuple(value.get(name, ())) for name in ("said", "quotes", "places", "links")}
    return FactState(**{**value, **lists})


def _changes(differing: Iterable[str], known: dict[str, FactState], now: dict[str, FactState]) -> list[dict[str, Any]]:
    result = []
    for fact in sorted(differing):
        before, after = known.get(fact), now.get(fact)
        kind = _kind(before, after) if before else None
        if before is not None and kind is not None:
            result.append(
                {
                    "id": secrets.token_hex(8), "fact": fact, "kind": kind, "state": "open" if kind != "date" else "done",
                    "before": before.json(), "after": after.json() if after else None, "created_at": now_text(),
                }
            )  # fmt: skip
    return result


def _kind(before: FactState, after: FactState | None) -> Kind | None:
    """None: only words changed, or where it stands; what was answered still holds."""
    if after is None:
        return "gone"
    found = changed(before.said, after.said)
    if found.kind == "fact":
        return "fact"
    if any(not change.after for change in found.changes if change.kind == "scope"):
        return "scope"
    return "date" if before.as_of != after.as_of else None


async def _supersede(connection: AsyncConnection, facts: Sequence[str]) -> None:
    """Of a fact that changes again the latest change says what to tell; those before it are closed."""
    table = tables.fact_changes
    for part in _parts(facts):
        await connection.execute(sa.update(table).where(table.c.fact.in_(part), table.c.state == "open").values(state="done"))


def _now_said(change: Change, wrong: Sequence[Citation]) -> list[str]:
    """The sentences that stand where the quoted ones stood."""
    if change.after is None:
        return []
    quotes = [citation.quote for citation in wrong]
    kept = [said for said in change.after.said if said not in change.before.said]
    pairs = changed([said for said in change.before.said if said not in change.after.said], kept).changes
    became = [pair.after for pair in pairs if pair.after and any(_overlaps(pair.before, quote) for quote in quotes)]
    return list(dict.fromkeys(became or kept))


def _keys(fact: str, index: Index) -> dict[str, str]:
    """By what a sentence says, the key of the evidence that carries the fact."""
    found: dict[str, str] = {}
    for chunk in index.chunks:
        if fact in chunk.facts:
            for number, span in enumerate(chunk.spans):
                if fact in span.facts:
                    found.setdefault(span.said, Evidence(chunk, number).key)
    return found


def _overlaps(said: str, quote: str) -> bool:
    a, b = set(said.lower().split()), set(quote.lower().split())
    return len(a & b) * 2 >= min(len(a), len(b)) > 0


def _before(moment: Any) -> Any:
    return sa.select(tables.messages.c.id).where(
        tables.messages.c.id == tables.answer_facts.c.answer_id, tables.messages.c.created_at < moment
    )


def _read_answer(body: bytes) -> Answer:
    value = json.loads(body)
    return Answer.model_validate({key: item for key, item in value.items() if key in Answer.model_fields})


def _change(row: Any) -> Change:
    return Change(
        row["id"], row["fact"], row["kind"], row["state"] == "open", read_state(row["before"]),
        read_state(row["after"]) if row["after"] else None,
        dt.datetime.fromisoformat(row["created_at"]), row["answers"],
    )  # fmt: skip


def _parts(items: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _day(moment: str, language: str) -> str:
    day = dt.date.fromisoformat(moment[:10])
    return f"{day.day} {day:%B %Y}" if language == "en" else day.isoformat()
