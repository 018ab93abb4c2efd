"""What people ask, how much of it our guides answer, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from bot import charts
from bot.errors import NotFound
from bot.numbers import Topic, Week
from web.console.chart import Chart, cell, every, figure, picture, said_day, today
from web.console.frame import HOME, NAV, Me, render, signed_in
from web.console.numbers import PERIODS, Weeks
from web.console.workroom import Workroom, WorkroomHere
from web.guides import shelf_title

PATH = f"{HOME}/coverage"
router = APIRouter(prefix=PATH, dependencies=[Depends(signed_in)])
NAV.append(("Coverage", PATH, None))
MOST_TASKS = 8


@router.get("")
async def coverage_page(request: Request, me: Me, room: WorkroomHere, weeks: Weeks = 12) -> Response:
    fresh = await room.learning.freshen()
    found = await room.numbers.weeks(today(), weeks)
    topics, guides = await room.numbers.topics(found[0].start), await room.numbers.guides(found[0].start)
    drawn = [_topics(topics), _share_over_time(found)]
    titles = {guide.slug: guide.title for guide in await request.app.state.doors.advisor.guides()} if guides else {}
    return render(
        request, me, "console/coverage.html", weeks=weeks, periods=PERIODS, topics=topics, guides=guides, titles=titles, fresh=fresh,
        figures=[figure(chart, f"{PATH}/{chart.name}.svg?weeks={weeks}") for chart in drawn if chart],
        tasks=await room.learning.tasks.in_state("open", most=MOST_TASKS), shelf=shelf_title,
        may_tasks=me.may("advisor") or me.may("editor"),
    )  # fmt: skip


@router.get("/{name}.svg")
async def draw(name: str, room: WorkroomHere, weeks: Weeks = 12) -> Response:
    chart = await _chart(name, room, weeks)
    if chart is None:
        raise NotFound("There is no such chart.")
    return picture(chart)


async def _chart(name: str, room: Workroom, weeks: int) -> Chart | None:
    found = await room.numbers.weeks(today(), weeks)
    if name == "topics":
        return _topics(await room.numbers.topics(found[0].start))
    return _share_over_time(found) if name == "answered" else None


def _topics(topics: Sequence[Topic]) -> Chart | None:
    shown = [topic for topic in topics if topic.name][:10]
    if not shown:
        return None
    title, said = "What people ask about", "Questions by shelf of the guides, and those that the guides could not answer, or only in part."
    labels = [shelf_title(topic.name) for topic in shown]
    values = {"Asked": [float(topic.asked) for topic in shown], "Not or partly answered": [float(topic.gap) for topic in shown]}
    draw = partial(charts.grouped_bars, labels, values, title=title, description=said)
    rows = [[label, cell(t.asked), cell(t.partial), cell(t.unanswered)] for label, t in zip(labels, shown, strict=True)]
    return Chart("topics", title, said, charts.bars_height(len(labels), 2), draw, ["Shelf", "Asked", "In part", "Not in our guides"], rows)


def _share_over_time(weeks: Sequence[Week]) -> Chart | None:
    told = [week for week in weeks if week.answered + week.partial + week.unanswered]
    if not told:
        return None
    title, said = "How much we can answer", "Share of questions about our subject that were answered in full, by week."
    shares: list[float | None] = [100 * week.answered / (week.answered + week.partial + week.unanswered) for week in told]
    labels = every([said_day(week.start) for week in told])
    draw = partial(charts.lines, labels, {"Answered in full": shares}, title=title, description=said, unit="%", most=100)
    gaps = [week.partial + week.unanswered for week in told]
    rows = [[said_day(week.start), f"{cell(share)}%", cell(gap)] for week, share, gap in zip(told, shares, gaps, strict=True)]
    return Chart("answered", title, said, charts.LINES_HEIGHT, draw, ["Week of", "Answered in full", "Not or in part"], rows)


