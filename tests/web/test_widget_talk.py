"""Everything a person can do in the widget's chat besides asking, in a real browser, and what happens when things fail."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from axe import violations
from frame_page import answered, ask, choose, conversation, opened
from playwright.async_api import Browser, BrowserContext, Page, expect
from web_server import PASSING, Server

from bot.answer import Answer, AnswerEvent, Citation, Clarify, Event, HandoffRef, Question, Reply, Sentence, SourceRef
from web.widget import ASSETS, LANGUAGES

pytestmark = [
    pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.filterwarnings("ignore:.*is not an async function"),
]  # fmt: skip

STRINGS = ASSETS / "strings"


@pytest.fixture
def home(server: Server) -> str:
    return f"{server.url}/widget/frame"


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, home: str) -> Page:
    found = await context.new_page()
    await opened(found, home)
    return found


def says(server: Server, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    """Makes the advisor give this answer to everything, stored as any answer is."""
    advisor = server.state.advisor
    assert advisor is not None

    async def stream(question: Question) -> AsyncIterator[Event]:
        assert question.conversation_id is not None
        number = await advisor.store.add_question(question.conversation_id, question.text)
        citation = Citation(n=1, chunk_id="gone", quote="Texas: 2 years", source=SourceRef(title="Board", url="https://board.example/"))
        plain = {
            "id": f"a-{number}", "conversation_id": question.conversation_id, "created_at": "2026-01-01T00:00:00Z", "status": "answered",
            "text": "Texas asks for 2 years. [1]", "sentences": [Sentence(text="Texas asks for 2 years.", citations=[1], figures=["2"])],
            "citations": [citation],
        }  # fmt: skip
        answer = Answer.model_validate(plain | more)
        await advisor.store.add_answer(question.conversation_id, number, answer)
        yield AnswerEvent(answer=answer)

    monkeypatch.setattr(advisor, "stream", stream)


# Words and weight -----------------------------------------------------------------------------------------------------


def placeholders(value: str | dict[str, str]) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", " ".join(value.values()) if isinstance(value, dict) else value))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything(language: str) -> None:
    english, own = (json.loads((STRINGS / f"{name}.json").read_text("utf-8")) for name in ("en", language))
    assert list(own) == list(english)
    for key, value in english.items():
        assert placeholders(own[key]) == placeholders(value), key
        assert isinstance(own[key], dict) == isinstance(value, dict), key
        assert not isinstance(own[key], dict) or "other" in own[key], key
        assert language == "en" or own[key] != value or len(str(value)) < 30, f"{key} is still English"


def test_every_word_that_is_said_is_there() -> None:
    english = json.loads((STRINGS / "en.json").read_text("utf-8"))
    sources = "".join(path.read_text("utf-8") for path in (*ASSETS.glob("*.js"), ASSETS.parents[1] / "templates" / "widget.html"))
    used = set(re.findall(r'\bt\("(\w+)"', sources)) | set(re.findall(r'data-t(?:-[a-z-]+)?="(\w+)"', sources))
    assert used <= set(english)


def test_the_whole_widget_weighs_at_most_30_kilobytes(server: Server) -> None:
    with server.client() as client:
        frame = client.get("/widget/frame").content

    def weight(*parts: Path) -> int:
        return sum(len(gzip.compress(path.read_bytes(), 9)) for path in parts)

    shared = weight(*ASSETS.glob("*.js"), *ASSETS.glob("*.css")) + len(gzip.compress(frame, 9))
    assert shared + max(weight(path) for path in STRINGS.glob("*.json")) <= 30 * 1024


@pytest.mark.parametrize("language", ["ar", "ur", "hi", "zh", "fil", "es"])
async def test_it_speaks_the_language_of_the_page(context: BrowserContext, home: str, language: str) -> None:
    words = json.loads((STRINGS / f"{language}.json").read_text("utf-8"))
    page = await context.new_page()
    await opened(page, f"{home}?lang={language}")
    await expect(page.get_by_role("heading", level=2)).to_have_text(words["welcome"])
    assert await page.locator("html").get_attribute("dir") == ("rtl" if language in ("ar", "ur") else "ltr")
    answer = await answered(page)
    await expect(answer.locator(".copy")).to_have_text(words["copy"])
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await violations(page) == []


# The conversation -----------------------------------------------------------------------------------------------------


async def test_an_answer_can_be_stopped_and_fetched_later(page: Page, paced: Callable[[float], None]) -> None:
    paced(1)
    answer = await ask(page)
    await expect(answer.locator(".status")).to_contain_text(re.compile("Reading|Searching"), timeout=20_000)  # the server has it
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("alert").filter(has_text="Stopped")).to_be_visible()
    await expect(page.get_by_role("button", name="Send")).to_be_visible()
    await page.get_by_role("button", name="Show the answer").click()
    await expect(answer).to_contain_text("218", timeout=30_000)
    assert await page.locator(".asked").count() == 1


async def test_a_question_can_be_changed_and_sent_again(page: Page) -> None:
    await answered(page)
    await page.get_by_role("button", name="Edit the question").click()
    await expect(page.locator("#text")).to_have_value(PASSING)
    await expect(page.locator("#text")).to_be_focused()
    await answered(page, "How much is the SEVIS fee?")
    assert await page.locator(".asked").all_inner_texts() == [PASSING, "How much is the SEVIS fee?"]


async def test_what_is_too_long_stays_in_the_box(page: Page) -> None:
    long = "What about this 🩺 <b>one</b>? " * 350
    await page.locator("#text").fill(long)
    await expect(page.get_by_role("alert").filter(has_text="characters")).to_contain_text("8,000")
    await page.keyboard.press("Enter")
    assert await page.locator("#text").input_value() == long
    assert await page.locator(".asked").count() == 0
    await page.locator("#text").fill(long[:100])
    await expect(page.locator("#limit")).to_be_hidden()


async def test_suggestions_and_the_options_of_a_question_back_are_one_tap(
    page: Page, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(server, monkeypatch, status="clarify", clarify=Clarify(question="Which visa?", options=["J-1", "H-1B"]), suggestions=["And Ohio?"])
    await answered(page, "how long")
    group = page.get_by_role("group", name="Ask next")
    await expect(group).to_contain_text("Which visa?")
    assert await group.get_by_role("button").all_inner_texts() == ["J-1", "H-1B", "And Ohio?"]
    await group.get_by_role("button", name="H-1B").click()
    await expect(page.locator(".asked").last).to_have_text("H-1B")
    await expect(page.locator(".next")).to_have_count(1)


async def test_the_profile_is_shown_edited_and_cleared(page: Page) -> None:
    await choose(page, "What we know about you")
    panel = page.get_by_role("dialog", name="What we know about you")
    await panel.get_by_label("Year of graduation").fill("2017")
    await panel.get_by_label("I need a visa").select_option("Yes")
    await panel.get_by_label("States").fill("Texas, Ohio")
    await panel.get_by_role("button", name="Save").click()
    await expect(panel).to_be_hidden()
    stored = await page.evaluate(
        "async ({id, token}) => (await (await fetch(`/api/v1/conversations/${id}`, {headers: {Authorization: `Bearer ${token}`}})).json())"
        ".profile",
        await conversation(page),
    )
    assert {k: v for k, v in stored.items() if v is not None} == {"graduation_year": 2017, "visa_needed": True, "states": ["Texas", "Ohio"]}
    await choose(page, "What we know about you")
    await expect(panel.get_by_label("Year of graduation")).to_have_value("2017")
    await expect(panel.get_by_label("States")).to_have_value("Texas, Ohio")
    assert await violations(page) == []
    await panel.get_by_role("button", name="Clear").click()
    await choose(page, "What we know about you")
    await expect(panel.get_by_label("Year of graduation")).to_have_value("")


async def test_a_profile_that_cannot_be_saved_stays_in_the_form(page: Page) -> None:
    await page.route("**/profile", lambda route: route.abort())
    await choose(page, "What we know about you")
    panel = page.get_by_role("dialog")
    await panel.get_by_label("Citizenship").fill("Peru")
    await panel.get_by_role("button", name="Save").click()
    await expect(panel.get_by_role("alert")).to_contain_text("cannot be reached")
    await expect(panel.get_by_label("Citizenship")).to_have_value("Peru")


async def test_feedback_with_a_reason(page: Page, server: Server) -> None:
    answer = await answered(page)
    await answer.get_by_role("button", name="No", exact=True).click()
    await answer.get_by_label("It is out of date").check()
    await answer.get_by_label("Tell us more").fill("New fee since May")
    await answer.get_by_role("button", name="Send").click()
    await expect(answer.locator(".why")).to_have_text("Thank you.")
    with server.client() as client:
        found = await conversation(page)
        headers = {"Authorization": f"Bearer {found['token']}"}
        stored = client.get(f"/api/v1/conversations/{found['id']}", headers=headers).json()
    advisor = server.state.advisor
    assert advisor is not None
    feedback = server.run(advisor.store.feedback(stored["turns"][1]["answer"]["id"]))
    assert (feedback.value, feedback.reason, feedback.comment) == (-1, "outdated", "New fee since May")


async def test_an_answer_is_copied_and_a_conversation_saved_with_sources(context: BrowserContext, page: Page, home: str) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=home.rpartition("/widget")[0])
    answer = await answered(page)
    await answer.get_by_role("button", name="Copy with sources").click()
    await expect(page.locator("#announce")).to_contain_text("Copied")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert "218" in copied and "[1] " in copied and "https://www.usmle.org/scores" in copied
    async with page.expect_download() as download:
        await choose(page, "Download the conversation")
    text = Path(await (await download.value).path()).read_text("utf-8")
    assert PASSING in text and "218" in text and "https://www.usmle.org/scores" in text


async def test_a_card_shows_the_quote_in_its_paragraph(page: Page) -> None:
    answer = await answered(page)
    chip = answer.locator(".chip").first
    await chip.hover()
    card = page.locator(".card")
    await expect(card).to_be_visible()
    quote = await card.locator("mark").inner_text()
    await expect(card.locator("blockquote")).not_to_have_text(quote)  # more of the paragraph around it
    await page.locator("#text").hover()
    await expect(card).to_have_count(0)
    await chip.click()
    await expect(card).to_be_focused()
    assert await violations(page) == []


async def test_a_passage_that_cannot_be_had_leaves_the_quote(page: Page) -> None:
    await page.route("**/passages/**", lambda route: route.abort())
    answer = await answered(page)
    await answer.locator(".chip").first.click()
    await expect(page.locator(".card mark")).to_contain_text("218")


RESULT: dict[str, Any] = {
    "ref": "r1", "tool": "licensure_lookup", "title": "License rules", "kind": "table", "exports": ["md"],
    "columns": [{"key": "state", "label": "State"}, {"key": "years", "label": "Training"}, {"key": "compact", "label": "Compact"}],
    "rows": [
        {"key": "tx", "cells": {"state": "Texas", "years": "2 years", "compact": "unknown"}, "citations": [1], "reason": "You asked for it",
         "computed": [{"key": "years", "rule": "difference", "formula": "4 - 2 = 2", "inputs": []}]},
        {"key": "oh", "cells": {"state": "Ohio <img src=x>", "years": "3", "compact": "no"}},
    ],
    "notes": ["Boards change their rules."], "unknown": ["Texas: compact"],
}  # fmt: skip


@pytest.mark.parametrize("kind", ["table", "cards", "checklist", "numbers"])
async def test_what_the_tables_hold_is_shown_with_its_sources(
    page: Page, server: Server, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    says(server, monkeypatch, results=[RESULT | {"kind": kind}])
    answer = await answered(page, "compare")
    result = answer.get_by_role("region", name="License rules").first
    await expect(result).to_contain_text("Texas")
    await expect(result).to_contain_text("Not known")
    await expect(result).to_contain_text("Ohio <img src=x>")
    await result.get_by_text("Worked out").click()
    await expect(result.get_by_text("4 - 2 = 2")).to_be_visible()
    await result.get_by_role("button", name="Source 1").click()
    await expect(page.locator(".card")).to_contain_text("Texas: 2 years")
    await expect(answer).to_contain_text("Boards change their rules.")
    assert await violations(page) == []
    asked: list[str] = []

    async def export(route: Any) -> None:
        asked.append(route.request.headers.get("authorization", ""))
        await route.fulfill(body="# License rules", content_type="text/markdown")

    await page.route("**/results/r1.md", export)
    async with page.expect_download() as download:
        await answer.get_by_role("button", name="Save as text").click()
    assert (await download.value).suggested_filename == "licensure_lookup.md" and asked[0].startswith("Bearer ")


# A human advisor ------------------------------------------------------------------------------------------------------


async def test_an_advisor_is_asked_and_the_reply_appears(page: Page, server: Server) -> None:
    await answered(page)
    await page.get_by_role("button", name="Ask an advisor").first.click()
    panel = page.get_by_role("dialog", name="Ask an advisor")
    await expect(panel).to_contain_text("your questions, the answers")
    assert await violations(page) == []
    await panel.get_by_label("What should the advisor know?").fill("I failed once")
    await panel.get_by_role("button", name="Ask the advisor").click()
    await expect(page.locator("#waiting")).to_contain_text("Waiting")

    advisor, found = server.state.advisor, await conversation(page)
    assert advisor is not None
    handoff = server.run(advisor.store.handoff(found["id"]))
    assert handoff is not None and handoff.reason == "I failed once"
    server.run(advisor.store.claim_handoff(handoff.id, "Dr. Lee"))
    sentence = Sentence(text="Call me <b>tomorrow</b>.", kind="own")
    reply = Reply.model_validate(
        {"id": "r-1", "conversation_id": found["id"], "created_at": "2026-01-01T00:00:00Z", "status": "answered", "text": sentence.text,
         "sentences": [sentence], "advisor": "Dr. Lee", "own_words_by": "Dr. Lee"}
    )  # fmt: skip
    server.run(advisor.store.add_reply(handoff.id, reply))
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when one comes back to the page
    told = page.get_by_role("article", name="Reply from Dr. Lee, advisor")
    await expect(told).to_contain_text("Call me <b>tomorrow</b>.")
    await expect(told).to_contain_text("own words")
    await expect(page.locator("#waiting")).to_contain_text("has replied")
    await page.reload()
    await expect(told).to_be_visible()
    assert await violations(page) == []


async def test_help_is_offered_where_there_is_no_answer(page: Page, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    says(server, monkeypatch, status="no_answer", text="Our guides do not answer this.", sentences=[], citations=[],
         handoff=HandoffRef(reason="Not in our guides", state="offered"))  # fmt: skip
    await answered(page, "who is the coordinator")
    await page.get_by_role("group", name="Ask next").get_by_role("button", name="Ask an advisor").click()
    await expect(page.get_by_role("dialog", name="Ask an advisor")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


# When things fail -----------------------------------------------------------------------------------------------------


async def test_a_stream_that_is_held_back_is_read_from_the_conversation(page: Page) -> None:
    async def held(route: Any) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, body=b"")  # a proxy that swallows the events

    await page.route("**/messages", held)
    await expect(await answered(page)).to_contain_text("218")
    assert await page.locator(".asked").count() == 1


@pytest.mark.parametrize("body", ["<html>Bad gateway</html>", "", '{"detail": ""}'])
async def test_a_proxys_error_is_said_in_words_and_the_question_kept(page: Page, body: str) -> None:
    await page.route("**/messages", lambda route: route.fulfill(status=502, body=body))
    await ask(page)
    trouble = page.get_by_role("alert").filter(has_text="did not answer as expected")
    await expect(trouble).to_be_visible()
    await page.unroute("**/messages")
    await trouble.get_by_role("button", name="Edit the question").click()
    await expect(page.locator("#text")).to_have_value(PASSING)


async def test_a_history_that_cannot_be_read_is_kept(page: Page) -> None:
    await answered(page)
    before = await conversation(page)
    await page.route("**/api/v1/conversations/*", lambda route: route.abort())
    await page.reload()
    trouble = page.get_by_role("alert").filter(has_text="It is kept")
    await expect(trouble).to_be_visible()
    assert await conversation(page) == before
    await page.unroute("**/api/v1/conversations/*")
    await trouble.get_by_role("button", name="Try again").click()
    await expect(page.locator(".answer")).to_contain_text("218")


async def test_two_tabs_of_one_conversation(context: BrowserContext, page: Page, home: str) -> None:
    await answered(page)
    other = await context.new_page()
    await other.goto(home)
    await other.evaluate("(value) => sessionStorage.setItem('img-advisor-conversation', value)", json.dumps(await conversation(page)))
    await opened(other, home)
    await expect(other.locator(".answer")).to_have_count(1)
    await answered(other, "How much is the SEVIS fee?")
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator(".answer")).to_have_count(2)
    await choose(other, "Forget")
    await expect(other.locator("#welcome")).to_be_visible()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#welcome")).to_be_visible()


async def test_a_server_that_is_slow_says_that_it_works(page: Page, paced: Callable[[float], None]) -> None:
    paced(0.3)
    await ask(page)
    await expect(page.locator(".status")).to_contain_text(re.compile("Reading|Searching|Thinking"))
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false", timeout=20_000)


async def test_a_clock_that_is_wrong_changes_nothing(page: Page) -> None:
    await page.clock.set_system_time("2001-01-01")
    answer = await answered(page)
    await expect(answer).to_contain_text("July 2025")
    await page.reload()
    await expect(page.locator(".answer")).to_contain_text("218")


async def test_emoji_and_mixed_scripts_come_back_as_they_were_written(page: Page) -> None:
    text = "मुझे 218 चाहिए? ماذا عن Step 2 CK 👩🏽‍⚕️ — <i>ok</i>"
    await answered(page, text)
    await expect(page.locator(".asked")).to_have_text(text)
    await page.reload()
    await expect(page.locator(".asked")).to_have_text(text)


# For everyone ---------------------------------------------------------------------------------------------------------


SMALL_TARGETS = """
[...document.querySelectorAll("button, summary, select, input")]
  .filter((node) => node.checkVisibility() && !node.matches("[type=radio]"))
  .filter((node) => { const box = node.getBoundingClientRect(); return box.width && (box.height < 23.5 || box.width < 23.5); })
  .map((node) => node.outerHTML.slice(0, 80))
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 900])
async def test_nobody_is_kept_out(browser: Browser, home: str, scheme: Any, width: int) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 640}, color_scheme=scheme, reduced_motion="reduce")
    page = await context.new_page()
    await opened(page, home)
    assert await violations(page) == []
    answer = await answered(page)
    await answer.get_by_text(re.compile(r"\d sources?")).click()
    await answer.get_by_role("button", name="No", exact=True).click()
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate(SMALL_TARGETS) == []
    await page.route("**/messages", lambda route: route.abort())
    await ask(page, "again")
    await expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
    assert await violations(page) == []
    await context.close()


