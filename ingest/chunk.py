"""Document -> Chunks: by heading, then by the embedder's real token budget, never inside a sentence or a table row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.answer import GuideRef
from bot.passage import Chunk, FactRef, Span, SpanKind, cells, read_row
from bot.sentences import spans as sentence_spans
from bot.terms import Terms
from ingest.load import MARK, Document, Section, plain

CHUNKER = "heading-sentence/1"
"""Stored with the index; change it whenever chunks come out differently for the same document."""

TARGET_TOKENS = 320
"""Longest chunk wanted. Smaller than the model's limit: one vector over a long text says less about each of its sentences."""

CountTokens = Callable[[Sequence[str]], list[int]]
_SEPARATOR = re.compile(r"\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_BULLET = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_QUOTE_PREFIX = re.compile(r"^[ \t]*>[ \t]?", re.M)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$\n?", re.M)


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, item or row with its place in the section's clean text."""

    start: int
    end: int
    kind: SpanKind
    said: str
    facts: tuple[str, ...]
    head: tuple[int, int] | None  # where the header row of its table lies


def chunk(document: Document, count_tokens: CountTokens, max_tokens: int, terms: Terms) -> list[Chunk]:
    """The chunks of a document, in order. Ids are made from document id, anchor and text, so unchanged text keeps its id."""
    result: list[Chunk] = []
    seen: set[str] = set()
    for section in document.sections:
        text, units = units_of(section)
        if not units:
            continue
        prefix = " > ".join(part for part in section.heading if part)
        budget = min(max_tokens, TARGET_TOKENS + 64) - count_tokens([prefix])[0] - 2
        budget = max(budget, 32)
        for part in _pack(text, units, count_tokens, min(budget, TARGET_TOKENS)):
            result.append(_chunk(document, section, *part, position=len(result), seen=seen, terms=terms))
    return result


def units_of(section: Section) -> tuple[str, list[Unit]]:
    """The section's text without marks (line breaks stay, so places can be counted), and its units."""
    raw = plain(_QUOTE_PREFIX.sub("", _FENCE.sub("", section.text)))
    clean: list[str] = []
    marks: list[tuple[int, str]] = []
    at = length = 0
    for match in MARK.finditer(raw):
        clean.append(raw[at : match.start()])
        length += match.start() - at
        marks.append((length, match.group(1)))
        at = match.end()
    clean.append(raw[at:])
    text = "".join(clean)
    units: list[Unit] = []
    head: tuple[int, int] | None = None
    found = list(sentence_spans(text))
    for i, (start, end) in enumerate(found):
        row = text[start:end]
        facts = tuple(
            dict.fromkeys(mark for place, mark in marks if start < place <= end or (place > end and _between(text, end, place, found, i)))
        )
        if row.startswith("|"):
            if _SEPARATOR.fullmatch(row):
                continue
            follows = text[found[i + 1][0] : found[i + 1][1]] if i + 1 < len(found) else ""
            if follows.startswith("|") and _SEPARATOR.fullmatch(follows):
                head = (start, end)
                continue
            units.append(Unit(start, end, "row", read_row(row, text[slice(*head)] if head else ""), facts, head))
            continue
        head = None
        bullet = _BULLET.match(row)
        if bullet:
            start += bullet.end()
        if start < end:
            units.append(Unit(start, end, "item" if bullet else "sentence", " ".join(text[start:end].split()), facts, None))
    return text, units


def _between(text: str, end: int, place: int, found: list[tuple[int, int]], i: int) -> bool:
    """A mark set after white space still belongs to the sentence before it."""
    return not text[end:place].strip() and (i + 1 == len(found) or place <= found[i + 1][0])


def _pack(text: str, units: list[Unit], count_tokens: CountTokens, budget: int) -> list[tuple[str, list[Span]]]:
    """Neighbouring units together, in parts of about equal size; a table that is cut repeats its header row."""
    costs = count_tokens([text[unit.start : unit.end] for unit in units])
    total = sum(costs)
    parts = max(1, -(-total // budget))
    target = total / parts
    groups: list[list[Unit]] = [[]]
    used = 0
    for unit, cost in zip(units, costs, strict=True):
        if groups[-1] and (used + cost > budget or used + cost / 2 > target):
            groups.append([])
            used = 0
        groups[-1].append(unit)
        used += cost
    return [_part(text, group) for group in groups]


def _part(text: str, group: list[Unit]) -> tuple[str, list[Span]]:
    start, end = group[0].start, group[-1].end
    lead = ""
    if group[0].head is not None:
        head_start, head_end = group[0].head
        if text[head_end:start].count("\n") <= 2:
            start = head_start  # the header stands right above: take it as it is
        else:
            width = len(cells(text[head_start:head_end]))
            lead = text[head_start:head_end] + "\n|" + "---|" * width + "\n"
    bullet = text.rfind("\n", 0, start) + 1
    if group[0].kind == "item" and _BULLET.fullmatch(text[bullet:start].lstrip() or " "):
        start = bullet
    shift = len(lead) - start
    return lead + text[start:end], [Span(u.start + shift, u.end + shift, u.kind, u.said, u.facts) for u in group]


def _chunk(document: Document, section: Section, text: str, spans: list[Span], *, position: int, seen: set[str], terms: Terms) -> Chunk:
    identity = f"{document.id}\0{section.anchor}\0{text}"
    chunk_id = hashlib.sha256(identity.encode()).hexdigest()[:20]
    while chunk_id in seen:  # the same text twice under one anchor
        identity += "\0again"
        chunk_id = hashlib.sha256(identity.encode()).hexdigest()[:20]
    seen.add(chunk_id)
    facts: dict[str, FactRef] = {fact: document.facts[fact] for span in spans for fact in span.facts if fact in document.facts}
    dates = sorted(fact.as_of for fact in facts.values() if fact.as_of != "unknown")
    sources = [fact.source for fact in facts.values()]
    heading = " \n ".join(section.heading)
    spans = [replace(span, entities=_entities(terms, span.said)) for span in spans]
    guide = None
    if document.kind == "guide":
        url = f"/guides/{document.id}" + (f"#{section.anchor}" if section.anchor else "")
        guide = GuideRef(slug=document.id, title=document.title, section=section.heading[-1], url=url)
    return Chunk(
        chunk_id=chunk_id,
        document_id=document.id,
        position=position,
        text=text,
        heading=section.heading,
        anchor=section.anchor,
        guide=guide,
        source=sources[0] if sources else document.source,
        as_of=dates[0] if dates else document.as_of,
        volatile=document.volatile or any(fact.volatile for fact in facts.values()),
        review_by=document.review_by,
        topics=document.topics,
        spans=tuple(spans),
        questions=document.questions.get(section.anchor, ()),
        facts=facts,
        entities=_entities(terms, f"{heading} \n {text}"),
    )


def _entities(terms: Terms, text: str) -> frozenset[str]:
    return frozenset(ident for idents in terms.found(text).values() for ident in idents)


def chunk_text(item: Chunk) -> str:
    """What is embedded for a chunk: the heading path gives the text its subject."""
    prefix = " > ".join(part for part in item.heading if part)
    return f"{prefix}\n{item.text}" if prefix else item.text


def span_texts(item: Chunk) -> list[str]:
    """What is embedded for each span: as it is said, after the document's title."""
    title = item.heading[0]
    return [f"{title}: {span.said}" if title else span.said for span in item.spans]
