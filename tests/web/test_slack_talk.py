"""Asking in Slack: the plain path, and who is answered where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from slack_twin import Play, play, until
from web_server import PASSING

from bot.answer import Answer
from bot.settings import Settings
from web.slack.talk import ANSWER, key_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOT = "<@UBOTT1>"
STAY = "How long can I stay on an H-1B?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with play(settings, tmp_path_factory.mktemp("slack")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(opened: Play) -> AsyncIterator[Play]:
    opened.twin.faults.clear()
    opened.twin.log.clear()
    opened.twin.deliveries.clear()
    yield opened
    await opened.idle()


def channel(here: Play, name: str, **how: bool) -> str:
    here.twin.channel("T1", f"C{name.upper()}", name, **how)  # type: ignore[arg-type]
    return f"C{name.upper()}"


async def quiet(here: Play, channel: str, ts: str) -> bool:
    """Nothing was said to it, and nothing will be."""
    await here.idle()
    return not here.thread(channel, ts)


async def test_a_direct_message_is_acknowledged_and_answered_by_a_stream_of_verified_sentences(here: Play) -> None:
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    assert here.twin.deliveries[0][1] == 200
    (answer,) = await here.answers("DU1T1", ts)
    assert "218" in answer["markdown"] and "https://advisor.example/guides/usmle/step-2-ck#passing" in answer["markdown"]
    assert answer["thread_ts"] == ts and answer["tasks"]["check"]["status"] == "complete"
    assert "feedback_buttons" in str(answer["blocks"])
    called = [name for name, _, _ in here.twin.log]
    assert {"assistant.threads.setStatus", "assistant.threads.setTitle"} <= set(called)
    assert here.twin.teams["T1"].titles[f"DU1T1:{ts}"] == PASSING
    order = [called.index(name) for name in ("assistant.threads.setStatus", "chat.startStream", "chat.stopStream")]
    assert order == sorted(order)
    assert here.twin.teams["T1"].statuses == {}
    await here.idle()
    assert len(here.thread("DU1T1", ts)) == 1


async def test_the_thread_is_the_conversation_and_its_memory_is_ours(here: Play) -> None:
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    await here.answers("DU1T1", ts)
    await here.twin.say("U1T1", "DU1T1", "And since when?", ts)
    first, second = await here.answers("DU1T1", ts, 2)
    assert "1 July 2025" in second["markdown"]
    assert not here.twin.calls("conversations.replies") and not here.twin.calls("conversations.history")
    thread = await here.slack.threads.find("T1", "DU1T1", ts)
    assert thread is not None and thread.private
    assert len(await here.advisor.store.messages(thread.conversation_id)) == 4


async def test_a_mention_is_answered_once_in_its_thread_and_follow_ups_without_mention_too(here: Play) -> None:
    place = channel(here, "mentions")
    ts = await here.twin.say("U1T1", place, f"{BOT} {PASSING}")
    (answer,) = await here.answers(place, ts)
    assert answer["thread_ts"] == ts and "218" in answer["markdown"]
    assert len([d for d in here.twin.deliveries if d[0]]) >= 2, "a mention comes as a message, too"
    await here.twin.say("U2T1", place, STAY, ts)
    assert "six years" in (await here.answers(place, ts, 2))[1]["text"]
    for chatter in ("<@U2T1> shall we have lunch?", "see you"):
        await here.twin.say("U3T1", place, chatter, ts)
    await here.idle()
    assert len(here.thread(place, ts)) == 2, "people may talk to each other in it"


async def test_what_nobody_asks_us_is_not_answered(here: Play) -> None:
    place = channel(here, "chatter")
    top = await here.twin.say("U1T1", place, PASSING)
    assert await quiet(here, place, top)
    await here.twin.say("U2T1", place, STAY, top)
    assert await quiet(here, place, top)


async def test_a_channel_has_a_mode(here: Play) -> None:
    place = channel(here, "modes")
    answered = {}
    for mode in ("mention", "all", "silent"):
        await here.slack.workspaces.set_mode("T1", place, mode, "U3T1")  # type: ignore[arg-type]
        top = await here.twin.say("U1T1", place, PASSING)
        asked = await here.twin.say("U1T1", place, f"{BOT} {PASSING}")
        await here.twin.say("U2T1", place, STAY, asked)
        chat = await here.twin.say("U1T1", place, "Good morning everyone!")
        await here.idle()
        answered[mode] = [len(here.thread(place, ts)) for ts in (top, asked, chat)]
    assert answered == {"mention": [0, 1, 0], "all": [1, 2, 0], "silent": [0, 0, 0]}
    mine = [m for m in here.twin.teams["T1"].ephemerals if m["channel"] == place]
    assert len(mine) == 1 and mine[0]["to"] == "U1T1" and "218" in str(mine[0]["blocks"]), "silent: who mentions it is answered privately"


async def test_a_channel_that_is_shared_with_outsiders_is_left_in_peace(here: Play) -> None:
    here.twin.teams["T1"].ephemerals.clear()
    place = channel(here, "shared", is_ext_shared=True)
    ts = await here.twin.say("U1T1", place, f"{BOT} {PASSING}")
    outside = await here.twin.say("UOUTSIDE", place, f"{BOT} {PASSING}", user_team="T9")
    await here.idle()
    assert not here.thread(place, ts) and not here.thread(place, outside)
    assert [m["to"] for m in here.twin.teams["T1"].ephemerals] == ["U1T1"]
    await here.slack.workspaces.set_mode("T1", place, "follow", "U3T1")
    assert await here.answers(place, await here.twin.say("U1T1", place, f"{BOT} {PASSING}"))


async def test_bots_and_our_own_messages_are_ignored(here: Play) -> None:
    await here.slack.workspaces.set_mode("T1", "C1T1", "all", "U3T1")
    ts = await here.twin.say("U1T1", "C1T1", PASSING)
    await here.answers("C1T1", ts)  # the twin has told the app of its own message
    robot = await here.twin.say("UROBOT", "C1T1", f"{BOT} {PASSING}", bot_id="B9", subtype="bot_message")
    plain = await here.twin.say("UROBOT", "C1T1", PASSING, bot_id="B9")
    joined = await here.twin.say("U2T1", "C1T1", "has joined", subtype="channel_join")
    assert await quiet(here, "C1T1", robot) and await quiet(here, "C1T1", plain) and await quiet(here, "C1T1", joined)
    assert len(here.thread("C1T1", ts)) == 1
    await here.slack.workspaces.set_mode("T1", "C1T1", "follow", "U3T1")


async def test_a_question_that_is_changed_before_it_is_answered_is_answered_as_changed(here: Play) -> None:
    held = asyncio.Event()
    stream = here.advisor.stream

    async def slow(question):  # type: ignore[no-untyped-def]
        await held.wait()
        async for event in stream(question):
            yield event

    here.advisor.stream = slow  # type: ignore[method-assign]
    try:
        busy = [await here.twin.say("U1T1", "DU1T1", PASSING) for _ in range(8)]  # as many as are worked on at a time
        ts = await here.twin.say("U1T1", "DU1T1", PASSING)
        await here.twin.edit("DU1T1", ts, STAY)
        gone = await here.twin.say("U1T1", "DU1T1", PASSING)
        await here.twin.delete("DU1T1", gone)
        held.set()

        async def as_changed() -> bool:
            """Whether the change came before the answer was begun or just after: one answer stands, to what is asked now."""
            found = here.thread("DU1T1", ts)
            said = "".join(f"{message.get('markdown')} {message['blocks']}" for message in found if not message.get("streaming"))
            return len(found) == 1 and "six years" in said

        await until(as_changed)
    finally:
        here.advisor.stream = stream  # type: ignore[method-assign]
    await here.idle()
    assert await as_changed()
    assert len(here.thread("DU1T1", ts)) == 1 and not here.thread("DU1T1", gone)
    assert all(len(here.thread("DU1T1", one)) == 1 for one in busy)


async def test_a_question_that_is_changed_after_it_was_answered_is_answered_anew_in_the_same_message(here: Play) -> None:
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    (first,) = await here.answers("DU1T1", ts)
    await here.idle()
    await here.twin.edit("DU1T1", ts, STAY)
    await here.idle()
    (second,) = here.thread("DU1T1", ts)
    assert second["ts"] == first["ts"] and "six years" in str(second["blocks"]) and "218" not in str(second["blocks"])
    thread = await here.slack.threads.find("T1", "DU1T1", ts)
    assert thread is not None
    said = [turn.text for turn in await here.advisor.store.history(thread.conversation_id)]
    assert len(said) == 2 and said[0] == STAY, "the old question and answer are forgotten"
    calls = len(here.twin.log)
    await here.twin.edit("DU1T1", ts, STAY)  # nothing was changed: a link was unfurled
    await here.idle()
    assert len(here.twin.log) == calls


async def test_a_question_that_is_deleted_takes_its_answer_with_it(here: Play) -> None:
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    await here.answers("DU1T1", ts)
    thread = await here.slack.threads.find("T1", "DU1T1", ts)
    assert thread is not None
    await here.twin.delete("DU1T1", ts)
    await here.idle()
    assert not here.thread("DU1T1", ts)
    assert await here.advisor.store.messages(thread.conversation_id) == []


async def test_an_empty_mention_is_told_what_to_do(here: Play) -> None:
    ts = await here.twin.say("U1T1", "C1T1", BOT)
    (said,) = await here.answers("C1T1", ts)
    assert "Ask me" in said["text"]


async def test_what_slack_adds_to_a_text_is_taken_away_and_what_people_write_is_data(here: Play) -> None:
    hostile = f"{BOT} <!channel> What is the passing score for <https://usmle.org|Step 2 CK>? &lt;@U2T1&gt; &amp; *@here*"
    ts = await here.twin.say("U1T1", "C1T1", hostile)
    (answer,) = await here.answers("C1T1", ts)
    assert "218" in answer["text"]
    thread = await here.slack.threads.find("T1", "C1T1", ts)
    assert thread is not None
    asked = (await here.advisor.store.history(thread.conversation_id))[0].text
    assert "Step 2 CK" in asked and "usmle.org" not in asked and "<!" not in asked and "& " in asked
    assert "<!channel" not in str(answer) and "<@U2T1" not in str(answer)


async def test_an_open_chat_suggests_questions_that_know_the_profile(here: Play) -> None:
    await here.twin.open_home("U2T1", "messages")
    await here.idle()
    first = here.twin.teams["T1"].prompts["DU2T1"]
    assert 1 <= len(first["prompts"]) <= 4 and first["thread_ts"] is None
    ts = await here.twin.say("U2T1", "DU2T1", "I need a visa and I want to match in Texas. " + PASSING)
    await here.answers("DU2T1", ts)
    await here.twin.open_home("U2T1", "messages")
    await here.idle()
    second = here.twin.teams["T1"].prompts["DU2T1"]["prompts"]
    assert second != first["prompts"] and any("Texas" in prompt["message"] for prompt in second)
    root = await here.twin.open_assistant("U2T1")  # apps set up before 2026
    await here.idle()
    assert here.twin.teams["T1"].prompts["DU2T1"]["thread_ts"] == root
    ts = await here.twin.say("U2T1", "DU2T1", PASSING, root)
    assert "218" in (await here.answers("DU2T1", root, 2))[-1]["text"]


async def test_an_advisors_reply_reaches_the_thread_once(here: Play) -> None:
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    await here.answers("DU1T1", ts)
    thread = await here.slack.threads.find("T1", "DU1T1", ts)
    assert thread is not None
    handoff = await here.advisor.store.request_handoff(thread.conversation_id, "I would like to talk to somebody")
    await here.advisor.reply(handoff.id, "Ana", "The Step 2 CK minimum passing score is 218. Good luck!", own_words_by="Ana")
    here.twin.fail("chat.postMessage", timeout=False, status=500, done=True)  # posted, and the answer to it lost

    async def there() -> bool:
        return len(here.thread("DU1T1", ts)) == 2

    await until(there)
    await asyncio.sleep(3)
    await here.idle()
    reply = here.thread("DU1T1", ts)[1:]
    assert len(reply) == 1 and "218" in str(reply[0]["blocks"]) and "Ana" in str(reply[0])


async def test_the_answer_is_the_one_that_is_stored(here: Play) -> None:
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    (message,) = await here.answers("DU1T1", ts)
    await here.idle()
    asked = await here.slack.threads.asked("T1", "DU1T1", ts)
    assert asked is not None and asked.answer_id and asked.answer_ts == message["ts"]
    answer = Answer.model_validate_json(await here.advisor.store.answer_json(asked.answer_id))
    for sentence in answer.sentences:
        assert sentence.text[:30] in message["markdown"]
    assert await here.slack.threads.owns("T1", asked.answer_id) and not await here.slack.threads.owns("T2", asked.answer_id)
    assert await here.slack.jobs.state(ANSWER, key_of("T1", "DU1T1", ts)) == "done"
