"""One item of the inbox: the conversation, the draft of the reply with its check, the evidence, notes; and what is done with them.

Every form that holds the draft saves it first, whatever it is sent for: nothing that was typed is lost. Scripts send `Accept:
application/json` and get the same as JSON.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel

from bot.accounts import Account
from bot.advisor import Advisor
from bot.answer import Reply
from bot.drafts import Draft, DraftConflict, Kind, Length, Tone, Version, WroteAgain
from bot.errors import Conflict, InputError, ModelFailed, NotFound, Unsupported
from bot.items import Item
from bot.letter import LENGTHS, TONES
from bot.net import Net
from bot.store import StoredReply
from web.console import item_view as view
from web.console.away import KeepingRoute
from web.console.frame import Me, render, require, said
from web.state import AdvisorHere

router = APIRouter(prefix="/console/items/{handoff_id}", dependencies=[Depends(require("advisor"))], route_class=KeepingRoute)


class Typed(BaseModel):
    """The form around the draft. `base` is the version that was read; `seen` says that the applicant's later messages were read, too."""

    draft: str = ""
    text: str = ""
    base: int = 0
    insert: str = ""
    macro: str = ""
    own: str = ""
    seen: int = 0
    tone: str = "neutral"
    length: str = "normal"
    language: str = ""


Typing = Annotated[Typed, Form()]
Text = Annotated[str, Form()]


def wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


@router.get("")
async def item_page(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, q: str = "") -> Response:
    return await _page(request, me, advisor, handoff_id, q=q)


async def _page(
    request: Request, me: Account, advisor: Advisor, handoff_id: str, *, q: str = "", text: str | None = None, problem: str = "",
    status_code: int = 200, own: list[str] | None = None, result: str = "",
) -> Response:  # fmt: skip
    """`text`: shown in the editor instead of what is saved. `own`: sentences that somebody has to stand for before it goes."""
    item = await advisor.inbox.item(handoff_id, me.id)
    await advisor.inbox.see(handoff_id, me.id)
    drafts = await advisor.drafts.of(handoff_id)
    draft = drafts[0] if drafts and (drafts[0].open or drafts[0].state == "sent") else None
    versions = await advisor.drafts.versions(draft.id) if draft else []
    messages = await advisor.store.messages(item.conversation_id)
    notes = await advisor.notes.of(handoff_id)
    others = await advisor.inbox.seen_by(handoff_id, but=me.id)
    names = await advisor.accounts.names(
        [*others, *(v.author for v in versions), *(n.author for n in notes), *([draft.approved_by or ""] if draft else [])]
    )
    net, written = None, ""
    if draft is not None:
        written = next(v.text for v in versions if v.number == draft.version) if text is None else text
        net = await _net(advisor, me, handoff_id, written) if draft.open else None
    asked = q or ("" if draft is None else item.question)
    looked = await advisor.look_up(asked)
    latest = await advisor.drafts.last_asked(handoff_id)
    sent = next((_reply(m) for m in messages if draft and isinstance(m, StoredReply) and m.id == draft.reply_id), None)
    return render(
        request, me, "console/item.html", status_code=status_code, item=item, mine=item.advisor in (None, me.id), draft=draft, text=written,
        versions=versions, turns=view.turns(messages, names), told=view.told(await advisor.store.profile(item.conversation_id)),
        notes=notes, names=names, others=[names.get(each, each) for each in others], q=q, asked=asked,
        sections=[view.section(each) for each in looked.sections if each], rows=[view.section(each) for each in looked.rows if each],
        macros=await advisor.macros.all(), today=advisor.today(), findings=view.findings(net, written) if net else [],
        sources=view.sources(net, written) if net else [], segments=view.segments(net, written) if net else [],
        again=bool(draft and draft.open and latest > draft.seen), latest=latest, tones=TONES, lengths=tuple(LENGTHS),
        languages=advisor.languages, problem=problem, own=own or [], sent=sent, result=result, rewriter=advisor.can_rewrite,
        kinds=LABEL_OF_KIND,
    )  # fmt: skip


LABEL_OF_KIND = {
    "proposed": "Proposed", "refreshed": "Proposed anew", "edited": "Edited", "restored": "Restored", "rewritten": "Rewritten",
    "beside": "Kept beside",
}  # fmt: skip


