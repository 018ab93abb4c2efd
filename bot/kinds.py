"""What a message is by its meaning, where no rule has its words: logistic regression on the sentence embedding, one for each kind.

The weights are data (`kinds.json`), made by `make fit` from the labelled messages that are not held out, the golden questions and the
stored questions of the guides. They belong to one embedder; with another one only the rules decide.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bot.messages import KINDS, MessageKind

FILE = Path(__file__).with_name("kinds.json")
FROM: dict[MessageKind, float] = {
    "emergency": 0.3, "fraud": 0.45, "exam_recall": 0.4, "personal_data": 0.2, "steering": 0.3, "legal": 0.4, "medical": 0.3,
    "neighbouring": 0.5, "small_talk": 0.4,
}  # fmt: skip
"""How likely a kind must be to be acted on, set on three folds; the rest is left to what the search finds."""
FROM_ANSWERED: dict[MessageKind, float] = {
    "emergency": 0.42, "fraud": 0.6, "exam_recall": 0.98, "personal_data": 0.5, "steering": 0.6, "legal": 0.65,
}  # fmt: skip
"""The same where the guides seem to answer: an honest question is not overruled."""
PLAIN = 0.75
"""From here on an emergency is one and nothing else."""
RIDGE = 3e-4
STEPS = 6


@dataclass(frozen=True, slots=True)
class Kinds:
    embedder: str
    weights: np.ndarray  # kinds x (bias, dimensions)

    def guess(self, vector: np.ndarray) -> dict[MessageKind, float]:
        """How likely a message is of each kind, each by itself."""
        found = 1 / (1 + np.exp(-(self.weights[:, 0] + self.weights[:, 1:] @ vector)))
        return {kind: round(float(p), 4) for kind, p in zip(KINDS, found, strict=True)}


def decided(guess: dict[MessageKind, float], *, answered: bool) -> MessageKind | None:
    """The kind to act on: the likeliest, where it is likely enough; an emergency also where something else is likelier."""
    limits = FROM_ANSWERED if answered else FROM
    if guess["emergency"] >= limits["emergency"]:
        return "emergency"
    kind = max(guess, key=lambda each: guess[each])
    return kind if guess[kind] >= limits.get(kind, 2) else None


@lru_cache(maxsize=1)
def read_kinds(path: Path = FILE) -> Kinds | None:
    """The weights that come along; None where there are none."""
    if not path.is_file():
        return None
    data = json.loads(path.read_text())
    return Kinds(data["embedder"], np.array([data["weights"][kind] for kind in KINDS], np.float32))


def write_kinds(kinds: Kinds, path: Path = FILE) -> None:
    rows = [f'  "{kind}": {json.dumps([round(float(w), 2) for w in row])}' for kind, row in zip(KINDS, kinds.weights, strict=True)]
    path.write_text(f'{{"embedder": "{kinds.embedder}", "weights": {{\n' + ",\n".join(rows) + "\n}}\n")


def fit_kinds(vectors: np.ndarray, kinds: Sequence[MessageKind], weights: Sequence[float]) -> np.ndarray:
    """kinds x (bias, dimensions), by Newton's method; the same for the same input."""
    mean = vectors.mean(0)
    scale = 0.5 / float(vectors.std())
    x = np.hstack([np.ones((len(vectors), 1)), (vectors - mean) * scale])
    weight = np.asarray(weights, np.float64)
    found = np.stack([_one(x, np.array([k == kind for k in kinds], np.float64), weight) for kind in KINDS])
    slopes = found[:, 1:] * scale
    return np.hstack([found[:, :1] - (slopes @ mean)[:, None], slopes])


def _one(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    ridge = np.full(x.shape[1], RIDGE)
    ridge[0] = 1e-8
    found = np.zeros(x.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        gradient = x.T @ (weight * (chance - target)) / weight.sum() + ridge * found
        curvature = (x * (weight * np.maximum(chance * (1 - chance), 1e-4))[:, None]).T @ x / weight.sum() + np.diag(ridge)
        found = found - np.linalg.solve(curvature, gradient)
    return found
