"""The audit log: read it, check it, take it along. For admins."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from bot.errors import InputError
from web.console.frame import HOME, NAV, Me, render, require
from web.pages import environment
from web.state import AdvisorHere

PATH = f"{HOME}/audit"
router = APIRouter(prefix=PATH, dependencies=[Depends(require("admin"))])
NAV.append(("Audit log", PATH, "admin"))
PAGE = 50
TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
Word = Annotated[str, Query(max_length=200)]

DEEDS = {
    "account.add": "made an account", "account.disable": "shut an account", "account.enable": "opened an account again",
    "account.name": "changed a name", "account.password": "chose a password", "account.remove": "removed an account",
    "account.reset": "made a new first password", "account.roles": "changed roles", "account.sign-out": "ended sessions",
    "account.tie": "tied an identity", "account.untie": "untied an identity", "audit.export": "exported the audit log",
    "draft.approve": "approved a draft", "draft.discard": "discarded a draft", "draft.send": "sent a reply",
    "golden.add": "kept a golden question", "item.assign": "assigned an item", "item.claim": "claimed an item",
    "item.close": "closed an item", "item.priority": "set a priority", "item.release": "released an item", "login": "signed in",
    "login.refused": "was refused at sign-in", "logout": "signed out", "reply.send": "sent a reply", "task.move": "moved a task",
    "workspace.allow": "allowed a Slack workspace", "workspace.choose": "chose Slack settings",
    "workspace.collection": "chose a collection for Slack", "workspace.delete": "removed a Slack workspace",
    "workspace.export": "exported a Slack workspace", "workspace.install": "installed Slack",
    "workspace.mode": "chose a Slack channel's mode",
}  # fmt: skip


def deed(action: str) -> str:
    """An action in words; one without words as it is."""
    return DEEDS.get(action, action)


environment.filters["deed"] = deed


@router.get("")
async def audit_page(
    request: Request, me: Me, advisor: AdvisorHere, action: Word = "", actor: Word = "", subject: Word = "", since: Word = "",
    until: Word = "", before: Annotated[int, Query(ge=0, le=2**53)] = 0, verify: bool = False, head: Word = "",
) -> Response:  # fmt: skip
    """`verify` reckons the whole chain; `head` is a hash that was noted earlier."""
    chosen = {"action": action, "actor": actor, "subject": subject, "since": since, "until": until}
    problem, found = "", []
    try:
        found = await advisor.audit.entries(**chosen, before=before, limit=PAGE + 1)
    except InputError as error:
        problem = str(error)
    names = await advisor.accounts.names([who for entry in found for who in (entry.actor, entry.subject)])
    more = {"before": str(found[PAGE - 1].number)} if len(found) > PAGE else {}
    query = urlencode({key: value for key, value in {**chosen, **more}.items() if value})
    values: dict[str, Any] = {
        "entries": found[:PAGE], "names": names, "actions": await advisor.audit.actions(), "people": await advisor.accounts.all(),
        "chosen": chosen, "any": any(chosen.values()), "older": f"{PATH}?{query}" if more else "", "problem": problem,
        "integrity": await advisor.audit.verify(head.strip()) if verify else None, "head": head, "before": before,
    }  # fmt: skip
    return render(request, me, "console/audit.html", **values)


@router.get("/export.{form}")
async def export(me: Me, advisor: AdvisorHere, form: Literal["jsonl", "csv"]) -> Response:
    """All of it, the oldest entry first. That somebody took it is in the log itself."""
    await advisor.audit.record(me.id, "audit.export", "audit", {"form": form})

    async def lines() -> AsyncIterator[str]:
        async for line in advisor.audit.export(form):
            yield line

    name = f"audit-{dt.datetime.now(dt.UTC):%Y-%m-%d}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines(), media_type=TYPES[form], headers=headers)