async def _net(advisor: Advisor, me: Account, handoff_id: str, text: str) -> Net | None:
    try:
        return await advisor.net(handoff_id, me.name, text)
    except InputError:
        return None  # empty, or too long: said where it is to be sent


# The draft


@router.post("/draft")
async def propose(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, typed: Typing) -> Response:
    """A draft, or a fresh one; what was typed until now stays among the versions."""
    tone, length, language = typed.tone, typed.length, typed.language
    if tone not in TONES or length not in LENGTHS or (language and language not in dict(advisor.languages)):
        raise InputError("Choose a tone, a length and a language from the lists.")
    if typed.draft and typed.text.strip():
        try:
            await _saved(advisor, me, handoff_id, typed)
        except Conflict:
            pass  # kept beside; the fresh draft comes over both
    await advisor.draft(
        handoff_id, author=me.id, name=me.name, tone=cast(Tone, tone), length=cast(Length, length), language=language or None
    )
    return said(request, _path(handoff_id), "Here is a draft. Each sentence names its source; make it yours.")


@router.post("/blank")
async def begin(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str) -> Response:
    """An empty draft, for whoever would rather begin alone."""
    seen = await advisor.drafts.last_asked(handoff_id)
    language = (await advisor.inbox.item(handoff_id)).language or "en"
    await advisor.drafts.propose(handoff_id, "", author=me.id, tone="neutral", length="normal", language=language, seen=seen)
    return RedirectResponse(_path(handoff_id), 303)


@router.post("/save")
async def save(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, typed: Typing) -> Response:
    try:
        version = await _saved(advisor, me, handoff_id, await _with_inserted(advisor, typed))
    except DraftConflict as conflict:
        return await _conflict(request, me, advisor, handoff_id, conflict)
    except InputError as error:
        return await _unsaved(request, me, advisor, handoff_id, typed, error)
    if wants_json(request):
        return JSONResponse({"version": version.number, "at": version.created_at.isoformat()})
    return said(request, _path(handoff_id) + "#draft", "Saved.")


@router.post("/check")
async def check(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, typed: Typing) -> Response:
    """What the net finds in a text. A script's check stores nothing; a form's saves first."""
    text = typed.text.replace("\r\n", "\n")
    if not wants_json(request):
        try:
            await _saved(advisor, me, handoff_id, typed)
        except DraftConflict as conflict:
            return await _conflict(request, me, advisor, handoff_id, conflict)
        except InputError as error:
            return await _unsaved(request, me, advisor, handoff_id, typed, error)
        return RedirectResponse(_path(handoff_id) + "#findings", 303)
    if not text.strip():
        return JSONResponse({"findings": [], "sources": []})
    net = await advisor.net(handoff_id, me.name, text)
    return JSONResponse(
        {"findings": view.in_utf16(text, view.findings(net, text)), "sources": view.in_utf16(text, view.sources(net, text))}
    )


@router.post("/restore/{number}")
async def restore(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, number: int, typed: Typing) -> Response:
    draft = await _draft(advisor, handoff_id, typed.draft)
    version = await advisor.drafts.version(draft.id, number)
    try:
        await advisor.drafts.save(draft.id, version.text, me.id, typed.base, "restored")
    except DraftConflict as conflict:
        return await _conflict(request, me, advisor, handoff_id, conflict)
    return said(request, _path(handoff_id) + "#draft", f"Version {number} is back. What was there stays among the versions.")


@router.get("/versions/{draft_id}/{number}")
async def version_page(
    request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, draft_id: str, number: int, against: int | None = None
) -> Response:
    """A version beside another one: the one before it, unless told otherwise."""
    draft = await _draft(advisor, handoff_id, draft_id)
    versions = await advisor.drafts.versions(draft.id)
    version = await advisor.drafts.version(draft.id, number)
    base = version.base or number - 1 if against is None else against
    older = next((each for each in versions if each.number == base), None)
    return render(
        request, me, "console/version.html", item=await advisor.inbox.item(handoff_id, me.id), draft=draft, version=version, older=older,
        versions=versions, parts=view.differences(older.text if older else "", version.text), kinds=LABEL_OF_KIND,
        names=await advisor.accounts.names(each.author for each in versions),
    )  # fmt: skip


