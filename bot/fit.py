"""Fits the ranking and the refusal to the golden set, with five folds, and prints the constants of `bot.retrieve` and `bot.judge`.

Ranking: listwise logistic regression (the softmax of all candidates of a question against those that answer it). Refusal: logistic
regression on the signals of `bot.judge`, the unanswerable questions weighing double, because answering what is not known is worse than
asking a human. Folds are cut by question, so that no part of a message is in two of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from bot.answer import Turn
from bot.errors import InputError
from bot.golden import GoldenQuestion, read_golden
from bot.judge import COEFFICIENTS, signals_of
from bot.kinds import BUCKETS, GRAMS, MEANING, SPOKEN, Kinds, grams, in_both
from bot.messages import FOLDS, KINDS, MessageKind, read_messages
from bot.plan import Planner
from bot.retrieve import NOT_HELD, WEIGHTS, Retriever
from bot.terms import read_yaml
from bot.tongues import read_twins

UNANSWERABLE_WEIGHT = 2.0
RIDGE = 0.001
STORED, STORED_WEIGHT = 8000, 0.35
"""Golden and stored questions that kinds of messages are fitted on beside the labelled ones, and what each weighs."""
DANGER_ABROAD = 0.5
"""What messages of people in danger weigh in other languages, where few others are labelled: else a language itself is taken for danger."""
NEVER = -30.0
"""The bias of a kind that nothing was an example of."""
UNCLEAR = frozenset({"residency/wellbeing", "applying/money-scams-and-advisors", "usmle/score-integrity"})
"""Guides whose stored questions are partly those of people in need, or in temptation."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A question of a message: candidates x features, which of them answer, and the signals of the refusal."""

    question: str
    features: np.ndarray
    answers: np.ndarray
    signals: np.ndarray
    answerable: bool
    counts: bool  # for the refusal: entries that may be answered or declined do not


def fit(retriever: Retriever, planner: Planner, path: Path) -> dict[str, Any]:
    """
    Returns: {"ranking": {"weights", "cross_validated": {"recall@1", …}}, "refusal": {"coefficients", "cross_validated": {"f1", …}}}
    """
    samples = [s for question in read_golden(path) for s in _samples(retriever, planner, question)]
    ranked = [s for s in samples if s.answerable and s.answers.any()]
    judged = [s for s in samples if s.counts]
    return {
        "ranking": {"weights": dict(zip(WEIGHTS, _rounded(_listwise(ranked)), strict=True)), "cross_validated": _folds(ranked, _rank_fold)},
        "refusal": {
            "coefficients": dict(zip(COEFFICIENTS, _rounded(_logistic(judged)), strict=True)),
            "cross_validated": _folds(judged, _judge_fold),
        },
    }


@dataclass(frozen=True, slots=True)
class Labelled:
    """What kinds of messages are fitted on: texts with their kinds, what each weighs, messages x dimensions of both embeddings (of what is
    understood, of what is said), and the texts as they are understood in English."""

    said: list[tuple[str, MessageKind, float]]
    vectors: np.ndarray
    spoken: np.ndarray
    understood: list[str]

    def kinds(self, embedder: str, without: Collection[str] = ()) -> Kinds:
        """The weights for `embedder`, fitted on all but some texts.

        Raises:
            InputError: scikit-learn is not installed.
        """
        kept = [i for i, (text, _, _) in enumerate(self.said) if text not in without]
        kinds, weights = [self.said[i][1] for i in kept], [self.said[i][2] for i in kept]
        written = [in_both(self.said[i][0], self.understood[i]) for i in kept]
        return fit_kinds(embedder, self.vectors[kept], self.spoken[kept], written, kinds, weights)


LACKING = "Fitting needs scikit-learn; it comes with `make install-dev`, or as the package scikit-learn."


def can_fit() -> bool:
    """Whether scikit-learn is installed; only fitting needs it."""
    return find_spec("sklearn") is not None


