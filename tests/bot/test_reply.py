"""Replies of human advisors: checked like any answer, own words told apart."""

import itertools
import logging
import re

import pytest

from bot.advisor import Advisor
from bot.answer import Question, Reply
from bot.errors import Conflict, InputError, NotFound, Unsupported
from bot.evidence import Evidence
from bot.reply import LONGEST, read_reply, written
from bot.store import Handoff, StoredReply


@pytest.fixture
async def handoff(advisor: Advisor) -> Handoff:
    conversation, _ = await advisor.store.start()
    await advisor.answer(Question(text="How long can I stay on a J-1?", conversation_id=conversation))
    return await advisor.store.request_handoff(conversation, "visa")


LETTER = """Dear colleague,

Clinical J-1 sponsorship is generally limited to seven years. H-1B is generally limited to six years.

- A foreign graduate needs a pass in Step 3 before an H-1B petition for residency.

You will get in."""


async def test_each_sentence_is_cited_or_somebodys_own_words(advisor: Advisor, handoff: Handoff) -> None:
    reply = await advisor.reply(handoff.id, "Ana", LETTER, own_words_by="Dr. Ana Ruiz")
    assert [(sentence.kind, bool(sentence.citations)) for sentence in reply.sentences] == [
        ("frame", False), ("fact", True), ("fact", True), ("fact", True), ("own", False),
    ]  # fmt: skip
    assert (reply.advisor, reply.own_words_by, reply.trace.mode, reply.status) == ("Ana", "Dr. Ana Ruiz", "advisor", "answered")
    assert re.sub(r" ?\[\d+\]", "", reply.text) == LETTER  # laid out as it was written
    numbers = {citation.n for citation in reply.citations}
    assert {int(n) for n in re.findall(r"\[(\d+)\]", reply.text)} == numbers == {n for s in reply.sentences for n in s.citations}
    chunks = {chunk.chunk_id: chunk for chunk in (await advisor._room(None)).index.chunks}
    for citation in reply.citations:
        assert citation.quote in chunks[citation.chunk_id].text and citation.source.url
    assert reply.checks.sentences == reply.checks.supported == 3
    stored = (await advisor.store.messages(handoff.conversation_id))[-1]
    assert isinstance(stored, StoredReply) and Reply.model_validate_json(stored.json) == reply
    assert (await advisor.store.handoff_of(handoff.id)).state == "answered"


@pytest.mark.parametrize(
    "wrong",
    [
        "Clinical J-1 sponsorship is generally limited to eight years.",
        "Clinical J-1 sponsorship is not limited to seven years.",
        "A J-1 physician may moonlight, inside or outside the hospital.",
        "The Step 2 CK passing score is 219 for exams taken on or after 1 July 2025.",
        "You will match next year.",
    ],
)
async def test_what_no_guide_bears_out_is_not_sent(advisor: Advisor, handoff: Handoff, wrong: str) -> None:
    with pytest.raises(Unsupported) as refused:
        await advisor.reply(handoff.id, "Ana", f"H-1B is generally limited to six years. {wrong}")
    assert refused.value.sentences == [wrong] and wrong in str(refused.value)
    assert len(await advisor.store.messages(handoff.conversation_id)) == 2
    assert (await advisor.store.handoff_of(handoff.id)).state == "requested"


async def test_no_name_stands_for_a_reply_that_is_all_cited(advisor: Advisor, handoff: Handoff) -> None:
    reply = await advisor.reply(handoff.id, "Ana", "H-1B is generally limited to six years.", own_words_by="Ana")
    assert reply.own_words_by is None and reply.sentences[0].kind == "fact"


