"""An answer in Slack: within its limits, with all its citations, and without power over anybody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from slack_answers import BASE, HOSTILE, answers, texts
from slack_sdk.models.blocks import Block as SdkBlock

from bot.answer import Answer, Profile, Question, Turn
from bot.bootstrap import open_advisor
from bot.golden import read_golden
from bot.settings import ROOT, read_settings
from web.slack import blocks, limits, words
from web.slack.prompts import suggested

SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def hold(answer: Answer, base: str = BASE) -> None:
    """All that must be true of an answer's messages and of its modal."""
    may = {
        url
        for c in answer.citations
        for url in (blocks.guide_url(c, base, with_quote=True), blocks.guide_url(c, base, with_quote=False), words.web_url(c.source.url))
    }
    made = [blocks.message(answer, base), blocks.preview(answer, base), *blocks.all_rows(answer, base)]
    for message in made:
        assert limits.problems(message.blocks, "message") == []
        assert 1 <= len(message.text) <= 4000
        assert limits.mentions(message.blocks, message.text) == []
        assert set(limits.links(message.blocks, message.text)) <= may
    ending = blocks.ending(answer, base)
    assert limits.problems(ending, "message") == []
    for card in blocks.tasks(answer, base):
        assert all(len(card.get(name, "")) <= 256 for name in ("id", "title", "details"))
        assert {source["url"] for source in card.get("sources", [])} <= may and all(source["text"] for source in card.get("sources", []))
    whole = blocks.whole(answer, base)
    if whole:
        assert limits.problems(whole, "modal") == []
    assert limits.mentions([*ending, *whole]) == [] and set(limits.links([*ending, *whole])) <= may


@SLOW
@given(answers())
def test_no_answer_breaks_a_limit_pings_anybody_or_links_elsewhere(answer: Answer) -> None:
    hold(answer)
    hold(answer, "")


@SLOW
@given(texts)
def test_text_is_shown_and_never_obeyed(text: str) -> None:
    for said in (words.mrkdwn(text), words.mrkdwn(words.mrkdwn(text))):
        assert limits.mentions([], said) == [] and limits.links([], said) == []
    said = words.markdown(text)
    assert limits.mentions([], markdown=said) == [] and limits.links([], markdown=said) == []
    link = words.web_link("https://a.example/?a=1&b=2", text)
    assert limits.links([], link) == ["https://a.example/?a=1&b=2"] and limits.mentions([], link) == []


@SLOW
@given(answers())
def test_the_english_that_was_checked_stands_beside_its_translation(answer: Answer) -> None:
    english = [sentence.original for sentence in answer.sentences if sentence.original]
    shown = " ".join(limits.texts_of(blocks.whole(answer, BASE)))
    for text in english:
        assert words.shortened(words.plain(text).strip(), 1000) in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_what_would_ping_or_forge_is_seen_by_the_check_itself_or_harmless(text: str) -> None:
    """The check that the tests above rest on notices the plain forms."""
    plain_form = {
        "<!channel>",
        "<!here>",
        "<!everyone|now>",
        "<@U1>",
        "<@W012ABCDEF|boss>",
        "<#C1|general>",
        "<!subteam^S1|@all>",
        "@channel",
        "@here",
        "(@everyone)",
    }
    if text in plain_form:
        assert limits.mentions([], text)
    if text in {"<http://evil.example|our guide>", "<https://evil.example>"}:
        assert limits.links([], text)
    if text == "[our guide](https://evil.example)":
        assert limits.links([], markdown=text)
    assert "\u202e" not in words.plain(text) and "\x00" not in words.mrkdwn(text)


def test_words_that_are_not_hostile_stay_as_they_are() -> None:
    for text in ("H-1B & J-1: $185 (paid once), 5 < 6", "می‌خواهم بدانم", "नमस्ते, क्‍या?", "write to office@school.example", "a\nb"):
        assert words.plain(text) == text
        assert words._escaped(text) == words.mrkdwn(text)


# Over the library ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answered(library: Path) -> Iterator[list[Answer]]:
    """The answer to every golden question."""

    async def ask_all() -> list[Answer]:
        advisor = await open_advisor(read_settings(data=library))
        try:
            return [
                await advisor.answer(Question(text=q.question, history=[Turn(role=t.role, text=t.text) for t in q.history]))
                for q in read_golden(ROOT / "tests" / "golden")
            ]
        finally:
            await advisor.close()

    yield asyncio.run(ask_all())


def test_every_golden_answer_fits_into_slack_and_loses_no_citation(answered: list[Answer]) -> None:
    assert len(answered) >= 400
    for answer in answered:
        hold(answer)
        message, whole = blocks.message(answer, BASE), blocks.whole(answer, BASE)
        shown = " ".join(limits.texts_of(whole))
        for citation in answer.citations:
            assert f"[{citation.n}] " in shown
            assert blocks.guide_url(citation, BASE, with_quote=True) in limits.links(whole) or citation.guide is None
        body = " ".join(limits.texts_of(message.blocks[:1]))
        first = answer.sentences[0].text if answer.sentences else answer.text
        assert first.replace("*", "")[:60] in body.replace("*", "")
        for block in message.blocks:
            assert SdkBlock.parse(json.loads(json.dumps(block))) is not None  # Slack's own library knows each block
        streamed = sum(len(blocks.sentence_markdown(x.text, x.citations, links_of(answer)).encode()) for x in answer.sentences)
        assert streamed + blocks.size(blocks.ending(answer, BASE)) <= 10_600
        assert blocks.tasks(answer, BASE)[-1] == blocks.checked(answer)
    assert any(block["type"] == "table" for answer in answered for block in blocks.message(answer, BASE).blocks)
    assert any(blocks.folded(answer) for answer in answered)


@pytest.mark.parametrize(
    "told",
    [
        {}, {"visa_needed": True, "attempts": {"step1": 2}, "usce_months": 1, "graduation_year": 2012},
        {"visa_needed": False, "step2ck": 243, "states": ["Texas"], "specialties": ["neurology"]},
    ],
)  # fmt: skip
async def test_each_suggested_question_goes_by_what_was_told_and_has_an_answer(library: Path, told: dict[str, Any]) -> None:
    profile = Profile(**told)
    prompts = suggested(profile)
    assert 1 <= len(prompts) <= 4 and len({each["message"] for each in prompts}) == len(prompts)
    said = " ".join(each["message"] for each in prompts)
    assert all(name in said for name in [*(profile.states or []), *(profile.specialties or [])])
    assert profile.visa_needed is not False or "J-1" not in said
    advisor = await open_advisor(read_settings(data=library))
    try:
        for each in prompts:
            assert (await advisor.answer(Question(text=each["message"], profile=profile))).citations
    finally:
        await advisor.close()


def links_of(answer: Answer) -> dict[int, str | None]:
    return {citation.n: blocks.guide_url(citation, BASE, with_quote=False) for citation in answer.citations}
