"""The page of an item in a browser: whole stories, from the applicant's question to the reply they read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe import violations
from console_pages import PASSWORD, add_account, browser_sign_in
from playwright.async_api import Browser, BrowserContext, Page, expect
from web_server import PASSING, Server

from bot.accounts import Account
from bot.store import Handoff

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]
TRUE = "The Step 2 CK minimum passing score is 218 for exams taken on or after 1 July 2025."


def waiting(server: Server, question: str = PASSING) -> Handoff:
    advisor = server.state.advisor
    assert advisor is not None

    async def make() -> Handoff:
        conversation, _ = await advisor.store.start()
        await advisor.store.add_question(conversation, question)
        return await advisor.store.request_handoff(conversation, "help")

    return server.run(make())


async def at_the_desk(page: Page, server: Server, handoff: Handoff, account: Account | None = None) -> Account:
    """Signed in, on the item's page, with a fresh draft."""
    account = account or add_account(server, "advisor", name="Ana Ruiz")
    await browser_sign_in(page, server, account)
    await page.goto(f"{server.url}/console/items/{handoff.id}")
    await page.get_by_role("button", name="Make a draft").click()
    await expect(page.locator("#text")).to_have_value(re.compile("218"))
    await expect(page.locator("#verdict")).to_contain_text("to know")
    await page.wait_for_load_state()  # what is typed is only heard when the scripts are there
    return account


def versions(server: Server, handoff: Handoff) -> list[str]:
    advisor = server.state.advisor
    assert advisor is not None
    (draft,) = server.run(advisor.drafts.of(handoff.id))
    return [version.text for version in server.run(advisor.drafts.versions(draft.id))]


async def test_from_the_applicants_question_to_the_reply_they_read(context: BrowserContext, server: Server) -> None:
    applicant, page = await context.new_page(), await context.new_page()
    await applicant.goto(f"{server.url}/widget/frame")
    await applicant.wait_for_selector("[data-ready]")
    await applicant.locator("#text").fill(PASSING)
    await applicant.keyboard.press("Enter")
    await expect(applicant.locator(".answer").last).to_have_attribute("aria-busy", "false")
    await applicant.get_by_role("button", name="Ask an advisor").first.click()
    await applicant.get_by_role("button", name="Ask the advisor").click()
    await expect(applicant.locator("#waiting")).to_contain_text("Waiting")
    advisor = server.state.advisor
    assert advisor is not None
    handoff = server.run(advisor.store.handoffs())[-1]

    await at_the_desk(page, server, handoff)
    text = page.locator("#text")
    before = await text.input_value()
    await text.fill(before.replace("218", "219"))
    await expect(page.locator("#verdict")).to_contain_text("to settle")
    await expect(page.locator("#marks mark.bad", has_text="219")).to_be_visible()
    found = page.locator("#finding-list > li.bad")
    await expect(found.first).to_contain_text("The figure 219 is not in its source.")
    await expect(found.first).to_contain_text("218")
    await page.get_by_role("button", name="Approve and send").click()
    await expect(page.get_by_role("alert")).to_contain_text("no source")
    await page.get_by_role("button", name="Show in the text").first.click()
    await page.get_by_role("button", name="Take the source's words").first.click()
    await expect(page.locator("#verdict")).not_to_contain_text("1 to settle")
    await page.get_by_role("button", name="Approve and send").click()
    await expect(page.get_by_role("heading", name="Sent")).to_be_visible()

    await applicant.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    told = applicant.get_by_role("article", name="Reply from Ana Ruiz, advisor")
    await expect(told).to_contain_text("218")
    await expect(told).not_to_contain_text("[e")
    await told.get_by_role("button", name=re.compile("1")).first.click()
    await expect(applicant.locator(".card", has_text="USMLE minimum passing scores")).to_be_visible()


async def test_an_expired_session_takes_nothing(context: BrowserContext, server: Server) -> None:
    page, handoff = await context.new_page(), waiting(server)
    account = await at_the_desk(page, server, handoff)
    advisor = server.state.advisor
    assert advisor is not None
    server.run(advisor.accounts.sign_out(account.id, by="cli"))
    await page.locator("#text").fill(f"{TRUE} Typed after the session ended.")
    await expect(page.locator("#saved")).to_contain_text("session has ended")
    async with context.expect_page() as opened:
        await page.get_by_role("link", name="Sign in in a new tab").click()
    other = await opened.value
    await other.get_by_label("E-mail").fill(account.email)
    await other.get_by_label("Password").fill(PASSWORD)
    await other.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#saved")).to_contain_text(re.compile(r"Saved \d"))
    assert versions(server, handoff)[0] == f"{TRUE} Typed after the session ended."
    await page.get_by_role("button", name="Approve only").click()  # the form's token is the new session's
    await expect(page.get_by_role("status").first).to_contain_text("You approved version 2")


