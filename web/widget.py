"""The widget: the loader that a site embeds, and the chat frame it opens.

    <script async src="https://HOST/widget/embed.js" data-site="https://your.site"></script>

The loader (`static/widget/embed.js`) and the frame (`/widget/frame`) talk by messages `{imgAdvisor: 1, type, …}` and believe only each
other's window and origin. To the frame: `init {widget, options, open}`, `options {options}`, `open`, `close`, `ask {text}`, `reset`;
`options` are `lang`, `theme` (auto, light, dark), `accent` (#rrggbb or ""), `greeting` and `inline`. From the frame: `ready` (then it is
told `init`), `close`, `unread {count}`, `question {id}`, `answer {id, status}`. Ids and states, never words of a conversation. A page can
choose looks and language, and put a question into the box, which only the person sends. A frame that got the focus before its page was
there gets it anew when it is ready: until then Chromium may type into a frame that is gone.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response

from web.pages import page
from web.problems import documented
from web.state import StateHere, limit_requests

ASSETS = Path(__file__).parent / "static" / "widget"

THEMES = ("auto", "light", "dark")
LANGUAGES = {
    "en": "English", "es": "Español", "pt": "Português", "fr": "Français", "ru": "Русский", "ar": "العربية", "ur": "اردو", "hi": "हिन्दी",
    "zh": "简体中文", "fil": "Filipino",
}  # fmt: skip
EXAMPLES = (
    "What Step 2 CK score do I need, and can I get an H-1B?",
    "What does a J-1 visa cost?",
    "Do I have to go home for two years after a J-1?",
    "How long is my ECFMG certificate valid?",
)

router = APIRouter(prefix="/widget", tags=["widget"])


@cache
def _loader() -> tuple[bytes, str]:
    body = (ASSETS / "embed.js").read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:20]}"'


@router.get(
    "/embed.js",
    summary="The loader for a site's page",
    response_class=Response,
    responses={200: {"content": {"text/javascript": {"schema": {"type": "string"}}}}, 304: {"description": "Not changed"}},
)
async def embed(request: Request) -> Response:
    """The same for everyone, without a secret. The README tells its options and its JavaScript API."""
    body, etag = _loader()
    headers = {
        "ETag": etag,
        "Cache-Control": "public, max-age=600, stale-while-revalidate=86400",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="text/javascript", headers=headers)


@router.get(
    "/frame",
    response_class=HTMLResponse,
    summary="The chat, to be framed by a site's page",
    dependencies=[Depends(limit_requests)],
    responses=documented("forbidden", "too-many-requests", "internal"),
)
async def frame(
    request: Request, state: StateHere, site: str = "", lang: Annotated[str, Query(max_length=20)] = "en", theme: str = "auto"
) -> HTMLResponse:
    """`site` is the origin of the page around it, and only pages of that site can frame it; without it, only this server's own pages."""
    found = state.sites.allowed(site, request)
    return page(
        "widget.html", headers=state.sites.frame_headers(found), site=found, reply_within=state.settings.reply_within, examples=EXAMPLES,
        lang=lang if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", lang) else "en", theme=theme if theme in THEMES else "auto",
    )  # fmt: skip
