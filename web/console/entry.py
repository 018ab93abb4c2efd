"""Signing in and out, and the detour that takes what was typed along when a session ended meanwhile."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from bot.accounts import Account
from bot.errors import InputError, LoginRefused
from bot.passwords import LEAST
from web.console.frame import (
    HOME,
    HalfMe,
    Me,
    Outdated,
    PasswordChangeNeeded,
    SignInNeeded,
    adopt_session,
    csrf_token,
    drop_session,
    fields_of,
    half_signed_in,
    here,
    keep_session,
    render,
    rooms,
    safe_path,
    said,
)
from web.limits import visitor
from web.problems import WebError, problem_of, respond, wants_page
from web.state import AdvisorHere, advisor_of, state_of

router = APIRouter(prefix=HOME)
LOGIN, PASSWORD = f"{HOME}/login", f"{HOME}/password"

Text = Annotated[str, Form()]


@router.get("")
async def home(request: Request, me: Me) -> Response:
    """The first room that one may enter."""
    open_to = [path for _, path, role in rooms() if role is None or me.may(role)]
    return RedirectResponse(open_to[0] if open_to else f"{HOME}/account", 303)


@router.get("/session")
async def session(request: Request, me: Me) -> dict[str, str]:
    """For scripts of pages that were open while somebody signed in again."""
    return {"account": me.id, "name": me.name, "csrf": csrf_token(request)}


# In and out


@router.get("/login")
async def login_page(request: Request, next: str = "") -> Response:
    if await here(request):
        return RedirectResponse(safe_path(next), 303)
    return login_page_of(request, next=safe_path(next))


@router.post("/login")
async def login(
    request: Request, advisor: AdvisorHere, email: Text = "", password: Text = "", next: Text = "", carry: Text = ""
) -> Response:
    address = visitor(request, state_of(request).settings.trust_proxy)
    try:
        account = await advisor.accounts.authenticate(email, password, address)
    except LoginRefused as error:
        status = 429 if error.wait_s else 401
        shown = login_page_of(request, status, next=safe_path(next), carry=carry, email=email[:254], problem=str(error))
        if error.wait_s:
            shown.headers["Retry-After"] = str(error.wait_s)
        return shown
    return await signed(request, account.id, account.must_change, next, carry)


async def signed(request: Request, account_id: str, must_change: bool, next: str, carry: str) -> Response:
    """A new session for who has proved to be the account's owner, and on to where they wanted to go."""
    accounts = advisor_of(request).accounts
    if old := await here(request):
        await accounts.sessions.end(old.session)
    adopt_session(request, await accounts.sessions.open(account_id, device_of(request.headers.get("user-agent", ""))))
    account = await accounts.get(account_id)
    response = _choose(request, account, next=safe_path(next), carry=carry) if must_change else _onward(request, account, next, carry)
    keep_session(request, response)
    return response


def _onward(request: Request, account: Account, next: str, carry: str) -> Response:
    if carried := _carried(carry):
        return render(request, account, "console/carried.html", **carried)
    return RedirectResponse(safe_path(next), 303)


@router.post("/logout")
async def logout(request: Request, me: HalfMe, advisor: AdvisorHere) -> Response:
    await advisor.accounts.sessions.end(me.session)
    await advisor.audit.record(me.account.id, "logout", me.account.id)
    response = said(request, LOGIN, "You are signed out.")
    drop_session(request, response)
    return response


# The password


@router.get("/password")
async def password_page(request: Request, me: HalfMe, next: str = "") -> Response:
    return _choose(request, me.account, next=safe_path(next))


