"""Accounts and audit log as an admin has them before their eyes."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import httpx
import pytest
from console_pages import PASSWORD, add_account, post, sign_in, signed_in
from web_server import Server

EVIL = '"><img src=x onerror=alert(1)>{{7*7}}<script>alert(2)</script>'


def first_password(page: httpx.Response) -> str:
    return re.findall(r'id="first">([^<]+)<', page.text)[0]


def account_id(page: httpx.Response) -> str:
    return re.findall(r'action="/console/accounts/([0-9a-f]+)"', page.text)[0]


def test_an_admin_lets_somebody_in_and_out_again(server: Server) -> None:
    with signed_in(server, "admin", name="Root") as (admin, _), server.client() as theirs:
        made = post(admin, "/console/accounts", email="Lia@school.example", name="Dr. Lia", roles=["editor"])
        first, ident = first_password(made), account_id(made)
        assert made.headers["cache-control"] == "no-store" and first not in admin.get(f"/console/accounts/{ident}").text
        again = post(admin, "/console/accounts", email="lia@school.example", roles=["editor"])
        assert again.status_code == 422 and 'value="lia@school.example"' in again.text
        nameless = post(admin, "/console/accounts", email="nobody", name="Kept", roles=["editor"])
        assert nameless.status_code == 422 and 'value="Kept"' in nameless.text
        assert post(admin, "/console/accounts", email="x@school.example").status_code == 422  # no role

        account = server.run(server.state.advisor.accounts.get(ident))  # type: ignore[union-attr]
        sign_in(theirs, account, first)
        changed = post(theirs, "/console/password", old_password=first, new_password=PASSWORD, again_password=PASSWORD)
        assert changed.status_code == 303 and theirs.get("/console/session").status_code == 200

        assert post(admin, f"/console/accounts/{ident}", name="Dr. Lia Wu", roles=["advisor", "editor"]).status_code == 303
        assert "Dr. Lia Wu" in theirs.get("/console/account").text and "advisor, editor" in theirs.get("/console/account").text
        assert post(admin, f"/console/accounts/{ident}", name="Dr. Lia Wu").status_code == 422  # no role at all
        assert post(admin, f"/console/accounts/{ident}/sign-out").status_code == 303
        assert theirs.get("/console/session").status_code == 401
        assert sign_in(theirs, account).status_code == 303
        post(admin, f"/console/accounts/{ident}/disable")
        assert theirs.get("/console/session").status_code == 401 and sign_in(theirs, account).status_code == 401
        post(admin, f"/console/accounts/{ident}/enable")
        renewed = first_password(post(admin, f"/console/accounts/{ident}/reset"))
        assert sign_in(theirs, account).status_code == 401 and sign_in(theirs, account, renewed).status_code == 200
        shown = admin.get("/console/audit", params={"subject": ident}).text
        for action in ("account.add", "account.roles", "account.disable", "account.enable", "account.reset", "account.sign-out"):
            assert action in shown, action


def test_an_admin_cannot_lock_themselves_out(server: Server) -> None:
    with signed_in(server, "admin") as (admin, account):
        for act in ("disable", "reset"):
            assert post(admin, f"/console/accounts/{account.id}/{act}").status_code == 409
        assert post(admin, "/console/accounts/nothing/disable").status_code == 404
        assert admin.get("/console/session").status_code == 200


def test_ones_own_account(server: Server) -> None:
    with signed_in(server, "editor") as (client, account), server.client() as elsewhere:
        assert sign_in(elsewhere, account).status_code == 303
        assert post(client, "/console/account", name="  ").status_code == 422
        assert post(client, "/console/account", name="New Name").status_code == 303
        page = client.get("/console/account").text
        assert "New Name" in page and page.count("this one") == 1
        assert post(client, "/console/account/sign-out").status_code == 303
        assert elsewhere.get("/console/session").status_code == 401 and client.get("/console/session").status_code == 200


def test_names_are_text_and_nothing_else(server: Server) -> None:
    with signed_in(server, "admin", name=EVIL) as (admin, account):
        made = post(admin, "/console/accounts", email="evil@school.example", name=EVIL + " 2", roles=["advisor"])
        pages = [made, *(admin.get(path) for path in ("/console/accounts", f"/console/accounts/{account.id}", "/console/audit"))]
        for page in pages:
            assert "<img src" not in page.text and "<script>alert" not in page.text and html.escape("{{7*7}}") in page.text
        reflected = admin.get("/console/audit", params={"action": EVIL, "actor": EVIL, "subject": EVIL, "since": EVIL, "head": EVIL})
        assert reflected.status_code == 200 and "<img src" not in reflected.text
        typed = post(admin, "/console/accounts", email=EVIL, name=EVIL, roles=["advisor"])
        assert typed.status_code == 422 and "<img src" not in typed.text


def test_the_log_is_read_checked_and_taken_along(server: Server) -> None:
    with signed_in(server, "admin", name="Auditor") as (admin, account):
        other = add_account(server, "advisor", name="Somebody")
        page = admin.get("/console/audit", params={"actor": account.id, "action": "login"}).text
        assert "Auditor" in page and page.count('<td><span title="login">') == 1
        assert "no day" in admin.get("/console/audit?since=yesterday").text
        checked = admin.get("/console/audit?verify=true").text
        seal = re.findall(r'id="seal">([0-9a-f]{64})<', checked)[0]
        lines = admin.get("/console/audit/export.jsonl")
        assert "attachment" in lines.headers["content-disposition"] and lines.headers["cache-control"] == "no-store"
        rows = [json.loads(line) for line in lines.text.splitlines()]
        assert [row["number"] for row in rows] == list(range(1, len(rows) + 1)) and rows[-1]["action"] == "audit.export"
        assert seal in [row["hash"] for row in rows]
        table = list(csv.DictReader(io.StringIO(admin.get("/console/audit/export.csv").text)))
        assert [row["hash"] for row in table[: len(rows)]] == [row["hash"] for row in rows]
        assert "The log is whole" in admin.get("/console/audit", params={"verify": True, "head": seal}).text
        assert "check failed" in admin.get("/console/audit", params={"verify": True, "head": "0f" * 32}).text
        for _ in range(51):
            server.run(server.state.advisor.audit.record(other.id, "try.many", "x"))  # type: ignore[union-attr]
        many = admin.get("/console/audit", params={"action": "try"}).text
        older = html.unescape(re.findall(r'href="(/console/audit\?[^"]*before=[^"]*)"', many)[0])
        assert many.count('title="try.many"') == 50 and admin.get(older).text.count('title="try.many"') == 1


@pytest.mark.parametrize("path", ["/console/login", "/console/account", "/console/accounts", "/console/audit", "/console/nowhere"])
def test_pages_keep_the_strict_policy(server: Server, path: str) -> None:
    with signed_in(server, "admin") as (admin, _):
        page = admin.get(path, headers={"Accept": "text/html"}, follow_redirects=True)
        assert page.headers["cache-control"] == "no-store" and "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY" and page.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<script>|<[a-z][^<>]* (style|on[a-z]+)=", page.text)
