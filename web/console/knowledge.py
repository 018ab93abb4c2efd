"""The knowledge desk: what is due, what disagrees, what is old; edit a guide, see what changes, save, and ask at once."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import JSONResponse, Response

from bot.answer import Answer, Question
from bot.cite import is_stale
from bot.errors import AdvisorError, DocumentError, InputError, NotFound
from bot.index import Index
from ingest.check import KINDS, Finding
from ingest.desk import REGISTRY, ChangedMeanwhile, Desk, Written
from ingest.load import read_front_matter
from web.console.comparison import compared
from web.console.frame import HOME, NAV, Me, render, require, said
from web.console.workroom import Workroom, WorkroomHere
from web.guides import shelf_title
from web.markdown import Rendered
from web.markdown import render as markdown
from web.state import AdvisorHere

PATH = f"{HOME}/knowledge"
router = APIRouter(prefix=PATH, dependencies=[Depends(require("editor"))])
NAV.append(("Knowledge", PATH, "editor"))

Text = Annotated[str, Form()]
SHOWN = 12
MOST_STALE = 15


@dataclass(frozen=True, slots=True)
class Guide:
    name: str
    slug: str
    title: str
    shelf: str
    review_by: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Stale:
    """A fact that is past its date, with the guide that tells it."""

    fact: str
    said: str
    as_of: str
    volatile: bool
    title: str
    link: str
    file: str


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of one kind."""

    code: str
    title: str
    advice: str
    severity: str
    findings: list[Finding]


