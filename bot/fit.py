"""Fits the ranking and the refusal to the golden set, with five folds, and prints the constants of `bot.retrieve` and `bot.judge`.

Ranking: listwise logistic regression (the softmax of all candidates of a question against those that answer it). Refusal: logistic
regression on the signals of `bot.judge`, the unanswerable questions weighing double, because answering what is not known is worse than
asking a human. Folds are cut by question, so that no part of a message is in two of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bot.answer import Turn
from bot.golden import GoldenQuestion, read_golden
from bot.judge import COEFFICIENTS, signals_of
from bot.kinds import Kinds, fit_kinds
from bot.messages import FOLDS, MessageKind, read_messages
from bot.plan import Planner
from bot.retrieve import NOT_HELD, WEIGHTS, Retriever

UNANSWERABLE_WEIGHT = 2.0
RIDGE = 0.001
STORED, STORED_WEIGHT = 1200, 0.35
"""Golden and stored questions that kinds of messages are fitted on beside the labelled ones, and what each weighs."""
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
    """What kinds of messages are fitted on: texts with their kinds, what each weighs, and messages x dimensions."""

    said: list[tuple[str, MessageKind, float]]
    vectors: np.ndarray

    def kinds(self, embedder: str, without: Collection[str] = ()) -> Kinds:
        """The weights for `embedder`, fitted on all but some texts."""
        kept = [i for i, (text, _, _) in enumerate(self.said) if text not in without]
        kinds, weights = [self.said[i][1] for i in kept], [self.said[i][2] for i in kept]
        return Kinds(embedder, fit_kinds(self.vectors[kept].astype(np.float64), kinds, weights))


def labelled(retriever: Retriever, planner: Planner, path: Path, english: Callable[[str], str]) -> Labelled:
    """Labelled messages that are not held out, golden questions and stored questions of the guides (`bot.kinds`)."""
    said: list[tuple[str, MessageKind, float]] = [(m.says, m.kind, 1.0) for m in read_messages(path / "scope") if not m.held_out]
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
    return Labelled(said, retriever.embed([english(text) for text, _, _ in said]))


def _samples(retriever: Retriever, planner: Planner, question: GoldenQuestion) -> list[Sample]:
    plan = planner.plan(question.question, [Turn(role=t.role, text=t.text) for t in question.history])
    if plan.scope is not None:
        return []
    wanted = question.parts or [question.expect]
    found = retriever.find([retriever.query(p.text, about=p.about, context=p.context) for p in plan.parts], 60)
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
