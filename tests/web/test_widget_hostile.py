"""What a hostile page tries with the widget, in a real browser: to read, to pose as another site, to speak in another's name, to frame."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Frame, Page, expect
from web_server import PASSING
from widget_page import World, ask, box, chat, launcher, page_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def frame_of(page: Page, number: int = 0) -> Frame:
    handle = await page.locator("iframe").nth(number).element_handle()
    found = await handle.content_frame()
    assert found is not None
    return found


async def outcome(page: Page, script: str) -> Any:
    """What a script of the page gets: its value, or the name of the error."""
    return await page.evaluate(f"(async () => {{ try {{ return await ({script}) }} catch (error) {{ return error.name }} }})()")


async def opened(world: World, page: Page) -> None:
    """The school's page with an answered question in its chat."""
    await page.goto(world.page())
    await launcher(page).click()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_the_page_around_the_chat_cannot_read_it(world: World, page: Page) -> None:
    """Not even the page of an allowed site that holds the frame."""
    await opened(world, page)
    frame = "document.querySelector('body > div').shadowRoot.querySelector('iframe')"
    for reading in ("contentDocument.body.textContent", "contentWindow.document.title", "contentWindow.localStorage.length",
                    "contentWindow.location.href", "contentWindow.talk"):  # fmt: skip
        assert await outcome(page, f"{frame}.{reading}") in ("SecurityError", "TypeError"), reading
    assert await outcome(page, "Object.keys(localStorage).concat(Object.keys(sessionStorage), document.cookie).join('')") == ""


@pytest_asyncio.fixture(loop_scope="module")
async def bearer(world: World, page: Page) -> tuple[str, str]:
    """The path and the token of a conversation in the school's chat, as an attacker would like to have them."""
    seen: list[tuple[str, str]] = []

    def note(request: Any) -> None:
        if request.url.endswith("/messages"):
            seen.append((request.url.removesuffix("/messages"), request.headers["authorization"]))

    page.on("request", note)
    await opened(world, page)
    return seen[0]


async def test_a_site_that_is_not_allowed_cannot_use_the_api(world: World, context: BrowserContext, bearer: tuple[str, str]) -> None:
    evil = await context.new_page()
    await evil.goto(world.evil.put("/", page_of("")))
    path, token = bearer
    api = f"{world.server.url}/api/v1"
    for attempt in (
        f"fetch('{api}/conversations', {{method: 'POST'}}).then(r => r.text())",
        f"fetch('{path}', {{headers: {{Authorization: '{token}'}}}}).then(r => r.text())",
        f"fetch('{path}', {{headers: {{Authorization: '{token}', 'Advisor-Site': '{world.school.origin}'}}}}).then(r => r.text())",
        f"fetch('{world.server.url}/widget/frame').then(r => r.text())",
        f"fetch('{world.server.url}/guides').then(r => r.text())",
    ):
        assert await outcome(evil, attempt) == "TypeError", attempt


async def test_a_token_taken_to_another_allowed_site_opens_nothing(world: World, context: BrowserContext, bearer: tuple[str, str]) -> None:
    clinic = await context.new_page()
    await clinic.goto(world.clinic.put("/", page_of("")))
    path, token = bearer
    assert await outcome(clinic, f"fetch('{path}', {{headers: {{Authorization: '{token}'}}}}).then(r => r.status)") == 403
    posing = f"fetch('{path}', {{headers: {{Authorization: '{token}', 'Advisor-Site': '{world.school.origin}'}}}}).then(r => r.status)"
    assert await outcome(clinic, posing) in (403, "TypeError")
    start = f"fetch('{world.server.url}/api/v1/conversations', {{method: 'POST'}}).then(r => r.status)"
    assert await outcome(clinic, start) == 201  # its own conversations it may have


@pytest.mark.parametrize("way", ["another site", "the right site", "no site"])
async def test_a_site_that_is_not_allowed_cannot_show_the_chat(world: World, browser: Any, way: str) -> None:
    """Whether it says who it is, poses as an allowed site, or says nothing: the browser itself refuses, and the visitor is told."""
    context = await browser.new_context(reduced_motion="reduce")
    page = await context.new_page()
    data = {"another site": f'data-site="{world.school.origin}"', "the right site": "", "no site": f'data-site="{world.server.url}"'}[way]
    await page.goto(world.evil.put("/", page_of(world.tag(data))))
    await launcher(page).click()
    await expect(page.get_by_role("dialog").get_by_role("status")).to_be_visible(timeout=10_000)
    assert "advisor" not in (await (await frame_of(page)).content()).lower()
    await context.close()


async def test_an_allowed_site_cannot_pose_as_another(world: World, browser: Any) -> None:
    context = await browser.new_context(reduced_motion="reduce")
    page = await context.new_page()
    await page.goto(world.clinic.put("/", page_of(world.tag(f'data-site="{world.school.origin}"'))))
    await launcher(page).click()
    await expect(page.get_by_role("dialog").get_by_role("status")).to_be_visible(timeout=10_000)
    await context.close()