async def test_by_keyboard_alone(page: Page) -> None:
    await page.locator("#text").focus()
    await page.keyboard.type(PASSING)
    await page.keyboard.press("Enter")
    await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(page.locator("#text")).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    for _ in range(30):
        if await page.evaluate("document.activeElement.classList.contains('chip')"):
            break
        await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".card")).to_be_focused()
    await page.keyboard.press("Escape")
    assert await page.evaluate("document.activeElement.classList.contains('chip')")
    await page.get_by_label("More", exact=True).focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_screen_reader_hears_each_sentence_once(page: Page, paced: Callable[[float], None]) -> None:
    paced(0.3)
    await page.evaluate(
        "window.heard = []; new MutationObserver(() => heard.push(document.getElementById('announce').textContent))"
        ".observe(document.getElementById('announce'), {childList: true, characterData: true, subtree: true})"
    )
    answer = await ask(page)
    await expect(answer).to_have_attribute("aria-busy", "true")
    await expect(answer).to_have_attribute("aria-busy", "false", timeout=20_000)
    heard = [words for words in await page.evaluate("heard") if words]
    assert len(heard) >= 2 and len(heard) == len(set(heard))
    assert await page.get_by_role("log").get_attribute("aria-live") == "off"


async def test_four_times_the_size_still_fits(browser: Browser, home: str) -> None:
    context = await browser.new_context(viewport={"width": 320, "height": 256}, device_scale_factor=4)  # 1280 x 1024 at 400 %
    page = await context.new_page()
    await opened(page, home)
    await answered(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await expect(page.locator("#text")).to_be_in_viewport()
    await context.close()


async def test_forced_colors_keep_what_is_marked(browser: Browser, home: str) -> None:
    context = await browser.new_context(forced_colors="active")
    page = await context.new_page()
    await opened(page, home)
    answer = await answered(page)
    assert await answer.locator(".chip").first.evaluate("(n) => getComputedStyle(n).borderStyle") == "solid"
    await context.close()
