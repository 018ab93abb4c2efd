"""The widget on other people's pages, in a real browser: a strict policy, API and options, two at once, a phone, a server that is down."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from playwright.async_api import BrowserContext, Page, async_playwright, expect
from widget_page import CHROMIUM, World, ask, box, chat, launcher, page_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


# On a page with a strict policy


async def test_from_the_button_to_a_cited_answer_under_a_strict_policy(world: World, page: Page) -> None:
    await page.goto(world.page())
    await expect(launcher(page)).to_have_attribute("aria-expanded", "false")
    assert await page.locator("iframe").count() == 0  # nothing of the chat is loaded before it is wanted
    await launcher(page).click()
    await expect(launcher(page)).to_have_attribute("aria-expanded", "true")
    await expect(page.get_by_role("dialog", name="IMG Advisor")).to_be_visible()
    await expect(box(page)).to_be_focused()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_by_keyboard_alone_and_the_focus_comes_back(world: World, page: Page) -> None:
    await page.goto(world.page())
    await launcher(page).focus()
    await page.keyboard.press("Enter")
    await expect(box(page)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(launcher(page)).to_be_focused()
    await page.keyboard.press("Space")
    await expect(box(page)).to_be_focused()
    await page.keyboard.press("Escape")
    await page.locator("#help").focus()
    await page.evaluate("IMGAdvisor.open()")  # as a button of the page does
    await expect(box(page)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#help")).to_be_focused()


async def test_it_adds_one_name_to_the_page_and_shifts_nothing(world: World, page: Page) -> None:
    await page.goto(world.page("<script nonce='r4nd0m'></script>"))
    before = set(await page.evaluate("Object.getOwnPropertyNames(window)"))
    styles = await page.evaluate("getComputedStyle(document.body).cssText")
    await page.goto(world.page())
    await expect(launcher(page)).to_be_visible()
    assert set(await page.evaluate("Object.getOwnPropertyNames(window)")) - before == {"IMGAdvisor"}
    assert await page.evaluate("getComputedStyle(document.body).cssText") == styles
    await launcher(page).click()
    await expect(box(page)).to_be_focused()
    shifts = "new Promise(done => new PerformanceObserver(list => done(list.getEntries())).observe({type: 'layout-shift', buffered: true}))"
    none_for = "new Promise(done => setTimeout(() => done('none'), 500))"
    assert await page.evaluate(f"Promise.race([{shifts}, {none_for}])") == "none"
    assert await page.evaluate("document.querySelectorAll('style, link').length") == 0


async def test_it_loads_one_small_file_before_it_is_wanted(world: World, page: Page) -> None:
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    await page.goto(world.page())
    await expect(launcher(page)).to_be_visible()
    await page.wait_for_timeout(300)
    assert [url for url in loaded if world.server.url in url] == [f"{world.server.url}/widget/embed.js"]


async def test_a_page_that_isolates_itself_may_embed_it(world: World, page: Page) -> None:
    isolated = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
    await page.goto(world.school.put("/isolated", page_of(world.tag()), **isolated))
    assert await page.evaluate("crossOriginIsolated") is True
    await launcher(page).click()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_the_styles_of_the_page_do_not_reach_it(world: World, page: Page) -> None:
    await page.goto(world.page())
    before = await launcher(page).bounding_box()
    await page.evaluate(
        """() => { const sheet = new CSSStyleSheet();
        sheet.replaceSync('* { font-size: 40px; letter-spacing: 1em } div, button, dialog { position: static; display: none }'
          + 'body { display: grid; gap: 80px } button { width: 500px; background: red }');
        document.adoptedStyleSheets = [sheet]; }"""
    )
    await expect(launcher(page)).to_be_visible()
    after = await launcher(page).bounding_box()
    assert before is not None and after is not None and (after["width"], after["height"]) == (before["width"], before["height"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_wrong(world: World, page: Page, scheme: Any) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.goto(world.page(world.tag('data-label="Questions?"')))
    await expect(launcher(page)).to_be_visible()
    assert await violations(page) == []
    await launcher(page).click()
    await expect(box(page)).to_be_focused()
    assert await violations(page) == []


# API and options


async def test_calls_made_before_it_is_loaded_are_made_when_it_is(world: World, page: Page) -> None:
    calls = "[['ask', 'What does a J-1 cost?'], ['on', 'ready', () => { document.title = 'ready' }]]"
    await page.goto(world.page(before=f"IMGAdvisor = {calls}"))
    await expect(box(page)).to_have_value("What does a J-1 cost?")
    await expect(page).to_have_title("ready")


async def test_a_question_of_the_page_waits_for_the_person(world: World, page: Page) -> None:
    """A page can put a question into the box, however often: only the person sends it."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    await page.goto(world.page())
    await page.evaluate("for (let n = 0; n < 3; n++) IMGAdvisor.ask('How much is the SEVIS fee?')")
    await expect(box(page)).to_have_value("How much is the SEVIS fee?")
    await page.evaluate("IMGAdvisor.ask('How much is the SEVIS fee?')")
    await page.wait_for_timeout(500)
    assert sent == [] and await chat(page).get_by_role("article").count() == 0
    await ask(page, "How much is the SEVIS fee?")
    await expect(chat(page).get_by_role("article").last).to_contain_text("220")


