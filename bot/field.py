"""Whether a message is of our field at all: what the search found of it, in a few signals. Fitted once on the labelled messages that are
learnt from; `make fit` does not fit it again.

Only asked where the guides do not surely answer: "we do not hold that" and "that is not our field" are different things to be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bot.judge import Judgement
from bot.retrieve import Found

# Logistic regression; each signal is about 0..1.
COEFFICIENTS = {
    "bias": 2.33, "probability": -2.06, "passage": -2.0, "chunk": -4.62, "question": -3.29, "coverage": 0.52, "not_held": -2.69,
    "lacking": -2.83, "named": -0.22, "unknown": 1.15,
}  # fmt: skip
THRESHOLD = 0.5
SURE = 0.85
"""An answer that is judged this likely is given, whatever the message looks like."""
PLAIN = 0.9
"""Where the guides seem to hold an answer, so plain must it be that the message is none of ours."""
TOP = 3
_WORDS = 2  # of a message in another language that must be understood


@dataclass(frozen=True, slots=True)
class Looked:
    """A question, what was found for it, and how well that answers it."""

    found: Found
    judged: Judgement


def sure(looked: Sequence[Looked]) -> bool:
    """Whether the guides surely answer all questions of a message."""
    return all(each.judged.answerable and each.judged.probability >= SURE for each in looked)


def foreign(looked: Sequence[Looked]) -> bool:
    """Whether none of the questions of a message is of our field."""
    return bool(looked) and all(_foreign(each) for each in looked)


def _foreign(looked: Looked) -> bool:
    if not looked.found.has_questions or len(looked.found.query.core) < _WORDS and not looked.found.query.text.isascii():
        return False  # another library, or too little was understood
    if looked.judged.answerable:
        return looked.judged.probability < SURE and probability(looked) >= PLAIN
    return probability(looked) >= THRESHOLD


def probability(looked: Looked) -> float:
    """That the question is of another field."""
    signals = signals_of(looked)
    total = COEFFICIENTS["bias"] + sum(value * signals[name] for name, value in COEFFICIENTS.items() if name != "bias")
    return float(1 / (1 + np.exp(-total)))


def signals_of(looked: Looked) -> dict[str, float]:
    found = looked.found
    top, lacking = found.passages[:TOP], found.not_held

    def best(name: str) -> float:
        return max((p.details[name] for p in top), default=0.0)

    return {
        "probability": looked.judged.probability,
        "passage": top[0].score if top else 0.0,
        "chunk": best("chunk"),
        "question": best("question"),
        "coverage": max((p.coverage for p in top), default=0.0),
        "not_held": lacking.details["question"] if lacking else 0.0,
        "lacking": lacking.score if lacking else 0.0,
        "named": min(len(found.query.entities), 3) / 3,
        "unknown": len(found.unknown) / max(len(found.query.core), 1),
    }