async def test_a_lost_connection_and_a_closed_tab_take_nothing(context: BrowserContext, server: Server) -> None:
    page, handoff = await context.new_page(), waiting(server)
    await at_the_desk(page, server, handoff)
    await context.set_offline(True)
    await page.locator("#text").fill(f"{TRUE} Typed offline.")
    await expect(page.locator("#saved")).to_contain_text("No connection")
    await context.set_offline(False)
    await expect(page.locator("#saved")).to_contain_text(re.compile(r"Saved \d"))
    assert versions(server, handoff)[0] == f"{TRUE} Typed offline."
    await page.locator("#text").fill(f"{TRUE} Typed just before the tab was closed.")
    await page.close()
    page = await context.new_page()
    await page.goto(f"{server.url}/console/items/{handoff.id}")
    await expect(page.locator("#text")).to_have_value(f"{TRUE} Typed just before the tab was closed.")
    await expect(page.locator("#saved")).to_contain_text(re.compile(r"Saved \d"))
    assert versions(server, handoff)[0] == f"{TRUE} Typed just before the tab was closed."


async def test_two_at_once_see_each_other_and_choose(browser: Browser, context: BrowserContext, server: Server) -> None:
    page, handoff = await context.new_page(), waiting(server)
    await at_the_desk(page, server, handoff)
    theirs = await browser.new_context()
    other = await theirs.new_page()
    await browser_sign_in(other, server, add_account(server, "advisor", name="Ben Okri"))
    await other.goto(f"{server.url}/console/items/{handoff.id}")
    await expect(other.locator("#here")).to_have_text("Ana Ruiz is here, too")
    await other.locator("#text").fill("Ben's text.")
    await expect(other.locator("#saved")).to_contain_text(re.compile(r"Saved \d"))
    await page.locator("#text").fill(f"Ana's text. {TRUE}")
    await expect(page.locator("#kept")).to_contain_text("Ben Okri has saved this draft")
    assert {"Ben's text.", f"Ana's text. {TRUE}"} <= set(versions(server, handoff))
    await page.get_by_role("button", name="Save mine over it").click()
    await expect(page.locator("#saved")).to_contain_text(re.compile(r"Saved \d"))
    assert versions(server, handoff)[0] == f"Ana's text. {TRUE}"
    await other.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(other.locator("#moved")).to_be_visible()
    await theirs.close()


async def test_a_sentence_is_inserted_where_the_cursor_is(context: BrowserContext, server: Server) -> None:
    page, handoff = await context.new_page(), waiting(server)
    await at_the_desk(page, server, handoff)
    text = page.locator("#text")
    await text.fill("First. Last.")
    await text.evaluate("(area) => { area.setSelectionRange(6, 6); area.dispatchEvent(new Event('select')); }")
    search = page.get_by_role("searchbox", name="Search guides and tables")
    await search.fill("How much is the SEVIS fee?")
    await search.press("Enter")
    await page.locator("#found").get_by_role("button", name=re.compile("Insert “The government SEVIS")).click()
    await expect(text).to_have_value(re.compile(r"^First\. The government SEVIS .* 220 US dollars\. \[e[0-9a-f]{7}\] Last\.$"))
    await expect(page.locator("#source-list .chip.source").first).to_contain_text("ECFMG")
    await text.press("Control+z")
    await expect(text).to_have_value("First. Last.")
    await search.fill("Zanzibar rotation")  # of a guide that would do harm if it could
    await search.press("Enter")
    await expect(page.locator("#found")).to_contain_text("<img src=x onerror=alert(1)>")
    await page.locator("#found").get_by_role("button", name=re.compile("Insert “A Zanzibar")).click()
    await expect(page.locator("#finding-list, #source-list").first).to_be_visible()
    assert await page.title() != "owned" and await page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_wrong(context: BrowserContext, server: Server, scheme: Any) -> None:
    page, handoff = await context.new_page(), waiting(server)
    await page.emulate_media(color_scheme=scheme)
    account = add_account(server, "advisor", name="Ana Ruiz")
    await browser_sign_in(page, server, account)
    await page.goto(f"{server.url}/console/items/{handoff.id}")
    assert await violations(page) == []
    await page.get_by_role("button", name="Make a draft").click()
    await page.locator("#text").fill(f"{TRUE.replace('218', '219')} [TO DO: more]\n\nMoon cheese pays the rent.")
    await expect(page.locator("#finding-list > li.bad")).to_have_count(3)
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert await violations(page) == []
    await page.set_viewport_size({"width": 320, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    assert await violations(page) == []
    await page.goto(f"{server.url}/console/macros")
    assert await violations(page) == []


async def test_without_a_script_a_button_checks(browser: Browser, server: Server) -> None:
    handoff = waiting(server)
    plain = await browser.new_context(java_script_enabled=False)
    page = await plain.new_page()
    await browser_sign_in(page, server, add_account(server, "advisor", name="Ana Ruiz"))
    await page.goto(f"{server.url}/console/items/{handoff.id}")
    await page.get_by_role("button", name="Make a draft").click()
    await page.locator("#text").fill(TRUE.replace("218", "219"))
    await page.get_by_role("button", name="Check").click()
    await expect(page.locator("#marks mark.bad")).to_have_text("219")
    await expect(page.locator("#finding-list > li.bad")).to_contain_text("The figure 219 is not in its source.")
    await page.locator("#found").get_by_role("button", name=re.compile("Insert")).first.click()
    await expect(page.locator("#text")).to_have_value(re.compile(r"\[e[0-9a-f]{7}\]"))
    await plain.close()
