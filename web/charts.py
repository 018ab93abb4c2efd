"""The charts of the guides as pictures of their own and as figures on pages, and the tables that pages list."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from bot.errors import DocumentError, NotFound
from ingest.charts import CHARTS, Drawn, draw
from ingest.registry import read_registry
from ingest.tables import TABLES, Row, read_tables
from web.pages import environment, page
from web.problems import documented
from web.state import StateHere, limit_requests

router = APIRouter(tags=["guides"], dependencies=[Depends(limit_requests)])
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""For the pictures, whose styles lie inside them: nothing else is loaded and nothing runs."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What the tables of a knowledge folder hold, and the charts drawn from them. `version` changes with the files."""

    version: str
    rows: list[Row]
    charts: dict[str, Drawn]


_kept: dict[Path, tuple[tuple[tuple[str, int, int], ...], Tables]] = {}
_lock = threading.Lock()


def read(knowledge: Path) -> Tables:
    """Read and drawn anew only when a file changed. While one of them is broken, what was read before stays."""
    files = [knowledge / "sources.yaml", knowledge / "facts.yaml", *(knowledge / "data" / name for name in TABLES)]
    stamp = tuple((path.name, stat.st_mtime_ns, stat.st_size) for path in files if path.is_file() and (stat := path.stat()))
    with _lock:
        kept = _kept.get(knowledge)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        errors: list[DocumentError] = []
        try:
            registry, rows = read_registry(knowledge), read_tables(knowledge, errors)
        except DocumentError as error:
            errors.append(error)
        if errors:
            return kept[1] if kept is not None else Tables("", [], {})
        drawn = {name: found for name in CHARTS if (found := draw(name, rows, registry)) is not None}
        version = hashlib.sha256(repr([(name, found.svg) for name, found in drawn.items()]).encode()).hexdigest()[:12]
        _kept[knowledge] = (stamp, Tables(version, rows, drawn))
        return _kept[knowledge][1]


async def tables_here(state: StateHere) -> Tables:
    return await asyncio.to_thread(read, state.settings.knowledge)


TablesHere = Annotated[Tables, Depends(tables_here)]


def figure(tables: Tables, name: str) -> Markup | None:
    """A chart for a page: picture, who is counted, the same as a table, sources and date. None when its table is not there."""
    chart = tables.charts.get(name)
    if chart is None:
        return None
    return Markup(environment.get_template("chart.html").render(chart=chart, version=tables.version))


@router.get("/guides/charts", response_class=HTMLResponse, summary="All charts", responses=documented("too-many-requests", "internal"))
async def list_charts(tables: TablesHere) -> HTMLResponse:
    """Each with the same numbers as a table, who is counted, the sources and the date."""
    return page("charts.html", charts=[(chart, figure(tables, name)) for name, chart in tables.charts.items()])


@router.get(
    "/guides/charts/{name}.svg",
    response_class=Response,
    summary="A chart",
    responses=documented("not-found", "too-many-requests", "internal")
    | {200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
)
async def read_chart(name: str, tables: TablesHere) -> Response:
    """A picture with title and description; it follows the reader's choice of light or dark."""
    chart = tables.charts.get(name)
    if chart is None:
        raise NotFound("There is no such chart. /guides/charts shows what there is.")
    return Response(chart.svg, media_type="image/svg+xml", headers={"Content-Security-Policy": POLICY, "ETag": f'"{tables.version}"'})
