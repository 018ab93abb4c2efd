"""Every error as an RFC 9457 problem document: a stable type, a sentence for people, never a stack trace, a path or a secret.

API routes and scripts always get `application/problem+json`. Only a browser that opens a page (its Accept names text/html)
gets the same problem as a page.
"""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.errors import AdvisorError, Conflict, Forbidden, IndexMismatch, IndexMissing, InputError, NotFound, UnknownCollection, WeightsError
from web.pages import page

log = logging.getLogger("img_advisor.web")

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    status: int
    title: str
    meaning: str  # for the page that a problem's type points at


KINDS: dict[str, Kind] = {
    "invalid-json": Kind(400, "The request is not valid JSON", "The body could not be read as UTF-8 JSON."),
    "bad-request": Kind(400, "The request cannot be read", "The request is malformed."),
    "unauthorized": Kind(401, "A key or token is needed", "The route needs `Authorization: Bearer …` with a valid key or token."),
    "forbidden": Kind(403, "Not allowed", "The key, token or address does not open this."),
    "key-not-set": Kind(403, "No API key is set", "The server listens beyond this machine and its operator has set no API key yet."),
    "not-found": Kind(404, "Not found", "There is no such page, guide, conversation or answer."),
    "unknown-collection": Kind(404, "Unknown collection", "The collection that was named is not indexed."),
    "method-not-allowed": Kind(405, "Method not allowed", "The address exists, but not for this HTTP method."),
    "conflict": Kind(409, "Somebody else was first", "What was asked for has been done, or taken on, by somebody else meanwhile."),
    "too-large": Kind(413, "The request is too large", "The body is larger than the server reads."),
    "invalid-input": Kind(422, "The input is wrong", "A field is missing or has a value that cannot be used; `errors` names each."),
    "too-many-requests": Kind(429, "Too many requests", "A limit was reached; `Retry-After` says how many seconds to wait."),
    "internal": Kind(500, "Something went wrong here", "An unexpected error; the operator finds it in the log under `incident`."),
    "index-missing": Kind(503, "Nothing is indexed yet", "The knowledge base has to be indexed first."),
    "index-mismatch": Kind(503, "The index does not fit", "The index was built with another embedder or chunker and has to be built anew."),
    "weights-unavailable": Kind(503, "The embedder is not available", "The embedder's files could not be had."),
    "database-away": Kind(503, "The database does not answer", "The database does not answer at the moment; try again soon."),
    "stopping": Kind(503, "The server is stopping", "The server was stopped before the answer was ready; send the message again."),
    "error": Kind(500, "The request failed", "An error without a kind of its own."),
}

_BY_STATUS = {400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed", 413: "too-large",
              422: "invalid-input", 429: "too-many-requests"}  # fmt: skip

_DETAILS = {
    404: "There is nothing at this address. Check it for typing errors.",
    405: "This address does not take {method} requests.",
}


class FieldError(BaseModel):
    field: str = Field(description="Where in the request, as a dotted path", examples=["question"])
    message: str = Field(description="What is wrong and what to do", examples=["String should have at least 1 character"])


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: str = Field(description="Stable address of the kind of problem", examples=["/problems/invalid-input"])
    title: str = Field(examples=["The input is wrong"])
    status: int = Field(examples=[422])
    detail: str = Field(description="One sentence for people: what is wrong and what to do")
    errors: list[FieldError] | None = Field(None, description="The fields that are wrong, when fields are")
    incident: str | None = Field(None, description="What to quote to the operator, when the error is ours")
    retry_after_s: int | None = Field(None, description="Seconds to wait before trying again")


class WebError(AdvisorError):
    """An error of the doors themselves. `type` is one of KINDS."""

    def __init__(self, type: str, detail: str, *, headers: Mapping[str, str] | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.type = type
        self.headers = dict(headers or {})
        self.retry_after_s = retry_after_s


def problem(type: str, detail: str, **more: Any) -> Problem:
    kind = KINDS.get(type) or KINDS["error"]
    return Problem(type=f"/problems/{type}", title=kind.title, status=kind.status, detail=detail, **more)


def problem_of(error: BaseException) -> Problem:
    """The problem document of an error. What nobody foresaw is logged under an incident number, which is all the outside sees of it."""
    match error:
        case WebError():
            return problem(error.type, str(error), retry_after_s=error.retry_after_s)
        case RequestValidationError():
            return _validation_problem(error)
        case HTTPException():
            return _http_problem(error)
        case UnknownCollection() | NotFound() | Forbidden() | IndexMissing() | IndexMismatch() | WeightsError():
            return problem(error.type, str(error))
        case Conflict():
            return problem(error.type, str(error))
        case InputError():
            return problem("invalid-input", str(error))
        case _:
            return incident_of(error)


def incident_of(error: BaseException) -> Problem:
    """Logs the kind of error and where it arose, but not its message: messages of libraries may hold what a visitor wrote."""
    number = secrets.token_hex(6)
    where = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)[-12:]))
    log.error("Incident %s: %s\n%s", number, type(error).__name__, where)
    detail = f"Something went wrong on our side. Please try again; if it stays, tell us the number {number}."
    return problem("internal", detail, incident=number)


