"""Two runs of the golden set side by side: what moved, and which questions went from right to wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.errors import InputError

LESS_IS_BETTER = frozenset(
    {"unsupported_figures", "wrong_refusals", "says_what_it_must_not", "false_alarms", "false_alarms_paraphrases", "p50_ms", "p95_ms"}
)
NOT_JUDGED = frozenset({"questions", "p50_ms", "p95_ms"})
"""Shown without a verdict: how many questions there are, and times, which depend on the machine."""


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """
    Args:
        before, after: reports of `bot.evaluate.evaluate`.
    Returns: {"measures": [{"name", "before", "after", "verdict"}], "worse": [{"id", "question", "why"}] (right before, wrong now),
    "other": the same for those wrong in both for other reasons, "better": [id], "new": [id], "gone": [id]}.

    Raises:
        InputError: `before` is not such a report.
    """
    try:
        old = {row["id"]: row for row in before["rows"]}
        measures = dict(before["measures"])
    except (KeyError, TypeError):
        raise InputError("The run to compare with is no report of img-advisor eval. Give a file that --json or --report wrote.") from None
    now = {row["id"]: row for row in after["rows"]}
    both = [(old[ident], row) for ident, row in now.items() if ident in old]
    return {
        "measures": [
            {"name": name, "before": measures.get(name), "after": value, "verdict": _verdict(name, measures.get(name), value)}
            for name, value in after["measures"].items()
        ],
        "worse": [_line(row) for was, row in both if row["why"] and not was["why"]],
        "other": [_line(row) for was, row in both if row["why"] and was["why"] and row["why"] != was["why"]],
        "better": [row["id"] for was, row in both if was["why"] and not row["why"]],
        "new": [ident for ident in now if ident not in old],
        "gone": [ident for ident in old if ident not in now],
    }


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("id", "question", "why")}


def _verdict(name: str, before: float | None, after: float | None) -> str:
    if name in NOT_JUDGED or before is None or after is None:
        return ""
    if before == after:
        return "same"
    return "better" if (after < before) == (name in LESS_IS_BETTER) else "worse"


def table(found: Mapping[str, Any]) -> str:
    """The comparison as text for a terminal."""
    lines = ["measure".ljust(28) + "before".rjust(10) + "now".rjust(10)]
    for item in found["measures"]:
        mark = {"better": " +", "worse": " -"}.get(item["verdict"], "")
        lines.append(item["name"].ljust(28) + shown(item["before"]).rjust(10) + shown(item["after"]).rjust(10) + mark)
    for name, title in (("worse", "Right before, wrong now"), ("other", "Wrong for other reasons")):
        if found[name]:
            lines += ["", f"{title} ({len(found[name])}):", *(f"  {item['id']}: {'; '.join(item['why'])}" for item in found[name])]
    for name, title in (("better", "Wrong before, right now"), ("new", "New"), ("gone", "Gone")):
        if found[name]:
            lines += ["", f"{title} ({len(found[name])}): {', '.join(found[name])}"]
    return "\n".join(lines)


def shown(value: object) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
