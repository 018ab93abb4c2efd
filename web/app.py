"""The one wiring place of the doors: settings in, an ASGI app out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

import bot
from bot.advisor import Advisor
from bot.bootstrap import open_advisor
from bot.settings import Settings
from ingest.chunk import CHUNKER
from web import api, charts, demo, guides, tables, tools, widget
from web.bodies import Healthy, Ready
from web.console import add_console
from web.console.workroom import Workroom
from web.events import Run, Runs
from web.headers import ConversationCors, HeadAsGet, SecurityHeaders
from web.limits import BodyLimit, Limits
from web.metrics import Measured, Metrics
from web.pages import page
from web.problems import KINDS, Incidents, Problem, WebError, add_problems, documented
from web.sites import Sites
from web.slack import door as slack
from web.slack import export, oauth
from web.state import AdvisorHere, State, StateHere

if TYPE_CHECKING:
    from web.slack.app import Slack

STATIC = Path(__file__).parent / "static"

TAGS = [
    {"name": "conversations", "description": "What a visitor's browser calls. Limited per visitor and site."},
    {"name": "operators", "description": "For operators' scripts and evaluators: open on loopback, else behind the API key."},
    {"name": "guides", "description": "The guides as pages, with the anchors that citations point at."},
    {"name": "widget", "description": "What a site embeds."},
    {"name": "demo", "description": "A chat page."},
    {"name": "slack", "description": "What Slack calls. Every request is signed."},
    {"name": "operations", "description": "Health, readiness, metrics."},
]


def create_app(settings: Settings, advisor: Advisor | None = None) -> FastAPI:
    """The whole server. Without `advisor` it opens one at start-up and closes it at the end; one that is handed in stays the caller's."""
    metrics = Metrics()
    sites = Sites(settings.origins)
    runs = Runs(on_end=lambda run, seconds: _count(metrics, run, seconds))
    state = State(settings, Limits(settings, sites), runs, metrics, sites, advisor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if advisor is None:
            state.advisor = await open_advisor(settings, chunker=CHUNKER)
        state.slack = await _slack(state)
        assert state.advisor is not None
        state.workroom = Workroom(settings, state.advisor)
        state.workroom.start()
        try:
            yield
        finally:
            await state.workroom.close()
            await state.runs.close()
            if state.slack is not None:
                await state.slack.stop()
            if advisor is None and state.advisor is not None:
                await state.advisor.close()

    app = FastAPI(
        title="IMG Advisor", version=bot.__version__, summary="Verified, cited answers for international medical graduates",
        lifespan=lifespan, openapi_tags=TAGS, docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.doors = state
    doors = (api.conversations, tools.router, api.operators, charts.router, tables.router, guides.router, widget.router, demo.router)
    for router in (*doors, slack.router, oauth.router, export.router, operations):
        app.include_router(router)
    add_console(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_problems(app)
    app.add_middleware(BodyLimit)  # innermost; the last one added is the first to see a request
    app.add_middleware(Incidents)
    app.add_middleware(Measured, metrics=metrics)
    app.add_middleware(ConversationCors, origins=settings.origins)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HeadAsGet)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _slack(state: State) -> Slack | None:
    if not state.settings.slack or state.advisor is None:
        return None
    from web.slack.app import Slack  # its libraries are loaded where Slack is set up only

    found = Slack(state.settings, state.advisor)
    found.counted = state.metrics.answered
    await found.start()
    return found


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How to serve: neither logging what people ask (addresses hold search words) nor believing X-Forwarded-For without our checks."""
    return uvicorn.Config(
        app, host=settings.host, port=settings.port, access_log=False, proxy_headers=False, server_header=False,
        log_level=settings.log_level, timeout_graceful_shutdown=10,
    )  # fmt: skip


def _count(metrics: Metrics, run: Run, seconds: float) -> None:
    if run.answer is not None:
        metrics.answered(run.answer, seconds)
    elif run.failure is not None:
        metrics.failed(run.failure.type.rpartition("/")[2])


# Operations ---------------------------------------------------------------------------------------------------------------

operations = APIRouter()


@operations.get("/healthz", tags=["operations"], summary="The process runs")
async def healthz() -> Healthy:
    return Healthy()


@operations.get(
    "/readyz",
    tags=["operations"],
    summary="Questions can be answered",
    responses=documented("index-missing", "index-mismatch", "weights-unavailable"),
)
async def readyz(advisor: AdvisorHere) -> Ready:
    """503 says what to run."""
    return Ready(**await advisor.status())


@operations.get(
    "/metrics",
    tags=["operations"],
    summary="Counters for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def read_metrics(state: StateHere) -> Response:
    return Response(state.metrics.text(), media_type=state.metrics.content_type)


@operations.get(
    "/problems/{name}",
    tags=["operations"],
    summary="What a problem's type means",
    response_class=HTMLResponse,
    responses=documented("not-found"),
)
async def read_problem(name: str) -> HTMLResponse:
    kind = KINDS.get(name)
    if kind is None:
        raise WebError("not-found", "There is no problem of this name.")
    return page("kind.html", name=name, kind=kind)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with our problems in the place of its own validation error."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes, tags=TAGS)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        invalid = documented("invalid-input")[422]
        for path in document["paths"].values():
            for operation in path.values():
                if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                    content = operation["responses"]["422"]["content"]
                    if "HTTPValidationError" in str(content["application/json"]):
                        operation["responses"]["422"] = invalid
        document["components"]["securitySchemes"] = {
            "conversation": {"type": "http", "scheme": "bearer", "description": "The token that came when the conversation was started"},
            "operator": {"type": "http", "scheme": "bearer", "description": "The API key; not needed on loopback"},
        }
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if "operators" in operation.get("tags", []):
                    operation["security"] = [{"operator": []}, {}]
                elif "conversations" in operation.get("tags", []) and path != "/api/v1/conversations":
                    operation["security"] = [{"conversation": []}]
        app.openapi_schema = document
    return app.openapi_schema
