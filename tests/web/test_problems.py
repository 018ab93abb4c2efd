from __future__ import annotations

import json
import logging
import string
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from web_server import Server, Talk, begin, is_problem

from bot.errors import AdvisorError, DocumentError, IndexMismatch, IndexMissing, InputError, NotFound, WeightsError
from web.problems import KINDS, problem_of

LEAKS = ("Traceback", "site-packages", ".py", "/work", "/tmp", "/root", "/home", "sqlite", 'File "', "pydantic", "line 1")


def leaks(text: str) -> list[str]:
    return [leak for leak in LEAKS if leak in text]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/api/v1/nowhere", 404, "not-found"),
        ("GET", "/guides/no/such/guide", 404, "not-found"),
        ("GET", "/guides/../../etc/passwd", 404, "not-found"),
        ("GET", "/static/..%2f..%2fetc%2fpasswd", 404, "not-found"),
        ("GET", "/static/none.css", 404, "not-found"),
        ("GET", "/problems/none", 404, "not-found"),
        ("GET", "/api/v1/ask", 405, "method-not-allowed"),
        ("PATCH", "/api/v1/conversations", 405, "method-not-allowed"),
        ("POST", "/demo", 405, "method-not-allowed"),
    ],
)
def test_every_error_is_a_problem(client: httpx.Client, method: str, path: str, status: int, kind: str) -> None:
    response = client.request(method, path)
    problem = is_problem(response, status, kind)
    assert not leaks(response.text)
    if status == 405:
        assert response.headers["allow"] and method in problem["detail"]


def test_a_browser_gets_the_problem_as_a_page(client: httpx.Client) -> None:
    response = client.get("/guides/none", headers={"Accept": "text/html,*/*"})
    assert response.status_code == 404 and response.headers["content-type"].startswith("text/html")
    assert 'href="/guides"' in response.text
    is_problem(client.get("/api/v1/conversations/x", headers={"Accept": "text/html"}), 401, "unauthorized")


def test_the_type_of_a_problem_leads_to_its_meaning(client: httpx.Client) -> None:
    for name, kind in KINDS.items():
        assert kind.title in client.get(f"/problems/{name}").text


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InputError("The question is too long. Shorten it."), 422, "invalid-input"),
        (DocumentError("is empty", file="a.md"), 422, "invalid-input"),
        (NotFound("There is no such answer."), 404, "not-found"),
        (IndexMissing("Nothing is indexed yet. Run: img-advisor ingest"), 503, "index-missing"),
        (IndexMismatch("Run: img-advisor ingest --rebuild"), 503, "index-mismatch"),
        (WeightsError("The files cannot be had."), 503, "weights-unavailable"),
    ],
)
def test_foreseen_errors_keep_their_words(error: AdvisorError, status: int, kind: str) -> None:
    problem = problem_of(error)
    assert (problem.status, problem.type, problem.detail) == (status, f"/problems/{kind}", str(error))


@pytest.mark.parametrize("error", [ValueError("/srv/secret"), AdvisorError("at /srv/secret"), KeyError("secret")])
def test_the_unforeseen_gets_a_number_and_nothing_else(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "img_advisor.web"):
        problem = problem_of(error)
    assert problem.status == 500 and problem.incident and "secret" not in problem.model_dump_json()
    assert problem.incident in caplog.text and type(error).__name__ in caplog.text
    assert "secret" not in caplog.text  # what a library says may hold what a visitor wrote


def test_a_bug_behind_a_page_shows_no_more(client: httpx.Client, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> Any:
        raise RuntimeError("at /srv/secret")

    monkeypatch.setattr(server.state.advisor, "guides", broken)
    response = client.get("/guides")
    assert is_problem(response, 500, "internal")["incident"]
    assert "secret" not in response.text and response.headers["x-content-type-options"] == "nosniff"
    page = client.get("/guides", headers={"Accept": "text/html"})
    assert page.status_code == 500 and "secret" not in page.text and "Traceback" not in page.text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(string.printable, max_size=12), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ("question", "query", "text", "history", "profile", "k", "filters", "value", "reason", "language", "collection", "step2ck")
PLACES = st.sampled_from(
    [("POST", "/api/v1/ask"), ("POST", "/api/v1/search"), ("POST", "{talk}/messages"),
     ("PUT", "{talk}/profile"), ("POST", "{talk}/handoff"),
     ("POST", "/api/v1/answers/x/feedback"), ("POST", "/api/v1/conversations/x/messages")]
)  # fmt: skip


@pytest.fixture
def shared(client: httpx.Client) -> tuple[httpx.Client, Talk]:
    return client, begin(client)


@given(place=PLACES, body=ANYTHING | st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=5))
@hypothesis_settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_brings_out_a_path_or_a_trace(shared: tuple[httpx.Client, Talk], place: tuple[str, str], body: object) -> None:
    client, talk = shared
    method, path = place
    sent = json.dumps(body).encode()
    response = client.request(
        method, path.format(talk=talk.path), content=sent, headers={**talk.headers, "Content-Type": "application/json"}
    )
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        problem = response.json()
        assert response.headers["content-type"] == "application/problem+json" and problem["status"] == response.status_code
        assert not [leak for leak in leaks(response.text) if leak not in json.dumps(body, ensure_ascii=False)], response.text


@given(
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    query=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
@hypothesis_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_address_does_either(client: httpx.Client, path: str, query: str) -> None:
    for start in ("/guides/", "/", "/static/", "/api/v1/conversations/"):
        request = client.build_request("GET", "/", params={"q": query, "quote": query})
        request.url = request.url.copy_with(raw_path=httpx.URL(f"http://x{start}").raw_path + _escaped(path) + b"?" + request.url.query)
        response = client.send(request)
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json" and not leaks(response.text)


def _escaped(text: str) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in text.encode())
