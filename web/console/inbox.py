"""The inbox: the queue as a list that can be narrowed, searched and worked through by keyboard, and pasted e-mail.

What is shown is in the address, so that it can be kept, sent to a colleague and gone back to. All of it works without a script.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from bot.accounts import Account
from bot.errors import Conflict, InputError, NotFound
from bot.inbox import SENDER_CHARACTERS, SUBJECT_CHARACTERS
from bot.items import CHANNELS, NORMAL, PRIORITIES, SHOWS, Filters, Item
from bot.plan import MAX_CHARACTERS
from web.console.frame import NAV, Me, render, require, safe_path, said
from web.console.live import LiveHere
from web.state import AdvisorHere

PATH = "/console/inbox"
NAV.append(("Inbox", PATH, "advisor"))

router = APIRouter(prefix=PATH, dependencies=[Depends(require("advisor"))])

SHOWN = {
    "waiting": "Waiting", "new": "New", "assigned": "In work", "again": "Wrote again", "answered": "Answered", "closed": "Closed",
    "all": "Everything",
}  # fmt: skip
SNIPPET = 260
LONG_WAIT, TOO_LONG = dt.timedelta(hours=24), dt.timedelta(hours=72)
DUE_DAYS = 30

Text = Annotated[str, Form()]


@router.get("")
async def inbox(request: Request, me: Me, advisor: AdvisorHere, live: LiveHere) -> Response:
    filters = _filters(request.query_params, me)
    pulse = await live.look()
    page = await advisor.inbox.page(
        filters, me=me.id, after=request.query_params.get("after") or None, before=request.query_params.get("before") or None
    )
    languages, sites = await advisor.inbox.places()
    people = [account for account in await advisor.accounts.all() if account.may("advisor") and not account.disabled]
    here = {item: [live.names.get(who, who) for who in them if who != me.id] for item, them in pulse.here.items()}
    query = _query(filters, me)
    return render(
        request, me, "console/inbox.html", filters=filters, query=query, pulse=pulse, people=people, here=here, languages=languages,
        sites=sites, shown=SHOWN, channels=CHANNELS, priorities=PRIORITIES, path_of=lambda **change: _path(query, **change),
        items=[_row(item, dt.datetime.now(dt.UTC)) for item in page.items], page=page, mine=filters.advisor == me.id,
        back=_path(dict(request.query_params)),
    )  # fmt: skip


# One item


@router.post("/{handoff_id}/claim")
async def claim(request: Request, handoff_id: str, me: Me, advisor: AdvisorHere, back: Text = PATH, take_over: Text = "") -> Response:
    return await _done(request, back, advisor.inbox.claim(handoff_id, me.id, take_over=bool(take_over)), "It is yours now.")


@router.post("/{handoff_id}/assign")
async def assign(
    request: Request, handoff_id: str, me: Me, advisor: AdvisorHere, to: Text = "", found: Text = "", back: Text = PATH
) -> Response:
    try:
        account = await advisor.accounts.get(to)
    except NotFound:
        return said(request, _safe(back), "Choose who shall have it.")
    if not account.may("advisor") or account.disabled:
        return said(request, _safe(back), f"{account.name} does not answer applicants. Choose somebody else.")
    return await _done(
        request, back, advisor.inbox.assign(handoff_id, to, by=me.id, found=found or None), f"Assigned to {account.name}."
    )


@router.post("/{handoff_id}/release")
async def release(request: Request, handoff_id: str, me: Me, advisor: AdvisorHere, back: Text = PATH) -> Response:
    return await _done(request, back, advisor.inbox.release(handoff_id, me.id, anyone=me.may("admin")), "It is back in the queue.")


@router.post("/{handoff_id}/close")
async def close(request: Request, handoff_id: str, me: Me, advisor: AdvisorHere, back: Text = PATH) -> Response:
    return await _done(request, back, advisor.inbox.close(handoff_id, me.id), "Closed. It is under “Closed” if you need it.")


@router.post("/{handoff_id}/priority")
async def priority(request: Request, handoff_id: str, me: Me, advisor: AdvisorHere, level: Text = "", back: Text = PATH) -> Response:
    value = PRIORITIES.index(level) if level in PRIORITIES else None
    notice = f"Priority: {level}." if value is not None else "Priority goes by emergency and deadlines again."
    return await _done(request, back, advisor.inbox.set_priority(handoff_id, value, by=me.id), notice)


@router.post("/{handoff_id}/unread")
async def unread(request: Request, handoff_id: str, me: Me, advisor: AdvisorHere, back: Text = PATH) -> Response:
    return await _done(request, back, advisor.inbox.mark_unread(handoff_id, me.id), "Marked as unread.")


async def _done(request: Request, back: str, work: Any, notice: str) -> Response:
    """Does it, and goes back to the list. Who was not first is told so there, in the same place as others are told it worked."""
    try:
        await work
    except (Conflict, NotFound) as error:
        notice = str(error)
    return said(request, _safe(back), notice)


# Pasted e-mail


@router.get("/paste")
async def paste_page(request: Request, me: Me) -> Response:
    return _paste(request, me)


@router.post("/paste")
async def paste(request: Request, me: Me, advisor: AdvisorHere, sender: Text = "", subject: Text = "", text: Text = "") -> Response:
    typed = {"sender": sender[:SENDER_CHARACTERS], "subject": subject[:SUBJECT_CHARACTERS], "text": text}
    if len(text) > MAX_CHARACTERS:
        problem = f"The e-mail has {len(text):,} characters; at most {MAX_CHARACTERS:,} can be read. Leave out what is quoted in it."
        return _paste(request, me, 422, problem=problem, **typed)
    try:
        item = await advisor.inbox.paste(sender, subject, text)
    except InputError as error:
        return _paste(request, me, 422, problem=str(error), **typed)
    await advisor.inbox.claim(item.id, me.id)
    return said(request, f"/console/items/{item.id}", "The e-mail is in the inbox, and yours.")


def _paste(request: Request, me: Account, status_code: int = 200, **values: Any) -> Response:
    blank = {"sender": "", "subject": "", "text": "", "problem": "", "most": MAX_CHARACTERS}
    return render(request, me, "console/paste.html", status_code=status_code, **{**blank, **values})


# Parts


def _filters(given: Mapping[str, str], me: Account) -> Filters:
    """What the address asks for; what it says that is nonsense is left out."""
    show, level, channel, advisor = (given.get(name, "") for name in ("show", "priority", "channel", "advisor"))
    return Filters(
        show=show if show in SHOWS else "waiting",  # type: ignore[arg-type]
        advisor=me.id if advisor == "me" else advisor[:200] or None,
        channel=channel if channel in CHANNELS else None,
        priority=PRIORITIES.index(level) if level in PRIORITIES else None,
        language=given.get("language", "")[:35] or None,
        site=given.get("site", "")[:300] or None,
        words=given.get("q", "")[:200],
    )


def _query(filters: Filters, me: Account) -> dict[str, str]:
    """The way back from `_filters`."""
    level = PRIORITIES[filters.priority] if filters.priority is not None else ""
    advisor = "me" if filters.advisor == me.id else filters.advisor or ""
    found = {
        "show": "" if filters.show == "waiting" else filters.show, "advisor": advisor, "channel": filters.channel or "", "priority": level,
        "language": filters.language or "", "site": filters.site or "", "q": filters.words,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}


def _path(query: Mapping[str, str], **change: str | None) -> str:
    found = {name: value for name, value in {**query, **change}.items() if value}
    return f"{PATH}?{urlencode(found)}" if found else PATH


def _safe(back: str) -> str:
    return back if safe_path(back) == back else PATH


def _row(item: Item, now: dt.datetime) -> dict[str, Any]:
    text = " ".join(item.question.split())
    waits = now - item.waiting_since if item.waiting_since else None
    days = (item.due - now.date()).days if item.due else None
    return {
        "item": item,
        "snippet": text[:SNIPPET].rstrip() + ("…" if len(text) > SNIPPET else ""),
        "waits": _span(waits) if waits is not None else "",
        "patience": "" if waits is None else "bad" if waits > TOO_LONG else "warn" if waits > LONG_WAIT else "",
        "due": f"in {days} days" if days and days > 1 else ("tomorrow" if days else "today") if days is not None else "",
        "due_soon": days is not None and 0 <= days <= DUE_DAYS,
        "level": PRIORITIES[item.priority] if item.priority != NORMAL else "",
        "claimable": item.state == "requested" or (item.state == "answered" and item.again),
    }


def _span(waits: dt.timedelta) -> str:
    minutes = max(0, int(waits.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
