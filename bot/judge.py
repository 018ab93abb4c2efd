"""Whether what was found answers the question. Decided by a model of a few signals, fitted on the golden set, never guessed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bot.evidence import Evidence
from bot.retrieve import STRICT, Found

# Logistic regression on tests/golden (see `img-advisor eval --fit`): each signal is about 0..1.
COEFFICIENTS = {"bias": -5.0, "passage": 3.5, "cosine": 3.0, "coverage": 3.0, "unknown": -2.5, "missing": -2.5, "margin": 0.0}
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Judgement:
    answerable: bool
    probability: float
    missing: tuple[str, ...]  # names of the question that the evidence does not name
    signals: dict[str, float]


def judge(found: Found) -> Judgement:
    signals = signals_of(found)
    probability = _probability(signals)
    missing = tuple(sorted(_missing(found)))
    return Judgement(probability >= THRESHOLD and not _guarded(found, missing), round(probability, 4), missing, signals)


def signals_of(found: Found) -> dict[str, float]:
    """Signals of the best three passages; all zero when nothing was found."""
    if not found.passages:
        return {name: 0.0 for name in COEFFICIENTS if name != "bias"}
    top = found.passages[:3]
    core = found.query.core
    return {
        "passage": top[0].score,
        "cosine": max(p.cosine for p in top),
        "coverage": max(p.coverage for p in top),
        "unknown": len(found.unknown) / len(core) if core else 0.0,
        "missing": len(_missing(found)) / max(len(found.query.named(STRICT)), 1),
        "margin": found.passages[0].score - found.passages[min(4, len(found.passages) - 1)].score,
    }


def _probability(signals: dict[str, float]) -> float:
    total = COEFFICIENTS["bias"] + sum(COEFFICIENTS[name] * value for name, value in signals.items())
    return float(1 / (1 + np.exp(-total)))


def _missing(found: Found) -> set[str]:
    """Strict names of the question that no good evidence names, in its sentence or its chunk."""
    named = found.query.named(STRICT)
    good: set[str] = set()
    for passage in found.passages[:3]:
        good |= passage.chunk.entities
    return set(named - good)


def _guarded(found: Found, missing: tuple[str, ...]) -> bool:
    """The entity guard: a state or exam or visa that is asked about and absent from the evidence."""
    named = found.query.named(STRICT)
    return bool(named) and len(missing) == len(named)


def usable(evidence: Evidence, found: Found, facets: frozenset[str]) -> bool:
    """Whether a sentence may answer: it must not speak of another state, exam … than the one asked about."""
    asked: dict[str, set[str]] = {}
    for ident, kind in found.query.entities.items():
        asked.setdefault(kind, set()).add(ident)
    present = evidence.span.entities | facets
    return not any(kind in ("state", "exam", "visa", "pathway", "waiver") and not (idents & present) and _others(present, kind, idents, found) for kind, idents in asked.items())


def _others(present: frozenset[str], kind: str, idents: set[str], found: Found) -> bool:
    prefix = {"state": "state", "exam": "step", "pathway": "pathway"}.get(kind, "")
    return bool(prefix) and any(p.startswith(prefix) and p not in idents for p in present)