async def test_events_tell_that_something_happened_and_never_what(world: World, page: Page) -> None:
    await page.goto(world.page())
    await expect(launcher(page)).to_be_visible()
    await page.evaluate(
        """() => { window.heard = []; const keep = (event) => heard.push(event);
        for (const type of ['open', 'close', 'ready', 'question', 'answer', 'unread']) IMGAdvisor.on(type, keep);
        IMGAdvisor.on('open', () => { throw new Error('a listener of the page that fails') });
        IMGAdvisor.on('answer', () => { document.title = 'answered' });
        IMGAdvisor.on('answer', window.gone = () => heard.push('gone')); IMGAdvisor.off('answer', gone); }"""
    )
    await launcher(page).click()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")
    await expect(page).to_have_title("answered")
    await page.evaluate("IMGAdvisor.close()")
    heard = await page.evaluate("heard")
    assert [event["type"] for event in heard if event["type"] != "unread"] == ["open", "ready", "question", "answer", "close"]
    answer = next(event for event in heard if event["type"] == "answer")
    assert answer["status"] == "answered" and answer["id"]
    assert "218" not in str(heard) and "Step 2" not in str(heard)
    await page.evaluate("IMGAdvisor.open(); IMGAdvisor.reset()")
    await expect(chat(page).get_by_role("article")).to_have_count(0)


@pytest.mark.parametrize(
    ("dir", "position", "side"),
    [("ltr", "", "right"), ("rtl", "", "left"), ("ltr", "left", "left"), ("rtl", "left", "left"), ("rtl", "right", "right")],
)
async def test_where_it_sits(world: World, page: Page, dir: str, position: str, side: str) -> None:
    await page.set_viewport_size({"width": 1200, "height": 800})
    await page.goto(world.page(world.tag(f'data-position="{position}" data-offset="32"'), dir=dir))
    await launcher(page).click()
    await expect(box(page)).to_be_visible()
    for part in (launcher(page), page.get_by_role("dialog")):
        found = await part.bounding_box()
        assert found is not None
        gap = found["x"] if side == "left" else 1200 - found["x"] - found["width"]
        assert abs(gap - 32) <= 16, found  # a scrollbar may take some of it


async def test_colour_words_language_and_theme(world: World, page: Page) -> None:
    await page.goto(world.page(world.tag('data-accent="#ffd400" data-lang="es" data-theme="dark" data-label="Dudas"')))
    button = page.get_by_role("button", name=re.compile("Dudas.*Preguntar"))
    await expect(button).to_have_css("background-color", "rgb(255, 212, 0)")
    await expect(button).to_have_css("color", "rgb(0, 0, 0)")  # what can be read on it
    await button.click()
    await expect(box(page)).to_be_visible()
    await expect(chat(page).locator("html")).to_have_attribute("lang", "es")
    await page.evaluate("IMGAdvisor.close(); IMGAdvisor.set({accent: '#123', lang: 'ar', label: '', theme: 'light'})")
    button = page.get_by_role("button", name="اسأل IMG Advisor")
    await expect(button).to_have_css("background-color", "rgb(17, 34, 51)")
    await expect(button).to_have_css("color", "rgb(255, 255, 255)")
    await expect(chat(page).locator("html")).to_have_attribute("dir", "rtl")


