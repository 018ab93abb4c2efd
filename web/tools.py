"""Tools over the API, and their results to take along."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends
from fastapi.responses import Response
from pydantic import BaseModel, Field

from bot.answer import Answer
from bot.errors import NotFound
from bot.tools import TOOLS, ToolRun
from bot.tools.export import as_calendar, as_markdown, cited
from web.api import operators, own_answer
from web.pages import page
from web.problems import documented
from web.state import AdvisorHere, limit_requests

router = APIRouter(prefix="/api/v1", tags=["conversations"])


class ToolOut(BaseModel):
    name: str
    title: str
    description: str
    arguments: dict[str, Any] = Field(description="JSON schema of the arguments")


class ToolList(BaseModel):
    tools: list[ToolOut]


@operators.get("/tools", summary="The tools, and what each takes")
async def list_tools() -> ToolList:
    """Look-ups in the tables of the knowledge base."""
    return ToolList(
        tools=[ToolOut(name=t.name, title=t.title, description=t.description, arguments=t.schema()) for t in TOOLS.values()]
    )


@operators.post("/tools/{name}", summary="One look-up, nothing stored", responses=documented("not-found"))
async def run_tool(
    name: str, advisor: AdvisorHere, arguments: Annotated[dict[str, Any], Body(description="As the tool's schema says")]
) -> ToolRun:
    """The result with its citations. What is wrong with an argument is told in one sentence, with the nearest names."""
    if name not in TOOLS:
        raise NotFound(f"There is no such tool. There are: {', '.join(TOOLS)}.")
    return await advisor.tool(name, arguments)


FORMS = {
    "md": ("text/markdown; charset=utf-8", "attachment"),
    "ics": ("text/calendar; charset=utf-8", "attachment"),
    "html": ("text/html; charset=utf-8", "inline"),
}


@router.get(
    "/answers/{answer_id}/results/{ref}.{form}",
    summary="A result to take along",
    response_class=Response,
    dependencies=[Depends(limit_requests), Depends(own_answer)],
    responses={
        200: {"content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind, _ in FORMS.values()}},
        **documented("unauthorized", "forbidden", "not-found", "invalid-input", "too-many-requests", "internal"),
    },
)
async def export(answer_id: str, ref: str, form: Literal["md", "ics", "html"], advisor: AdvisorHere) -> Response:
    """As Markdown, as a calendar file (checklists), or as a page to print. Needs the token of the answer's conversation."""
    answer = Answer.model_validate_json(await advisor.store.answer_json(answer_id))
    result = next((result for result in answer.results if result.ref == ref), None)
    if result is None or form not in result.exports:
        raise NotFound("The answer has no such result, or not in this form.")
    kind, disposition = FORMS[form]
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'{disposition}; filename="{result.tool}-{ref}.{form}"'}
    if form == "html":
        return page("result.html", headers=headers, result=result, sources=cited(result, answer.citations), answer=answer)
    text = as_markdown(result, answer.citations) if form == "md" else as_calendar(result, answer.citations, answer.created_at)
    return Response(text, media_type=kind, headers=headers)
