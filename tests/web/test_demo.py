"""The made-up school's page, in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
import pytest_asyncio
from axe import violations
from playwright.async_api import BrowserContext, Page, expect
from web_server import Server
from widget_page import ask, box, chat, launcher

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, server: Server) -> Page:
    found = await context.new_page()
    await found.goto(f"{server.url}/")
    return found


async def test_from_the_first_address_to_an_answer(page: Page) -> None:
    await expect(page).to_have_url(re.compile("/demo$"))
    await page.get_by_role("button", name="Ask a question").click()
    await expect(box(page)).to_be_focused()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_a_question_that_is_often_asked_is_put_into_the_box(page: Page) -> None:
    words = await page.locator("[data-ask]").first.inner_text()
    await page.locator("[data-ask]").first.click()
    await expect(box(page)).to_have_value(words)


async def test_a_link_brings_a_question_along(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/demo?ask=How+long+is+a+J-1%3F+%3Cb%3E")
    await expect(box(page)).to_have_value("How long is a J-1? <b>")
    assert await chat(page).get_by_role("article").count() == 0  # only the person sends it


async def test_options_are_tried_live_and_land_in_the_code(page: Page, context: BrowserContext, server: Server) -> None:
    await expect(launcher(page)).to_be_visible()
    await page.get_by_label("Language").select_option("es")
    await expect(page.get_by_role("button", name="Preguntar a IMG Advisor")).to_be_visible()
    await page.get_by_label("Words on the button").fill('¿"Dudas"?')
    await page.get_by_label("Colour").fill("#ffd400")
    await page.get_by_label("Side").select_option("left")
    button = page.get_by_role("button", name=re.compile("Dudas"))
    await expect(button).to_have_css("background-color", "rgb(255, 212, 0)")
    found = await button.bounding_box()
    assert found is not None and found["x"] < 100
    code = await page.locator("#code").inner_text()
    for part in (f'src="{server.url}/widget/embed.js"', 'data-lang="es"', 'data-accent="#ffd400"', 'data-label="¿&quot;Dudas&quot;?"'):
        assert part in code
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == code


async def test_the_chat_may_have_a_place_on_the_page(page: Page) -> None:
    await page.get_by_label("Place").select_option("inline")
    await expect(page).to_have_url(re.compile("place=inline"))
    await page.locator("#chat").scroll_into_view_if_needed()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")
    assert 'data-target="#chat"' in await page.locator("#code").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_wrong(page: Page, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme)
    assert await violations(page) == []


async def test_it_fits_a_small_phone(page: Page) -> None:
    await page.set_viewport_size({"width": 320, "height": 568})
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_options_that_make_no_sense_are_left_out(server: Server) -> None:
    with server.client() as client:
        text = client.get('/demo?accent=red"><script>&position=top&lang=xx&theme=pink&label=<b>&greeting="x').text
    tag = text[text.index('<script async src="/widget/embed.js"') :]
    assert "<b>" not in text and 'red"' not in text and "pink" not in tag and 'data-lang="en"' in tag and "data-position" not in tag