@router.post("/rewrite/{way}")
async def rewrite(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, way: str, typed: Typing) -> Response:
    """The draft shorter, warmer or in another language; figures, names, dates and quotes stay, or the sentence stays as it was."""
    try:
        version = await _saved(advisor, me, handoff_id, typed)
        draft = await _draft(advisor, handoff_id, typed.draft)
        made = await advisor.rewrite(handoff_id, version.text, way, name=me.name, language=typed.language or draft.language)
        if made.text != version.text:
            version = await advisor.drafts.save(draft.id, made.text, me.id, version.number, "rewritten")
    except DraftConflict as conflict:
        return await _conflict(request, me, advisor, handoff_id, conflict)
    except (InputError, ModelFailed) as error:
        return await _unsaved(request, me, advisor, handoff_id, typed, error)
    result = " ".join([made.said, *made.refused])
    if wants_json(request):
        return JSONResponse({"version": version.number, "text": version.text, "said": result})
    return said(request, _path(handoff_id) + "#draft", result)


@router.post("/discard")
async def discard(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, typed: Typing) -> Response:
    draft = await _draft(advisor, handoff_id, typed.draft)
    if typed.text.strip() and draft.open:
        try:
            await _saved(advisor, me, handoff_id, typed)
        except Conflict:
            pass  # kept all the same
    await advisor.drafts.discard(draft.id, me.id)
    return said(request, _path(handoff_id), "The draft is put away.")


# Approving and sending


@router.post("/approve")
async def approve(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, typed: Typing) -> Response:
    try:
        version = await _saved(advisor, me, handoff_id, typed)
    except DraftConflict as conflict:
        return await _conflict(request, me, advisor, handoff_id, conflict)
    net = await advisor.net(handoff_id, me.name, version.text)
    if net.todo:
        return await _page(request, me, advisor, handoff_id, problem=f"Something is left to be done: {net.todo[0]}", status_code=422)
    await advisor.drafts.approve(typed.draft, version.number, me.id)
    return said(request, _path(handoff_id) + "#draft", f"You approved version {version.number}. It can be sent.")


@router.post("/send")
async def send(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, typed: Typing) -> Response:
    try:
        version = await _saved(advisor, me, handoff_id, typed)
        await advisor.send_draft(
            typed.draft, version.number, by=me.id, name=me.name, seen=typed.seen, own_words_by=me.name if typed.own else None
        )
    except DraftConflict as conflict:
        return await _conflict(request, me, advisor, handoff_id, conflict)
    except WroteAgain as again:
        return await _page(request, me, advisor, handoff_id, problem=str(again), status_code=409)
    except Unsupported as error:
        problem = "Some sentences have no source. Change them, or say that they are your own words."
        return await _page(request, me, advisor, handoff_id, problem=problem, status_code=422, own=error.sentences)
    except (Conflict, InputError) as error:
        text = None if typed.text.strip() else ""
        return await _page(request, me, advisor, handoff_id, problem=str(error), status_code=409, text=text)
    item = await advisor.inbox.item(handoff_id, me.id)
    if item.channel == "mail":
        return said(request, f"{_path(handoff_id)}/mail", "Kept as sent. Copy it into your e-mail program, or open it there.")
    return said(request, _path(handoff_id), "Sent. The applicant reads it in the conversation.")


@router.post("/claim")
async def claim(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, take_over: Text = "") -> Response:
    await advisor.inbox.claim(handoff_id, me.id, take_over=bool(take_over))
    return said(request, _path(handoff_id), "It is yours now.")


# Beside the draft


@router.get("/evidence")
async def look_up(me: Me, advisor: AdvisorHere, handoff_id: str, q: str = "") -> JSONResponse:
    """For scripts: what the guides and tables hold on something."""
    looked = await advisor.look_up(q)
    return JSONResponse(
        {"sections": [view.section(each) for each in looked.sections if each], "rows": [view.section(each) for each in looked.rows if each]}
    )


