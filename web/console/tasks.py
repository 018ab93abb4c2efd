"""Knowledge tasks: what people asked and the guides lack, what advisors corrected, facts that changed, and approved answers to keep."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import Response

from bot.errors import Conflict, Forbidden, InputError
from bot.tasks import STATES, State, Task
from web.console.frame import HOME, NAV, Me, render, require, said
from web.console.workroom import WorkroomHere
from web.state import AdvisorHere

PATH = f"{HOME}/tasks"
PAGE = 30
Text = Annotated[str, Form()]


async def advisors_and_editors(me: Me) -> None:
    if not (me.may("advisor") or me.may("editor")):
        raise Forbidden("This page is for advisors and editors. An admin can give you the role.")


router = APIRouter(prefix=PATH, dependencies=[Depends(advisors_and_editors)])
NAV.append(("Tasks", PATH, None))

SAID: dict[State, str] = {"open": "It is open again.", "doing": "It is yours.", "done": "Done.", "declined": "Declined."}


@router.get("")
async def tasks_page(
    request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere, state: str = "open", page: Annotated[int, Query(ge=1, le=1000)] = 1
) -> Response:
    fresh = await room.learning.freshen()
    chosen = cast(State, state if state in STATES else "open")
    tasks = await room.learning.tasks.in_state(chosen, most=PAGE + 1, since=(page - 1) * PAGE)
    return render(
        request, me, "console/tasks.html", tasks=tasks[:PAGE], more=len(tasks) > PAGE, page_number=page, state=chosen, fresh=fresh,
        counts=await room.learning.tasks.counts(), changes=len(await room.learning.changes.latest()), tab="tasks",
        names=await advisor.accounts.names(task.account for task in tasks if task.account), may_edit=me.may("editor"),
    )  # fmt: skip


# Facts that changed -------------------------------------------------------------------------------------------------------


@router.get("/changes")
async def changes_page(request: Request, me: Me, room: WorkroomHere, every: bool = False) -> Response:
    await room.learning.freshen()
    changes = await room.learning.changes.latest(everything=every)
    return render(request, me, "console/changes.html", changes=changes, every=every, tab="changes")


@router.get("/changes/{change_id}")
async def change_page(request: Request, me: Me, room: WorkroomHere, change_id: str) -> Response:
    change = await room.learning.changes.get(change_id)
    corrections = await room.learning.changes.corrections(change)
    return render(
        request, me, "console/change.html", change=change, corrections=corrections, may_draft=me.may("advisor"), tab="changes",
        reachable={c.answer_id for c in corrections if not c.site.startswith("mail")},
    )  # fmt: skip


@router.post("/changes/{change_id}/close")
async def close_change(request: Request, me: Me, room: WorkroomHere, change_id: str) -> Response:
    change = await room.learning.changes.get(change_id)
    await room.learning.changes.close(change.id)
    return said(request, f"{PATH}/changes", "Closed. The change stays in the list of all changes.")


@router.post("/changes/{change_id}/dismiss")
async def dismiss(request: Request, me: Me, room: WorkroomHere, change_id: str, answer: Text = "") -> Response:
    change = await room.learning.changes.get(change_id)
    await room.approved.get(answer)
    await room.learning.changes.settle(change.id, answer, "dismissed", me.id)
    return said(request, f"{PATH}/changes/{change.id}", "Noted: this answer needs no correction.")


@router.post("/changes/{change_id}/draft", dependencies=[Depends(require("advisor"))])
async def draft_correction(
    request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere, change_id: str, answer: Text = ""
) -> Response:
    """Puts the correction as a draft into the conversation's hand-off, where it is read, changed and sent like any reply."""
    change = await room.learning.changes.get(change_id)
    found = next((c for c in await room.learning.changes.corrections(change) if c.answer_id == answer), None)
    if found is None:
        raise InputError("This answer needs no correction any more.")
    text = room.learning.changes.letter(change, found, await advisor.index(), me.name)
    handoff = await advisor.store.request_handoff(found.conversation_id, "A fact changed that we told")
    if any(draft.open for draft in await advisor.drafts.of(handoff.id)):
        raise Conflict("A reply in this conversation is being written already. Send or discard it first, then draft the correction.")
    seen = await advisor.drafts.last_asked(handoff.id)
    await advisor.drafts.propose(
        handoff.id, text, author=me.id, tone="neutral", length="normal", language=found.language, seen=seen
    )  # fmt: skip
    await room.learning.changes.settle(change.id, answer, "drafted", me.id, handoff.id)
    return said(request, f"{HOME}/items/{handoff.id}", "The correction is drafted. Read it before you send it.")


# Golden questions ---------------------------------------------------------------------------------------------------------


@router.get("/golden")
async def golden_page(request: Request, me: Me, room: WorkroomHere) -> Response:
    return render(request, me, "console/golden.html", approved=await room.approved.latest(), file=room.approved.file, tab="golden")


@router.post("/golden")
async def make_golden(
    request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere, answer: Text = "", question: Text = ""
) -> Response:
    entry = await room.approved.make_golden(answer, me.id, question)
    await advisor.audit.record(me.id, "golden.add", answer[:200], {"entry": entry.id})
    return said(request, f"{PATH}/golden", f"Kept as the golden question {entry.id}.")


# One task -----------------------------------------------------------------------------------------------------------------


@router.get("/{task_id}")
async def task_page(request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere, task_id: str) -> Response:
    tasks = room.learning.tasks
    task = await tasks.get(task_id)
    others = [other for other in await tasks.in_state("open", most=100) if other.id != task.id and other.kind == task.kind]
    return render(
        request, me, "console/task.html", task=task, questions=await tasks.questions(task.id), corrected=await tasks.corrected(task.id),
        others=others, names=await advisor.accounts.names([task.account] if task.account else []), may_edit=me.may("editor"), tab="tasks",
        where=_where(task), may_answer=me.may("advisor"),
    )  # fmt: skip


def _where(task: Task) -> str:
    """The guide to work on: "visas/j1"; "" where none is near."""
    return task.place.partition("#")[0]


@router.post("/{task_id}/move")
async def move(request: Request, me: Me, room: WorkroomHere, advisor: AdvisorHere, task_id: str, state: Text = "") -> Response:
    task = await room.learning.tasks.move(task_id, state, me.id)
    await advisor.audit.record(me.id, "task.move", task_id, {"state": task.state})
    return said(request, f"{PATH}/{task_id}", SAID[task.state])


@router.post("/{task_id}/note")
async def note(request: Request, me: Me, room: WorkroomHere, task_id: str, text: Text = "") -> Response:
    await room.learning.tasks.note(task_id, text)
    return said(request, f"{PATH}/{task_id}", "The note is saved.")


@router.post("/{task_id}/merge")
async def merge(request: Request, me: Me, room: WorkroomHere, task_id: str, into: Text = "") -> Response:
    await room.learning.tasks.merge(task_id, into)
    return said(request, f"{PATH}/{into}", "Merged: the questions of both are here.")
