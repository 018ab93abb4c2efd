"""A letter in other words: figures, names, dates and quotes stay letter by letter, or the sentence stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bot_day import TODAY
from openai_server import OpenAIServer

from bot.advisor import Advisor
from bot.answer import Question
from bot.bootstrap import open_advisor
from bot.errors import InputError, ModelFailed
from bot.rewriter import Rewritten
from bot.settings import Settings

LETTER = """Hello,

Clinical J-1 sponsorship is generally limited to seven years. [e1234567] H-1B is generally limited to six years. [e7654321]

- A J-1 physician may not moonlight, inside or outside the hospital.

Kind regards,
Ana"""
SENTENCES = [
    "Hello,", "Clinical J-1 sponsorship is generally limited to seven years.", "H-1B is generally limited to six years.",
    "A J-1 physician may not moonlight, inside or outside the hospital.", "Kind regards, Ana",
]  # fmt: skip


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as found:
        yield found


async def rewritten(small: Settings, server: OpenAIServer | None, way: str, says: dict[int, str] | None = None, **more: str) -> Rewritten:
    settings = small
    if server is not None:
        server.says = [{"n": n, "text": text} for n, text in (says or {}).items()]
        settings = small.model_copy(update={"model": "openai:scripted", "model_base_url": server.url, "model_timeout_s": 20.0})
    advisor = await open_advisor(settings, today=lambda: TODAY)
    try:
        return await advisor.rewrite((await handoff(advisor)), LETTER, way, name="Ana", **more)
    finally:
        await advisor.close()


async def handoff(advisor: Advisor) -> str:
    conversation, _ = await advisor.store.start()
    await advisor.store.add_question(conversation, Question(text="How long?").text)
    return (await advisor.store.request_handoff(conversation, "visa")).id


async def test_what_says_the_same_is_taken_and_keeps_its_source(small: Settings, server: OpenAIServer) -> None:
    hello, bye = "Hello and thank you for your question,", "Warm regards, Ana"
    made = await rewritten(small, server, "warmer", {1: hello, 2: SENTENCES[1], 5: bye})
    assert made.text == LETTER.replace("Hello,", hello).replace("Kind regards,\nAna", bye)
    assert made.refused == () and "2 of 5" in made.said


@pytest.mark.parametrize(
    ("number", "says", "why"),
    [
        (2, "Clinical J-1 sponsorship is generally limited to eight years.", "seven"),
        (2, "Clinical H-1B sponsorship is generally limited to seven years.", "J-1"),
        (3, "H-1B is generally limited to six years, in Texas.", "Texas"),
        (3, "H-1B is not generally limited to six years.", "same"),
        (4, "A J-1 physician may moonlight, inside or outside the hospital.", "same"),
        (1, "Hello, you will surely match,", "claim"),
        (3, "H-1B is generally limited to six years: https://evil.example", "belong"),
        (3, "H-1B is generally limited to six years, and 90 days.", "90"),
    ],
)
async def test_what_changed_stays_as_it_was(small: Settings, server: OpenAIServer, number: int, says: str, why: str) -> None:
    made = await rewritten(small, server, "shorter", {number: says})
    assert made.text == LETTER
    assert len(made.refused) == 1 and why in made.refused[0] and SENTENCES[number - 1][:5] in made.refused[0]


async def test_what_repeats_may_go(small: Settings, server: OpenAIServer) -> None:
    made = await rewritten(small, server, "shorter", {3: "", 4: ""})
    assert made.text == "Hello,\n\nClinical J-1 sponsorship is generally limited to seven years. [e1234567]\n\nKind regards,\nAna"


async def test_a_model_that_fails_changes_nothing(small: Settings, server: OpenAIServer) -> None:
    for script in ("500", "401", "empty", "reset"):
        server.script = script
        with pytest.raises(ModelFailed):
            await rewritten(small, server, "warmer")


async def test_without_a_model_shorter_leaves_sentences_out(small: Settings) -> None:
    advisor = await open_advisor(small, today=lambda: TODAY)
    ident = await handoff(advisor)
    plain = LETTER.replace(" [e1234567]", "").replace(" [e7654321]", "")
    made = await advisor.rewrite(ident, plain, "shorter", name="Ana")
    assert "seven years" in made.text and "six years" not in made.text and made.text.startswith("Hello,") and made.text.endswith("Ana")
    again = await advisor.rewrite(ident, made.text, "shorter", name="Ana")
    assert again.text == made.text
    for way in ("warmer", "translate", "louder"):
        with pytest.raises(InputError):
            await advisor.rewrite(ident, plain, way, name="Ana")
    await advisor.close()
