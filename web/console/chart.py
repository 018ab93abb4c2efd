"""A chart on a page of the console: a picture of its own, and the same numbers as a table for whoever cannot see it or wants them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from fastapi.responses import Response
from markupsafe import Markup

from bot.charts import WIDTH
from web.charts import POLICY
from web.pages import environment

PICTURE = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Chart:
    """`said` tells in a sentence what it shows. `rows` are its numbers, the first cell of each being its name."""

    name: str
    title: str
    said: str
    height: int
    draw: Callable[[], str]  # the picture; a page needs its size only
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def picture(chart: Chart) -> Response:
    return Response(chart.draw(), media_type="image/svg+xml", headers=PICTURE)


def figure(chart: Chart, address: str) -> Markup:
    """`address`: of the picture, with the period in it."""
    mark = "&" if "?" in address else "?"
    version = sha256(repr((chart.columns, chart.rows)).encode()).hexdigest()[:8]
    template = environment.get_template("console/chart.html")
    return Markup(template.render(chart=chart, src=f"{address}{mark}v={version}", width=WIDTH, height=chart.height))


def cell(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def every(labels: Sequence[str], most: int = 9) -> list[str]:
    """Labels of an axis, so many that they do not run into each other."""
    step = max(1, -(-len(labels) // most))
    return [label if (len(labels) - 1 - i) % step == 0 else "" for i, label in enumerate(labels)]


def said_day(day: str) -> str:
    """ "2026-11-23" -> "23 Nov"."""
    date = dt.date.fromisoformat(day)
    return f"{date.day} {date:%b}"


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