@router.post("/password")
async def change_password(
    request: Request, me: HalfMe, advisor: AdvisorHere, old_password: Text = "", new_password: Text = "", again_password: Text = "",
    next: Text = "", carry: Text = "",
) -> Response:  # fmt: skip
    try:
        if new_password != again_password:
            raise InputError("The two new passwords are not the same. Type the new one again.")
        account = await advisor.accounts.change_password(me.account.id, old_password, new_password, session=me.session)
    except (InputError, LoginRefused) as error:
        return _choose(request, me.account, 422, next=safe_path(next), carry=carry, problem=str(error))
    if _carried(carry):
        return _onward(request, account, next, carry)
    return said(request, safe_path(next), "Your password is changed. Other browsers that were signed in with the old one are signed out.")


# Detours


def add_detours(app: FastAPI) -> None:
    """What happens where somebody has to sign in, or to choose a password, first: what they typed comes along."""

    async def sign_in(request: Request, error: Exception) -> Response:
        if not wants_page(request):
            return _problem("unauthorized", "You are not signed in, or not any more. Sign in at /console/login.")
        if request.method == "GET":
            return RedirectResponse(f"{LOGIN}?next={_quoted(request)}", 303, {"Cache-Control": "no-store"})
        return login_page_of(request, 401, next=HOME, carry=await _carry(request), problem="Your session has ended. Sign in to go on.")

    async def choose(request: Request, error: Exception) -> Response:
        if not wants_page(request):
            return _problem("forbidden", "Choose a password of your own first, at /console/password.")
        if request.method == "GET":
            return RedirectResponse(f"{PASSWORD}?next={_quoted(request)}", 303, {"Cache-Control": "no-store"})
        return _choose(request, (await half_signed_in(request)).account, 403, carry=await _carry(request))

    async def outdated(request: Request, error: Exception) -> Response:
        found = await here(request)
        if not wants_page(request):
            return _problem("forbidden", "This page is older than your session. Ask GET /console/session for a new token.")
        if request.url.path in (LOGIN, PASSWORD, f"{HOME}/logout"):
            return said(request, HOME, "Please try again: the page was too old. If this stays, allow cookies for this site.")
        if found is None:
            return await sign_in(request, error)
        return render(request, found.account, "console/carried.html", status_code=409, **_carried(await _carry(request)))

    for kind, detour in ((SignInNeeded, sign_in), (PasswordChangeNeeded, choose), (Outdated, outdated)):
        app.add_exception_handler(kind, detour)


def _problem(kind: str, detail: str) -> Response:
    return respond(None, problem_of(WebError(kind, detail)))


def _quoted(request: Request) -> str:
    return quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")


def login_page_of(request: Request, status_code: int = 200, **values: Any) -> Response:
    settings = state_of(request).settings
    blank = {"next": HOME, "carry": "", "email": "", "problem": "", "sso": settings.sso_name if settings.sso else ""}
    return render(request, None, "console/login.html", status_code=status_code, **{**blank, **values})


def _choose(request: Request, account: Account, status_code: int = 200, **values: Any) -> Response:
    blank = {"next": HOME, "carry": "", "problem": "", "first": account.must_change, "least": LEAST}
    return render(request, account, "console/password.html", status_code=status_code, **{**blank, **values})


async def _carry(request: Request) -> str:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return json.dumps({"path": path, "fields": await fields_of(request)}, ensure_ascii=False)


def _carried(carry: str) -> dict[str, Any]:
    """`path` and `fields` of what was typed before the detour; empty when there is nothing, or nothing of ours."""
    try:
        found = json.loads(carry)
        path = safe_path(found["path"])
        fields = [(str(name), str(value)) for name, value in found["fields"]]
    except (ValueError, TypeError, KeyError):
        return {}
    return {"target": path, "fields": fields} if path == found["path"] else {}


def device_of(agent: str) -> str:
    """ "Firefox on Linux": enough to know one's own browsers again."""
    browsers = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
    systems = (
        ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "macOS"), ("Linux", "Linux")
    )  # fmt: skip
    browser = next((name for mark, name in browsers if mark in agent), "A browser")
    system = next((name for mark, name in systems if mark in agent), "")
    return f"{browser} on {system}" if system else browser
