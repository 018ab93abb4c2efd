"""The macros: all of them, whether they are due for a review, and whether the guides still bear them out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from bot.accounts import Account
from bot.advisor import Advisor
from bot.errors import AdvisorError, Conflict, InputError
from bot.macros import Macro
from web.console.away import KeepingRoute
from web.console.frame import NAV, Me, render, require, said
from web.state import AdvisorHere

PATH = "/console/macros"
REVIEW_DAYS = 180
router = APIRouter(prefix=PATH, dependencies=[Depends(require("advisor"))], route_class=KeepingRoute)
Text = Annotated[str, Form()]

NAV.append(("Macros", PATH, "advisor"))


@dataclass(frozen=True, slots=True)
class Row:
    macro: Macro
    overdue: bool
    unborne: list[str]


@router.get("")
async def macros_page(request: Request, me: Me, advisor: AdvisorHere, open: str = "") -> Response:
    return await _page(request, me, advisor, opened=open)


async def _page(
    request: Request, me: Account, advisor: Advisor, *, opened: str = "", problem: str = "", status_code: int = 200,
    fresh: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    today = advisor.today()
    macros = await advisor.macros.all()
    rows = [Row(macro, macro.overdue(today), await _unborne(advisor, macro)) for macro in macros]
    rows.sort(key=lambda row: not (row.overdue or row.unborne))
    blank = {"title": "", "text": "", "review_by": (today + dt.timedelta(days=REVIEW_DAYS)).isoformat()}
    values: dict[str, Any] = {"macros": rows, "opened": opened, "problem": problem, "fresh": fresh or blank}
    names = await advisor.accounts.names(macro.author for macro in macros)
    return render(request, me, "console/macros.html", status_code=status_code, names=names, **values)


async def _unborne(advisor: Advisor, macro: Macro) -> list[str]:
    try:
        return await advisor.unborne(macro.text)
    except AdvisorError:
        return []  # there is no index to ask now


@router.post("")
async def add(request: Request, me: Me, advisor: AdvisorHere, title: Text = "", text: Text = "", review_by: Text = "") -> Response:
    try:
        await advisor.macros.add(title, text, review_by, me.id)
    except InputError as error:
        fresh = {"title": title, "text": text, "review_by": review_by}
        return await _page(request, me, advisor, problem=str(error), status_code=422, fresh=fresh)
    return said(request, PATH, "Added. It can be inserted into every draft now.")


@router.post("/{macro_id}")
async def change(
    request: Request, me: Me, advisor: AdvisorHere, macro_id: str, title: Text = "", text: Text = "", review_by: Text = "",
    version: Annotated[int, Form()] = 0,
) -> Response:  # fmt: skip
    try:
        await advisor.macros.change(macro_id, title, text, review_by, me.id, version)
    except (InputError, Conflict) as error:
        fresh = {"title": title, "text": text, "review_by": review_by}  # below, so that it is not lost
        return await _page(request, me, advisor, opened=macro_id, problem=str(error), status_code=422, fresh=fresh)
    return said(request, f"{PATH}?open={macro_id}", "Saved.")


@router.post("/{macro_id}/remove")
async def remove(request: Request, me: Me, advisor: AdvisorHere, macro_id: str) -> Response:
    await advisor.macros.remove(macro_id)
    return said(request, PATH, "The macro is gone.")
