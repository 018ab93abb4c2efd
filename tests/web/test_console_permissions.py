"""Every route of the console x everybody who may come: generated from the app, so that a new route is not forgotten.

A new route is declared in WHO; until then the first test fails.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from console_pages import add_account
from fastapi.routing import APIRoute
from web_server import Server

from web.console import router

WHO = {
    # Everybody, signed in or not
    "anyone": ["GET /console/login", "POST /console/login", "POST /console/sso", "GET /console/sso/back"],
    # Whoever is signed in, with a first password too
    "half": ["POST /console/logout", "GET /console/password", "POST /console/password"],
    "signed in": [
        "GET /console", "GET /console/session", "GET /console/account", "POST /console/account", "POST /console/account/sign-out",
        "GET /console/coverage", "GET /console/coverage/{name}.svg", "GET /console/numbers", "GET /console/numbers/export.csv",
        "GET /console/numbers/{name}.svg",
    ],
    "advisor": [
        "GET /console/items/{handoff_id}", "POST /console/items/{handoff_id}/draft", "POST /console/items/{handoff_id}/blank",
        "POST /console/items/{handoff_id}/save", "POST /console/items/{handoff_id}/check",
        "POST /console/items/{handoff_id}/restore/{number}", "GET /console/items/{handoff_id}/versions/{draft_id}/{number}",
        "POST /console/items/{handoff_id}/rewrite/{way}", "POST /console/items/{handoff_id}/discard",
        "POST /console/items/{handoff_id}/approve", "POST /console/items/{handoff_id}/send", "POST /console/items/{handoff_id}/claim",
        "GET /console/items/{handoff_id}/evidence", "GET /console/items/{handoff_id}/live", "POST /console/items/{handoff_id}/leave",
        "POST /console/items/{handoff_id}/notes", "POST /console/items/{handoff_id}/notes/{note_id}/remove",
        "GET /console/items/{handoff_id}/mail", "GET /console/items/{handoff_id}/mail.eml", "GET /console/macros",
        "POST /console/macros", "POST /console/macros/{macro_id}", "POST /console/macros/{macro_id}/remove",
        "GET /console/live", "GET /console/inbox", "GET /console/inbox/paste", "POST /console/inbox/paste",
        "POST /console/inbox/{handoff_id}/claim", "POST /console/inbox/{handoff_id}/assign", "POST /console/inbox/{handoff_id}/release",
        "POST /console/inbox/{handoff_id}/close", "POST /console/inbox/{handoff_id}/priority", "POST /console/inbox/{handoff_id}/unread",
        "POST /console/tasks/changes/{change_id}/draft",
    ],
    "advisor or editor": [
        "GET /console/tasks", "GET /console/tasks/changes", "GET /console/tasks/changes/{change_id}",
        "POST /console/tasks/changes/{change_id}/close", "POST /console/tasks/changes/{change_id}/dismiss", "GET /console/tasks/golden",
        "POST /console/tasks/golden", "GET /console/tasks/{task_id}", "POST /console/tasks/{task_id}/move",
        "POST /console/tasks/{task_id}/note", "POST /console/tasks/{task_id}/merge",
    ],
    "editor": [
        "GET /console/knowledge", "GET /console/knowledge/findings/{code}", "GET /console/knowledge/edit", "POST /console/knowledge/edit",
        "POST /console/knowledge/new", "POST /console/knowledge/check", "GET /console/knowledge/run", "POST /console/knowledge/run",
        "POST /console/knowledge/ask",
    ],
    "admin": [
        "GET /console/accounts", "POST /console/accounts", "GET /console/accounts/{account_id}", "POST /console/accounts/{account_id}",
        "POST /console/accounts/{account_id}/reset", "POST /console/accounts/{account_id}/disable",
        "POST /console/accounts/{account_id}/enable", "POST /console/accounts/{account_id}/untie",
        "POST /console/accounts/{account_id}/sign-out", "GET /console/audit", "GET /console/audit/export.{form}",
    ],
}  # fmt: skip
PERSONS = ("nobody", "first password", "advisor", "editor", "admin")
MAY = {
    "anyone": set(PERSONS), "half": set(PERSONS) - {"nobody"}, "signed in": {"advisor", "editor", "admin"}, "advisor": {"advisor", "admin"},
    "editor": {"editor", "admin"}, "advisor or editor": {"advisor", "editor", "admin"}, "admin": {"admin"},
}  # fmt: skip


def routes_of(found: Any) -> Iterator[tuple[str, str]]:
    """(method, path) of all routes below a router, however deep it was included."""
    for route in found.routes:
        if inner := getattr(route, "original_router", None):
            yield from routes_of(inner)
        elif isinstance(route, APIRoute):
            yield from ((method, route.path) for method in sorted(route.methods or ()))


ROUTES = sorted(set(routes_of(router)))
RULES = {line: rule for rule, lines in WHO.items() for line in lines}


def test_every_route_is_declared_and_everything_declared_is_a_route(server: Server) -> None:
    assert {f"{method} {path}" for method, path in ROUTES} == set(RULES)
    everywhere = {(method, path) for method, path in routes_of(server.app) if path.startswith("/console")}
    assert everywhere == set(ROUTES), "a route of the console stands outside of its router, where forms are not protected"


@pytest.fixture(scope="module")
def sessions(server: Server) -> dict[str, str]:
    """A session's token for each person; nobody has none."""
    accounts = server.state.advisor.accounts  # type: ignore[union-attr]
    first, _ = server.run(accounts.add("first@school.example", roles=["advisor", "editor"], by="cli"))
    ids = {"first password": first.id} | {role: add_account(server, role).id for role in ("advisor", "editor", "admin")}
    return ids


