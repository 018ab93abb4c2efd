"""The extractive composer: an answer made of sentences of the guides, chosen and put in order. No model needed.

Lead with the sentence that answers; then what belongs to it in the same section, in the guide's own order; then what other guides add;
caveats and advice last. Nothing is said twice, and all parts together stay under about 150 words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bot.evidence import Evidence
from bot.figures import find
from bot.retrieve import Found

WORDS = 150
LEAST_WORDS = 55  # for each part of a message with many
RUNNER_UP = 0.50  # share of the best score from which the two next best sentences are said, wherever they stand
SAME_SECTION = 0.45  # share that a further sentence of the leading section needs
ELSEWHERE = 0.85  # and one of another section
ALIKE = 0.94  # cosine from which two sentences say the same
MAX_SENTENCES = 6
FIRST = 3
"""The best sentences, wherever they stand: a reader who stops here has the answer."""

SpanVector = Callable[[Evidence], np.ndarray]


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence written, with the evidence it names. Not yet verified."""

    text: str
    evidence: tuple[Evidence, ...]
    kind: str = "fact"


def compose(
    found: Found, vector: SpanVector, *, words: int = WORDS, taken: Sequence[Evidence] = (), first: Evidence | None = None,
    most: int = MAX_SENTENCES,
) -> list[Draft]:
    """The sentences of one part of an answer.

    Args:
        vector: the vector of a span.
        taken: already said in an earlier part.
        first: said first, whatever its score (the correction of a premise).
        most: sentences.
    """
    evidence = found.evidence
    if not evidence:
        return []
    best = max(evidence[0].score, 1e-6)
    lead = first or _lead(evidence)
    if first is None and taken and _repeats(lead, taken, vector):
        fresh = [e for e in evidence if e.score >= RUNNER_UP * best and not _repeats(e, taken, vector)]
        if not fresh:
            return []
        lead = _lead(fresh)
    chosen = [lead]
    spent = _words(lead)
    for item in _candidates(evidence, lead, best):
        if len(chosen) >= most:
            break
        if spent + _words(item) > words or _repeats(item, [*chosen, *taken], vector):
            continue
        chosen.append(item)
        spent += _words(item)
    return [Draft(_dated(e), (e,), "advice" if e.span.facts == ("advice",) else "fact") for e in _ordered(chosen)]


def _lead(evidence: Sequence[Evidence]) -> Evidence:
    """The best sentence; mere advice only where nothing else is about as good."""
    best = evidence[0]
    if best.span.facts != ("advice",):
        return best
    return next((e for e in evidence if e.score >= 0.85 * best.score and e.span.facts != ("advice",)), best)


def _candidates(evidence: Sequence[Evidence], lead: Evidence, best: float) -> list[Evidence]:
    """What may follow, the best two first wherever they stand; then the leading section, then others that are about as good."""
    rest = [e for e in evidence if e.key != lead.key and not (e.span.kind == "row" and lead.span.kind != "row" and e.score < 0.9 * best)]
    strong = [e for e in rest if e.score >= RUNNER_UP * best][:2]
    here = [e for e in rest if _together(e, lead) and e.score >= (0.75 if e.span.kind == "row" else SAME_SECTION) * best]
    there = [e for e in rest if not _together(e, lead) and e.score >= ELSEWHERE * best]
    return list({e.key: e for e in [*strong, *here, *there]}.values())


def _together(a: Evidence, b: Evidence) -> bool:
    return a.chunk.document_id == b.chunk.document_id and a.chunk.anchor == b.chunk.anchor


def _ordered(chosen: list[Evidence]) -> list[Evidence]:
    """The lead and the next best; then section by section as first chosen, each in its guide's order; hedged statements and advice last."""
    sections: list[tuple[str, str]] = []
    for item in chosen:
        section = (item.chunk.document_id, item.chunk.anchor)
        if section not in sections:
            sections.append(section)

    early = {item.key for item in chosen[1:FIRST]}

    def place(item: Evidence) -> tuple[int, bool, int, int, int]:
        section = sections.index((item.chunk.document_id, item.chunk.anchor))
        return (_caveat(item), item.key not in early, section, item.chunk.position, item.number)

    return [chosen[0], *sorted(chosen[1:], key=place)]


def _caveat(item: Evidence) -> int:
    """0 for a plain statement, 1 for one that is hedged or weakly sourced, 2 for advice."""
    if item.span.facts == ("advice",):
        return 2
    return int(any(f.confidence == "low" for f in item.facts) or bool(_HEDGED.search(item.span.said)))


_HEDGED = re.compile(r"could not confirm|not confirmed|undated|unofficial|sources differ|sources disagree", re.I)


def _words(item: Evidence) -> int:
    return len(item.span.said.split())


def _repeats(item: Evidence, others: Sequence[Evidence], vector: SpanVector) -> bool:
    mine = set(re.findall(r"[a-z0-9]+", item.span.said.lower()))
    here = vector(item)
    figures = {f.key for f in find(item.span.said)}
    for other in others:
        if item.key != other.key and figures - {f.key for f in find(other.span.said)}:
            continue  # a figure that was not told yet
        theirs = set(re.findall(r"[a-z0-9]+", other.span.said.lower()))
        shared = len(mine & theirs) / max(1, min(len(mine), len(theirs)))
        if shared >= 0.8 or item.key == other.key:
            return True
        if float(here @ vector(other)) >= ALIKE and shared >= 0.45:
            return True
    return False


_MONTHS = "January February March April May June July August September October November December".split()


def month_name(as_of: str) -> str:
    """ "2026-03" -> "March 2026"; "2026" -> "2026"; "" when unknown."""
    match = re.fullmatch(r"(\d{4})(?:-(\d\d))?(?:-\d\d)?", as_of)
    if not match:
        return ""
    return f"{_MONTHS[int(match[2]) - 1]} {match[1]}" if match[2] and 1 <= int(match[2]) <= 12 else match[1]


def _dated(item: Evidence) -> str:
    """A volatile statement says of when it is, unless it does so itself."""
    text = item.span.said
    dates = sorted(f.as_of for f in item.cited if f.volatile and f.as_of != "unknown")
    if not dates or item.span.kind == "row":
        return text
    if any(f.kind == "date" and f.value[:4] >= dates[0][:4] for f in find(text)):
        return text
    match = re.search(r"([.!?]['\")]?)$", text)
    when = f" (as of {month_name(dates[0])})"
    return text[: match.start()] + when + match[1] if match else text + when