def fit_kinds(
    embedder: str, vectors: np.ndarray, spoken: np.ndarray, written: Sequence[str], kinds: Sequence[MessageKind], weights: Sequence[float]
) -> Kinds:
    """Weights of `bot.kinds`; the same for the same input.

    Raises:
        InputError: scikit-learn is not installed.
    """
    if not can_fit():
        raise InputError(LACKING)
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    counted = [_grams(text) for text in written]
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in counted)])
    buckets, values = (np.concatenate([each[i] for each in counted]) for i in (0, 1))
    rarity = np.log((1 + len(counted)) / (1 + np.bincount(buckets, minlength=BUCKETS))) + 1
    values = values * rarity[buckets]
    for a, b in zip(ends, ends[1:], strict=False):
        values[a:b] *= GRAMS / (np.linalg.norm(values[a:b]) or 1.0)
    dense = np.hstack([vectors, spoken])
    mean = dense.mean(0)
    scale = np.repeat([MEANING / float(vectors.std()), SPOKEN / float(spoken.std())], [vectors.shape[1], spoken.shape[1]])
    features = hstack([csr_matrix((dense - mean) * scale), csr_matrix((values, buckets, ends), (len(counted), BUCKETS))]).tocsr()
    found = LogisticRegression(C=0.5, max_iter=300, tol=1e-3).fit(features, [KINDS.index(kind) for kind in kinds], sample_weight=weights)
    dimensions = dense.shape[1]
    bias, slopes = np.full(len(KINDS), NEVER), np.zeros((len(KINDS), dimensions + BUCKETS))
    bias[found.classes_], slopes[found.classes_] = found.intercept_, found.coef_
    meaning = slopes[:, :dimensions] * scale
    both = vectors.shape[1]
    return Kinds(embedder, bias - meaning @ mean, meaning[:, :both], meaning[:, both:], slopes[:, dimensions:], rarity)


_grams = lru_cache(maxsize=20_000)(grams)  # texts are fitted on in several folds


def labelled(
    retriever: Retriever, planner: Planner, path: Path, english: Callable[[str], str], embed: Callable[[Sequence[str]], np.ndarray]
) -> Labelled:
    """Labelled messages and questions in other languages that are not held out, golden questions and stored questions of the guides
    (`bot.kinds`)."""
    said: list[tuple[str, MessageKind, float]] = [(m.says, m.kind, 1.0) for m in read_messages(path / "scope") if not m.held_out]
    for name, kind_of in (("urgent/emergencies", "emergency"), ("near/honest", "in_scope")):
        said += [(text, cast(MessageKind, kind_of), 1.0) for text in read_yaml((path / "scope" / f"{name}.yaml").read_bytes())]
    said += [(twin.asks, "in_scope", 1.0) for twins in read_twins(path / "languages").values() for twin in twins if not twin.held]
    others: list[tuple[str, MessageKind]] = []
    for question in read_golden(path):
        if question.answerable or question.kind == "no_answer":
            others.append((question.question, "in_scope" if question.answerable else "not_held"))
    told: dict[str, MessageKind] = {
        section: scope.kind for scope in planner.scopes if scope.kind in ("neighbouring", "medical") for section in scope.section.split()
    }
    for chunk in retriever.index.chunks:
        kind: MessageKind = "not_held" if NOT_HELD in chunk.topics else "in_scope"
        if chunk.document_id not in UNCLEAR:
            others += [(text, told.get(f"{chunk.document_id}#{chunk.anchor}", kind)) for text in chunk.questions]
    order = np.random.default_rng(7).permutation(len(others))[:STORED]
    said += [(*others[i], STORED_WEIGHT) for i in order]
    understood = [english(text) for text, _, _ in said]
    said = [
        (text, kind, weight * (DANGER_ABROAD if kind == "emergency" and read != text else 1))
        for (text, kind, weight), read in zip(said, understood, strict=True)
    ]
    return Labelled(said, retriever.embed(understood), embed([text for text, _, _ in said]), understood)


def _samples(retriever: Retriever, planner: Planner, question: GoldenQuestion) -> list[Sample]:
    plan = planner.plan(question.question, [Turn(role=t.role, text=t.text) for t in question.history])
    if plan.scope is not None:
        return []
    wanted = question.parts or [question.expect]
    found = retriever.find([retriever.query(p.text, about=p.about, context=p.context) for p in plan.parts], 60, short=False)
    result = []
    for i, each in enumerate(found):
        places = set(wanted[i] if len(wanted) == len(found) else question.places)
        names = [f"{p.document_id}#{p.chunk.anchor}" for p in each.passages]
        signals = signals_of(each)
        result.append(
            Sample(
                question.id,
                np.array([[p.details[name] for name in WEIGHTS] for p in each.passages]),
                np.array([name in places for name in names]),
                np.array([1.0, *(signals[name] for name in COEFFICIENTS if name != "bias")]),
                question.answerable,
                not question.answerable or (not plan.premises and "no_answer" not in question.status),
            )
        )
    return result


