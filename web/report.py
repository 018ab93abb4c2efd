"""The evaluation as files a team can read: Markdown, a page with charts, and a trace page for every question that went wrong.

The folder stands alone: no server, no script, nothing loaded from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot import charts, compare
from bot.evaluate import UPPER, place
from bot.golden import GoldenQuestion
from bot.passage import Passage
from bot.work import Explained
from web.pages import environment

SHARES = (
    "recall@1", "recall@5", "mrr", "ndcg@5", "answering_sentence@3", "says_what_it_must", "citation_support", "figure_support",
    "abstention_f1",
)  # fmt: skip
"""Measures between 0 and 1 where more is better: they share a chart."""
BY_TOPIC = ("recall@5", "answering_sentence@3")
PASSAGES = 8
EVIDENCE = 12


class Report:
    """A folder with `report.md`, `report.html`, `run.json` and `traces/`. Traces are written as questions come, the rest last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "traces").mkdir(parents=True, exist_ok=True)
        for old in (folder / "traces").glob("*.html"):
            old.unlink()

    def explain(self, question: GoldenQuestion, why: list[str], seen: Explained) -> None:
        """Writes the trace page of a question that went wrong."""
        history = [turn.model_dump() for turn in question.history]
        expected = question.parts or ([question.expect] if question.expect else [])
        (self.folder / "traces" / f"{question.id}.html").write_text(
            trace_page(question.question, seen, history=history, why=why, expected=expected, ident=question.id), "utf-8"
        )

    def write(self, run: dict[str, Any], comparison: Mapping[str, Any] | None) -> Path:
        """Returns the page to open."""
        values = {
            "run": run, "columns": {"all": run["measures"], **run["topics"]}, "names": list(next(iter(run["topics"].values()))),
            "upper": UPPER, "comparison": comparison,
        }  # fmt: skip
        (self.folder / "run.json").write_text(json.dumps(run, ensure_ascii=False, indent=1), "utf-8")
        (self.folder / "report.md").write_text(environment.get_template("report.md").render(**values), "utf-8")
        page = self.folder / "report.html"
        page.write_text(environment.get_template("report.html").render(**values, charts=_draw(self.folder, run, comparison)), "utf-8")
        return page


def trace_page(
    question: str, seen: Explained, *, history: list[dict[str, str]] | None = None, why: list[str] | None = None,
    expected: list[list[str]] | None = None, ident: str = "",
) -> str:  # fmt: skip
    """What led to an answer: plan, passages and sentences with their scores, what was written and how its check went.

    Args:
        expected: the places that answer, one list for each question of the message; marked where they were found.
    """
    wanted = {name for places in expected or [] for name in places}
    parts = [
        {
            "part": part, "judged": judged, "passages": [_passage(p, wanted) for p in found.passages[:PASSAGES]],
            "evidence": [{"item": item, "place": f"{item.chunk.document_id}#{item.chunk.anchor}"} for item in found.evidence[:EVIDENCE]],
            "not_held": found.not_held, "dropped": found.dropped,
        }
        for part, found, judged in zip(seen.plan.parts, seen.found, seen.judged, strict=False)
    ]  # fmt: skip
    return environment.get_template("trace.html").render(
        question=question, ident=ident, history=history or [], why=why or [], expected=sorted(wanted), answer=seen.answer, parts=parts,
        checked=seen.checked, steps=seen.answer.trace.plan,
    )


def _passage(passage: Passage, wanted: set[str]) -> dict[str, Any]:
    name = place(passage)
    return {"passage": passage, "place": name, "expected": name in wanted, "details": dict(sorted(passage.details.items()))}


def _draw(folder: Path, run: Mapping[str, Any], comparison: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Writes the charts; (file, what it shows) of each."""
    names = [name for name in SHARES if run["measures"].get(name) is not None]
    series: dict[str, list[float | None]] = {"This run": [run["measures"][name] for name in names]}
    if comparison is not None:
        before = {item["name"]: item["before"] for item in comparison["measures"]}
        series = {"Before": [before.get(name) for name in names], **series}
    topics = sorted(run["topics"])
    by_topic = {name: [run["topics"][topic].get(name) for topic in topics] for name in BY_TOPIC}
    drawings = {
        "measures.svg": ("Measures of the golden set", names, series),
        "topics.svg": ("Found and answered, by topic", topics, by_topic),
    }
    for file, (title, labels, values) in drawings.items():
        shares = {name: [None if v is None else round(100 * v, 1) for v in row] for name, row in values.items()}
        drawing = charts.grouped_bars(
            labels, shares, title=title, description="The figures stand in the tables of the page.", unit="%", most=100.0
        )
        (folder / file).write_text(drawing, "utf-8")
    return [(file, title) for file, (title, _, _) in drawings.items()]


environment.filters["measure"] = compare.shown
