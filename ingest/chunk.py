"""Document -> Chunks: by heading, then by the embedder's real token budget, never inside a sentence or a table row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bot.answer import GuideRef, SourceRef
from bot.passage import Chunk, FactRef, Span, SpanKind, cells, read_row
from bot.sentences import spans as sentence_spans
from bot.terms import Terms
from ingest.load import MARK, Document, Section, fences, plain

CHUNKER = "heading-sentence/2"
"""Stored with the index; change it whenever chunks come out differently for the same document."""

TARGET_TOKENS = 320
"""Longest chunk wanted. Smaller than the model's limit: one vector over a long text says less about each of its sentences."""
LEAST_TOKENS = 64
"""What is left for the text under a heading path of any length."""

CountTokens = Callable[[Sequence[str]], list[int]]
_SEPARATOR = re.compile(r"\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_BULLET = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_QUOTE_PREFIX = re.compile(r"^[ \t]*>[ \t]?", re.M)
# Where a sentence that is too long for the embedder is divided: best after what ends a clause, else between words, else anywhere.
_CLAUSE = re.compile(r"(?<=[;:；：])\s*|(?<=[,，、])\s*|\s+[—–-]+\s+|(?<=\n)")
_WORD_GAP = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, item or row with its place in the section's clean text."""

    start: int
    end: int
    kind: SpanKind
    said: str
    facts: tuple[str, ...]
    head: tuple[int, int] | None  # where the header row of its table lies


def chunk(document: Document, count_tokens: CountTokens, max_tokens: int, terms: Terms, *, pages: bool = True) -> list[Chunk]:
    """The chunks of a document, in order. Ids are made from document id, anchor and text, so unchanged text keeps its id.

    Args:
        pages: guides of this collection are shown as pages, which citations may open.
    """
    result: list[Chunk] = []
    seen: set[str] = set()
    for section in document.sections:
        text, units = units_of(section, markdown=document.kind == "guide")
        if not units:
            continue
        prefix = " > ".join(part for part in section.heading if part)
        budget = max(min(max_tokens, TARGET_TOKENS + 64) - count_tokens([prefix])[0] - 2, LEAST_TOKENS)
        for part in _pack(text, units, count_tokens, min(budget, TARGET_TOKENS)):
            result.append(_chunk(document, section, *part, position=len(result), seen=seen, terms=terms, pages=pages))
    return result


def units_of(section: Section, *, markdown: bool = True) -> tuple[str, list[Unit]]:
    """The section's text (of Markdown without marks; line breaks stay, so places can be counted), and its units."""
    text, marks, found = _clean(section.text) if markdown else (section.text, [], [(a, b, False) for a, b in sentence_spans(section.text)])
    units: list[Unit] = []
    head: tuple[int, int] | None = None
    for i, (start, end, code) in enumerate(found):
        row = text[start:end]
        facts = tuple(
            dict.fromkeys(mark for place, mark in marks if start < place <= end or (place > end and _between(text, end, place, found, i)))
        )
        if row.startswith("|") and not code:
            if _SEPARATOR.fullmatch(row):
                continue
            follows = text[slice(*found[i + 1][:2])] if i + 1 < len(found) else ""
            if follows.startswith("|") and _SEPARATOR.fullmatch(follows):
                head = (start, end)
                continue
            if any(cells(row)):
                units.append(Unit(start, end, "row", read_row(row, text[slice(*head)] if head else ""), facts, head))
            continue
        head = None
        bullet = None if code else _BULLET.match(row)
        if bullet:
            start += bullet.end()
        if any(c.isalnum() for c in text[start:end]):  # a rule of dashes says nothing
            units.append(Unit(start, end, "item" if bullet else "sentence", " ".join(text[start:end].split()), facts, None))
    return text, units


def _clean(markdown: str) -> tuple[str, list[tuple[int, str]], list[tuple[int, int, bool]]]:
    """Markdown as text; the place and name of each mark; start and end of each sentence or block of code, and whether it is code."""
    text = ""
    marks: list[tuple[int, str]] = []
    found: list[tuple[int, int, bool]] = []
    for kind, rows in groupby(fences(markdown.split("\n")), key=lambda item: item[0]):
        begin = len(text)
        part = "\n".join(row for _, row in rows) + "\n"
        if kind == "fence":
            text += "\n" * part.count("\n")
        elif kind == "code":
            text += part
            at, stop = begin + len(part) - len(part.lstrip()), begin + len(part.rstrip())
            if at < stop:
                found.append((at, stop, True))
        else:
            raw, at = plain(_QUOTE_PREFIX.sub("", part)), 0
            pieces: list[str] = []
            length = begin
            for match in MARK.finditer(raw):
                pieces.append(raw[at : match.start()])
                length += match.start() - at
                marks.append((length, match.group(1)))
                at = match.end()
            prose = "".join([*pieces, raw[at:]])
            text += prose
            found += [(begin + a, begin + b, False) for a, b in sentence_spans(prose)]
    return text[:-1], marks, found


def _between(text: str, end: int, place: int, found: list[tuple[int, int, bool]], i: int) -> bool:
    """A mark set after white space still belongs to the sentence before it."""
    return not text[end:place].strip() and (i + 1 == len(found) or place <= found[i + 1][0])


def _pack(text: str, units: list[Unit], count_tokens: CountTokens, budget: int) -> list[tuple[str, list[Span]]]:
    """Neighbouring units together, in parts of about equal size; a table that is cut repeats its header row."""
    costs: list[int] = []
    for at in range(0, len(units), 1000):  # the tokens of a whole book at once would fill the memory
        costs += count_tokens([text[unit.start : unit.end] for unit in units[at : at + 1000]])
    heads = list(dict.fromkeys(unit.head for unit in units if unit.head))
    of_head = dict(zip(heads, count_tokens([text[slice(*head)] for head in heads]) if heads else [], strict=True))
    total = sum(costs)
    target = total / max(1, -(-total // budget))
    groups: list[list[Unit]] = [[]]
    used = 0
    for unit, cost in zip(units, costs, strict=True):
        if groups[-1] and (used + cost > budget or used + cost / 2 > target):
            groups.append([])
            used = of_head[unit.head] if unit.head else 0
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


def _chunk(
    document: Document, section: Section, text: str, spans: list[Span], *, position: int, seen: set[str], terms: Terms, pages: bool
) -> Chunk:
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
    spans = [replace(span, entities=entities_of(terms, span.said)) for span in spans]
    guide = None
    if document.kind == "guide" and pages:
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
        source=sources[0] if sources else _source(document, section),
        as_of=dates[0] if dates else document.as_of,
        volatile=document.volatile or any(fact.volatile for fact in facts.values()),
        review_by=document.review_by,
        topics=document.topics,
        spans=tuple(spans),
        questions=document.questions.get(section.anchor, ()),
        facts=facts,
        entities=entities_of(terms, f"{heading} \n {text}"),
    )


def _source(document: Document, section: Section) -> SourceRef:
    """The document as a source, its address leading to the section where it can."""
    url = document.source.url
    if not url or not section.fragment or "#" in url:
        return document.source
    return document.source.model_copy(update={"url": f"{url}#{section.fragment}"})


def entities_of(terms: Terms, text: str) -> frozenset[str]:
    return frozenset(ident for idents in terms.found(text).values() for ident in idents)


def chunk_text(item: Chunk) -> tuple[str, str]:
    """What is embedded for a chunk: the heading path gives the text its subject. As (subject, text)."""
    prefix = " > ".join(part for part in item.heading if part)
    return (f"{prefix}\n" if prefix else "", item.text)


def span_texts(item: Chunk) -> list[tuple[str, str]]:
    """What is embedded for each span: as it is said, after the document's title. As (subject, text)."""
    title = item.heading[0]
    return [(f"{title}: " if title else "", span.said) for span in item.spans]


def pieces(subject: str, text: str, count_tokens: CountTokens, max_tokens: int) -> list[str]:
    """A text that is too long for the embedder, which would drop its end without a word, in pieces that fit, each with its subject.

    Only vectors are made of pieces. A quote stays a whole sentence: half a sentence can say the opposite of the whole.
    """
    if count_tokens([subject])[0] > max_tokens // 2:
        subject = ""
    room = max_tokens - (count_tokens([subject])[0] if subject else 0) - 2
    fitting = list(_divided(text, count_tokens, room, (_CLAUSE, _WORD_GAP)))
    result: list[str] = []
    open_ = ""
    used = 0
    for piece, cost in fitting:
        if open_ and used + cost > room:
            result.append(subject + open_)
            open_, used = "", 0
        open_, used = f"{open_} {piece}".strip(), used + cost
    return [*result, subject + open_] if open_ else result


def _divided(text: str, count_tokens: CountTokens, room: int, gaps: tuple[re.Pattern[str], ...]) -> Iterator[tuple[str, int]]:
    """Parts of at most `room` tokens and what each costs, cut at the first of `gaps` that will do."""
    parts = [part for part in (gaps[0].split(text) if gaps else _runs(text, room)) if part and part.strip()]
    for at in range(0, len(parts), 1000):
        some = parts[at : at + 1000]
        for part, cost in zip(some, count_tokens(some), strict=True):
            if cost <= room:
                yield part, cost
            elif gaps:
                yield from _divided(part, count_tokens, room, gaps[1:])
            else:
                yield part, room


def _runs(text: str, room: int) -> list[str]:
    """Text without gaps, as some scripts are written, in runs that surely fit: a character is four tokens at most, one a byte."""
    size = max(1, room // 4)
    return [text[at : at + size] for at in range(0, len(text), size)]
