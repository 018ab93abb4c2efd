"""The inbox over real HTTP, and in real browsers that look at two servers over one database."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from axe import violations
from console_pages import add_account, browser_sign_in, post, signed_in
from playwright.async_api import Browser, Page, expect
from running import running
from web_server import Server, Talk, begin, is_problem, serve

from bot.inbox import Inbox
from bot.settings import ROOT, Settings

INBOX = "/console/inbox"
HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)> \u202eevil\u2066 {{ 7*7 }} " onfocus="alert(1)'


@pytest.fixture(scope="module")
def other(settings: Settings, server: Server) -> Iterator[Server]:
    """A second replica over the same database."""
    with serve(settings) as found:
        yield found


def inbox_of(server: Server) -> Inbox:
    assert server.state.advisor is not None
    return server.state.advisor.inbox


def ask(server: Server, text: str = "Which visa do I need?", reason: str = "My case is special.", talks: list[Talk] | None = None) -> str:
    """An applicant who asks for an advisor, as the widget does; the hand-off's id."""
    with server.client() as client:
        talk = begin(client)
        if talks is not None:
            talks.append(talk)
        client.post(talk.messages, json={"text": text}, headers=talk.headers).raise_for_status()
        client.post(f"{talk.path}/handoff", json={"reason": reason}, headers=talk.headers).raise_for_status()
    store = server.state.advisor.store  # type: ignore[union-attr]
    found = server.run(store.handoff(talk.id))
    assert found is not None
    return found.id


def shown(client: httpx.Client, query: str = "") -> list[str]:
    return re.findall(r'data-id="([^"]+)"', client.get(f"{INBOX}?{query}").raise_for_status().text)


def notice(client: httpx.Client, response: httpx.Response) -> str:
    """What the page says after a form."""
    assert response.status_code == 303, response.text
    page = client.get(response.headers["location"], headers={"Accept": "text/html"})
    return html.unescape(re.findall(r'class="notice" role="status">([^<]*)', page.text)[0])


def test_an_item_goes_through_all_hands_without_a_script(server: Server) -> None:
    talks: list[Talk] = []
    item = ask(server, "Can I bring my wombat on an H-1B?", talks=talks)
    with signed_in(server, name="Ana") as (ana, _), signed_in(server, name="Ben") as (ben, ben_account):
        assert item in shown(ana) and item in shown(ana, "show=new&q=wombat") and item not in shown(ana, "advisor=me")
        back = f"{INBOX}?q=wombat"
        claimed = post(ana, f"{INBOX}/{item}/claim", back=back)
        assert claimed.headers["location"] == back and "yours" in notice(ana, claimed)
        assert item in shown(ana, "advisor=me") and item in shown(ben, "show=assigned") and item not in shown(ben, "show=new")
        told = ana.get(talks[0].path, headers=talks[0].headers).json()["handoff"]
        assert (told["state"], told["advisor"]) == ("assigned", "Ana")  # the applicant reads a name, not an account's id
        late = post(ben, f"{INBOX}/{item}/claim", from_page=back, back=back)
        assert "Ana has taken" in notice(ben, late)
        assert "taken" in notice(ben, post(ben, f"{INBOX}/{item}/release"))
        given = post(ana, f"{INBOX}/{item}/assign", to=ben_account.id, found="somebody else")
        assert "Ben" in notice(ana, given) and item in shown(ben, "advisor=me")
        post(ben, f"{INBOX}/{item}/priority", level="urgent")
        assert shown(ben)[0] == item and item in shown(ben, "priority=urgent")
        post(ben, f"{INBOX}/{item}/priority", level="")
        assert item not in shown(ben, "priority=urgent")
        assert "queue" in notice(ben, post(ben, f"{INBOX}/{item}/release")) and item in shown(ana, "show=new")
        post(ana, f"{INBOX}/{item}/close")
        assert item in shown(ana, "show=closed&q=wombat") and item not in shown(ana)
        assert "closed already" in notice(ben, post(ben, f"{INBOX}/{item}/claim"))
        assert "forgotten" in notice(ben, post(ben, f"{INBOX}/nothing/claim"))


