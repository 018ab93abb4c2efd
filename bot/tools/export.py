"""A result to take along: as Markdown, or its dated rows as a calendar file."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import bot
from bot.answer import Citation, ResultRow, ToolResult

if TYPE_CHECKING:
    from icalendar import Event

PRODUCT = f"-//IMG Advisor//{bot.__version__}//EN"


def cited(result: ToolResult, citations: Sequence[Citation]) -> list[Citation]:
    """The citations of a result, in the order of their numbers, each source once for each date."""
    used = {n for row in result.rows for n in row.citations}
    return [c for c in citations if c.n in used]


def as_markdown(result: ToolResult, citations: Sequence[Citation]) -> str:
    """Title, table or checklist, notes, what is unknown, and the sources; ends with a line break."""
    lines = [f"# {_plain(result.title)}", ""]
    lines += _tasks(result) if result.kind == "checklist" else _table(result)
    worked_out = [(row, item) for row in result.rows for item in row.computed]
    if worked_out:
        lines += ["", "## Worked out", ""]
        label = {column.key: column.label for column in result.columns}
        lines += [f"- {_plain(label.get(c.key, c.key))}: {_plain(row.cells[c.key])} = {_plain(c.formula)}" for row, c in worked_out]
    if result.notes:
        lines += ["", "## To know", "", *(f"- {_plain(note)}" for note in result.notes)]
    if result.unknown:
        lines += ["", "## Not known to our sources", "", *(f"- {_plain(gap)}" for gap in result.unknown)]
    sources = cited(result, citations)
    if sources:
        lines += ["", "## Sources", "", *(_source(citation) for citation in sources)]
    return "\n".join(lines) + "\n"


def _table(result: ToolResult) -> list[str]:
    keys = [column.key for column in result.columns]
    head = [*(column.label for column in result.columns), "Why", "Sources"]
    rows = [[*(row.cells.get(key, "") for key in keys), row.reason or "", _marks(row)] for row in result.rows]
    if not any(row.reason for row in result.rows):
        head, rows = [*head[:-2], "Sources"], [[*row[:-2], row[-1]] for row in rows]
    return [_joined(head), "|" + " --- |" * len(head), *(_joined(row) for row in rows)]


def _tasks(result: ToolResult) -> list[str]:
    lines = []
    for row in result.rows:
        when = row.cells.get("when", "")
        lines.append(f"- [ ] **{_plain(row.cells['task'])}**" + (f", {_plain(when)}" if when else ""))
        about = [row.cells.get("why", ""), f"Comes after: {row.cells['after']}" if row.cells.get("after") else "", row.reason or ""]
        text = ". ".join(part.rstrip(".") for part in about if part)
        lines.append(f"  {_plain(text)}. {_marks(row)}".rstrip())
    return lines


def _joined(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    """On one line, without characters that Markdown reads as marks of its own."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")


def _marks(row: ResultRow) -> str:
    return "".join(f"[{n}]" for n in row.citations)


def _source(citation: Citation) -> str:
    source = citation.source
    date = citation.as_of if citation.as_of != "unknown" else "undated"
    where = f" <{source.url}>" if source.url else ""
    return f"- [{citation.n}] {_plain(source.publisher or 'Source')}: {_plain(source.title)} ({date}){where}"


def as_calendar(result: ToolResult, citations: Sequence[Citation], made: dt.datetime) -> bytes:
    """The rows with a date as all-day events. The same answer gives the same file, so that a second import changes nothing."""
    from icalendar import Calendar  # here, since it takes a fifth of a second

    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", result.title)
    by_number = {c.n: c for c in citations}
    for row in result.rows:
        if row.date:
            calendar.add_component(_event(row, result, by_number, made))
    return bytes(calendar.to_ical())


def _event(row: ResultRow, result: ToolResult, citations: dict[int, Citation], made: dt.datetime) -> Event:
    assert row.date is not None
    day = dt.date.fromisoformat(row.date)
    from icalendar import Event

    event = Event()
    event.add("uid", hashlib.sha256(f"{result.title}\0{row.key}\0{made.isoformat()}".encode()).hexdigest()[:32] + "@img-advisor")
    event.add("dtstamp", made.astimezone(dt.UTC).replace(microsecond=0))
    event.add("dtstart", day)
    event.add("dtend", day + dt.timedelta(days=1))
    event.add("transp", "TRANSPARENT")
    event.add("summary", row.cells.get("task", row.key))
    sources = [_in_words(citations[n]) for n in row.citations if n in citations]
    about = [row.cells.get("when", ""), row.cells.get("why", ""), *dict.fromkeys(f"Source: {source}" for source in sources)]
    event.add("description", "\n".join(part for part in about if part))
    return event


def _in_words(citation: Citation) -> str:
    date = citation.as_of if citation.as_of != "unknown" else "undated"
    return f"{citation.source.publisher or 'Source'}: {citation.source.title} ({date})" + (
        f" {citation.source.url}" if citation.source.url else ""
    )