async def test_options_that_make_no_sense_do_no_harm(world: World, page: Page) -> None:
    wrong = 'data-accent="red;background:url(x)" data-offset="1e9" data-position="<b>" data-lang="xx-<i>" data-theme="?" data-label=""'
    await page.goto(world.page(world.tag(wrong)))
    await expect(launcher(page)).to_be_in_viewport(ratio=1)
    await launcher(page).click()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_two_on_one_page_one_in_a_place_of_its_own(world: World, page: Page) -> None:
    await page.goto(world.page(world.tag('data-target="#chat" data-name="inline"'), world.tag(), body='<div id="chat"></div>'))
    await expect(page.locator("#chat iframe")).to_have_count(1)
    await expect(launcher(page)).to_have_count(1)
    await page.locator("#chat").scroll_into_view_if_needed()
    await expect(box(page)).to_be_visible()
    assert await page.evaluate("document.activeElement.tagName") == "BODY"  # a chat on the page takes no focus by itself
    await launcher(page).click()
    await expect(page.locator("iframe")).to_have_count(2)
    await expect(box(page, 1)).to_be_focused()
    await page.evaluate("IMGAdvisor.ask('for the floating one'); IMGAdvisor.ask('for the other', 'inline')")
    await expect(box(page, 1)).to_have_value("for the floating one")
    await expect(box(page, 0)).to_have_value("for the other")
    for number in (0, 1):
        await ask(page, number=number)
        await expect(chat(page, number).get_by_role("article").last).to_contain_text("218")
    await page.evaluate("IMGAdvisor.close()")
    await expect(box(page, 0)).to_be_visible()


async def test_a_place_that_is_not_there_is_told_to_the_developer(world: World, page: Page) -> None:
    async with page.expect_console_message(lambda message: "#nowhere" in message.text):
        await page.goto(world.page(world.tag('data-target="#nowhere"')))
    await expect(launcher(page)).to_have_count(0)


async def test_a_page_that_replaces_itself_adds_the_chat_again(world: World, page: Page) -> None:
    """As frameworks do that exchange the body instead of loading a page."""
    await page.goto(world.page())
    await launcher(page).click()
    await expect(box(page)).to_be_focused()
    for _ in range(5):
        await page.evaluate("document.body.replaceChildren()")
        await expect(launcher(page)).to_have_count(0)
        await page.evaluate("IMGAdvisor.add({}); IMGAdvisor.add({name: 'chat'})")  # the second one is there already
        await expect(launcher(page)).to_have_count(1)
        await launcher(page).click()
        await expect(box(page)).to_be_focused()
        await page.keyboard.type("Step")  # into the chat, not into what was there before it
        await expect(box(page)).to_have_value("Step")
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_where_scripts_are_not_taken_the_address_of_the_frame_will_do(world: World, page: Page) -> None:
    """Hosts like Google Sites and Notion frame an address themselves."""
    frame = f'<iframe src="{world.server.url}/widget/frame?site={world.school.origin}" width="400" height="600"></iframe>'
    await page.goto(world.school.put("/", page_of("", frame), f"default-src 'none'; frame-src {world.server.url}"))
    await expect(box(page)).to_be_visible()
    await expect(chat(page).locator("#close")).to_be_hidden()  # nobody there who could close it
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_a_script_in_the_head_waits_for_the_page(world: World, page: Page) -> None:
    text = page_of("").replace("<meta", world.tag().replace("async ", "") + "<meta", 1)
    await page.goto(world.school.put("/head", text, world.strict))
    await expect(launcher(page)).to_be_visible()


# A human advisor


async def test_an_advisors_reply_is_announced_on_the_button_and_read_in_the_chat(world: World, page: Page) -> None:
    await page.clock.install()
    await page.goto(world.page())
    await launcher(page).click()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")
    await chat(page).get_by_role("button", name="Ask an advisor").first.click()
    await chat(page).get_by_role("dialog").get_by_role("textbox").fill("My case is special.")
    await chat(page).get_by_role("dialog").locator("[type=submit]").click()
    await expect(chat(page).locator("#waiting")).to_be_visible()

    advisor = world.server.state.advisor
    assert advisor is not None
    handoff = world.server.run(advisor.store.handoffs())[-1]
    assert handoff.reason == "My case is special."
    world.server.run(advisor.store.claim_handoff(handoff.id, "Ana"))
    await page.clock.fast_forward(16_000)
    await expect(chat(page).locator("#waiting")).to_contain_text("Ana")
    await page.evaluate("IMGAdvisor.close()")
    text = "Good to hear from you. H-1B is granted for up to three years at a time, generally to six years in total."
    world.server.run(advisor.reply(handoff.id, "Ana", text, own_words_by="Ana"))
    await page.clock.fast_forward(16_000)
    await expect(page.get_by_role("button", name=re.compile("IMG Advisor.*1"))).to_be_visible()
    await launcher(page).click()
    reply = chat(page).get_by_role("article", name=re.compile("Ana"))
    await expect(reply).to_contain_text("six years in total")
    await expect(reply.get_by_role("button", name="Source 1").first).to_be_visible()
    await expect(reply.get_by_role("button", name="Copy").first).to_be_visible()
    await expect(reply.get_by_role("button", name="Yes")).to_have_count(0)  # votes are for the bot's answers; the server takes no others
    await expect(page.get_by_role("button", name=re.compile("IMG Advisor.*1"))).to_have_count(0)


