from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import HTTPConnection
from web_server import PASSING, begin, is_problem, serve

from bot.settings import Settings
from web.limits import MAX_BODY_BYTES, MAX_CONSOLE_BYTES, Limits, Window, visitor
from web.problems import WebError
from web.sites import Sites


def from_(client: str = "203.0.113.5", **headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "client": (client, 1234), "headers": raw})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# Counting


def test_a_window_slides() -> None:
    clock = Clock()
    window = Window(2, 60, clock=clock)
    window.count("a")
    clock.now = 30
    window.count("a")
    assert window.wait_s("a") == 30 and window.wait_s("b") == 0
    clock.now = 60
    assert window.wait_s("a") == 0
    window.count("a")
    assert window.wait_s("a") == 30


def test_a_window_forgets_the_longest_unseen() -> None:
    window = Window(1, 60, keys=2, clock=Clock())
    for key in ("a", "b", "a", "c"):
        window.count(key)
    assert window.wait_s("b") == 0 and window.wait_s("a") > 0 and window.wait_s("c") > 0


def limits(clock: Clock, **values: object) -> Limits:
    settings = Settings.model_validate({"sites": "https://a.example, https://b.example", **values})
    return Limits(settings, Sites(settings.origins), clock=clock)


def test_each_visitor_has_a_share() -> None:
    clock = Clock()
    found = limits(clock, visitor_messages_per_minute=2)
    for _ in range(2):
        found.check(from_("203.0.113.5"), "message")
    with pytest.raises(WebError) as refused:
        found.check(from_("203.0.113.5"), "message")
    assert refused.value.retry_after_s == 60
    found.check(from_("203.0.113.6"), "message")
    clock.now = 59.5
    with pytest.raises(WebError) as refused:
        found.check(from_("203.0.113.5"), "message")
    assert refused.value.retry_after_s == 1
    clock.now = 60
    found.check(from_("203.0.113.5"), "message")


def test_each_site_has_a_share_and_made_up_sites_have_one_together() -> None:
    found = limits(Clock(), site_messages_per_minute=1)
    found.check(from_("203.0.113.1", origin="https://a.example"), "message")
    found.check(from_("203.0.113.2", origin="https://b.example"), "message")
    with pytest.raises(WebError):
        found.check(from_("203.0.113.3", origin="https://a.example"), "message")
    found.check(from_("203.0.113.4", origin="https://made-up-1.example"), "message")
    with pytest.raises(WebError):
        found.check(from_("203.0.113.5", origin="https://made-up-2.example"), "message")


def test_what_is_refused_does_not_count() -> None:
    clock = Clock()
    found = limits(clock, visitor_messages_per_minute=1, site_messages_per_minute=2)
    found.check(from_("203.0.113.1"), "message")
    for _ in range(5):
        with pytest.raises(WebError):
            found.check(from_("203.0.113.1"), "message")
    found.check(from_("203.0.113.2"), "message")


def test_who_a_visitor_is() -> None:
    assert visitor(from_("203.0.113.5", x_forwarded_for="198.51.100.7"), False) == "203.0.113.5"
    assert visitor(from_("10.0.0.1", x_forwarded_for="6.6.6.6, 198.51.100.7"), True) == "198.51.100.7"
    assert visitor(from_("10.0.0.1"), True) == "10.0.0.1"
    assert visitor(from_("2001:db8::1"), False) == visitor(from_("2001:db8::ffff"), False) != visitor(from_("2001:db8:0:1::1"), False)
    assert visitor(from_("::ffff:203.0.113.5"), False) == "203.0.113.5"
    assert len(visitor(from_("10.0.0.1", x_forwarded_for="x" * 5000), True)) <= 64


# Over HTTP


@pytest.fixture(scope="module")
def strict(settings: Settings) -> Iterator[httpx.Client]:
    tight = {"visitor_messages_per_minute": 2, "visitor_conversations_per_hour": 3, "trust_proxy": True, "api_key": "let-me-in"}
    with serve(Settings.model_validate({**settings.model_dump(), **tight})) as server, server.client() as client:
        yield client


