"""The page that plays a workspace, driven in a real browser against the real app."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from axe import violations
from playwright.async_api import BrowserContext, Page, expect
from slack_twin import app_for, copied, install, queue, slack_settings
from web_server import PASSING

from bot.settings import Settings
from web.slack.app import Slack
from web.slack.twin import Twin
from web.slack.twin_page import page_routes
from web.slack.twin_server import running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Slack, Twin]]:
    folder = tmp_path_factory.mktemp("page") / "data"
    copied(settings.data, folder)
    made = Twin()
    async with running(made, 0, page_routes(made)):
        made.team("T1", "Northbridge")
        made.channel("T1", "C2T1", "handoffs")
        mine = slack_settings(settings.model_copy(update={"data": folder}), made)
        async with app_for(mine, made) as app:
            await install(app, made, "T1")
            await app.workspaces.choose("T1", advisors=["U2T1"], notices="C2T1")
            yield app, made


@pytest.fixture(scope="module")
def slack(here: tuple[Slack, Twin]) -> Slack:
    return here[0]


@pytest.fixture(scope="module")
def twin(here: tuple[Slack, Twin]) -> Twin:
    return here[1]


async def show(page: Page, twin: Twin) -> None:
    await page.goto(twin.url)
    await expect(page.get_by_role("button", name="match-2027")).to_be_visible()


async def ask(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")


async def test_a_question_is_asked_answered_rated_and_handed_to_an_advisor_who_replies(page: Page, twin: Twin, slack: Slack) -> None:
    await show(page, twin)
    await page.get_by_role("button", name="match-2027").click()
    await ask(page, f"@app {PASSING}")
    await page.get_by_role("button", name="1 reply").click()
    thread = page.get_by_label("Thread", exact=True)
    await expect(thread.get_by_text("218").first).to_be_visible()
    await expect(thread.get_by_text("sentences checked").first).to_be_visible()  # a task card
    link = thread.get_by_role("link", name="[1]").first
    assert "/guides/usmle/step-2-ck" in (await link.get_attribute("href") or "")
    await thread.get_by_role("button", name="Quotes").click()
    box = page.get_by_role("dialog")
    await expect(box.locator("blockquote").first).to_contain_text("218")
    await page.keyboard.press("Escape")
    await expect(box).to_be_hidden()
    await thread.get_by_role("button", name="Ask an advisor").click()
    await box.get_by_label("What should the advisor know?").fill("I sit it twice.")
    await box.get_by_role("button", name="Ask the advisor").click()
    await expect(box).to_contain_text("An advisor was asked")
    await page.keyboard.press("Escape")
    await page.get_by_label("You are").select_option(label="Advisor Ana")
    await page.get_by_role("button", name="handoffs").click()
    await page.get_by_role("button", name="Draft a reply").click()
    reply = box.get_by_label("Your reply")
    await reply.fill("The Step 2 CK minimum passing score is 231 for exams taken on or after 1 July 2025.")
    await box.get_by_role("button", name="Check the text").click()
    await expect(box).to_contain_text("is not in its source")
    await expect(reply).to_have_value("The Step 2 CK minimum passing score is 231 for exams taken on or after 1 July 2025.")
    await reply.fill("The Step 2 CK minimum passing score is 218 for exams taken on or after 1 July 2025.")
    await box.get_by_role("button", name="Done").click()
    await expect(box).to_contain_text("Sent as Advisor Ana")
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("Answered by Advisor Ana")).to_be_visible()
    await page.get_by_role("button", name="match-2027").click()
    await page.get_by_role("button", name="replies").click()
    try:
        await expect(thread.get_by_text("Advisor Ana (advisor)")).to_be_visible()
    except AssertionError as error:
        error.add_note(f"{await queue(slack)}\n{[m.get('username') for m in twin.teams['T1'].channels['C1T1'].messages]}")
        raise


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_wrong_and_a_small_screen_has_room(context: BrowserContext, twin: Twin, scheme: Any) -> None:
    page = await context.new_page()
    await page.emulate_media(color_scheme=scheme)
    await show(page, twin)
    await ask(page, PASSING)
    await expect(page.get_by_label("Thread", exact=True).get_by_role("button", name="Ask an advisor")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("button", name="Close the thread").click()
    await page.get_by_role("tab", name="Home").click()
    await page.get_by_role("button", name=re.compile("Tell me|Change")).click()
    await expect(page.get_by_label("Step 2 CK score")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_label("Step 2 CK score").fill("999")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("from 1 to 300")
    await page.get_by_label("Step 2 CK score").fill("243")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#home")).to_contain_text("243")
    await page.locator("#window footer").get_by_role("button", name="Close").click()
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    await page.get_by_role("button", name="Clear").first.click()  # asks first: dismissed, nothing is forgotten
    await expect(page.locator("#home")).to_contain_text("243")


async def test_the_page_takes_nothing_that_another_page_or_name_sent(twin: Twin) -> None:
    async with httpx.AsyncClient() as client:
        say = {"do": "say", "user": "U1T1", "channel": "C1T1", "text": "forged"}
        evil = {"origin": "https://evil.example"}
        assert (await client.post(f"{twin.url}/act", json=say, headers=evil)).status_code == 403
        assert (await client.post(f"{twin.url}/act", json=say, headers={"host": "evil.example"})).status_code == 403
        plain = {"content-type": "text/plain"}
        assert (await client.post(f"{twin.url}/act", content=b"{}", headers=plain)).status_code == 403
        assert (await client.get(f"{twin.url}/world", headers={"host": "evil.example"})).status_code == 403
        for odd in (
            {},
            {"do": "_who"},
            {"do": "close", "view": "V0"},
            {"do": "click", "channel": "C0", "ts": "1"},
            {"do": "edit", "channel": "C1T1", "ts": "0"},
        ):
            assert (await client.post(f"{twin.url}/act", json={"user": "U1T1", **odd})).status_code == 400
    assert "forged" not in str(twin.teams["T1"].channels["C1T1"].messages)


async def test_no_two_messages_have_one_name_also_where_the_clock_stands() -> None:
    twin = Twin()
    twin.clock = lambda: 1_795_760_107.9683
    names = [twin.now_ts() for _ in range(2000)]
    assert len(set(names)) == 2000 and names == sorted(names)
