"""The chat in its frame, opened by itself, and how tests find their way in it."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect
from web_server import PASSING


async def opened(page: Page, address: str) -> None:
    await page.goto(address)
    await page.wait_for_selector("[data-ready]")


async def ask(page: Page, text: str = PASSING) -> Locator:
    await page.locator("#text").fill(text)
    await page.keyboard.press("Enter")
    return page.locator(".answer").last


async def answered(page: Page, text: str = PASSING) -> Locator:
    answer = await ask(page, text)
    await expect(answer).to_have_attribute("aria-busy", "false")
    return answer


async def choose(page: Page, name: str) -> None:
    """Something of the menu."""
    await page.get_by_label("More", exact=True).click()
    await page.get_by_role("button", name=name).click()


async def conversation(page: Page) -> dict[str, str]:
    found: dict[str, str] = await page.evaluate("JSON.parse(sessionStorage.getItem('img-advisor-conversation'))")
    return found