@pytest.mark.parametrize("path", ["/demo", "/guides", "/guides/visas/h1b", "/console", "/openapi.json", "/widget/frame"])
async def test_our_pages_cannot_be_framed(world: World, browser: Any, path: str) -> None:
    """Neither by a stranger nor by an allowed site; the frame of the chat only by the site that it was made for."""
    context = await browser.new_context()
    for place in (world.evil, world.school):
        page = await context.new_page()
        await page.goto(place.put("/", page_of("", f'<iframe src="{world.server.url}{path}"></iframe>')))
        await page.wait_for_timeout(300)
        assert page.frames[1].url.startswith("chrome-error:"), page.frames[1].url
    await context.close()


# Messages


FORGED = """(target) => { for (const type of ['init', 'ask', 'reset', 'open', 'options'])
    target.postMessage({imgAdvisor: 1, type, text: 'forged', open: true, options: {greeting: 'forged', lang: 'ar'}}, '*') }"""
CHAT = "document.querySelector('body > div:last-of-type').shadowRoot.querySelector('iframe').contentWindow"


async def test_the_chat_takes_no_orders_from_another_window(world: World, page: Page) -> None:
    """A frame on the same page knows the way to the chat's window and has the right origin, but is not the page around it."""
    intruder = world.school.put("/ad", f"<!doctype html><title>x</title><script>onmessage = () => ({FORGED})(parent.{CHAT})</script>")
    await page.goto(world.school.put("/", page_of(world.tag(), f'<iframe src="{intruder}"></iframe>')))
    await launcher(page).click()
    await expect(box(page, 1)).to_be_visible()
    await page.evaluate("frames[0].postMessage(1)")
    await page.wait_for_timeout(400)
    await expect(box(page, 1)).to_have_value("")
    inside = await frame_of(page, 1)
    assert "forged" not in await inside.content() and await inside.evaluate("document.documentElement.dir") != "rtl"
    await page.evaluate(f"({FORGED})({CHAT})")  # the same from the page itself is heard
    await expect(box(page, 1)).to_have_value("forged")


async def test_a_strangers_frame_does_not_even_find_the_chat(world: World, page: Page) -> None:
    """A frame in a shadow tree is not among the page's numbered frames, which is how an advertisement would look for it."""
    advertisement = world.evil.put("/ad", "<!doctype html><title>x</title>")
    await page.goto(world.school.put("/", page_of(world.tag(), f'<iframe src="{advertisement}"></iframe>')))
    await launcher(page).click()
    await expect(box(page, 1)).to_be_visible()
    stranger = await frame_of(page)
    assert await stranger.evaluate("parent.length") == 1
    assert await stranger.evaluate("(() => { try { return parent[1].closed } catch (error) { return error.name } })()") == "SecurityError"


async def test_the_page_believes_only_its_own_chat(world: World, page: Page) -> None:
    forged = "for (const type of ['close', 'unread', 'answer']) parent.postMessage({imgAdvisor: 1, type, count: 9, id: 'forged'}, '*')"
    advertisement = world.evil.put("/ad", f"<!doctype html><title>x</title><script>onmessage = () => {{ {forged} }}</script>")
    world.school.put("/", page_of(world.tag(), f'<iframe src="{advertisement}"></iframe>'))
    await page.goto(world.school.origin)
    await launcher(page).click()
    await expect(box(page, 1)).to_be_visible()
    await page.evaluate("window.heard = []; IMGAdvisor.on('answer', event => heard.push(event)); frames[0].postMessage(1, '*')")
    await page.evaluate("postMessage({imgAdvisor: 1, type: 'close'}, '*')")  # the page's own window is not the chat either
    await page.wait_for_timeout(400)
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await page.evaluate("heard") == []


async def test_a_chat_in_a_window_of_its_own_takes_no_orders(world: World, context: BrowserContext) -> None:
    evil = await context.new_page()
    await evil.goto(world.evil.put("/", page_of("")))
    async with context.expect_page() as opening:
        await evil.evaluate(f"window.chat = open('{world.server.url}/widget/frame')")
    window = await opening.value
    await expect(window.get_by_role("textbox")).to_be_visible()
    await evil.evaluate(f"({FORGED})(chat)")
    assert await outcome(evil, "chat.closed || chat.document") in (True, "SecurityError")  # the opener has lost it, or cannot read it
    await window.wait_for_timeout(300)
    await expect(window.get_by_role("textbox")).to_have_value("")


async def test_malformed_messages_do_no_harm(world: World, page: Page) -> None:
    await opened(world, page)
    await page.evaluate(
        """() => { const target = document.querySelector('body > div').shadowRoot.querySelector('iframe').contentWindow;
        const odd = [null, 1, 'x', [], {}, {imgAdvisor: 1}, {imgAdvisor: 1, type: 'ask'}, {imgAdvisor: 1, type: 'ask', text: {}},
          {imgAdvisor: 1, type: 'options', options: null}, {imgAdvisor: 1, type: 'init', options: {accent: '</style><script>', lang: 7}},
          {imgAdvisor: 1, type: '__proto__'}, {imgAdvisor: 1, type: 'constructor'}, {imgAdvisor: 1, type: 'ask', text: 'x'.repeat(1e5)}];
        for (const message of odd) target.postMessage(message, '*'); }"""
    )
    await page.wait_for_timeout(400)
    await ask(page, PASSING)
    await expect(chat(page).get_by_role("article")).to_have_count(2)


