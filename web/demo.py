"""The demo: a plain chat page over the public API, with nothing of its own behind it."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse

from web.pages import page
from web.problems import documented
from web.state import limit_requests

router = APIRouter(tags=["demo"], dependencies=[Depends(limit_requests)])

EXAMPLES = (
    "What Step 2 CK score do I need, and can I get an H-1B?",
    "What does a J-1 visa cost?",
    "Do I have to go home for two years after a J-1?",
    "How long is my ECFMG certificate valid?",
)


@router.get("/", include_in_schema=False)
async def home() -> RedirectResponse:
    return RedirectResponse("/demo")


@router.get("/demo", response_class=HTMLResponse, summary="A chat page", responses=documented("too-many-requests", "internal"))
async def demo() -> HTMLResponse:
    return page("demo.html", examples=EXAMPLES)
