"""Who may enter the console: for admins."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from bot.accounts import ROLES
from bot.errors import Conflict, InputError
from web.console.frame import HOME, NAV, Me, render, require, said
from web.state import AdvisorHere

PATH = f"{HOME}/accounts"
router = APIRouter(prefix=PATH, dependencies=[Depends(require("admin"))])
NAV.append(("Accounts", PATH, "admin"))

ABOUT = {
    "advisor": "Answers applicants: inbox, drafts, replies",
    "editor": "Keeps the guides: knowledge desk, tasks, coverage",
    "admin": "Everything, and accounts and the audit log besides",
}
Text = Annotated[str, Form()]
Roles = Annotated[list[str], Form(default_factory=list)]


@router.get("")
async def accounts_page(request: Request, me: Me, advisor: AdvisorHere) -> Response:
    return await _list(request, me, advisor)


@router.post("")
async def add(request: Request, me: Me, advisor: AdvisorHere, roles: Roles, email: Text = "", name: Text = "", sso: Text = "") -> Response:
    """Answers with the page that shows the first password: it is nowhere else, so a redirect could not show it."""
    try:
        account, first = await advisor.accounts.add(email, name, roles, by=me.id, password=not sso)
    except (InputError, Conflict) as error:
        typed = {"email": email, "name": name, "roles": roles}
        return await _list(request, me, advisor, status_code=422, problem=str(error), typed=typed)
    return await _one(request, me, advisor, account.id, first=first, added=True)


@router.get("/{account_id}")
async def account_page(request: Request, me: Me, advisor: AdvisorHere, account_id: str) -> Response:
    return await _one(request, me, advisor, account_id)


@router.post("/{account_id}")
async def change(
    request: Request, me: Me, advisor: AdvisorHere, account_id: str, roles: Roles, name: Text = ""
) -> Response:
    """Name and roles, each only when it is another one."""
    accounts = advisor.accounts
    account = await accounts.get(account_id)
    try:
        if name != account.name:
            await accounts.rename(account_id, name, by=me.id)
        if set(roles) != account.roles:
            await accounts.set_roles(account_id, roles, by=me.id)
    except (InputError, Conflict) as error:
        return await _one(request, me, advisor, account_id, status_code=422, problem=str(error))
    return said(request, f"{PATH}/{account_id}", "Saved.")


@router.post("/{account_id}/reset")
async def reset(request: Request, me: Me, advisor: AdvisorHere, account_id: str) -> Response:
    if account_id == me.id:
        raise Conflict("Change your own password on the page of your account.")
    first = await advisor.accounts.reset(account_id, by=me.id)
    return await _one(request, me, advisor, account_id, first=first)


@router.post("/{account_id}/disable")
async def disable(request: Request, me: Me, advisor: AdvisorHere, account_id: str) -> Response:
    if account_id == me.id:
        raise Conflict("You cannot shut your own account. Another admin can.")
    account = await advisor.accounts.disable(account_id, by=me.id)
    return said(request, f"{PATH}/{account_id}", f"{account.name} is signed out and cannot sign in any more.")


@router.post("/{account_id}/enable")
async def enable(request: Request, me: Me, advisor: AdvisorHere, account_id: str) -> Response:
    account = await advisor.accounts.enable(account_id, by=me.id)
    return said(request, f"{PATH}/{account_id}", f"{account.name} can sign in again.")


@router.post("/{account_id}/untie")
async def untie(request: Request, me: Me, advisor: AdvisorHere, account_id: str) -> Response:
    await advisor.accounts.untie(account_id, by=me.id)
    return said(request, f"{PATH}/{account_id}", "The identity is untied. Who signs in next with this e-mail address takes its place.")


@router.post("/{account_id}/sign-out")
async def sign_out(request: Request, me: Me, advisor: AdvisorHere, account_id: str) -> Response:
    account = await advisor.accounts.get(account_id)
    ended = await advisor.accounts.sign_out(account_id, by=me.id)
    return said(request, f"{PATH}/{account_id}", f"{account.name} is signed out ({ended} session{'' if ended == 1 else 's'}).")


async def _list(request: Request, me: Me, advisor: AdvisorHere, status_code: int = 200, **values: Any) -> Response:
    found = await advisor.accounts.all()
    locked = await advisor.accounts.attempts.waits([account.email for account in found])
    blank = {"problem": "", "typed": {"email": "", "name": "", "roles": ["advisor"]}}
    around = {"accounts": found, "locked": locked, "roles": ROLES, "about": ABOUT}
    return render(request, me, "console/accounts.html", status_code=status_code, **{**around, **blank, **values})


async def _one(request: Request, me: Me, advisor: AdvisorHere, account_id: str, status_code: int = 200, **values: Any) -> Response:
    account = await advisor.accounts.get(account_id)
    entries = await advisor.audit.entries(subject=account_id, limit=12)
    around = {
        "account": account, "roles": ROLES, "about": ABOUT, "sessions": await advisor.accounts.sessions.of(account_id),
        "locked": (await advisor.accounts.attempts.waits([account.email])).get(account.email),
        "entries": entries, "names": await advisor.accounts.names([entry.actor for entry in entries]),
        "first": "", "added": False, "problem": "",
    }  # fmt: skip
    return render(request, me, "console/account_of.html", status_code=status_code, **{**around, **values})
