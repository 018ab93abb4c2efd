"""Every page of the console before everybody's eyes: axe, narrow windows, dark and light, and no page that nobody listed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator

import httpx
import pytest
from axe import violations
from console_pages import add_account, browser_sign_in, post, signed_in, token_of
from playwright.async_api import Browser
from test_console_numbers import until
from test_console_permissions import ROUTES
from web_server import PASSING, Server, begin, serve, write_knowledge

from bot.settings import Settings
from ingest.run import run

PAGES = [
    "/console/login", "/console/password", "/console/account", "/console/accounts", "/console/accounts/{account_id}", "/console/audit",
    "/console/coverage", "/console/inbox", "/console/inbox/paste", "/console/items/{handoff_id}", "/console/items/{mailed}/mail",
    "/console/items/{handoff_id}/versions/{draft_id}/{number}", "/console/macros", "/console/numbers", "/console/tasks",
    "/console/tasks/changes", "/console/tasks/changes/{change_id}", "/console/tasks/golden", "/console/tasks/{task_id}",
    "/console/knowledge", "/console/knowledge/edit", "/console/knowledge/findings/{code}",
]  # fmt: skip
"""Add yours. What its address needs is made in `desk`."""
QUERIES = {"/console/knowledge/edit": "?file=guides/visas/h1b.md&line=9"}

NO_PAGES = {
    "/console", "/console/session", "/console/live", "/console/sso/back", "/console/audit/export.{form}", "/console/coverage/{name}.svg",
    "/console/numbers/{name}.svg", "/console/numbers/export.csv", "/console/items/{handoff_id}/evidence",
    "/console/items/{handoff_id}/live", "/console/items/{handoff_id}/mail.eml", "/console/knowledge/run",
}  # fmt: skip
"""Redirects, downloads, pictures, and what scripts read."""


def test_every_page_is_looked_at() -> None:
    assert {path for method, path in ROUTES if method == "GET"} == {path.replace("{mailed}", "{handoff_id}") for path in PAGES} | NO_PAGES


def write(client: httpx.Client, item: str, what: str, text: str, **more: str) -> str:
    """Makes a draft of an item, puts another text there, and does something with it; the draft's id."""
    assert post(client, f"{item}/draft", tone="warm", length="short").status_code == 303
    page = client.get(item, headers={"Accept": "text/html"}).text
    form = {name: re.findall(f'name="{name}" value="([^"]*)"', page)[0] for name in ("draft", "base")}
    done = client.post(f"{item}/{what}", data={**form, "csrf": token_of(page), "text": text, **more}, headers={"Accept": "text/html"})
    assert done.status_code < 400, done.text
    return form["draft"]


@pytest.fixture(scope="module")
def desk(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server on which something is on every page, and the ids of it."""
    folder = tmp_path_factory.mktemp("looks")
    own = settings.model_copy(update={"knowledge": write_knowledge(folder / "knowledge"), "data": folder / "data"})
    asyncio.run(run(own))
    with serve(own) as server, signed_in(server, "admin", name="Dr. Ana María Ruiz-Fernández de la Vega") as (client, account):
        advisor = server.state.advisor
        assert advisor is not None
        with server.client() as visitor:
            other, talk = begin(visitor), begin(visitor)
            visitor.post(other.messages, headers=other.headers, json={"text": "Do hospitals pay for parking?"}).raise_for_status()
            for question in ("How long can I stay on an H-1B?", PASSING):
                visitor.post(talk.messages, headers=talk.headers, json={"text": question}).raise_for_status()
            visitor.post(f"{talk.path}/handoff", headers=talk.headers, json={"reason": "My case is special."}).raise_for_status()
        handoff = server.run(advisor.store.handoff(talk.id))
        assert handoff is not None
        item = f"/console/items/{handoff.id}"
        pasted = server.run(advisor.inbox.paste("Priya <priya@mail.example>", "Visa", "Dear advisors, " + "long " * 80)).id
        write(client, f"/console/items/{pasted}", "send", "Good luck to you.", own="1")
        post(client, "/console/macros", title="Passing score", text="A pass is 218. [e1a2b3c4]", review_by="2020-01-01")
        assert post(client, f"{item}/notes", note="Called her.").status_code == 303
        draft = write(client, item, "save", "A pass is 219. I wish you luck.")
        until(lambda: "parking" in client.get("/console/tasks").text)
        guide = own.knowledge / "guides/visas/h1b.md"
        guide.write_text(guide.read_text("utf-8").replace("six years in total", "eight years in total"), "utf-8")
        asyncio.run(run(own))
        time.sleep(1.1)  # the advisor looks for another index once a second
        until(lambda: "h1b-length" in client.get("/console/tasks/changes").text)
        assert server.state.workroom is not None
        server.run(server.state.workroom.checks.done())
        yield server, {
            "mailed": pasted,
            "account_id": add_account(server, "advisor", "editor", name="Bo").id, "handoff_id": handoff.id, "draft_id": draft,
            "number": "2", "code": "front-matter",
            "task_id": re.findall(r'href="/console/tasks/([0-9a-f]{16})"', client.get("/console/tasks").text)[0],
            "change_id": re.findall(r'href="/console/tasks/changes/([0-9a-f]{16})"', client.get("/console/tasks/changes").text)[0],
        }  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
async def test_nothing_keeps_anybody_out(desk: tuple[Server, dict[str, str]], browser: Browser, scheme: str, width: int) -> None:
    server, ids = desk
    context = await browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce")  # type: ignore[arg-type]
    context.set_default_timeout(20_000)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    async def look(path: str) -> list[str]:
        answer = await page.goto(server.url + path)
        assert answer is not None and answer.status == 200, path
        found = [*await violations(page), *complaints]
        if (wide := await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")) > 0:
            found.append(f"{wide} px too wide")
        if (titles := await page.locator("h1").count()) != 1:
            found.append(f"{titles} titles")
        complaints.clear()
        return [f"{path}: {what}" for what in found]

    found = await look("/console/login")
    await browser_sign_in(page, server, await asyncio.to_thread(add_account, server, "admin"))
    for path in PAGES[1:]:
        found += await look(path.format(**ids) + QUERIES.get(path, ""))
    assert found == []
    await context.close()