async def test_own_words_are_logged_with_the_name_and_without_the_words(
    advisor: Advisor, handoff: Handoff, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        reply = await advisor.reply(handoff.id, "Ana", "Your passport QX7731 is fine.", own_words_by="Dr. Ana Ruiz")
    assert any(reply.id in line and "Dr. Ana Ruiz" in line for line in caplog.messages)
    assert "QX7731" not in caplog.text


async def test_an_advisor_may_name_the_evidence(advisor: Advisor, handoff: Handoff) -> None:
    chunks = (await advisor._room(None)).index.chunks
    said = {span.said: Evidence(chunk, i) for chunk in chunks for i, span in enumerate(chunk.spans)}
    six, seven = (next(item for text, item in said.items() if words in text) for words in ("six years", "seven years"))
    reply = await advisor.check_reply(handoff.id, "Ana", f"An H-1B is generally limited to six years [{six.key}].")
    assert reply.text == "An H-1B is generally limited to six years. [1]" and reply.citations[0].quote == six.quote
    for key in (seven.key, "e0000000"):  # a passage that says something else, and one that does not exist
        with pytest.raises(Unsupported):
            await advisor.check_reply(handoff.id, "Ana", f"H-1B is generally limited to six years. [{key}]")
    assert len(await advisor.store.messages(handoff.conversation_id)) == 2  # checking sends nothing


async def test_numbers_in_brackets_are_ours_to_give(advisor: Advisor, handoff: Handoff) -> None:
    reply = await advisor.check_reply(handoff.id, "Ana", "H-1B is generally limited to six years. [3] Good luck [12].", own_words_by="Ana")
    assert reply.text == "H-1B is generally limited to six years. [1] Good luck."


async def test_what_cannot_be_sent_is_refused(advisor: Advisor, handoff: Handoff) -> None:
    for text in ("", " \n ", "x" * (LONGEST + 1), "Yes. " * 61):
        with pytest.raises(InputError):
            await advisor.reply(handoff.id, "Ana", text, own_words_by="Ana")
    for advisor_name, own in (("", "Ana"), (" ", "Ana"), ("x" * 201, "Ana"), ("Ana", " ")):
        with pytest.raises(InputError, match="name"):
            await advisor.reply(handoff.id, advisor_name, "Hello.", own_words_by=own)
    with pytest.raises(NotFound):
        await advisor.reply("nothing", "Ana", "Hello.", own_words_by="Ana")
    await advisor.store.claim_handoff(handoff.id, "Ben")
    with pytest.raises(Conflict, match="Ben"):
        await advisor.reply(handoff.id, "Ana", "Hello.", own_words_by="Ana")
    assert len(await advisor.store.messages(handoff.conversation_id)) == 2


async def test_what_an_advisor_wrote_belongs_to_the_history(advisor: Advisor, handoff: Handoff) -> None:
    await advisor.reply(handoff.id, "Ana", "H-1B is generally limited to six years.")
    assert (await advisor.store.history(handoff.conversation_id))[-1].text == "H-1B is generally limited to six years. [1]"


@pytest.mark.parametrize(
    "text",
    [
        "Hello,", "Dear Dr. Khan,", "Hi Amara", "Thank you for your question.", "I hope this helps!", "Kind regards,\nAna", "Good luck!",
        "Hola, y gracias por escribirnos.", "Sincerely,\n\nAna", "Please do not hesitate to write again.",
        "Best wishes, Ana", "Thanks again!", "I liked your question.", "I will get back to you soon, thank you for waiting.",
    ],
)  # fmt: skip
async def test_courtesies_need_no_source(advisor: Advisor, handoff: Handoff, text: str) -> None:
    reply = await advisor.check_reply(handoff.id, "Ana", text)
    assert {sentence.kind for sentence in reply.sentences} == {"frame"}


@pytest.mark.parametrize(
    "text",
    [
        "Hello, your visa is approved.", "Thank you for your 3 attempts.", "Good luck with H-1B, which you will get.", "Dear J-1 holder,",
        "You will be well.", "I am happy to tell you that you matched.", "Thank you, you need no Step 3.", "Hi USCIS,", "Nothing is due.",
        "You will have success, good luck.", "Good luck, it will be fine.", "Congratulations!",
        "Your question is good.",
    ],
)  # fmt: skip
async def test_a_claim_in_the_clothes_of_a_courtesy_is_a_claim(advisor: Advisor, handoff: Handoff, text: str) -> None:
    with pytest.raises(Unsupported):
        await advisor.check_reply(handoff.id, "Ana", text)


async def test_each_mark_says_where_and_why(advisor: Advisor, handoff: Handoff) -> None:
    text = (
        "Hello 🩺,\r\n\r\nThe Step 2 CK passing score is 219 for exams taken on or after 1 July 2025. [2] A J-1 physician may moonlight, "
        "inside or outside the hospital.\n- H-1B is generally limited to six years.\n\nMoon cheese pays the rent.\n[TO DO: a line]"
    )
    net = await advisor.net(handoff.id, "Ana", text)
    marks = {(mark.kind, text[mark.start : mark.end]): mark for mark in net.marks}
    figure = marks["figure", "219"]
    assert "219" in figure.reason and "218" in figure.quote and figure.url.startswith("/guides/usmle/step-2-ck#") and figure.key
    denied = marks["unsupported", "A J-1 physician may moonlight, inside or outside the hospital."]
    assert "may not moonlight" in denied.quote
    assert marks["stale", "H-1B is generally limited to six years."].quote == "H-1B is generally limited to six years."
    assert marks["unsupported", "Moon cheese pays the rent."].quote == ""
    assert net.todo == ["[TO DO: a line]"]
    assert [text[each.start : each.end].split()[0] for each in net.sentences] == ["Hello", "The", "A", "H-1B", "Moon", "[TO"]
    with pytest.raises(InputError, match="TO DO"):
        await advisor.check_reply(handoff.id, "Ana", text, own_words_by="Ana")


async def test_facts_in_dispute_are_borne_out_and_marked(advisor: Advisor, handoff: Handoff) -> None:
    net = await advisor.net(handoff.id, "Ana", "The Step 2 CK passing score is 218 for exams taken on or after 1 July 2025.")
    assert {mark.kind for mark in net.marks} == {"conflict", "volatile"} and net.own == []
    assert "What is the passing score of Step 2 CK?" in next(mark.reason for mark in net.marks if mark.kind == "conflict")


async def test_keys_between_sentences_belong_to_the_one_before(advisor: Advisor, handoff: Handoff) -> None:
    chunks = (await advisor._room(None)).index.chunks
    said = {span.said: Evidence(chunk, i) for chunk in chunks for i, span in enumerate(chunk.spans)}
    six, seven = (next(item for text, item in said.items() if words in text) for words in ("six years", "seven years"))
    text = f"{six.span.said} [{six.key}] {seven.span.said} [{seven.key}]\n\nGood luck!"
    net = await advisor.net(handoff.id, "Ana", text)
    assert [each.keys for each in net.sentences] == [(six.key,), (seven.key,), ()]
    assert net.reply.text == f"{six.span.said} [1] {seven.span.said} [2]\n\nGood luck!"


PARTS = ["One thing.", "Zwei 🩺 Dinge", "[e1234567]", "[3]", " ", "\n", "\r\n", "\n\n- ", "1. ", "\t", "| a | b |", "Dr. Khan", "é"]


def test_pieces_stand_where_they_say() -> None:
    for text in (glue.join(parts) for parts in itertools.product(PARTS, repeat=4) for glue in ("", " ", "\n")):
        try:
            pieces = read_reply(text)
        except InputError:
            continue
        end = 0
        for piece in pieces:
            assert end <= piece.start < piece.end <= len(text)
            end = piece.end
            assert piece.written == text[piece.start : piece.end]
            plain = re.sub(r"\s*\[e[0-9a-f]{7}\]|[ \t]*\[\d{1,3}\]|\r(?=\n)", "", piece.written).strip()
            assert plain == piece.text


def test_a_reply_is_put_together_as_it_was_taken_apart() -> None:
    text = "Hello,\n\n1. One thing. Another one.\n2. Two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nBye 🩺"
    pieces = read_reply(text)

    class Plain:
        citations: list[int] = []

        def __init__(self, text: str) -> None:
            self.text = text

    assert written(pieces, [Plain(piece.text) for piece in pieces]) == text  # type: ignore[misc]
