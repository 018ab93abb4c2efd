"""The demo: a page of a school that does not exist, with the widget on it as any site would have it, and its options to try."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, RedirectResponse

from web.pages import page
from web.problems import documented
from web.state import limit_requests
from web.widget import LANGUAGES, THEMES

router = APIRouter(tags=["demo"], dependencies=[Depends(limit_requests)])

POSITIONS = {"": "By reading direction", "left": "Left", "right": "Right"}

Short = Annotated[str, Query(max_length=300)]


@router.get("/", include_in_schema=False)
async def home() -> RedirectResponse:
    return RedirectResponse("/demo")


@router.get(
    "/demo",
    response_class=HTMLResponse,
    summary="A site with the chat on it",
    responses=documented("too-many-requests", "internal"),
)
async def demo(
    ask: Annotated[str, Query(max_length=8000, description="A question to put into the box")] = "",
    place: Short = "floating", position: Short = "", accent: Short = "", lang: Short = "en", theme: Short = "auto", label: Short = "",
    greeting: Short = "",
) -> HTMLResponse:  # fmt: skip
    """The other parameters are the widget's options; values that make no sense are left out."""
    chosen = {
        "position": position if position in POSITIONS else "",
        "accent": accent if re.fullmatch(r"#[0-9a-fA-F]{6}", accent) else "",
        "lang": lang if lang in LANGUAGES else "en",
        "theme": theme if theme in THEMES else "auto",
        "label": label[:40],
        "greeting": greeting,
    }
    return page("demo.html", ask=ask, inline=place == "inline", chosen=chosen, positions=POSITIONS, languages=LANGUAGES, themes=THEMES)
