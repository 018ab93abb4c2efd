"""One's own account: the name applicants see, the password, and the browsers one is signed in with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from bot.errors import InputError
from web.console.frame import HOME, HalfMe, Me, render, said
from web.state import AdvisorHere

router = APIRouter(prefix=f"{HOME}/account")
PATH = f"{HOME}/account"


@router.get("")
async def account_page(request: Request, me: Me, here: HalfMe, advisor: AdvisorHere) -> Response:
    sessions = await advisor.accounts.sessions.of(me.id)
    return render(request, me, "console/account.html", sessions=sessions, session=here.session)


@router.post("")
async def rename(request: Request, me: Me, here: HalfMe, advisor: AdvisorHere, name: Annotated[str, Form()] = "") -> Response:
    try:
        await advisor.accounts.rename(me.id, name, by=me.id)
    except InputError as error:
        sessions = await advisor.accounts.sessions.of(me.id)
        return render(request, me, "console/account.html", status_code=422, sessions=sessions, session=here.session, problem=str(error))
    return said(request, PATH, "Saved.")


@router.post("/sign-out")
async def sign_out(request: Request, me: Me, here: HalfMe, advisor: AdvisorHere) -> Response:
    """Everywhere but here."""
    ended = await advisor.accounts.sign_out(me.id, by=me.id, but=here.session)
    return said(request, PATH, f"Signed out in {ended} other browser{'' if ended == 1 else 's'}.")
