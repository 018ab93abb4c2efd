"""The knowledge desk over a real git checkout: an editor's whole way in a browser, and what must not happen."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe import violations
from console_pages import add_account, browser_sign_in, post, signed_in
from playwright.async_api import Page, expect
from test_console_numbers import until
from web_server import Server, serve, write_knowledge

from bot.settings import Settings
from ingest.run import run

H1B = "guides/visas/h1b.md"
DESK = "/console/knowledge"


@pytest.fixture(scope="module")
def desk(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a library of its own, which is a git checkout."""
    folder = tmp_path_factory.mktemp("desk")
    own = settings.model_copy(update={"knowledge": write_knowledge(folder / "knowledge"), "data": folder / "data"})
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "guides"]):
        git(own, *arguments)
    asyncio.run(run(own))
    with serve(own) as found:
        yield found


def git(settings: Settings, *arguments: str) -> str:
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@school.example"]
    return subprocess.run(["git", *who, *arguments], cwd=settings.knowledge, check=True, capture_output=True, text=True).stdout


def text_of(server: Server, name: str = H1B) -> str:
    return (server.settings.knowledge / name).read_text(encoding="utf-8")


def digest_of(server: Server, name: str = H1B) -> str:
    return server.state.workroom.desk.read(name).digest  # type: ignore[union-attr]


def save(client: httpx.Client, server: Server, text: str, digest: str, **fields: str) -> httpx.Response:
    return post(client, f"{DESK}/edit", file=fields.pop("file", H1B), text=text, digest=digest, act="save", **fields)


def indexed(client: httpx.Client) -> None:
    until(lambda: client.get(f"{DESK}/run").json()["state"] == "done", 60)
    time.sleep(1.1)  # the advisor looks for another index once a second


def test_a_save_is_a_commit_of_the_editor_and_is_answered_at_once(desk: Server) -> None:
    with signed_in(desk, "editor", name="Eva Editor") as (client, me):
        text = text_of(desk).replace("six years in total", "nine years in total")
        response = save(client, desk, text.replace("\n", "\r\n"), digest_of(desk), message="Raised", anyway="1")
        assert response.status_code == 303, response.text
        assert text_of(desk) == text
        assert git(desk.settings, "log", "-1", "--format=%an|%ae|%s").strip() == f"Eva Editor|{me.email}|visas/h1b: Raised"
        indexed(client)
        asked = {"question": "How long can I stay on an H-1B?", "file": H1B}
        answer = post(client, f"{DESK}/ask", headers={"Accept": "application/json"}, **asked).json()
        assert "nine years" in answer["answer"]["text"] and answer["cites_file"]
        assert "nine years" in post(client, f"{DESK}/ask", question="How long can I stay on an H-1B?").text
        entries = desk.run(desk.state.advisor.audit.entries(action="guide.save"))  # type: ignore[union-attr]
        assert (entries[0].actor, entries[0].subject) == (me.id, H1B) and entries[0].detail["commit"]


def test_nothing_typed_is_lost_when_somebody_else_saved_or_the_text_is_wrong(desk: Server) -> None:
    with signed_in(desk, "editor") as (client, _):
        opened = digest_of(desk)
        theirs = text_of(desk).replace("three years at a time", "four years at a time")
        assert save(client, desk, theirs, opened, anyway="1").status_code == 303
        mine = text_of(desk).replace("generally to", "as a rule <b>to")
        for act in ("check", "save"):
            late = post(client, f"{DESK}/edit", file=H1B, text=mine, digest=opened, act=act, anyway="1")
            assert late.status_code == 409 and "as a rule &lt;b&gt;to" in late.text and text_of(desk) == theirs
        assert digest_of(desk) in late.text  # the next save is over what the page shows now
        broken = theirs.replace("[^h1b-length]", "[^nothing]")
        refused = save(client, desk, broken, digest_of(desk), anyway="1")
        assert refused.status_code == 422 and "[^nothing]" in refused.text and text_of(desk) == theirs
        unsourced = theirs.rstrip() + " Everybody gets it.\n"
        asked = save(client, desk, unsourced, digest_of(desk))
        assert asked.status_code == 422 and 'name="anyway"' in asked.text and text_of(desk) == theirs
        assert save(client, desk, unsourced, digest_of(desk), anyway="1").status_code == 303 and "Everybody" in text_of(desk)
        found = post(client, f"{DESK}/check", file=H1B, text=broken).json()
        assert any(one["severity"] == "error" and one["line"] and "nothing" in one["message"] for one in found)


