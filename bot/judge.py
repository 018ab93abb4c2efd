"""Whether what was found answers the question. Decided by a model of a few signals, fitted on the golden set, never guessed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from bot.passage import Passage
from bot.retrieve import STRICT, Found

TOP = 3
"""Passages looked at: an answer is made of the best few."""

# Logistic regression on tests/golden (`make fit`); each signal is about 0..1.
COEFFICIENTS = {"bias": -2.98, "passage": 0.55, "question": 2.23, "missing": -3.16, "year": -4.06, "lead": 1.32, "lacking": -5.53}
# For documents that do not say which questions they answer (a handbook, a folder of PDFs): the same regression on half of the golden set's
# sections without headings and stored questions, against the questions whose sections were left out. The bias is half a point kinder than
# fitted: such a collection has no page that says what it lacks, and what is shown is verified all the same.
PLAIN = {"bias": -1.62, "span": 2.79, "coverage": 1.24, "lead": 1.95, "missing": -2.31, "year": -2.2}
THRESHOLD = 0.5
NOTHING_TOLD = -0.25
"""The signal "lacking" of a collection whose documents do not say what they lack: between the values that speak for and against."""
DOUBT = (0.3, 0.7)
"""Between these, what was found in the short way (`bot.query_encoder`) is looked for again with the embedder itself. Of the parts of golden
questions a ninth are; then none of 640 is judged otherwise than with the embedder alone (13 without), and as many are found."""
KEPT = 0.6
"""What names the thing asked about must be at least this good beside what does not."""


@dataclass(frozen=True, slots=True)
class Judgement:
    answerable: bool
    probability: float
    missing: tuple[str, ...]  # ids of things the question names and the evidence does not
    signals: dict[str, float]


def judge(found: Found, today: dt.date) -> Judgement:
    signals = signals_of(found)
    probability = _probability(signals, COEFFICIENTS if found.has_questions else PLAIN)
    missing = tuple(sorted(_missing(found)))
    return Judgement(probability >= THRESHOLD and not _guarded(found, set(missing), today), round(probability, 4), missing, signals)


def in_doubt(found: Found) -> bool:
    """Whether a small error of the question's vector might change the judgement."""
    return DOUBT[0] < _probability(signals_of(found), COEFFICIENTS if found.has_questions else PLAIN) < DOUBT[1]


def _guarded(found: Found, missing: set[str], today: dt.date) -> bool:
    """The guards that no score overrules: a name that the evidence lacks, and years still to come."""
    if not found.evidence or found.evidence[0].score < KEPT * found.dropped and found.query.guarded:
        return True
    if missing & found.rare:
        return True
    coming = frozenset(year for year in found.query.years if int(year) > today.year)
    return bool(coming) and all(_years_missing(coming, passage) == 1 for passage in found.passages[:TOP])


def signals_of(found: Found) -> dict[str, float]:
    """Signals of the best passages; all zero when nothing was found."""
    if not found.passages:
        return {name: 0.0 for name in (*COEFFICIENTS, *PLAIN) if name != "bias"}
    top = found.passages[:TOP]
    query = found.query
    best = top[0]
    fifth = found.passages[min(4, len(found.passages) - 1)]
    return {
        "passage": best.score,
        "question": max(p.details["question"] for p in top),
        "span": max(p.details["span"] for p in top),
        "coverage": max(p.coverage for p in top),
        "missing": len(_missing(found) & found.rare) / max(len(query.named(STRICT)), 1),
        "year": min(_years_missing(query.years, p) for p in top),
        "lead": best.details["score"] - fifth.details["score"],
        "lacking": found.not_held.details["score"] - best.details["score"] if found.not_held else NOTHING_TOLD,
    }


def _years_missing(years: frozenset[str], passage: Passage) -> float:
    if not years:
        return 0.0
    text = " ".join([*passage.chunk.heading, passage.text])
    return sum(not _says_year(text, year) for year in years) / len(years)


def _says_year(text: str, year: str) -> bool:
    """Also where the text has "2026-27" or "2025/26"."""
    return year in text or f"{int(year) - 1}-{year[2:]}" in text or f"{int(year) - 1}/{year[2:]}" in text


def _probability(signals: dict[str, float], coefficients: dict[str, float]) -> float:
    total = coefficients["bias"] + sum(value * signals[name] for name, value in coefficients.items() if name != "bias")
    return float(1 / (1 + np.exp(-total)))


def _missing(found: Found) -> set[str]:
    """Strict names of the question that none of the best passages names."""
    present = frozenset().union(*(p.chunk.entities for p in found.passages[:TOP]))
    return set(found.query.named(STRICT) - present)
