"""The numbers, week by week: what was answered and handed over, how soon, how drafts were changed, what readers thought."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from bot import charts
from bot.errors import NotFound
from bot.numbers import COLUMNS, Week
from web.console.chart import Chart, cell, every, figure, picture, said_day, today
from web.console.frame import HOME, NAV, Me, render, signed_in
from web.console.workroom import WorkroomHere

PATH = f"{HOME}/numbers"
router = APIRouter(prefix=PATH, dependencies=[Depends(signed_in)])
NAV.append(("Numbers", PATH, None))

PERIODS = {4: "4 weeks", 12: "12 weeks", 26: "Half a year", 52: "A year"}
Weeks = Annotated[int, Query(ge=1, le=104)]


@router.get("")
async def numbers_page(request: Request, me: Me, room: WorkroomHere, weeks: Weeks = 12) -> Response:
    fresh = await room.learning.freshen()
    found = await room.numbers.weeks(today(), weeks)
    sources = await room.numbers.sources(found[0].start)
    drawn = [_drawn(name, found, sources) for name in DRAWN]
    figures = [figure(chart, f"{PATH}/{chart.name}.svg?weeks={weeks}") for chart in drawn if chart]
    return render(
        request, me, "console/numbers.html", weeks=weeks, periods=PERIODS, found=found, figures=figures, tiles=_tiles(found), fresh=fresh,
        columns=COLUMNS, waiting=await room.numbers.waiting(), anything=any(week.asked or week.handed_over for week in found),
    )  # fmt: skip


@router.get("/export.csv")
async def export(room: WorkroomHere, weeks: Weeks = 52) -> Response:
    """One row a week, for a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS.values())
    for week in await room.numbers.weeks(today(), weeks):
        writer.writerow([_plain(getattr(week, name)) for name in COLUMNS])
    headers = {"Content-Disposition": f'attachment; filename="img-advisor-numbers-{today()}.csv"'}
    return Response("\ufeff" + out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/{name}.svg")
async def draw(name: str, room: WorkroomHere, weeks: Weeks = 12) -> Response:
    if name not in DRAWN:
        raise NotFound("There is no such chart.")
    found = await room.numbers.weeks(today(), weeks)
    chart = _drawn(name, found, await room.numbers.sources(found[0].start) if name == "sources" else [])
    if chart is None:
        raise NotFound("There is nothing to draw in this period.")
    return picture(chart)


# Tiles --------------------------------------------------------------------------------------------------------------------


def _tiles(weeks: Sequence[Week]) -> list[dict[str, str]]:
    """The last whole period in a few figures, each with what it is made of."""

    def total(name: str) -> int:
        return int(sum(getattr(week, name) for week in weeks))

    asked, sent, votes = total("asked"), total("sent"), total("helpful") + total("unhelpful")
    hours = [week.hours_median for week in weeks if week.hours_median is not None]
    return [
        {"label": "Questions", "value": f"{asked:,}", "said": f"{total('answered'):,} answered in full"},
        {"label": "Answered", "value": _share(total("answered"), asked), "said": f"{total('unanswered'):,} not in our guides"},
        {"label": "Handed over", "value": f"{total('handed_over'):,}", "said": f"{total('replied'):,} have a reply"},
        {"label": "First reply", "value": _hours(sorted(hours)[len(hours) // 2]) if hours else "–", "said": "median of the weeks"},
        {"label": "Drafts sent unchanged", "value": _share(total("unchanged"), sent), "said": f"of {sent:,} sent"},
        {"label": "Found helpful", "value": _share(total("helpful"), votes), "said": f"of {votes:,} votes"},
    ]


def _share(part: int, whole: int) -> str:
    return f"{round(100 * part / whole)}%" if whole else "–"


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(hours * 60))} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


# Charts -------------------------------------------------------------------------------------------------------------------


def _drawn(name: str, weeks: Sequence[Week], sources: Sequence[tuple[str, int]]) -> Chart | None:
    return DRAWN[name](weeks, sources)


def _lines(name: str, title: str, said: str, weeks: Sequence[Week], series: dict[str, str]) -> Chart | None:
    """`series`: field of a week -> what it is called."""
    values: dict[str, list[float | None]] = {label: [getattr(week, key) for week in weeks] for key, label in series.items()}
    if not any(value for each in values.values() for value in each):
        return None
    labels = every([said_day(week.start) for week in weeks])
    rows = [[said_day(week.start), *(cell(values[label][i]) for label in values)] for i, week in enumerate(weeks)]
    draw = partial(charts.lines, labels, values, title=title, description=said)
    return Chart(name, title, said, charts.LINES_HEIGHT, draw, ["Week of", *values], rows)


def _answers(weeks: Sequence[Week], _: Any) -> Chart | None:
    said = "Questions a week, by how they were answered."
    series = {"answered": "Answered", "partial": "In part", "unanswered": "Not in our guides"}
    return _lines("answers", "Questions and answers", said, weeks, series)


def _handed_over(weeks: Sequence[Week], _: Any) -> Chart | None:
    said = "Conversations that asked for an advisor, by the week in which they asked, and how many of them have a reply."
    return _lines("handed-over", "Handed over", said, weeks, {"handed_over": "Handed over", "replied": "Replied to"})


def _first_reply(weeks: Sequence[Week], _: Any) -> Chart | None:
    told = [week for week in weeks if week.hours_median is not None]
    if not told:
        return None
    title = "Time to the first reply"
    said = "Hours from the call for an advisor to the first reply; nine of ten came sooner than the slowest tenth."
    values = {"Median": [week.hours_median for week in told], "Slowest tenth": [week.hours_slowest for week in told]}
    draw = partial(charts.lines, every([said_day(week.start) for week in told]), values, title=title, description=said, unit=" h")
    rows = [[said_day(week.start), cell(week.hours_median, 1), cell(week.hours_slowest, 1)] for week in told]
    return Chart("first-reply", title, said, charts.LINES_HEIGHT, draw, ["Week of", "Median, hours", "Slowest tenth, hours"], rows)


def _edits(weeks: Sequence[Week], _: Any) -> Chart | None:
    said = "What advisors did with drafts before sending them."
    series = {"unchanged": "Unchanged", "tone": "Tone", "scope": "Scope", "fact": "Facts"}
    return _lines("edits", "Drafts and their edits", said, weeks, series)


def _feedback(weeks: Sequence[Week], _: Any) -> Chart | None:
    return _lines("feedback", "What readers thought", "Votes on answers a week.", weeks, {"helpful": "Helpful", "unhelpful": "Not helpful"})


def _sources(weeks: Sequence[Week], sources: Sequence[tuple[str, int]]) -> Chart | None:
    if not sources:
        return None
    title, said = "Sources that answers rest on", "Answers that cite each source, the ten most cited."
    draw = partial(charts.bars, [(_short(name), count) for name, count in sources], title=title, description=said)
    rows = [[name, cell(count)] for name, count in sources]
    return Chart("sources", title, said, charts.bars_height(len(sources)), draw, ["Source", "Answers"], rows)


DRAWN: dict[str, Callable[[Sequence[Week], Sequence[tuple[str, int]]], Chart | None]] = {
    "answers": _answers, "handed-over": _handed_over, "first-reply": _first_reply, "edits": _edits, "feedback": _feedback,
    "sources": _sources,
}  # fmt: skip


def _short(name: str, most: int = 34) -> str:
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
