"""Evidence -> numbered citations, and what has to be said about their age and reliability."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any

from bot.answer import Citation, Warning_
from bot.compose import month_name
from bot.evidence import Evidence
from bot.figures import find
from bot.passage import Chunk, FactRef
from bot.prompts import Prompts

OLD_AFTER_MONTHS = 24
"""A volatile fact older than this counts as stale even where its guide has not come up for review: fees and rules of this field change
with every season, and two seasons are gone."""


class Citations:
    """The citations of one answer, numbered in the order in which they are first used."""

    def __init__(self, today: dt.date) -> None:
        self._today = today
        self._numbers: dict[tuple[str, str, str], int] = {}
        self.all: list[Citation] = []

    def of(self, evidence: Iterable[Evidence]) -> list[int]:
        """The numbers of the citations that a sentence resting on `evidence` carries."""
        numbers: list[int] = []
        for item in evidence:
            facts = item.cited
            for fact in facts or [FactRef("", item.chunk.source, item.chunk.as_of, item.chunk.volatile)]:
                numbers.append(self._number(item, item.quote, fact))
            header = header_quote(item)
            if header:
                numbers.append(self._number(item, header, (facts or [FactRef("", item.chunk.source, item.chunk.as_of)])[0]))
        return list(dict.fromkeys(numbers))

    def stretch(self, chunk: Chunk, first: int, last: int) -> int:
        """The number of one citation of neighbouring cells of a table's row, which has one source."""
        start, end = Evidence(chunk, first), chunk.spans[last].end
        fact = (start.facts or [FactRef("", chunk.source, chunk.as_of, chunk.volatile)])[0]
        return self._number(start, chunk.text[start.span.start : end], fact)

    def _number(self, item: Evidence, quote: str, fact: FactRef) -> int:
        key = (item.chunk.chunk_id, quote, fact.source.model_dump_json())
        if key not in self._numbers:
            self._numbers[key] = len(self.all) + 1
            self.all.append(
                Citation(
                    n=len(self.all) + 1, chunk_id=item.chunk.chunk_id, quote=quote, guide=item.chunk.guide, source=fact.source,
                    as_of=fact.as_of,
                    volatile=fact.volatile, stale=is_stale(fact, item.chunk.review_by, self._today), confidence=fact.confidence,
                    conflict=bool(fact.conflicts), fact=fact.id,
                )
            )  # fmt: skip
        return self._numbers[key]

    def get(self, numbers: Iterable[int]) -> list[Citation]:
        return [self.all[n - 1] for n in numbers]


def header_quote(item: Evidence) -> str:
    """The header row of a table, where it holds a figure that the row read aloud repeats ("2026 match rate: 56%")."""
    if item.span.kind != "row":
        return ""
    header = next((line for line in item.chunk.text.split("\n") if line.startswith("|")), "")
    return header if header and header != item.quote and any(f.kind != "name" for f in find(header)) else ""


def is_stale(fact: FactRef, review_by: str, today: dt.date) -> bool:
    if review_by != "unknown" and review_by < today.isoformat()[: len(review_by)]:
        return True
    match = re.match(r"(\d{4})(?:-(\d\d))?", fact.as_of)
    if not fact.volatile or not match:
        return False
    months = (today.year - int(match[1])) * 12 + today.month - int(match[2] or 12)
    return months > OLD_AFTER_MONTHS


def oldest(citations: Iterable[Citation]) -> str | None:
    dates = sorted(c.as_of for c in citations if c.as_of != "unknown")
    return dates[0] if dates else None


def warnings(
    citations: list[Citation], conflicts: Iterable[tuple[dict[str, Any], list[int]]], prompts: Prompts, language: str = "en"
) -> list[Warning_]:
    """What a reader has to know about the facts cited. `conflicts`: entries of the registry with the citations they concern."""
    result: list[Warning_] = []

    def add(kind: str, name: str, numbers: list[int]) -> None:
        if numbers:
            result.append(Warning_(kind=kind, text=prompts.say(name, language), citations=numbers))  # type: ignore[arg-type]

    for conflict, numbers in conflicts:
        positions = [
            {"says": p["says"].rstrip("."), "when": month_name(p["as_of"]) or "undated", "tier": p["tier"]}
            for p in conflict["positions"]
        ]
        preferred = next(
            (p["says"].rstrip(".") for p in conflict["positions"] if p.get("fact") and p["fact"] == conflict.get("preferred")), ""
        )
        text = prompts.say(
            "warn_conflict",
            language,
            statement=conflict["statement"].rstrip("."),
            positions=positions,
            preferred=preferred,
            reason=conflict.get("reason", ""),
        )
        result.append(Warning_(kind="conflict", text=text, citations=numbers))
    add("stale", "warn_stale", [c.n for c in citations if c.stale])
    add("volatile", "warn_volatile", [c.n for c in citations if c.volatile and not c.stale])
    add("unverified", "warn_unverified", [c.n for c in citations if c.confidence == "low"])
    return result