def test_no_file_outside_is_shown_or_written(desk: Server) -> None:
    secret = desk.settings.knowledge.parent / "secret.md"
    secret.write_text("TOP SECRET")
    link = desk.settings.knowledge / "guides/visas/link.md"
    link.symlink_to(secret)
    with signed_in(desk, "admin") as (client, _):
        for name in ("../secret.md", "guides/../../secret.md", "/etc/passwd", "guides/visas/link.md", "data/terms.yaml", "facts.yaml"):
            shown = client.get(f"{DESK}/edit", params={"file": name}, headers={"Accept": "text/html"})
            assert shown.status_code in (404, 422) and "SECRET" not in shown.text and "root:" not in shown.text, name
            assert save(client, desk, "---\ntitle: x\n---\nx [^advice]", "", file=name, anyway="1").status_code in (404, 422), name
    link.unlink()
    assert secret.read_text() == "TOP SECRET"


def test_guides_that_came_with_the_program_are_shown_and_not_written(desk: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.desk.ROOT", Path(desk.settings.knowledge).parent)  # as if they lay beside an installed program
    with signed_in(desk, "editor") as (client, _):
        page = client.get(f"{DESK}/edit", params={"file": H1B}).text
        assert "IMG_ADVISOR_KNOWLEDGE" in page and "readonly" in page and 'value="save"' not in page
        before = text_of(desk)
        assert save(client, desk, before + "More. [^advice]\n", digest_of(desk), anyway="1").status_code == 422
        assert text_of(desk) == before


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_an_editor_mends_a_guide_saves_it_and_asks(desk: Server, page: Page) -> None:
    account = await asyncio.to_thread(add_account, desk, "editor", name="Eva")
    await browser_sign_in(page, desk, account)
    await page.goto(f"{desk.url}{DESK}")
    await page.locator(".shelves summary", has_text="Visas").click()
    await page.get_by_role("link", name="H-1B for residency").first.click()
    text = page.get_by_label("Text of guides/visas/h1b.md")
    typed = await text.input_value()
    await text.fill(typed.replace("[^h1b-length]", "[^h1b-lenght]"))  # a slip
    problems = page.locator("#findings")
    await expect(problems).to_contain_text("h1b-lenght")
    await expect(page.locator("#typed")).to_have_text("Not saved yet")
    await problems.get_by_role("link").first.click()
    assert "h1b-lenght" in await text.evaluate("(field) => field.value.slice(field.selectionStart, field.selectionEnd)")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
    assert "h1b-lenght" in await text.input_value()  # what was typed is there
    await text.fill(typed.replace("nine years in total", "seven years in total").replace("six years in total", "seven years in total"))
    await page.get_by_role("button", name="Check and preview").click()
    await expect(page.locator(".preview")).to_contain_text("seven years in total")
    await expect(page.locator(".diff ins").first).to_contain_text("seven")
    assert await violations(page) == []
    await page.get_by_label("What changed").fill("A new limit")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator(".notice").first).to_contain_text("committed as")
    await expect(page.locator("#run")).to_contain_text("up to date.", timeout=60_000)
    await page.wait_for_timeout(1100)  # the advisor looks for another index once a second
    await page.get_by_label("Question").fill("How long can I stay on an H-1B?")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.locator(".answered")).to_contain_text("seven years")
    await expect(page.locator(".answered")).to_contain_text("from this guide")
    assert await violations(page) == []


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_typed_outlives_the_session_and_the_tab(desk: Server, page: Page) -> None:
    account = await asyncio.to_thread(add_account, desk, "editor")
    await browser_sign_in(page, desk, account)
    address = f"{desk.url}{DESK}/edit?file={H1B}"
    await page.goto(address)
    text = page.locator("#text")
    await text.fill("---\ntitle: Half a thought\n---\n")
    await expect(page.locator("#typed")).to_have_text("Not saved yet")
    await page.context.clear_cookies()
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.goto("about:blank")
    await browser_sign_in(page, desk, account)
    await page.goto(address)
    await page.get_by_role("button", name="Show it").click()
    assert "Half a thought" in await text.input_value()
    assert "Half a thought" not in await asyncio.to_thread(text_of, desk)
