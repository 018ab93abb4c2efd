"""How tests go in and out of the console."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from playwright.async_api import Page
from web_server import Server

from bot.accounts import Account

PASSWORD = "correct horse battery staple"


def add_account(server: Server, *roles: str, name: str = "", password: str = PASSWORD) -> Account:
    """A new account whose first password was changed already."""
    accounts = server.state.advisor.accounts  # type: ignore[union-attr]

    async def make() -> Account:
        await accounts.attempts.forgive(address="127.0.0.1")  # all tests come from there
        account, first = await accounts.add(f"{secrets.token_hex(4)}@school.example", name, roles or ("advisor",), by="cli")
        return await accounts.change_password(account.id, first, password)

    return server.run(make())


def token_of(text: str) -> str:
    """The CSRF token of a page."""
    found = re.search(r'name="csrf" (?:content|value)="([0-9a-f]{64})"', text)
    assert found, text[:2000]
    return found[1]


def sign_in(client: httpx.Client, account: Account, password: str = PASSWORD) -> httpx.Response:
    return post(client, "/console/login", from_page="/console/login", email=account.email, password=password)


def post(client: httpx.Client, path: str, *, from_page: str = "", headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    """Sends a form as a browser would, with the token of the page it stands on."""
    page = client.get(from_page or "/console/password", headers={"Accept": "text/html"}, follow_redirects=True)
    data = {"csrf": token_of(page.text), **fields}
    return client.post(path, data=data, headers={"Accept": "text/html", **(headers or {})})


@contextmanager
def signed_in(server: Server, *roles: str, name: str = "") -> Iterator[tuple[httpx.Client, Account]]:
    """A browser in which a new account with these roles is signed in."""
    account = add_account(server, *roles, name=name)
    with server.client() as client:
        response = sign_in(client, account)
        assert response.status_code == 303, response.text
        yield client, account


async def browser_sign_in(page: Page, server: Server, account: Account, password: str = PASSWORD) -> None:
    await page.goto(f"{server.url}/console/login")
    await page.get_by_label("E-mail").fill(account.email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.wait_for_url(lambda url: "/login" not in url)


