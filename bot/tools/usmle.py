"""A calculator over the sourced rules: attempts left at a Step, the next possible day, the ends of the seven-year windows."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Literal

from pydantic import Field, model_validator

from bot.errors import InputError
from bot.rows import RuleRow, StateRow, TableRow, Tables
from bot.tools.result import Input, Line, Outcome, Value, computed, plain, quoted
from bot.tools.tool import Arguments, Tool

FIRST_EXAM = dt.date(1992, 1, 1)
"""The USMLE began in 1992: an earlier date is a slip."""


class UsmleArguments(Arguments):
    step: Literal["Step 1", "Step 2 CK", "Step 3"] = Field("Step 1", description="The exam that is asked about")
    attempts_used: int | None = Field(
        None, ge=0, le=20, description="Attempts at this Step so far, incomplete ones included; absent: as many as dates"
    )
    attempt_dates: list[dt.date] = Field([], max_length=20, description="Days of the attempts at this Step, as YYYY-MM-DD")
    first_pass: dt.date | None = Field(None, description="Exam day of the first exam passed of those that ECFMG certification needs")
    state: str | None = Field(None, description="A US state whose limits matter, by name or code")

    @model_validator(mode="after")
    def _agree(self) -> UsmleArguments:
        if self.attempts_used is not None and self.attempts_used < len(self.attempt_dates):
            raise ValueError(f"attempts_used is {self.attempts_used}, but there are {len(self.attempt_dates)} dates; correct one of them")
        if len(set(self.attempt_dates)) < len(self.attempt_dates):
            raise ValueError("attempt_dates names a day twice")
        for day in (*self.attempt_dates, *([self.first_pass] if self.first_pass else [])):
            if day < FIRST_EXAM:
                raise ValueError(f"{day} is no possible exam day: the USMLE began in {FIRST_EXAM.year}")
        return self

    @property
    def used(self) -> int | None:
        return self.attempts_used if self.attempts_used is not None else len(self.attempt_dates) or None


def find(arguments: UsmleArguments, tables: Tables, today: dt.date) -> Outcome:
    arguments.attempt_dates.sort()
    _not_to_come(arguments, today)
    state = tables.state(arguments.state) if arguments.state else None
    lines = [*_attempts(arguments, tables, state), *_windows(arguments, tables, state)]
    for name in ("incomplete attempts", "time limit of the USMLE program", "start of the ECFMG time limit"):
        if row := tables.rule(name):
            cells = {"question": plain(name[:1].upper() + name[1:]), "answer": quoted(row, "says"), "rule": plain("")}
            lines.append(Line(row.key, cells))
    unknown = []
    if state is not None:
        unknown = [
            f"{state.cells.state}: {what}"
            for what, column in (("limit on attempts", "usmle_attempt_limit"), ("limit on time", "usmle_limit_years"))
            if not state.known(column)
        ]
    said = [row.evidence("says") for name in ("attempts at a Step", "time limit for ECFMG certification") if (row := tables.rule(name))]
    return Outcome(
        title=f"USMLE rules for {arguments.step}" + (f" and {state.cells.state}" if state else ""),
        kind="numbers",
        columns={"question": "Question", "answer": "Answer", "rule": "Rule"},
        lines=lines,
        notes=[
            "States count their time limit in different ways: from the first Step passed or from the first attempted. Ask the board.",
            "A day worked out here holds only if the days given are right.",
        ],
        unknown=unknown,
        said=said if arguments.first_pass else said[:1],
        given=[str(arguments.used or 0)],  # as many as the dates given
    )


def _not_to_come(arguments: UsmleArguments, today: dt.date) -> None:
    for day in (*arguments.attempt_dates, *([arguments.first_pass] if arguments.first_pass else [])):
        if day > today:
            raise InputError(f"usmle_rules: {day} lies in the future; give the days of exams that were taken.")


def _line(row: TableRow[Any], question: str, answer: Value) -> Line:
    return Line(row.key, {"question": plain(question[:1].upper() + question[1:]), "answer": answer, "rule": quoted(row, "says")})


def _attempts(arguments: UsmleArguments, tables: Tables, state: TableRow[StateRow] | None) -> list[Line]:
    lines: list[Line] = []
    limit, used, days = tables.rule("attempts at a Step"), arguments.used, arguments.attempt_dates
    if limit is None or used is None:
        return [_line(limit, f"attempts allowed at {arguments.step}", quoted(limit, "value"))] if limit else []
    left = computed("difference", Input("limit", limit.raw("value"), limit.evidence("value")), Input("attempts used", str(used)))
    lines.append(_line(limit, f"attempts left at {arguments.step}", left))
    if state is not None:
        lines.append(_of_the_state(state, "usmle_attempt_limit", f"attempts {state.cells.state} allows", used))
    if used and days and left.text != "0":
        lines += [line for line in [_next_day(tables, used, days)] if line is not None]
    return lines


def _with_unit(row: TableRow[RuleRow]) -> str:
    return f"{row.raw('value')} {row.raw('unit')}"


def _of_the_state(state: TableRow[StateRow], column: str, question: str, used: int) -> Line:
    cell = state.raw(column)
    each = re.fullmatch(r"(\d+) per Step(?: \(.*\))?", cell)
    answer = (
        computed("difference", Input("the state's limit for each Step", each[1], state.evidence(column)), Input("attempts used", str(used)))
        if each
        else quoted(state, column)
    )
    question = question[:1].upper() + question[1:] + (", left" if each else "")
    return Line(f"{state.key}-attempts", {"question": plain(question), "answer": answer, "rule": quoted(state, column)})


def _next_day(tables: Tables, used: int, days: list[dt.date]) -> Line | None:
    """The first day of the next attempt, by the rules of intervals."""
    year, first, latest = (
        tables.rule(name) for name in ("attempts within 12 months", "fourth attempt after the first", "fourth attempt after the latest")
    )
    if not (year and first and latest):
        return None
    if used >= 3 and used == len(days):
        inputs = (
            Input("first attempt", days[0].isoformat()), Input("rule", _with_unit(first), first.evidence("says")),
            Input("latest attempt", days[-1].isoformat()), Input("rule", _with_unit(latest), latest.evidence("says")),
        )  # fmt: skip
        return _line(first, "earliest day of the fourth attempt", computed("latest", *inputs))
    return _line(year, "attempts within a year", quoted(year, "value"))


def _windows(arguments: UsmleArguments, tables: Tables, state: TableRow[StateRow] | None) -> list[Line]:
    lines: list[Line] = []
    window, passed = tables.rule("time limit for ECFMG certification"), arguments.first_pass
    if passed is None:
        return lines
    start = Input("first pass", passed.isoformat())
    if window is not None:
        end = computed("add years", start, Input("rule", _with_unit(window), window.evidence("says")))
        lines.append(_line(window, "end of the time for ECFMG certification", end))
    if state is not None and state.raw("usmle_limit_years").isdigit():
        limit = Input("the state's limit", state.shown("usmle_limit_years"), state.evidence("usmle_limit_years"))
        end = computed("add years", start, limit)
        question = f"End of the time for all Steps in {state.cells.state}, counted from the first pass"
        cells = {"question": plain(question), "answer": end, "rule": quoted(state, "usmle_limit_years")}
        lines.append(Line(f"{state.key}-time", cells))
    return lines


TOOL = Tool(
    "usmle_rules",
    "USMLE attempts and time limits",
    "Works out from sourced rules how many attempts at a Step are left, the first day of a fourth attempt, and when the time for ECFMG "
    "certification and a state's time for all Steps end.",
    UsmleArguments,
    find,
)
