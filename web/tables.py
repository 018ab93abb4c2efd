"""The tables as pages: where citations of their rows lead."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse

from web.pages import page
from web.problems import documented
from web.state import AdvisorHere, limit_requests

router = APIRouter(tags=["guides"], dependencies=[Depends(limit_requests)], default_response_class=HTMLResponse)


@router.get("/guides/tables", summary="All tables", responses=documented("too-many-requests", "internal"))
async def list_tables(advisor: AdvisorHere) -> HTMLResponse:
    """What the tables hold, each with the number of its rows."""
    return page("tables.html", tables=await advisor.tables())


@router.get("/guides/tables/{name}", summary="A table", responses=documented("not-found", "too-many-requests", "internal"))
async def read_table(name: str, advisor: AdvisorHere, quote: Annotated[str, Query(max_length=8000)] = "") -> HTMLResponse:
    """Each row with its source and date, and an anchor that citations open. `quote` is the exact text of a citation."""
    table = await advisor.table(name)
    quoted = next((row.anchor for row in table.rows if quote and quote in row.text), "")
    return page("table.html", table=table, quote=quote, quoted=quoted)