def test_pasted_mail_becomes_an_item_and_its_words_stay_out_of_the_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with signed_in(server) as (client, _):
        empty = post(client, f"{INBOX}/paste", from_page=f"{INBOX}/paste", sender="Ana", text=" \n ")
        assert empty.status_code == 422 and 'value="Ana"' in empty.text
        assert post(client, f"{INBOX}/paste", text="x" * 8001).status_code == 422
        made = post(client, f"{INBOX}/paste", sender="Ana <b>Quokkason</b>", subject="Numbat?", text="Dear team,\n\nwhich\x00 bilby?")
        (item,) = shown(client, "q=bilby")
        assert made.headers["location"] == f"/console/items/{item}" and shown(client, "channel=mail&q=quokkason+numbat") == [item]
        assert "<b>Quokkason" not in client.get(f"{INBOX}?q=bilby").text
    assert "bilby" not in caplog.text and "Quokkason" not in caplog.text


def test_only_advisors_come_in_and_no_address_breaks_the_page(server: Server) -> None:
    item = ask(server)
    with server.client(headers={"Accept": "text/html"}) as nobody:
        for path in (INBOX, f"{INBOX}/paste", "/console/live"):
            assert nobody.get(path).headers["location"].startswith("/console/login")
    with signed_in(server, "editor") as (editor, _):
        assert editor.get(INBOX).status_code == 403 and post(editor, f"{INBOX}/{item}/claim").status_code == 403
        is_problem(editor.get("/console/live"), 403, "forbidden")
    with signed_in(server) as (client, _):
        nonsense = "show=x&priority=9&channel=%00&language=%F0&site=%00&advisor=%00&q=%22%22%22*%00OR&x=1"
        assert client.get(f"{INBOX}?{nonsense}").status_code == 200
        for mark in ("x", "W10", "é" * 50):
            assert client.get(INBOX, params={"after": mark}, headers={"Accept": "text/html"}).status_code == 422
        for evil in ("https://evil.example", "//evil.example", "/guides", "/console/../x\\"):
            assert post(client, f"{INBOX}/{item}/claim", back=evil).headers["location"] == INBOX
        is_problem(client.post(f"{INBOX}/{item}/close"), 403, "forbidden")  # without the token of a form