def test_messages_and_conversations_are_limited(strict: httpx.Client) -> None:
    strict.headers["X-Forwarded-For"] = "198.51.100.1"
    talk = begin(strict)
    for _ in range(2):
        assert strict.post(talk.messages, json={"text": PASSING}, headers=talk.headers).status_code == 200
    for accept in ("*/*", "text/event-stream"):
        refused = strict.post(talk.messages, json={"text": PASSING}, headers={**talk.headers, "Accept": accept})
        problem = is_problem(refused, 429, "too-many-requests")
        assert 1 <= int(refused.headers["retry-after"]) <= 60 and problem["retry_after_s"] == int(refused.headers["retry-after"])
    begin(strict)
    begin(strict)
    assert int(is_problem(strict.post("/api/v1/conversations"), 429, "too-many-requests")["retry_after_s"]) > 60
    strict.headers["X-Forwarded-For"] = "198.51.100.2"
    begin(strict)


def test_operators_are_not_limited(strict: httpx.Client) -> None:
    for _ in range(5):
        assert strict.post("/api/v1/search", json={"query": "fee"}, headers={"Authorization": "Bearer let-me-in"}).status_code == 200


def test_behind_a_proxy_operators_need_the_key(strict: httpx.Client) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "let-me-in"},
        {"Authorization": "Bearer \u00e9".encode("latin-1")},
    ):
        problem = is_problem(strict.post("/api/v1/ask", json={"question": "fee?"}, headers=headers), 401, "unauthorized")  # type: ignore[arg-type]
        assert "IMG_ADVISOR_API_KEY" in problem["detail"] and "let-me-in" not in str(problem)


def test_forwarded_addresses_do_not_count_without_a_trusted_proxy(settings: Settings) -> None:
    tight = Settings.model_validate({**settings.model_dump(), "visitor_conversations_per_hour": 1})
    with serve(tight) as server, server.client() as client:
        assert client.post("/api/v1/conversations", headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 201
        is_problem(client.post("/api/v1/conversations", headers={"X-Forwarded-For": "198.51.100.2"}), 429, "too-many-requests")


def test_beyond_loopback_operators_need_a_key_and_visitors_do_not(settings: Settings) -> None:
    open_to_all = Settings.model_validate({**settings.model_dump(), "host": "0.0.0.0"})
    with serve(open_to_all) as server, server.client() as client:
        for path, body in (("/api/v1/ask", {"question": "fee?"}), ("/api/v1/search", {"query": "fee"})):
            assert "IMG_ADVISOR_API_KEY" in is_problem(client.post(path, json=body), 403, "key-not-set")["detail"]
            is_problem(client.post(path, json=body, headers={"Authorization": "Bearer guess"}), 403, "key-not-set")
        begin(client)
        assert client.get("/demo").status_code == 200


# Size


@pytest.mark.parametrize("path", ["/api/v1/ask", "/api/v1/conversations", "/nowhere"])
def test_a_large_body_is_refused(client: httpx.Client, path: str) -> None:
    is_problem(client.post(path, content=b"x" * (MAX_BODY_BYTES + 1)), 413, "too-large")


def test_forms_of_the_console_may_be_larger(client: httpx.Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/console/login", content=b"x" * (MAX_BODY_BYTES * 2), headers=form).status_code == 403
    is_problem(client.post("/console/login", content=b"x" * (MAX_CONSOLE_BYTES + 1), headers=form), 413, "too-large")


def test_a_large_body_without_length_is_refused(client: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 10_000

    is_problem(client.post("/api/v1/ask", content=parts()), 413, "too-large")


def test_a_body_within_the_limit_gets_through(client: httpx.Client) -> None:
    history = [{"role": "user", "text": "x" * 2000}] * 100
    assert client.post("/api/v1/ask", json={"question": PASSING, "history": history}).status_code == 200
