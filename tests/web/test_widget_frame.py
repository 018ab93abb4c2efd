"""The chat of the widget in a window of its own, and the passage pages, in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from frame_page import ask, choose
from playwright.async_api import Browser, BrowserContext, Page, expect
from web_server import PASSING, Server

from bot.answer import Answer, AnswerEvent, Citation, Event, Question, Sentence, SentenceEvent, SourceRef
from bot.answer import GuideRef as Guide

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def home(server: Server) -> str:
    return f"{server.url}/widget/frame"


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, home: str) -> Page:
    found = await context.new_page()
    await found.goto(home)
    return found


async def test_from_a_question_to_the_highlighted_passage(context: BrowserContext, page: Page) -> None:
    await ask(page)
    answer = page.get_by_role("article", name="Answer")
    await expect(answer).to_have_attribute("aria-busy", "false")
    await expect(answer).to_contain_text("218")
    await expect(answer).to_contain_text(re.compile(r"\d of \d sentences? checked"))

    chip = answer.get_by_role("button", name="Source 1", exact=True).first
    await chip.click()
    card = page.get_by_role("complementary", name="Source 1")
    await expect(card).to_contain_text("USMLE minimum passing scores")
    await expect(card).to_contain_text("July 2025")
    await expect(card.get_by_text("Changes often")).to_be_visible()
    await expect(card.get_by_role("link", name="Official source")).to_have_attribute("href", "https://www.usmle.org/scores")
    quote = await card.locator("blockquote mark").inner_text()

    async with context.expect_page() as opened:
        await card.get_by_role("link", name="Open the passage").click()
    passage = await opened.value
    await expect(passage.locator("mark#quote")).to_have_text(quote)
    await expect(passage.locator("mark#quote")).to_be_in_viewport()
    await expect(passage.locator("#passing")).to_be_in_viewport()
    assert passage.url.endswith("#passing")


async def test_the_card_closes_and_gives_the_focus_back(page: Page) -> None:
    await ask(page)
    chip = page.locator(".said .chip").first
    await chip.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".card")).to_be_focused()
    await expect(chip).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("Escape")
    await expect(page.locator(".card")).to_have_count(0)
    await expect(chip).to_be_focused()


async def test_sentences_appear_one_by_one(page: Page, paced: Callable[[float], None]) -> None:
    paced(0.4)
    await ask(page)
    await expect(page.locator(".status")).not_to_have_text("")
    await expect(page.locator(".said .fresh").first).to_be_visible()
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "true")
    await expect(page.get_by_role("status").last).to_contain_text("Step 2 CK")  # what a screen reader is told
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")


async def test_history_comes_back_after_a_reload_and_is_forgotten_on_request(page: Page, server: Server) -> None:
    await ask(page)
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    await ask(page, "How much is the SEVIS fee?")
    await expect(page.locator(".answer[aria-busy=false]")).to_have_count(2)
    before = await page.locator("#log .said").all_inner_texts()
    await page.reload()
    await expect(page.locator(".answer[aria-busy=false]")).to_have_count(2)
    assert await page.locator("#log .said").all_inner_texts() == before
    assert await page.locator(".asked").all_inner_texts() == [PASSING, "How much is the SEVIS fee?"]

    stored: dict[str, Any] = await page.evaluate("JSON.parse(sessionStorage.getItem('img-advisor-conversation'))")
    await choose(page, "Forget")
    await expect(page.locator("#welcome")).to_be_visible()
    with server.client() as client:
        path = f"/api/v1/conversations/{stored['id']}"
        assert client.get(path, headers={"Authorization": f"Bearer {stored['token']}"}).status_code == 404
    await page.reload()
    await expect(page.locator(".answer")).to_have_count(0)


async def test_a_new_conversation_starts_empty(page: Page) -> None:
    await ask(page)
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    await choose(page, "New chat")
    await expect(page.locator(".answer")).to_have_count(0)
    await page.locator(".example").first.click()
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")


async def test_an_unreachable_server_keeps_the_question(page: Page) -> None:
    await page.route("**/api/v1/**", lambda route: route.abort())
    await ask(page)
    await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    await page.unroute("**/api/v1/**")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(page.locator(".answer")).to_contain_text("218")
    assert await page.locator(".asked").count() == 1


async def test_a_limit_is_said_in_words(page: Page) -> None:
    problem = '{"type": "/problems/too-many-requests", "title": "Too many", "status": 429, "detail": "Please try again in 12 seconds."}'
    await page.route("**/messages", lambda route: route.fulfill(status=429, content_type="application/problem+json", body=problem))
    await ask(page)
    await expect(page.get_by_role("alert")).to_contain_text("try again in 12 seconds")


async def test_a_stream_that_breaks_off_is_taken_up_again(page: Page, server: Server) -> None:
    asked: list[str | None] = []

    async def cut(route: Any) -> None:
        asked.append(route.request.headers.get("last-event-id"))
        response = await route.fetch()
        body = await response.body()
        cut_at = body.index(b"event: sentence") if len(asked) == 1 else len(body)
        await route.fulfill(response=response, body=body[:cut_at])

    await page.route("**/messages", cut)
    await ask(page)
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(page.locator(".answer")).to_contain_text("218")
    assert len(asked) == 2 and asked[0] is None and asked[1]


async def test_a_conversation_that_is_gone_is_started_anew(page: Page) -> None:
    await page.evaluate("sessionStorage.setItem('img-advisor-conversation', JSON.stringify({id: 'gone', token: 'x'}))")
    await page.reload()
    await ask(page)
    await expect(page.locator(".answer")).to_contain_text("218")


async def test_blocked_storage_does_no_harm(context: BrowserContext, home: str) -> None:
    await context.add_init_script("Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('blocked'); }})")
    page = await context.new_page()
    await page.goto(home)
    await ask(page)
    await expect(page.locator(".answer")).to_contain_text("218")


async def test_what_comes_from_guides_and_people_is_never_markup(page: Page, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"> <script>document.title='owned'</script>"
    citation = Citation(
        n=1, chunk_id="c", quote=evil, guide=Guide(slug="x", title=evil, section=evil, url="javascript:alert(1)"),
        source=SourceRef(title=evil, publisher=evil, url="javascript:alert(1)"), as_of=evil,
    )  # fmt: skip
    said = Sentence(text=evil, citations=[1])

    async def hostile(question: Question) -> AsyncIterator[Event]:
        yield SentenceEvent(sentence=said, citations=[citation])
        stored = Answer.model_validate(
            {"id": "evil", "created_at": "2026-01-01T00:00:00Z", "status": "answered", "text": f"{evil} [1]\n\n- {evil} [1] [9]",
             "sentences": [said], "citations": [citation], "suggestions": [evil]}
        )  # fmt: skip
        yield AnswerEvent(answer=stored)

    monkeypatch.setattr(server.state.advisor, "stream", hostile)
    await ask(page, evil)
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    await page.locator(".said .chip").first.click()
    await expect(page.locator(".card")).to_contain_text("onerror")
    assert await page.locator(".card a").count() == 0
    assert await page.locator("#log img, #log script").count() == 0
    assert "owned" not in await page.title()


async def test_it_fits_a_small_phone(page: Page, server: Server) -> None:
    await page.set_viewport_size({"width": 320, "height": 568})
    await ask(page)
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    await page.locator(".said .chip").first.click()
    await expect(page.locator(".card")).to_be_in_viewport()
    for path in ("", "/guides", "/guides/usmle/step-2-ck", "/guides/visas/j1-fees"):
        if path:
            await page.goto(server.url + path)
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


async def test_guides_are_searched_without_javascript(server: Server, browser: Browser) -> None:
    context = await browser.new_context(base_url=server.url, java_script_enabled=False)
    plain = await context.new_page()
    await plain.goto("/guides")
    await plain.get_by_label("Search the guides").fill("SEVIS fee")
    await plain.keyboard.press("Enter")
    await plain.locator(".hits a").first.click()
    await expect(plain.locator("mark#quote")).to_contain_text("SEVIS")
    await context.close()
