"""Chunk (what is embedded) and Passage (a chunk retrieved)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bot.answer import GuideRef, SourceRef

SpanKind = Literal["sentence", "item", "row"]


@dataclass(frozen=True, slots=True)
class FactRef:
    """What a source mark stands for: where a statement comes from and how far it can be trusted."""

    id: str
    source: SourceRef
    as_of: str = "unknown"
    volatile: bool = False
    confidence: Literal["high", "medium", "low"] = "high"
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A sentence, list item or table row of a chunk: `text[start:end]` is quoted, `said` is what an answer says."""

    start: int
    end: int
    kind: SpanKind
    said: str
    facts: tuple[str, ...] = ()
    entities: frozenset[str] = frozenset()  # ids of bot.terms


@dataclass(frozen=True, slots=True)
class Chunk:
    chunk_id: str
    document_id: str
    position: int
    text: str
    heading: tuple[str, ...]  # title of the document, then the headings down to the section
    anchor: str
    guide: GuideRef | None
    source: SourceRef  # of the document as a whole; a span's facts name theirs
    as_of: str
    volatile: bool
    review_by: str
    topics: tuple[str, ...]
    spans: tuple[Span, ...]
    questions: tuple[str, ...]
    facts: dict[str, FactRef]
    entities: frozenset[str] = frozenset()  # of headings and text
    cells: dict[str, str] = field(default_factory=dict)  # of a table's row, as written; the spans state them in the same order

    def meta(self) -> dict[str, Any]:
        """All but the text, as JSON-able values; `read_chunk` is the way back."""
        return {
            "document_id": self.document_id,
            "position": self.position,
            "heading": self.heading,
            "anchor": self.anchor,
            "guide": self.guide.model_dump() if self.guide else None,
            "source": self.source.model_dump(),
            "as_of": self.as_of,
            "volatile": self.volatile,
            "review_by": self.review_by,
            "topics": self.topics,
            "spans": [
                [s.start, s.end, s.kind, None if s.said == self.text[s.start : s.end] else s.said, s.facts, sorted(s.entities)]
                for s in self.spans
            ],
            "entities": sorted(self.entities),
            "questions": self.questions,
            "facts": {key: {**asdict(fact), "source": fact.source.model_dump()} for key, fact in self.facts.items()},
        } | ({"cells": self.cells} if self.cells else {})


def read_chunk(chunk_id: str, text: str, meta: dict[str, Any]) -> Chunk:
    return Chunk(
        chunk_id=chunk_id,
        document_id=meta["document_id"],
        position=meta["position"],
        text=text,
        heading=tuple(meta["heading"]),
        anchor=meta["anchor"],
        guide=GuideRef(**meta["guide"]) if meta["guide"] else None,
        source=SourceRef(**meta["source"]),
        as_of=meta["as_of"],
        volatile=meta["volatile"],
        review_by=meta["review_by"],
        topics=tuple(meta["topics"]),
        spans=tuple(
            Span(a, b, kind, text[a:b] if said is None else said, tuple(facts), frozenset(entities))
            for a, b, kind, said, facts, entities in meta["spans"]
        ),
        entities=frozenset(meta["entities"]),
        questions=tuple(meta["questions"]),
        facts={
            key: FactRef(key, SourceRef(**fact["source"]), fact["as_of"], fact["volatile"], fact["confidence"], tuple(fact["conflicts"]))
            for key, fact in meta["facts"].items()
        },
        cells=meta.get("cells", {}),
    )


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk retrieved. `score` is in 0..1, higher is better; `span_scores` are one per span of the chunk, same scale."""

    chunk: Chunk
    score: float
    rank: int
    span_scores: tuple[float, ...] = ()
    cosine: float = 0.0  # best sentence cosine with the question
    coverage: float = 0.0  # share of the question's idf mass found in the chunk
    details: dict[str, float] = field(default_factory=dict)

    @property
    def chunk_id(self) -> str:
        return self.chunk.chunk_id

    @property
    def document_id(self) -> str:
        return self.chunk.document_id

    @property
    def text(self) -> str:
        return self.chunk.text

    @property
    def guide(self) -> GuideRef | None:
        return self.chunk.guide

    @property
    def source(self) -> SourceRef:
        return self.chunk.source

    @property
    def as_of(self) -> str:
        return self.chunk.as_of


def cells(row: str) -> list[str]:
    """The cells of a Markdown table row."""
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def read_row(row: str, head: str) -> str:
    """A table row read aloud: "H-1B petition — Amount: $780; As of: April 2024."."""
    values = cells(row)
    names = cells(head) if head else []
    if len(names) != len(values):
        return "; ".join(value for value in values if value) + "."
    pairs = [f"{name}: {value}" if name else value for name, value in zip(names[1:], values[1:], strict=True) if value]
    return (f"{values[0]} — " if values[0] else "") + "; ".join(pairs) + "."
