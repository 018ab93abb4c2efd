"""Signing in and out, over real HTTP; and that an ended session loses nothing that was typed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import httpx
import pytest
from console_pages import PASSWORD, add_account, post, sign_in, signed_in, token_of
from web_server import Server, is_problem

PAGE = {"Accept": "text/html"}


@pytest.fixture
def browser_client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def test_in_and_out(server: Server, browser_client: httpx.Client) -> None:
    client, account = browser_client, add_account(server)
    away = client.get("/console/session", headers=PAGE)
    assert away.status_code == 303 and away.headers["location"] == "/console/login?next=%2Fconsole%2Fsession"
    form = client.get(away.headers["location"])
    data = {"csrf": token_of(form.text), "email": account.email.upper(), "password": PASSWORD, "next": "/console/session"}
    entered = client.post("/console/login", data=data, headers=PAGE)
    assert entered.status_code == 303 and entered.headers["location"] == "/console/session"
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and "Max-Age" not in cookie
    assert client.get("/console/session").json()["account"] == account.id
    assert client.get("/console/login").status_code == 303  # signed in already
    out = post(client, "/console/logout")
    assert out.status_code == 303
    assert "signed out" in client.get("/console/login").text and "signed out" not in client.get("/console/login").text
    assert client.get("/console/session", headers=PAGE).status_code == 303
    client.cookies.set("img-advisor-session", re.findall("session=([^;]+)", cookie)[0])
    is_problem(client.get("/console/session"), 401, "unauthorized")  # a copy of the old cookie opens nothing


def test_wrong_ones_are_refused_and_locked_without_saying_which(server: Server, browser_client: httpx.Client) -> None:
    client, account = browser_client, add_account(server)
    nobody = post(client, "/console/login", from_page="/console/login", email="no@x.org", password="w")
    answers = [sign_in(client, account, "wrong"), nobody]
    assert [answer.status_code for answer in answers] == [401, 401]
    said = [re.findall(r'role="alert">([^<]+)', answer.text) for answer in answers]
    assert said[0] == said[1] and account.email in answers[0].text and "no@x.org" in answers[1].text
    for _ in range(4):
        sign_in(client, account, "wrong")
    locked = sign_in(client, account)
    assert locked.status_code == 429 and 1 <= int(locked.headers["retry-after"]) <= 30


def test_https_cookies_belong_to_this_host_alone(server: Server) -> None:
    """As behind a proxy that ends TLS."""
    settings = server.state.settings
    account = add_account(server)
    server.state.settings = settings.model_copy(update={"trust_proxy": True})
    try:
        with server.client(headers={"X-Forwarded-Proto": "https"}) as client:
            form = client.get("/console/login")
            visit = form.headers["set-cookie"]
            assert visit.startswith("__Host-") and "Secure" in visit and "Domain" not in visit
            cookies = {"Cookie": visit.partition(";")[0]}  # the test's client does not send Secure cookies over http
            data = {"csrf": token_of(form.text), "email": account.email, "password": PASSWORD}
            entered = client.post("/console/login", data=data, headers=cookies)
            assert entered.headers["set-cookie"].startswith("__Host-") and "Secure" in entered.headers["set-cookie"]
            plain = {"Cookie": entered.headers["set-cookie"].partition(";")[0].removeprefix("__Host-")}
            is_problem(client.get("/console/session", headers=plain), 401, "unauthorized")
    finally:
        server.state.settings = settings


ELSEWHERE = ["https://evil.example/", "//evil.example/console", "/console/../guides\\x", "/consoles", "javascript:1", "/console\n"]


@pytest.mark.parametrize("evil", ELSEWHERE)
def test_after_signing_in_one_stays_here(server: Server, browser_client: httpx.Client, evil: str) -> None:
    account = add_account(server)
    entered = post(browser_client, "/console/login", from_page="/console/login", email=account.email, password=PASSWORD, next=evil)
    assert entered.status_code == 303 and entered.headers["location"] == "/console"


def test_a_first_password_is_changed_before_anything_else(server: Server, browser_client: httpx.Client) -> None:
    client, accounts = browser_client, server.state.advisor.accounts  # type: ignore[union-attr]
    account, first = server.run(accounts.add("new@school.example", "New", by="cli"))
    entered = sign_in(client, account, first)
    assert entered.status_code == 200 and "new_password" in entered.text
    away = client.get("/console/session", headers=PAGE)
    assert away.status_code == 303 and away.headers["location"].startswith("/console/password")
    is_problem(client.get("/console/session"), 403, "forbidden")

    def change(old: str, new: str, again: str = "") -> httpx.Response:
        return post(client, "/console/password", old_password=old, new_password=new, again_password=again or new)

    for old, new, again in (("wrong", PASSWORD, ""), (first, "short", ""), (first, PASSWORD, PASSWORD + "x"), (first, first, "")):
        assert change(old, new, again).status_code == 422
    assert change(first, PASSWORD).status_code == 303
    assert client.get("/console/session").json()["name"] == "New"
    assert PASSWORD not in client.get("/console/password").text


def end_session(server: Server, account_id: str) -> None:
    accounts = server.state.advisor.accounts  # type: ignore[union-attr]
    server.run(accounts.sessions.end_all(account_id))


TYPED = {"old_note": "Dear <b>applicant</b>,\r\n\r\nالسلام “218” & more", "item": "h1"}


def test_what_was_typed_survives_the_end_of_a_session(server: Server) -> None:
    with signed_in(server) as (client, account):
        token = token_of(client.get("/console/password").text)
        end_session(server, account.id)
        stopped = client.post("/console/account?x=1", data={"csrf": token, "old_password": "s3cret-typed", **TYPED}, headers=PAGE)
        assert stopped.status_code == 401 and "s3cret-typed" not in stopped.text
        carry = html.unescape(re.findall(r'name="carry" value="([^"]*)"', stopped.text)[0])
        wrong = {"csrf": token_of(stopped.text), "email": account.email, "password": "wrong", "carry": carry}
        refused = client.post("/console/login", data=wrong, headers=PAGE)
        assert html.unescape(re.findall(r'name="carry" value="([^"]*)"', refused.text)[0]) == carry
        back = client.post("/console/login", data={**wrong, "password": PASSWORD, "csrf": token_of(refused.text)}, headers=PAGE)
        assert back.status_code == 200 and 'action="/console/account?x=1"' in back.text
        assert html.unescape(re.findall(r"<textarea[^>]*>\n([^<]*)<", back.text)[0]) == TYPED["old_note"]
        assert 'name="item" value="h1"' in back.text and "<b>applicant" not in back.text
        assert client.get("/console/session").json()["csrf"] == token_of(back.text)


def test_a_tab_from_before_a_new_sign_in_offers_its_text_again(server: Server) -> None:
    with signed_in(server) as (client, account):
        old = token_of(client.get("/console/password").text)
        end_session(server, account.id)
        sign_in(client, account)
        own = {**PAGE, "Origin": server.url}
        offered = client.post("/console/account", data={"csrf": old, **TYPED}, headers=own)
        assert offered.status_code == 409 and "218" in offered.text and token_of(offered.text) != old
        other = client.post("/console/account", data={"csrf": old, **TYPED}, headers={**PAGE, "Origin": "https://evil.example"})
        assert other.status_code == 403 and "218" not in other.text


def test_pages_are_private_and_strict(server: Server) -> None:
    with signed_in(server, name="<script>alert(1)</script>\u202eAna") as (client, _):
        page = client.get("/console/password", headers=PAGE)
        assert page.headers["cache-control"] == "no-store" and "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        assert "<script>alert" not in page.text and "&lt;script&gt;alert(1)" in page.text
        assert " style=" not in page.text and "<script>" not in page.text
        missing = client.get("/console/nowhere", headers=PAGE)
        assert missing.status_code == 404 and "text/html" in missing.headers["content-type"]
        assert missing.headers["cache-control"] == "no-store"