@router.get("/live")
async def live(me: Me, advisor: AdvisorHere, handoff_id: str) -> JSONResponse:
    """For scripts, every few seconds: who else is here, which version holds, whether the applicant wrote again."""
    await advisor.inbox.see(handoff_id, me.id)
    others = await advisor.inbox.seen_by(handoff_id, but=me.id)
    drafts = await advisor.drafts.of(handoff_id)
    draft = drafts[0] if drafts else None
    latest = await advisor.drafts.last_asked(handoff_id)
    names = await advisor.accounts.names([*others])
    return JSONResponse(
        {
            "here": [names.get(each, each) for each in others], "draft": draft.id if draft else "", "state": draft.state if draft else "",
            "version": draft.version if draft else 0, "latest": latest, "again": bool(draft and draft.open and latest > draft.seen),
        }
    )  # fmt: skip


@router.post("/leave")
async def leave(me: Me, advisor: AdvisorHere, handoff_id: str) -> Response:
    await advisor.inbox.leave(handoff_id, me.id)
    return Response(status_code=204)


@router.post("/notes")
async def add_note(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, note: Text = "") -> Response:
    await advisor.notes.add(handoff_id, me.id, note)
    return said(request, _path(handoff_id) + "#notes", "Noted.")


@router.post("/notes/{note_id}/remove")
async def remove_note(request: Request, me: Me, advisor: AdvisorHere, handoff_id: str, note_id: str) -> Response:
    await advisor.notes.remove(note_id, me.id)
    return said(request, _path(handoff_id) + "#notes", "The note is gone.")


# Parts


def _reply(stored: StoredReply) -> Reply:
    return Reply.model_validate_json(stored.json)


def _path(handoff_id: str) -> str:
    return f"/console/items/{handoff_id}"


async def _draft(advisor: Advisor, handoff_id: str, draft_id: str) -> Draft:
    """
    Raises:
        NotFound: there is none, or it belongs to another item.
    """
    draft = await advisor.drafts.get(draft_id)
    if draft.handoff_id != handoff_id:
        raise NotFound("There is no such draft here.")
    return draft


async def _saved(advisor: Advisor, me: Account, handoff_id: str, typed: Typed, kind: Kind = "edited") -> Version:
    """
    Raises:
        DraftConflict, Conflict, InputError, NotFound: see Drafts.save.
    """
    draft = await _draft(advisor, handoff_id, typed.draft)
    return await advisor.drafts.save(draft.id, typed.text, me.id, typed.base, kind)


async def _with_inserted(advisor: Advisor, typed: Typed) -> Typed:
    """Without a script, what is inserted comes before the sign-off."""
    piece = (await advisor.macros.get(typed.macro)).text if typed.macro else typed.insert
    if not piece.strip():
        return typed
    parts = typed.text.replace("\r\n", "\n").rstrip().split("\n\n")
    parts.insert(max(len(parts) - 1, 1), piece)
    return typed.model_copy(update={"text": "\n\n".join(part for part in parts if part)})


async def _conflict(request: Request, me: Account, advisor: Advisor, handoff_id: str, conflict: DraftConflict) -> Response:
    names = await advisor.accounts.names([conflict.theirs.author, conflict.mine.author])
    who = names.get(conflict.theirs.author, "Somebody else")
    if wants_json(request):
        theirs = {"version": conflict.theirs.number, "text": conflict.theirs.text, "author": who}
        return JSONResponse({"detail": str(conflict), "theirs": theirs, "mine": {"version": conflict.mine.number}}, 409)
    return render(
        request, me, "console/conflict.html", status_code=409, item=await _item(advisor, handoff_id, me), conflict=conflict, who=who,
        parts=view.differences(conflict.theirs.text, conflict.mine.text),
    )


async def _unsaved(
    request: Request, me: Account, advisor: Advisor, handoff_id: str, typed: Typed, error: InputError | ModelFailed
) -> Response:
    """The page again, with what was typed and what is wrong with it."""
    if wants_json(request):
        raise error
    return await _page(request, me, advisor, handoff_id, text=typed.text.replace("\r\n", "\n"), problem=str(error), status_code=422)


async def _item(advisor: Advisor, handoff_id: str, me: Account) -> Item:
    return await advisor.inbox.item(handoff_id, me.id)