def _listwise(samples: Sequence[Sample], steps: int = 300, rate: float = 0.05) -> np.ndarray:
    """Adam on the mean negative log-likelihood, with a ridge."""
    weights = np.zeros(len(WEIGHTS))
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        gradient = RIDGE * weights
        for sample in samples:
            scores = sample.features @ weights
            share = np.exp(scores - scores.max())
            share /= share.sum()
            right = share * sample.answers
            gradient = gradient + sample.features.T @ (share - right / max(right.sum(), 1e-12)) / len(samples)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        weights -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return weights


def _logistic(samples: Sequence[Sample], steps: int = 60) -> np.ndarray:
    """Newton's method; the bias carries no ridge."""
    signals = np.array([s.signals for s in samples])
    target = np.array([float(s.answerable) for s in samples])
    weight = np.where(target == 1, 1.0, UNANSWERABLE_WEIGHT)
    ridge = RIDGE * np.eye(signals.shape[1])
    ridge[0, 0] = 0
    found = np.zeros(signals.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-signals @ found))
        gradient = signals.T @ (weight * (chance - target)) / len(target) + ridge @ found
        curvature = (signals * (weight * chance * (1 - chance))[:, None]).T @ signals / len(target) + ridge + 1e-9 * np.eye(len(found))
        found = found - np.linalg.solve(curvature, gradient)
    return found


def _folds(samples: Sequence[Sample], measure: Callable[[list[Sample], list[Sample]], dict[str, list[float]]]) -> dict[str, float]:
    ids = sorted({s.question for s in samples})
    np.random.default_rng(7).shuffle(ids)
    fold = {ident: i % FOLDS for i, ident in enumerate(ids)}
    pooled: dict[str, list[float]] = {}
    for number in range(FOLDS):
        train = [s for s in samples if fold[s.question] != number]
        for name, values in measure(train, [s for s in samples if fold[s.question] == number]).items():
            pooled.setdefault(name, []).extend(values)
    if "declined" not in pooled:
        return {name: round(float(np.mean(values)), 4) for name, values in pooled.items()}
    declined, unanswerable = np.array(pooled["declined"]), np.array(pooled["unanswerable"])
    right = float((declined * unanswerable).sum())
    precision, recall = right / max(declined.sum(), 1), right / max(unanswerable.sum(), 1)
    return {
        "precision": round(float(precision), 4), "recall": round(float(recall), 4),
        "f1": round(float(2 * precision * recall / max(precision + recall, 1e-9)), 4),
        "wrong_refusals": round(float((declined * (1 - unanswerable)).sum() / (1 - unanswerable).sum()), 4),
    }  # fmt: skip


def _rank_fold(train: list[Sample], test: list[Sample]) -> dict[str, list[float]]:
    weights = _listwise(train)
    ranks = [int(np.argmax(s.answers[np.argsort(-(s.features @ weights), kind="stable")])) + 1 for s in test]
    return {"recall@1": [float(r == 1) for r in ranks], "recall@5": [float(r <= 5) for r in ranks], "mrr": [1 / r for r in ranks]}


def _judge_fold(train: list[Sample], test: list[Sample]) -> dict[str, list[float]]:
    found = _logistic(train)
    return {"declined": [float(s.signals @ found < 0) for s in test], "unanswerable": [float(not s.answerable) for s in test]}


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 2) for v in values]


def table(report: dict[str, Any]) -> str:
    lines = [f"Fitted on {dt.date.today():%d %B %Y}. Paste into bot/retrieve.py (WEIGHTS) and bot/judge.py (COEFFICIENTS):"]
    for part, name in (("ranking", "weights"), ("refusal", "coefficients")):
        lines += [f"{part}: {report[part][name]}", f"  five folds: {report[part]['cross_validated']}"]
    return "\n".join(lines)
