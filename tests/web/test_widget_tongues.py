"""Answers in other languages in the chat: each part in its own language and direction, with the English original of translations."""

from __future__ import annotations

import pytest
from axe import violations
from openai_server import OpenAIServer
from playwright.async_api import BrowserContext, Page, expect
from web_server import Server, serve

from bot.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ARABIC = "ما هي درجة النجاح في Step 2 CK؟"


async def asked(page: Page, text: str) -> None:
    await page.locator("#text").fill(text)
    await page.keyboard.press("Enter")
    await expect(page.locator("article[aria-busy='false']").last).to_be_visible()


async def test_english_quotes_in_an_arabic_answer_stand_apart_and_run_left_to_right(context: BrowserContext, server: Server) -> None:
    page = await context.new_page()
    await page.goto(f"{server.url}/widget/frame?lang=ar")
    await asked(page, ARABIC)
    own, english = page.locator(".said p[lang='ar']").first, page.locator(".said p[lang='en']").first
    await expect(english).to_contain_text("218")
    await expect(english.locator(".chip").first).to_be_visible()
    assert [await p.evaluate("p => getComputedStyle(p).direction") for p in (own, english)] == ["rtl", "ltr"]
    assert await page.locator("html").get_attribute("dir") == "rtl"
    assert await violations(page) == []
    await page.goto(f"{server.url}/widget/frame?lang=en")  # the language of a message does not need the page's
    await expect(page.locator(".said p[lang='ar']").first).to_be_visible()  # the history is there
    await asked(page, "¿Cuál es la nota mínima para aprobar Step 2 CK?")
    await expect(page.locator(".said p[lang='es']").last).to_be_visible()
    await expect(page.locator(".said p[lang='en']").last).to_contain_text("218")


async def test_a_translated_answer_keeps_its_english_original_at_hand(context: BrowserContext, settings: Settings) -> None:
    with OpenAIServer("nothing") as model:
        model.translates = lambda sentence: (
            "La nota mínima para aprobar ⟨Step 2 CK⟩ es ⟨218⟩ para exámenes desde el ⟨1 July 2025⟩." if "⟨218⟩" in sentence else None
        )
        with serve(settings.model_copy(update={"model": "openai:scripted", "model_base_url": model.url})) as server:
            page = await context.new_page()
            await page.goto(f"{server.url}/widget/frame?lang=es")
            await asked(page, "¿Cuál es la nota mínima para aprobar Step 2 CK?")
            said = page.locator(".said").last
            await expect(said.locator("p[lang='es']").filter(has_text="es 218 para")).to_be_visible()
            await said.locator("summary").click()
            original = said.locator("ol[lang='en'] li").first
            await expect(original).to_contain_text("218")
            await expect(original).to_be_visible()
            assert await violations(page) == []