# A phone


async def test_on_a_phone_it_is_the_whole_screen(world: World, page: Page) -> None:
    await page.set_viewport_size({"width": 375, "height": 667})
    await page.goto(world.page())
    await launcher(page).click()
    await expect(box(page)).to_be_focused()
    assert await page.get_by_role("dialog").bounding_box() == {"x": 0, "y": 0, "width": 375, "height": 667}
    await expect(box(page)).to_be_in_viewport()
    assert await page.evaluate("getComputedStyle(document.documentElement).overflow") == "hidden"
    await page.set_viewport_size({"width": 1000, "height": 700})  # turned, or a window made larger
    await expect(page.get_by_role("dialog")).to_have_css("width", "408px")
    await page.set_viewport_size({"width": 375, "height": 667})
    await expect(page.get_by_role("dialog")).to_have_css("width", "375px")
    await box(page).press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await expect(launcher(page)).to_be_focused()
    assert await page.evaluate("document.documentElement.style.overflow") == ""


async def test_motion_is_for_those_who_want_it(world: World, page: Page) -> None:
    await page.goto(world.page())
    await launcher(page).click()
    await expect(page.get_by_role("dialog")).to_have_css("animation-name", "none")


# Faults


async def test_a_server_that_is_down_leaves_the_page_as_it_was(world: World, page: Page) -> None:
    await page.route(f"{world.server.url}/**", lambda route: route.abort())
    await page.goto(world.page())
    await expect(page.get_by_role("heading", name="A school")).to_be_visible()
    await expect(launcher(page)).to_have_count(0)
    assert await page.evaluate("typeof IMGAdvisor") == "undefined"


async def test_a_server_that_goes_down_is_told_and_found_again(world: World, page: Page) -> None:
    await page.goto(world.page())
    await page.route(f"{world.server.url}/widget/frame**", lambda route: route.fulfill(status=500, body="<h1>Oh</h1>"))
    await launcher(page).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("status")).to_be_visible()
    await expect(dialog.get_by_role("link")).to_have_attribute("href", re.compile(f"^{world.server.url}/widget/frame"))
    await expect(page.locator("iframe")).to_be_hidden()
    assert await violations(page) == []
    await launcher(page).click()
    await page.unroute(f"{world.server.url}/widget/frame**")
    await launcher(page).click()
    await expect(box(page)).to_be_focused()
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")


async def test_a_conversation_outlives_a_reload_and_does_not_follow_to_another_site(world: World, tmp_path: Path) -> None:
    """In a browser that lets frames of other sites store something. The browsers of the other tests do not, as many do not."""
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text('{"profile": {"cookie_controls_mode": 0, "block_third_party_cookies": false}}')
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=shutil.which("chromium"), args=list(CHROMIUM), reduced_motion="reduce"
        )
        page = await context.new_page()
        await page.goto(world.page())
        await launcher(page).click()
        await ask(page)
        await expect(chat(page).get_by_role("article").last).to_contain_text("218")
        await page.reload()
        await launcher(page).click()
        await expect(chat(page).get_by_role("article").last).to_contain_text("218")
        await page.goto(world.clinic.put("/", page_of(world.tag())))
        await launcher(page).click()
        await expect(box(page)).to_be_visible()
        await expect(chat(page).get_by_role("article")).to_have_count(0)
        await context.close()


async def test_blocked_storage_does_no_harm(world: World, context: BrowserContext) -> None:
    """Each access is an error, whether the browser refuses frames of other sites alone or everybody."""
    await context.add_init_script(
        """for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'caches'])
        Object.defineProperty(window, name, {get() { throw new DOMException('blocked', 'SecurityError') }});
        Object.defineProperty(document, 'cookie', {get() { throw new DOMException('blocked', 'SecurityError') }});"""
    )
    page = await context.new_page()
    await page.goto(world.page())
    await launcher(page).click()
    await expect(box(page)).to_be_focused()
    reading = "(() => { try { return sessionStorage.length } catch (error) { return error.name } })()"
    assert await page.frames[1].evaluate(reading) == "SecurityError"
    await ask(page)
    await expect(chat(page).get_by_role("article").last).to_contain_text("218")