def _http_problem(error: HTTPException) -> Problem:
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        kind = "bad-request" if error.status_code < 500 else "error"
    if error.status_code == 400 and "parsing the body" in str(error.detail):
        return problem("invalid-json", "The body is not valid UTF-8 JSON. Send one JSON object, encoded as UTF-8.")
    shown = problem(kind, _DETAILS.get(error.status_code) or f"{KINDS[kind].meaning}")
    return shown if KINDS[kind].status == error.status_code else shown.model_copy(update={"status": error.status_code})


def _validation_problem(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        place = next((item["loc"][-1] for item in found if item["type"] == "json_invalid"), 0)
        return problem("invalid-json", f"The body is not valid JSON (near character {place}). Send one JSON object, encoded as UTF-8.")
    fields = [FieldError(field=_field(item["loc"]), message=_say(item)) for item in found[:20]]
    if len(fields) == 1 and fields[0].field == "body":
        return problem("invalid-input", "Send one JSON object with the header Content-Type: application/json.", errors=fields)
    said = "; ".join(f"'{item.field}': {item.message}" for item in fields[:5])
    return problem("invalid-input", f"{said}. Correct this and send the request again.", errors=fields)


def _field(loc: tuple[Any, ...]) -> str:
    """("body", "history", 0, "text") -> "history.0.text". A name that the caller made up is cut and cleaned before it is shown."""
    parts = [str(part) for part in loc if part not in {"body", "query", "path", "header"}]
    name = "".join(c for c in ".".join(parts) if c.isprintable())[:80]
    return name or "body"


_SAYINGS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field; remove it or check its spelling",
    "string_unicode": "holds characters that are not valid Unicode (a lone surrogate); remove them",
    "string_too_short": "is empty; write something",
}


def _say(item: dict[str, Any]) -> str:
    said = _SAYINGS.get(item["type"])
    if said is None and item["type"] == "string_too_long":
        said = f"is longer than {item.get('ctx', {}).get('max_length')} characters; shorten it"
    return said or str(item["msg"]).removeprefix("Value error, ")


def respond(request: Request | None, shown: Problem, headers: Mapping[str, str] | None = None) -> Response:
    headers = dict(headers or {})
    headers["Cache-Control"] = "no-store"
    if shown.retry_after_s is not None:
        headers["Retry-After"] = str(shown.retry_after_s)
    if shown.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    if request is not None and wants_page(request):
        template = "console/problem.html" if _of_console(request) else "problem.html"
        return page(template, status_code=shown.status, headers=headers, problem=shown)
    return Response(shown.model_dump_json(exclude_none=True), shown.status, headers, MEDIA_TYPE)


def wants_page(request: Request) -> bool:
    """Forms of the console are answered with pages, too."""
    is_page = (request.method in {"GET", "HEAD"} and not request.url.path.startswith("/api/")) or _of_console(request)
    return is_page and "text/html" in request.headers.get("accept", "")


def _of_console(request: Request) -> bool:
    return request.url.path == "/console" or request.url.path.startswith("/console/")


def add_problems(app: FastAPI) -> None:
    """From here on every error that a route raises leaves as a problem document."""

    async def foreseen(request: Request, error: Exception) -> Response:
        shown = problem_of(error)
        headers = dict(getattr(error, "headers", None) or {})
        if shown.status == 405:
            shown = shown.model_copy(update={"detail": shown.detail.format(method=request.method)})
        return respond(request, shown, headers)

    for kind in (RequestValidationError, HTTPException, AdvisorError):
        app.add_exception_handler(kind, foreseen)


class Incidents:
    """Outermost net: what no handler foresaw becomes a 500 problem, and not the server's own plain-text page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            shown = incident_of(error)
            if begun:
                raise RuntimeError(f"The response broke off, incident {shown.incident}") from None
            await respond(Request(scope), shown)(scope, receive, send)


def documented(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """`responses=` for a route: the problems it may answer with, for the OpenAPI document."""
    result: dict[int | str, dict[str, Any]] = {}
    for name in kinds:
        kind = KINDS[name]
        example = problem(name, kind.meaning).model_dump(exclude_none=True)
        entry = result.setdefault(
            kind.status,
            {"description": kind.title, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}},
        )
        entry["content"][MEDIA_TYPE]["examples"][name] = {"value": json.loads(json.dumps(example))}
    return result
