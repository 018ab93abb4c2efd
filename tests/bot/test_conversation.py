"""What a conversation keeps of the applicant, turn after turn."""

import asyncio
import logging
import statistics
import time

import pytest

from bot.answer import Profile, Question, Turn
from bot.bootstrap import open_advisor
from bot.errors import NotFound
from bot.memory import Memory
from bot.settings import read_settings


@pytest.fixture
async def whole(library):
    """An advisor over all guides."""
    found = await open_advisor(read_settings(data=library))
    yield found
    await found.close()


@pytest.fixture
async def say(advisor):
    """Says something in a new conversation and gives the answer; `say.id` is the conversation."""
    ident, _ = await advisor.store.start()

    async def say(text):
        return await advisor.answer(Question(text=text, conversation_id=ident))

    say.id, say.store = ident, advisor.store
    return say


async def test_what_is_told_is_shown_back_corrected_and_forgotten(say):
    first = await say("I graduated in 2017 in Pakistan, CK 243, need a visa")
    assert set(first.profile.changed) == {
        "graduation_year", "medical_school_country", "step2ck", "visa_needed",
    }  # fmt: skip
    assert all(word in first.text for word in ("2017", "Pakistan", "243"))
    assert all(s.kind == "frame" for s in first.sentences)
    second = await say("sorry, 234 not 243")
    assert second.profile.changed == ["step2ck"] and second.profile.fields.step2ck == 234
    assert await say.store.profile(say.id) == second.profile.fields
    third = await say("How much is the OET?")
    assert third.profile.changed == [] and third.profile.fields.graduation_year == 2017 and "2017" not in third.text
    await say.store.forget(say.id)
    with pytest.raises(NotFound):
        await say.store.profile(say.id)


async def test_what_cannot_be_so_is_named_and_nothing_else_is_lost(say):
    await say.store.set_profile(say.id, Profile(states=["Ohio"]))
    answer = await say("Step 2 CK 400, need visa. How much is OET?")
    assert await say.store.profile(say.id) == Profile(states=["Ohio"], visa_needed=True)
    assert len(answer.profile.problems) == 1 and all(word in answer.profile.problems[0] for word in ("400", "Step 2 CK", "1 to 300"))
    assert answer.profile.problems[0] in answer.text


async def test_a_call_without_a_conversation_reads_its_history(advisor):
    history = [Turn(role="user", text="I graduated in 2012 and need a visa"), Turn(role="assistant", text="I graduated in 1999.")]
    answer = await advisor.answer(Question(text="How much is the OET?", history=history))
    assert answer.profile.fields == Profile(graduation_year=2012, visa_needed=True) and answer.profile.changed == []


async def test_nothing_is_noted_of_somebody_in_need(whole):
    answer = await whole.answer(Question(text="I graduated in 2012 and I want to kill myself"))
    assert answer.status == "handoff" and answer.profile is None


async def test_two_messages_at_once_lose_nothing(say):
    await asyncio.gather(say("I graduated in 2016"), say("my CK is 241, need a visa"), say("How much is OET?"))
    assert await say.store.profile(say.id) == Profile(graduation_year=2016, step2ck=241, visa_needed=True)
    assert len(await say.store.messages(say.id)) == 6


async def test_no_personal_data_is_logged(say, caplog):
    caplog.set_level(logging.DEBUG)
    for text in (
        "My name is Zebediah Quark, zeb@quark.example, passport X9981. I graduated in 1987 in Pakistan, CK 243, need a visa",
        "Step 2 CK 417", "which states take Zebediah Quark with YOG 1987?", "what about Ohio",
    ):  # fmt: skip
        await say(text)
    await say.store.forget(say.id)
    logged = "\n".join(record.getMessage() + str(record.args) for record in caplog.records if record.name.split(".")[0] in ("bot", "web"))
    for word in ("Zebediah", "quark", "X9981", "1987", "243", "417", "Pakistan"):
        assert word.lower() not in logged.lower()


async def test_a_long_conversation_keeps_its_question_its_profile_and_what_is_open(small):
    """After 200 messages and a restart; a message costs no more than at the beginning."""
    first = await open_advisor(small)
    ident, _ = await first.store.start()

    async def said(advisor, text):
        return await advisor.answer(Question(text=text, conversation_id=ident))

    await said(first, "I graduated in 2016 and need a visa")
    await said(first, "Who won the football cup in Brazil?")
    await said(first, "Can I moonlight on a J-1?")
    times = []
    for number in range(100):
        began = time.perf_counter()
        await said(first, "thanks!" if number % 2 else "ok thanks")
        times.append(time.perf_counter() - began)
    await first.close()
    again = await open_advisor(small)
    try:
        assert len(await again.store.messages(ident)) > 200
        memory = await again.store.memory(ident)
        assert memory.standing == "Can I moonlight on a J-1?" and memory.open == ("Who won the football cup in Brazil?",)
        answer = await said(again, "and for H-1B?")
        assert any("H-1B" in step and "moonlight" in step for step in answer.trace.plan)
        assert answer.profile.fields == Profile(graduation_year=2016, visa_needed=True)
    finally:
        await again.close()
    assert statistics.median(times[-20:]) < 2 * statistics.median(times[:20]) + 0.02


def test_memory_is_bounded_and_what_is_answered_is_open_no_more():
    memory = Memory()
    for number in range(50):
        memory = memory.after("x" * 9999, [], [f"question {number} " + "y" * 9999])
    assert len(memory.open) <= 10 and len(memory.standing) <= 300 and all(len(q) <= 300 for q in memory.open)
    assert memory.open[-1].startswith("question 49")
    assert Memory("a", ("b", "c")).after("d", ["b"], []) == Memory("d", ("c",))
