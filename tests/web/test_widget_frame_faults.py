"""The chat in its frame when the server, the network or the person does what was not hoped for, in a real browser."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from axe import violations
from frame_page import answered, ask, choose, conversation, opened
from playwright.async_api import Browser, BrowserContext, Page, Route, expect
from web_server import PASSING, Server

from bot.answer import Profile, Reply, Sentence

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
SEVIS = "How much is the SEVIS fee?"


@pytest.fixture
def home(server: Server) -> str:
    return f"{server.url}/widget/frame"


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, home: str) -> Page:
    found = await context.new_page()
    await opened(found, home)
    return found


@pytest.mark.parametrize("status", [429, 500, 502])
async def test_an_error_at_load_loses_no_history(page: Page, status: int) -> None:
    await answered(page)
    before = await conversation(page)
    await page.route("**/api/v1/conversations/*", lambda route: route.fulfill(status=status, body="<html>no</html>"))
    await page.reload()
    trouble = page.get_by_role("alert").filter(has_text="It is kept")
    await expect(trouble).to_be_visible()
    assert await conversation(page) == before
    await page.unroute("**/api/v1/conversations/*")
    await trouble.get_by_role("button", name="Try again").click()
    await expect(page.locator(".answer")).to_contain_text("218")


async def test_a_proxy_without_a_server_while_taking_up_a_stream_is_waited_for(page: Page) -> None:
    asked: list[str | None] = []

    async def cut(route: Any) -> None:
        asked.append(route.request.headers.get("last-event-id"))
        if len(asked) == 2:
            await route.fulfill(status=503, body="<html>restarting</html>")
            return
        response = await route.fetch()
        body = await response.body()
        await route.fulfill(response=response, body=body[: body.index(b"event: sentence")] if len(asked) == 1 else body)

    await page.route("**/messages", cut)
    await expect(await answered(page)).to_contain_text("218")
    assert len(asked) == 3 and asked[1] == asked[2] != asked[0]


async def test_an_answer_that_was_lost_on_its_way_is_not_worked_out_twice(page: Page, server: Server) -> None:
    async def lose(route: Any) -> None:
        await (await route.fetch()).body()  # the server has answered by now
        await route.fulfill(status=504, body="<html>Gateway timeout</html>")

    await page.route("**/messages", lose)
    await ask(page)
    again = page.get_by_role("button", name="Try again")
    await expect(again).to_be_visible()
    await page.unroute("**/messages")
    await again.click()
    await expect(page.locator(".answer")).to_contain_text("218")
    found = await conversation(page)
    with server.client() as client:
        stored = client.get(f"/api/v1/conversations/{found['id']}", headers={"Authorization": f"Bearer {found['token']}"}).json()
    assert [turn["role"] for turn in stored["turns"]] == ["user", "assistant"]


async def test_a_new_chat_can_be_had_while_an_answer_is_made(page: Page, paced: Any) -> None:
    await answered(page)
    paced(0.5)
    await ask(page, SEVIS)
    await choose(page, "New chat")
    await expect(page.locator("#welcome")).to_be_visible()
    await expect(page.locator(".answer, .asked")).to_have_count(0)
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await answered(page)
    await expect(page.locator(".answer")).to_have_count(1)


async def test_focus_is_never_lost(page: Page) -> None:
    async def is_kept() -> bool:
        return bool(await page.evaluate("document.activeElement !== document.body && document.activeElement.checkVisibility()"))

    await page.locator(".example").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    assert await is_kept()  # the example is gone
    await page.locator("#text").fill(PASSING)
    await page.locator("#send").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer[aria-busy=false]")).to_have_count(2)
    assert await is_kept()  # the button to send was away meanwhile
    await page.route("**/messages", lambda route: route.abort())
    await ask(page, SEVIS)
    again = page.get_by_role("button", name="Try again")
    await expect(again).to_be_visible()
    await page.unroute("**/messages")
    await again.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer[aria-busy=false]")).to_have_count(3)
    assert await is_kept()
    await page.get_by_label("More", exact=True).focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("More", exact=True)).to_be_focused()


async def test_what_is_written_stays_when_an_advisor_replies(page: Page, server: Server) -> None:
    await answered(page)
    answer = page.locator(".answer").first
    await answer.get_by_role("button", name="No", exact=True).click()
    await answer.get_by_label("Tell us more").fill("Half a tho")
    found, advisor = await conversation(page), server.state.advisor
    assert advisor is not None
    handoff = server.run(advisor.store.request_handoff(found["id"], "Please"))
    reply = Reply.model_validate(
        {"id": "r-2", "conversation_id": found["id"], "created_at": "2026-01-01T00:00:00Z", "status": "answered", "text": "Call me.",
         "sentences": [Sentence(text="Call me.", kind="own")], "advisor": "Dr. Lee", "own_words_by": "Dr. Lee"}
    )  # fmt: skip
    server.run(advisor.store.add_reply(handoff.id, reply))
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.get_by_role("article", name="Reply from Dr. Lee, advisor")).to_be_visible()
    await expect(answer.get_by_label("Tell us more")).to_have_value("Half a tho")
    await expect(page.locator(".answer")).to_have_count(2)


async def test_saving_the_profile_keeps_what_the_form_does_not_show(page: Page, server: Server) -> None:
    await answered(page)
    found, advisor = await conversation(page), server.state.advisor
    assert advisor is not None
    server.run(advisor.store.set_profile(found["id"], Profile(attempts={"step1": 1, "step2ck": 1}, step2ck=230)))
    await choose(page, "What we know about you")
    panel = page.get_by_role("dialog", name="What we know about you")
    await expect(panel.get_by_label("Failed attempts at Steps")).to_have_value("2")
    await panel.get_by_label("Citizenship").fill("Peru")
    await panel.get_by_role("button", name="Save").click()
    await expect(panel).to_be_hidden()
    with server.client() as client:
        stored = client.get(f"/api/v1/conversations/{found['id']}", headers={"Authorization": f"Bearer {found['token']}"}).json()["profile"]
    assert (stored["attempts"], stored["step2ck"], stored["citizenship"]) == ({"step1": 1, "step2ck": 1}, 230, "Peru")

    await page.route("**/api/v1/conversations/*", lambda route: route.fulfill(status=500, body="no"))
    await choose(page, "What we know about you")
    await expect(panel.get_by_role("alert")).to_be_visible()
    await expect(panel.get_by_role("button", name="Save")).to_have_count(0)  # an empty form would overwrite it all
    assert await violations(page) == []
    await page.unroute("**/api/v1/conversations/*")
    await page.keyboard.press("Escape")
    await choose(page, "What we know about you")
    await expect(panel.get_by_label("Citizenship")).to_have_value("Peru")


async def test_length_is_counted_as_the_server_counts_it(page: Page) -> None:
    await page.locator("#text").fill("😀" * 7990 + " " * 50)
    await expect(page.locator("#limit")).to_be_hidden()
    await page.locator("#text").fill("😀" * 8001)
    await expect(page.locator("#limit")).to_contain_text("8,001")


async def test_a_clock_that_is_years_off_changes_nothing(context: BrowserContext, home: str) -> None:
    page = await context.new_page()
    await page.clock.install(time="2009-01-01T00:00:00Z")
    await opened(page, home)
    answer = await answered(page)
    await expect(answer).to_contain_text("218")
    await answer.locator(".chip").first.click()
    await expect(page.locator(".card")).to_contain_text("July 2025")
    await page.reload()
    await expect(page.locator(".answer")).to_contain_text("218")


async def test_every_sentence_is_still_there_for_a_screen_reader_that_is_slow(page: Page) -> None:
    answer = await answered(page, f"{PASSING} {SEVIS}")
    said = await page.locator("#announce").inner_text()
    sentences = await answer.locator(".said").inner_text()
    assert "218" in sentences and "218" in said


async def test_four_times_the_size_leaves_room_to_read(browser: Browser, home: str) -> None:
    context = await browser.new_context(viewport={"width": 320, "height": 256}, device_scale_factor=4)  # 1280 x 1024 at 400 %
    page = await context.new_page()
    await opened(page, home)
    await answered(page)
    covered = await page.evaluate(
        "[...document.querySelectorAll('.top, .composer')].filter((node) => /sticky|fixed/.test(getComputedStyle(node).position))"
        ".reduce((sum, node) => sum + node.offsetHeight, 0)"
    )
    assert covered < 256 / 2
    assert await violations(page) == []
    await context.close()


async def test_who_is_faster_than_the_script_loses_nothing(context: BrowserContext, home: str) -> None:
    page, come = await context.new_page(), asyncio.Event()

    async def late(route: Route) -> None:
        await come.wait()
        await route.continue_()

    await page.route("**/widget/frame.js", late)
    await page.goto(home, wait_until="commit")
    await page.locator("#text").fill(PASSING)
    await page.locator("#send").click(force=True)
    come.set()
    await page.wait_for_selector("[data-ready]")
    await expect(page.locator("#text")).to_have_value(PASSING)
    await page.locator("#send").click()
    await expect(page.locator(".answer").last).to_contain_text("218")


async def test_what_is_asked_while_the_history_is_on_its_way_comes_after_it(page: Page) -> None:
    await answered(page)
    come = asyncio.Event()

    async def late(route: Route) -> None:
        await come.wait()
        await route.continue_()

    await page.route("**/api/v1/conversations/*", late)
    await page.reload()
    await page.wait_for_selector("[data-ready]")
    await page.locator("#text").fill(SEVIS)
    await page.keyboard.press("Enter")
    come.set()
    await expect(page.locator(".answer")).to_have_count(2)
    await expect(page.locator(".answer").last).to_have_attribute("aria-busy", "false")
    await expect(page.locator(".asked")).to_have_text([PASSING, SEVIS])
