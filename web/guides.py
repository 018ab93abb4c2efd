"""The guides as pages: where citations lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote as percent

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import StringConstraints

from bot.advisor import GuidePage
from bot.errors import AdvisorError
from bot.passage import Passage
from web.bodies import check_visible
from web.markdown import render
from web.pages import page
from web.problems import documented
from web.state import AdvisorHere, limit_requests

router = APIRouter(tags=["guides"], dependencies=[Depends(limit_requests)], default_response_class=HTMLResponse)

_ACRONYMS = {"usmle": "USMLE", "ecfmg": "ECFMG"}


@dataclass(frozen=True, slots=True)
class Shelf:
    """The guides of one folder."""

    name: str
    title: str
    guides: list[GuidePage]


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    section: str
    text: str
    url: str
    source: str
    as_of: str


def shelves(guides: list[GuidePage]) -> list[Shelf]:
    found: dict[str, list[GuidePage]] = {}
    for guide in guides:
        found.setdefault(guide.slug.rpartition("/")[0].split("/")[0], []).append(guide)
    return [
        Shelf(name or "guides", shelf_title(name), sorted(items, key=lambda guide: guide.title.lower()))
        for name, items in sorted(found.items())
    ]


def shelf_title(name: str) -> str:
    return _ACRONYMS.get(name) or name.replace("-", " ").replace("_", " ").capitalize() or "Guides"


def passage_url(url: str, quote: str) -> str:
    """Where a citation leads: the guide's page with the quote highlighted, at the section's anchor."""
    path, hash_sign, anchor = url.partition("#")
    return f"{path}?quote={percent(quote, safe='')}{hash_sign}{anchor}"


def _hit(passage: Passage) -> Hit | None:
    if passage.guide is None:
        return None
    spans = passage.chunk.spans
    best = max(range(len(spans)), key=lambda i: passage.span_scores[i] if i < len(passage.span_scores) else 0.0, default=None)
    span = spans[best] if best is not None else None
    quote = passage.text[span.start : span.end] if span else passage.text
    facts = [passage.chunk.facts[fact] for fact in span.facts if fact in passage.chunk.facts] if span else []
    source = facts[0].source if facts else passage.source
    return Hit(
        passage.guide.title, passage.guide.section, span.said if span else quote, passage_url(passage.guide.url, quote),
        source.publisher or source.title, facts[0].as_of if facts else passage.as_of,
    )  # fmt: skip


@router.get("/guides", summary="All guides, and a search over them", responses=documented("too-many-requests", "internal"))
async def list_guides(
    advisor: AdvisorHere, q: Annotated[str, Query(max_length=2000), StringConstraints(strip_whitespace=True)] = ""
) -> HTMLResponse:
    """With `q` the passages that fit best, each a link to its place."""
    guides = await advisor.guides()
    hits: list[Hit] = []
    trouble = ""
    if q:
        try:
            check_visible(q)
            hits = [hit for passage in await advisor.search(q, k=10) if (hit := _hit(passage))]
        except (AdvisorError, ValueError) as error:
            trouble = str(error)
    return page("guides.html", shelves=shelves(guides), count=len(guides), q=q, hits=hits, trouble=trouble)


@router.get("/guides/{slug:path}", summary="A guide", responses=documented("not-found", "too-many-requests", "internal"))
async def read_guide(slug: str, advisor: AdvisorHere, quote: Annotated[str, Query(max_length=4000)] = "") -> Response:
    """The guide with its sources. `quote` is the exact text of a citation: it is highlighted."""
    if not slug.strip("/"):
        return RedirectResponse("/guides")
    guide = await advisor.guide(slug.strip("/"))
    rendered = render(guide.body, guide.facts, quote)
    return page(
        "guide.html", guide=guide, body=rendered.html, headings=rendered.headings, notes=rendered.notes, quote=quote,
        quote_found=rendered.quote_found, shelf=shelf_title(guide.slug.rpartition("/")[0].split("/")[0]),
    )  # fmt: skip