def begin(server: Server, sessions: dict[str, str], person: str) -> str:
    if person == "nobody":
        return "not-a-session"
    return server.run(server.state.advisor.accounts.sessions.open(sessions[person]))  # type: ignore[union-attr]


def filled(path: str) -> str:
    return re.sub(r"\{form\}", "csv", re.sub(r"\{(?!form)[^}]+\}", "nothing", path))


def send(client: httpx.Client, method: str, path: str, token: str, csrf: str | None = None, **headers: str) -> tuple[int, str]:
    """Status and where it leads; a stream is not read."""
    all_headers = {"Accept": "text/html", "Cookie": f"img-advisor-session={token}", **headers}
    if csrf:
        all_headers["X-CSRF-Token"] = csrf
    with client.stream(method, filled(path), headers=all_headers) as response:
        return response.status_code, response.headers.get("location", "")


def csrf_of(token: str) -> str:
    return hashlib.sha256(f"csrf\n{token}".encode()).hexdigest()


@pytest.mark.parametrize("person", PERSONS)
def test_everybody_gets_where_they_may_and_nowhere_else(server: Server, sessions: dict[str, str], person: str) -> None:
    wrong = []
    with server.client() as client:
        for method, path in ROUTES:
            token = begin(server, sessions, person)  # a new one each time: some routes end it
            status, place = send(client, method, path, token, csrf_of(token))
            turned_away = status in (401, 403) or place.startswith(("/console/login?", "/console/password?"))
            allowed = person in MAY[RULES.get(f"{method} {path}", "admin")]
            if (method, path) == ("POST", "/console/login"):
                turned_away = status != 401  # which is the right answer to no password
            if turned_away == allowed or status >= 500:
                wrong.append(f"{method} {path}: {status} {place}")
    assert wrong == []


def test_no_form_is_taken_from_elsewhere(server: Server, sessions: dict[str, str]) -> None:
    wrong = []
    with server.client() as client:
        for method, path in ROUTES:
            if method in ("GET", "HEAD"):
                continue
            token, other = begin(server, sessions, "admin"), begin(server, sessions, "admin")
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            tries: list[tuple[str | None, dict[str, str]]] = [
                (None, {}), (None, form), (csrf_of(other), {}), (csrf_of(""), form),
                (None, {**form, "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
                (None, {"Content-Type": "text/plain", "Origin": server.url}),
                (csrf_of(other), {**form, "Origin": server.url, "Sec-Fetch-Site": "same-site"}),
            ]  # fmt: skip
            for csrf, headers in tries:
                status, _ = send(client, method, path, token, csrf, **headers)
                if status != 403:
                    wrong.append(f"{method} {path} {csrf} {headers}: {status}")
    assert wrong == []
