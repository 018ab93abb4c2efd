"""A personal checklist and timeline of a season: tasks in the order in which they must be done, each with its date and source."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from pydantic import Field

from bot.errors import InputError
from bot.rows import NONE, UNKNOWN, CalendarRow, TableRow, Tables, TaskRow
from bot.tools.result import Line, Outcome, Value, plain, quoted
from bot.tools.tool import Arguments, Tool

Done = Literal["step1", "step2ck", "certificate", "step3"]
COLUMNS = {"task": "Task", "when": "When", "why": "Why", "phase": "Part of the way", "after": "Comes after"}
EVERY = "every"


class SeasonArguments(Arguments):
    match_year: int | None = Field(None, description="Year of the Match that is aimed at; absent: the next one whose Match Day is to come")
    visa: Literal["J-1", "H-1B", "none", "unknown"] = Field("unknown", description="Visa that is planned; its tasks are added")
    done: list[Done] = Field([], description="What is done already: step1, step2ck, certificate (ECFMG), step3")


def find(arguments: SeasonArguments, tables: Tables, today: dt.date) -> Outcome:
    season = _season(arguments, tables, today)
    tasks = [row for row in tables.tasks if _applies(row, arguments)]
    names = {row.cells.task for row in tasks}
    calendar = {row.cells.event: row for wanted in (EVERY, season) for row in tables.calendar if row.cells.season == wanted}
    lines = []
    for row in ordered(tasks):
        after = [name for name in row.cells.after.split(";") if name in names]
        lines.append(_line(row, after, calendar.get(row.cells.event), today, {r.cells.task: r.key for r in tasks}))
    undated = [line.cells["task"].text for line in lines if line.cells["when"].text == UNKNOWN]
    return Outcome(
        title=f"Checklist for the Match of {season}",
        kind="checklist",
        columns=COLUMNS,
        lines=lines,
        notes=[
            "Tasks stand in an order in which they can be done. A task without a day of its own belongs before those that come after it.",
            "Dates are those our sources give. Confirm each on its owner's page; deadlines of a program may be earlier.",
            *["Tasks of a visa are left out: say whether a J-1 or an H-1B is planned to add them."] * (arguments.visa == "unknown"),
        ],
        unknown=[f"A day for: {name}" for name in undated],
        said=[calendar[name].evidence("date") for name in ("ERAS applications may be submitted", "Match Day") if name in calendar],
        exports=["md", "ics", "html"],
        given=[season],
    )


def _season(arguments: SeasonArguments, tables: Tables, today: dt.date) -> str:
    """The year of the Match that is planned for.

    Raises:
        InputError: no dates of that season are held.
    """
    held = sorted({row.cells.season for row in tables.calendar if row.cells.season != EVERY})
    if arguments.match_year is None:
        to_come = [row.cells.season for row in tables.calendar if row.cells.event == "Match Day" and row.raw("date") > today.isoformat()]
        return min(to_come, default=held[-1])
    if str(arguments.match_year) not in held:
        raise InputError(f"season_calendar: no dates of the Match of {arguments.match_year} are held. There are: {', '.join(held)}.")
    return str(arguments.match_year)


def _applies(row: TableRow[TaskRow], arguments: SeasonArguments) -> bool:
    to = row.cells.applies
    if to in ("step1", "step2ck"):
        return to not in arguments.done and "certificate" not in arguments.done
    if to == "certificate":
        return to not in arguments.done
    if to == "h1b":
        return arguments.visa == "H-1B" and not (row.cells.task == "Pass Step 3" and "step3" in arguments.done)
    return to == "all" or to == "j1" and arguments.visa == "J-1"


def ordered(tasks: Sequence[TableRow[TaskRow]]) -> list[TableRow[TaskRow]]:
    """Each task after those it needs; among those that could come next, in the table's order.

    Raises:
        InputError: tasks of the table wait for each other.
    """
    by_name = {row.cells.task: row for row in tasks}
    place = {name: i for i, name in enumerate(by_name)}
    graph = {name: [other for other in row.cells.after.split(";") if other in by_name] for name, row in by_name.items()}
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        raise InputError(f"The tasks of the table wait for each other: {', '.join(error.args[1])}. Correct tasks.csv.") from None
    result: list[TableRow[TaskRow]] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=lambda name: place[name])
        name, ready = ready[0], ready[1:]
        result.append(by_name[name])
        sorter.done(name)
    return result


def _line(row: TableRow[TaskRow], after: list[str], event: TableRow[CalendarRow] | None, today: dt.date, keys: dict[str, str]) -> Line:
    when, date = _when(event)
    reason = ""
    if date and date < today.isoformat():
        reason = "This day has passed."
    elif row.cells.event != NONE and event is not None and row.cells.event != row.cells.task:
        reason = f"Dated by: {event.cells.event}."
    cells = {
        "task": plain(row.cells.task),
        "when": when,
        "why": quoted(row, "says"),
        "phase": plain(row.cells.phase),
        "after": plain(", ".join(after)),
    }
    return Line(row.key, cells, reason, after=tuple(keys[name] for name in after), date=date)


def _when(event: TableRow[CalendarRow] | None) -> tuple[Value, str | None]:
    """The day of an event or the rule by which it is told; and the day as a date, where it is one."""
    if event is None:
        return plain(""), None
    if not event.known("date"):
        return quoted(event, "rule"), None
    text, evidence = event.shown("date"), [event.evidence("date")]
    if event.known("rule"):
        text, evidence = f"{text} ({event.raw('rule')})", [*evidence, event.evidence("rule")]
    day = event.raw("date")
    return Value(text, tuple(evidence)), day if len(day) == len("2026-09-02") else None


TOOL = Tool(
    "season_calendar",
    "Checklist and timeline of a season",
    "Makes a personal checklist for one Match: the tasks from eligibility to the first day of residency, in order, with what comes before "
    "each, its date or the rule for it, and its source. It can be exported as Markdown, calendar file or print page.",
    SeasonArguments,
    find,
)