@router.get("")
async def desk_page(
    request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere, q: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    checked = await room.checks.last()
    pages = await advisor.guides()
    found = [Guide(f"guides/{p.slug}.md", p.slug, p.title, p.slug.partition("/")[0], p.review_by, p.as_of) for p in pages]
    here = set(await asyncio.to_thread(room.desk.names))
    guides = [guide for guide in found if guide.name in here and q.lower() in f"{guide.title} {guide.slug}".lower()]
    due = sorted((guide for guide in found if guide.review_by != "unknown"), key=lambda guide: guide.review_by)
    soon = (dt.date.today() + dt.timedelta(days=30)).isoformat()
    return render(
        request, me, "console/knowledge.html", q=q, guides=guides, count=len(found), next_due=due[:3],
        due=[guide for guide in due if guide.review_by <= soon],
        groups=_groups(checked.findings) if checked else [], checked=checked, checking=room.checks.running, shelf=shelf_title,
        stale=_stale(await advisor.index(), dt.date.today())[:MOST_STALE], read_only=room.desk.why_read_only(),
        run=await room.reingest.last(), versioned=await asyncio.to_thread(room.desk.versioned), shown=SHOWN,
    )  # fmt: skip


@router.get("/findings/{code}")
async def findings_page(request: Request, me: Me, room: WorkroomHere, code: str) -> Response:
    """All findings of one kind."""
    checked = await room.checks.last()
    groups = [group for group in (_groups(checked.findings) if checked else []) if group.code == code]
    if code not in KINDS:
        raise NotFound("There is no such kind of finding.")
    return render(request, me, "console/findings.html", group=groups[0] if groups else None, name=KINDS[code][0], checked=checked)


@router.get("/edit")
async def edit_page(
    request: Request, me: Me, room: WorkroomHere, file: Annotated[str, Query(max_length=500)], line: Annotated[int, Query(ge=0)] = 0
) -> Response:
    written = await asyncio.to_thread(room.desk.read, file)
    return await _editor(request, me, room, written, written.text, line=line)


@router.post("/new")
async def new_guide(request: Request, me: Me, room: WorkroomHere, slug: Text = "") -> Response:
    written = await asyncio.to_thread(room.desk.begin, slug.strip().lower())
    return await _editor(request, me, room, written, written.text)


@router.post("/edit")
async def edit(
    request: Request, me: Me, room: WorkroomHere, file: Text = "", text: Text = "", digest: Text = "", message: Text = "",
    act: Text = "check", anyway: Text = "",
) -> Response:  # fmt: skip
    """Checks and shows what would change; with `act` "save" it is saved when nothing speaks against it. What was typed is on the page again
    whatever happens."""
    text = text.replace("\r\n", "\n")
    opened = await _opened(room.desk, file)
    if opened.digest != digest:
        problem = str(ChangedMeanwhile(opened))
        return await _editor(
            request, me, room, opened, text, message=message, looked=True, problem=problem, conflict=True, status_code=409
        )  # fmt: skip
    if act != "save":
        return await _editor(request, me, room, opened, text, message=message, looked=True)
    findings = await asyncio.to_thread(room.desk.findings, file, text)
    before = {(f.code, f.message) for f in await asyncio.to_thread(room.desk.findings, file, opened.text)} if opened.digest else set()
    worse = [f for f in findings if f.severity == "error" and (f.code, f.message) not in before]
    stops = room.desk.stops(findings)
    if stops or worse and not anyway:
        problem = "Not saved yet: correct what is marked as an error" + ("." if stops else ", or save all the same.")
        may = bool(worse) and not stops
        return await _editor(request, me, room, opened, text, message=message, looked=True, problem=problem, may_force=may, status_code=422)
    try:
        saved = await asyncio.to_thread(room.desk.save, file, text, digest, author=me.name, email=me.email, message=message)
    except ChangedMeanwhile as error:
        return await _editor(
            request, me, room, error.theirs, text, message=message, looked=True, problem=str(error), conflict=True, status_code=409
        )  # fmt: skip
    except InputError as error:
        return await _editor(request, me, room, opened, text, message=message, looked=True, problem=str(error), status_code=422)
    await _audit(request, me, saved.written, opened.digest, saved.committed.commit if saved.committed else "")
    await room.reingest.ask(me.id)
    notice = "Saved." if saved.committed is None else f"Saved, and committed as {saved.committed.commit}." if saved.committed.commit else (
        f"Saved, but not committed: {saved.committed.reason}."
    )  # fmt: skip
    return said(request, f"{PATH}/edit?file={quote(file, safe='')}", f"{notice} The index is being brought up to date.")


@router.post("/check")
async def check_text(room: WorkroomHere, file: Text = "", text: Text = "") -> Response:
    """What is wrong with a text, for the page while somebody types."""
    findings = await asyncio.to_thread(room.desk.findings, file, text.replace("\r\n", "\n"))
    return JSONResponse([_told(finding) for finding in findings])


@router.get("/run")
async def run_state(room: WorkroomHere) -> Response:
    """How far the index is."""
    run = await room.reingest.last()
    if run is None:
        return JSONResponse({"state": "none"})
    return JSONResponse({"id": run.id, "state": run.state, "what": run.what, "done": run.done, "total": run.total, "outcome": run.outcome})


@router.post("/run")
async def run_now(request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere) -> Response:
    run = await room.reingest.ask(me.id)
    await advisor.audit.record(me.id, "knowledge.ingest", run)
    return said(request, PATH, "The guides are being brought into the index.")


@router.post("/ask")
async def ask(request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere, question: Text = "", file: Text = "") -> Response:
    """An answer from the index as it is now; nothing is stored."""
    answer: Answer | None = None
    problem = ""
    try:
        answer = await advisor.answer(Question(text=question))
    except AdvisorError as error:
        problem = str(error)
    if request.headers.get("accept", "").startswith("application/json"):
        if answer is None:
            return JSONResponse({"problem": problem}, 422)
        slug = Written(file, "", "").slug if file.startswith("guides/") else ""
        cites = bool(slug) and any(c.guide and c.guide.slug == slug for c in answer.citations)
        told = answer.model_dump(mode="json", include={"status", "text", "citations"})
        return JSONResponse({"answer": told, "cites_file": cites, "in_guide": bool(slug)})
    run = await room.reingest.last()
    return render(request, me, "console/ask.html", question=question, answer=answer, problem=problem, file=file, run=run)


# The editor ---------------------------------------------------------------------------------------------------------------


async def _opened(desk: Desk, file: str) -> Written:
    """The file as it is now; a new one where it is not there yet.

    Raises:
        NotFound.
    """
    try:
        return await asyncio.to_thread(desk.read, file)
    except NotFound:
        await asyncio.to_thread(desk.findings, file, "")  # says whether such a file may be begun
        return Written(file, "", "")


async def _editor(
    request: Request, me: Me, room: Workroom, written: Written, text: str, *, line: int = 0, message: str = "", looked: bool = False,
    problem: str = "", may_force: bool = False, conflict: bool = False, status_code: int = 200,
) -> Response:  # fmt: skip
    findings = await asyncio.to_thread(room.desk.findings, written.name, text)
    facts = await asyncio.to_thread(room.desk.facts_in, text) if written.is_guide else {}
    preview, front = _preview(written, text, facts) if written.is_guide else (None, None)
    return render(
        request, me, "console/edit.html", status_code=status_code, written=written, text=text, line=line, message=message, looked=looked,
        problem=problem, may_force=may_force, conflict=conflict, findings=findings, kinds=KINDS, facts=facts, preview=preview, front=front,
        diff=compared(written.text, text) if written.digest else [], changed=text.rstrip() != written.text.rstrip(),
        title=_title(written, front), read_only=room.desk.why_read_only(), run=await room.reingest.last(),
        versioned=await asyncio.to_thread(room.desk.versioned), registry=REGISTRY, stops=room.desk.stops(findings),
    )  # fmt: skip


def _title(written: Written, front: Any) -> str:
    if front is not None and front.title:
        return str(front.title)
    return written.name.partition("#")[2] or written.slug


def _preview(written: Written, text: str, facts: Mapping[str, Any]) -> tuple[Rendered | None, Any]:
    """The guide as readers would see it; None while its front matter cannot be read."""
    try:
        front, body, _ = read_front_matter(text, written.name)
    except DocumentError:
        return None, None
    return markdown(body, dict(facts)), front


# Findings -----------------------------------------------------------------------------------------------------------------


def _groups(findings: tuple[Finding, ...]) -> list[Group]:
    by: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        by[finding.severity, finding.code].append(finding)
    order = {code: i for i, code in enumerate(KINDS)}
    first = ("conflict", "stale", "soon-stale")
    groups = [Group(code, *KINDS[code], severity, found) for (severity, code), found in by.items()]
    return sorted(groups, key=lambda g: (g.severity, g.code not in first, order[g.code]))


def _told(finding: Finding) -> dict[str, Any]:
    title, advice = KINDS[finding.code]
    return {"severity": finding.severity, "line": finding.line, "title": title, "advice": advice, "message": finding.message}


def _stale(index: Index, today: dt.date) -> list[Stale]:
    """Facts past their date, those that change often first, then the oldest."""
    found: dict[str, Stale] = {}
    for chunk in index.chunks:
        if chunk.guide is None:
            continue
        for span in chunk.spans:
            for fact in span.facts:
                ref = chunk.facts.get(fact)
                if ref is not None and fact not in found and ref.as_of != "unknown" and is_stale(ref, "unknown", today):
                    file = f"guides/{chunk.guide.slug}.md"
                    found[fact] = Stale(fact, span.said, ref.as_of, ref.volatile, chunk.guide.title, chunk.guide.url, file)
    return sorted(found.values(), key=lambda one: (not one.volatile, one.as_of))


async def _audit(request: Request, me: Me, written: Written, before: str, commit: str) -> None:
    detail = {"before": before, "after": written.digest, "commit": commit}
    await request.app.state.doors.advisor.audit.record(me.id, "guide.save", written.name[:200], detail)
