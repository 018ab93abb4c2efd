"""The guides as pages: where citations lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote as percent

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup
from pydantic import StringConstraints

from bot.errors import AdvisorError
from bot.passage import Passage
from bot.work import GuidePage
from ingest.load import slugify
from ingest.tables import Row, StateRow
from web.bodies import check_visible
from web.charts import TablesHere, figure
from web.markdown import Heading, render
from web.pages import page
from web.problems import documented
from web.state import AdvisorHere, limit_requests

router = APIRouter(tags=["guides"], dependencies=[Depends(limit_requests)], default_response_class=HTMLResponse)

_ORDER = ("visas", "ecfmg", "usmle", "match", "specialties", "programs", "applying", "licensure", "states", "residency", "money", "start")
"""The way an applicant goes; topics that are not in it follow by name."""
_ACRONYMS = {"usmle": "USMLE", "ecfmg": "ECFMG", "states": "States and territories", "start": "About these guides"}


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


@dataclass(frozen=True, slots=True)
class Place:
    """A state or territory, and where the guides tell about it."""

    name: str
    code: str
    url: str


def places(guides: list[GuidePage], rows: list[Row]) -> list[Place]:
    """Each state and territory of the table with its own page, or else the section that is named after it."""
    found: list[Place] = []
    for row in rows:
        if isinstance(row.cells, StateRow):
            slug = slugify(row.cells.state)
            own = [guide.slug for guide in guides if guide.slug.rpartition("/")[2] == slug]
            shared = [f"{guide.slug}#{slug}" for guide in guides if f"{{#{slug}}}" in guide.body]
            found += [Place(row.cells.state, row.cells.usps, f"/guides/{url}") for url in (own + shared)[:1]]
    return sorted(found, key=lambda place: place.name)


def named(places: list[Place], q: str) -> Place | None:
    """The place whose name or code is all that was typed."""
    return next((place for place in places if q.casefold() in (place.name.casefold(), place.code.casefold())), None)


def question_about(title: str, heading: Heading) -> str:
    """What "ask about this" puts into the chat: the heading where it is a question that stands alone, else with the guide's title."""
    text = heading.text.strip()
    return text if text.endswith("?") and len(text.split()) > 3 else f"{title}: {text}"


def _ask_link(title: str) -> Callable[[Heading], Markup]:
    def link(heading: Heading) -> Markup:
        if heading.level > 3:
            return Markup()
        url = ask_url(question_about(title, heading))
        return Markup('<p class="ask-this"><a href="{}">Ask about this<span class="hidden">: {}</span></a></p>\n').format(url, heading.text)

    return link


def ask_url(question: str) -> str:
    """The chat with a question in its field, not yet sent."""
    return f"/demo?ask={percent(question, safe='')}"


def shelves(guides: list[GuidePage]) -> list[Shelf]:
    found: dict[str, list[GuidePage]] = {}
    for guide in guides:
        found.setdefault(guide.slug.rpartition("/")[0].split("/")[0], []).append(guide)
    return [
        Shelf(name or "guides", shelf_title(name), sorted(items, key=lambda guide: guide.title.lower()))
        for name, items in sorted(found.items(), key=_turn)
    ]


def _turn(shelf: tuple[str, list[GuidePage]]) -> tuple[int, str]:
    return (_ORDER.index(shelf[0]) if shelf[0] in _ORDER else len(_ORDER), shelf[0])


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
    advisor: AdvisorHere, tables: TablesHere, q: Annotated[str, Query(max_length=2000), StringConstraints(strip_whitespace=True)] = ""
) -> HTMLResponse:
    """With `q` the passages that fit best, each a link to its place."""
    guides = await advisor.guides()
    states = places(guides, tables.rows)
    hits: list[Hit] = []
    trouble = ""
    if q:
        try:
            check_visible(q)
            hits = [hit for passage in await advisor.search(q, k=10) if (hit := _hit(passage))]
        except (AdvisorError, ValueError) as error:
            trouble = str(error)
    return page(
        "guides.html", shelves=shelves(guides), count=len(guides), q=q, hits=hits, trouble=trouble, places=states,
        place=named(states, q), charts=bool(tables.charts), ask=ask_url(q) if q else "",
    )  # fmt: skip


@router.get("/guides/{slug:path}", summary="A guide", responses=documented("not-found", "too-many-requests", "internal"))
async def read_guide(slug: str, advisor: AdvisorHere, tables: TablesHere, quote: Annotated[str, Query(max_length=4000)] = "") -> Response:
    """The guide with its sources. `quote` is the exact text of a citation: it is highlighted."""
    if not slug.strip("/"):
        return RedirectResponse("/guides")
    guide = await advisor.guide(slug.strip("/"))
    figures = {anchor: drawn for anchor, name in guide.charts.items() if (drawn := figure(tables, name))}
    rendered = render(guide.body, guide.facts, quote, figures=figures, under_heading=_ask_link(guide.title))
    return page(
        "guide.html", guide=guide, body=rendered.html, headings=rendered.headings, notes=rendered.notes, quote=quote,
        quote_found=rendered.quote_found, shelf=shelf_title(guide.slug.rpartition("/")[0].split("/")[0]),
        ask=ask_url(guide.title),
    )  # fmt: skip