def test_a_process_of_its_own_is_told_what_another_one_did(server: Server, settings: Settings) -> None:
    """`img-advisor serve` as an operator runs a replica."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "IMG_ADVISOR_DATA": str(settings.data), "IMG_ADVISOR_KNOWLEDGE": str(settings.knowledge)}
    command = [sys.executable, "-c", "from web.cli import main; main()", "serve", "--port", "0"]
    with signed_in(server) as (client, account), running(command, cwd=ROOT, env=env) as replica:
        cookies = dict(client.cookies)
        with httpx.stream("GET", f"{replica.url}/console/live", cookies=cookies, timeout=60) as stream:
            lines = stream.iter_lines()

            def pulse() -> dict[str, object]:
                found: dict[str, object] = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
                return found

            first = pulse()
            item = ask(server)
            assert pulse()["new"] == first["new"] + 1  # type: ignore[operator]
            server.run(inbox_of(server).see(item, account.id))
            server.run(inbox_of(server).see(item, "Somebody"))
            while (told := pulse())["here"] != {item: ["Somebody"]}:  # oneself is left out
                pass
            assert told["mark"] != first["mark"]
            began = time.monotonic()
            assert replica.stop() == 0 and time.monotonic() - began < 8  # it does not wait for pages that are open


# In a browser

module = pytest.mark.asyncio(loop_scope="module")


@module
async def test_two_advisors_in_two_windows_on_two_servers(server: Server, other: Server, browser: Browser) -> None:
    ana, ben = add_account(server, name="Ana Lima"), add_account(server, name="Ben Ortiz")
    first = await asyncio.to_thread(ask, server, HOSTILE, "Ask " + HOSTILE)
    await asyncio.to_thread(server.run, inbox_of(server).set_priority(first, 0, by="test"))
    windows: list[Page] = []
    for where, account in ((server, ana), (other, ben)):
        context = await browser.new_context(reduced_motion="reduce")
        page = await context.new_page()
        await browser_sign_in(page, where, account)
        await page.goto(f"{where.url}{INBOX}")
        windows.append(page)
    here, there = windows
    assert await here.title() != "owned" and await here.locator("script:not([src])").count() == 0
    row = here.locator(f'[data-id="{first}"]')
    await expect(row.locator("bdi").first).to_contain_text("<script>")
    before = await here.locator("[data-id]").count()
    count = here.locator('.side nav a[href="/console/inbox"] .count')
    waiting = int((await count.inner_text()).split()[0])

    # An item comes in: it is there without a reload, and neither focus nor what is typed is lost.
    await here.keyboard.press("j")
    await expect(row.locator("[data-open]")).to_be_focused()
    await there.locator("#q").fill("half a wor")
    await here.evaluate("window.stays = true")
    second = await asyncio.to_thread(ask, other, "A second question about visas")
    for page in windows:
        await expect(page.locator(f'[data-id="{second}"]')).to_be_visible()
    assert await here.evaluate("window.stays") and await here.locator("[data-id]").count() == before + 1
    await expect(row.locator("[data-open]")).to_be_focused()
    await expect(there.locator("#q")).to_be_focused()
    await expect(there.locator("#q")).to_have_value("half a wor")
    await expect(count).to_have_text(f"{waiting + 1} waiting")

    # Claimed by keyboard here, seen there; the other one is told who has it.
    assert await violations(here) == []
    await here.keyboard.press("c")
    await expect(row.locator(".whose")).to_contain_text("You")
    await expect(here.locator("#said")).to_have_text("It is yours now.")
    await expect(row.locator("[data-open]")).to_be_focused()
    assert await here.evaluate("window.stays")
    theirs = there.locator(f'[data-id="{first}"]')
    await expect(theirs.locator(".whose")).to_contain_text("Ana Lima")
    await theirs.locator("summary").click()
    await expect(theirs.get_by_role("button", name="Take over from Ana Lima")).to_be_visible()
    assert await violations(there) == []
    await there.keyboard.press("Escape")
    await expect(theirs.locator("summary")).to_be_focused()

    # Who looks at an item is seen beside it.
    await asyncio.to_thread(server.run, inbox_of(server).see(first, ana.id))
    await expect(theirs.locator("[data-here]")).to_contain_text("Ana Lima")
    await expect(row.locator("[data-here]")).to_be_hidden()
    for page in windows:
        await page.context.close()


@module
async def test_all_can_be_done_by_keyboard_and_keys_can_be_switched_off(server: Server, page: Page) -> None:
    account = add_account(server, name="Ana Lima")
    for n in range(3):
        await asyncio.to_thread(ask, server, f"Question {n} about a platypus")
    await browser_sign_in(page, server, account)
    await page.set_viewport_size({"width": 320, "height": 800})
    await page.goto(f"{server.url}{INBOX}")
    await page.keyboard.press("/")
    await page.keyboard.type("platypus")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**q=platypus*")
    links = page.locator("[data-open]")
    await expect(links).to_have_count(3)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.keyboard.press("Escape")
    for keys, place in (("jj", 1), ("k", 0), ("k", 0), ("jjj", 2)):
        for key in keys:
            await page.keyboard.press(key)
        await expect(links.nth(place)).to_be_focused()
    await page.keyboard.press("m")
    await expect(page.locator("[data-id] .menu[open] select").first).to_be_focused()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_label("Use these keys").uncheck()
    await page.keyboard.press("Escape")
    await links.nth(0).focus()
    await page.keyboard.press("j")
    await expect(links.nth(0)).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/console/items/*")
