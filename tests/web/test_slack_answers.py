"""What people do with an answer in Slack: every button, by whom it may be pressed, and what comes late or twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from slack_twin import Play, install, play, until
from web_server import PASSING

from bot.answer import Answer
from bot.settings import Settings
from web.slack import blocks, limits

ME, MY_CHAT, CHANNEL = "U1T1", "DU1T1", "C1T1"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with play(settings, tmp_path_factory.mktemp("slack")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(place: Play) -> Play:
    """Nobody has a modal or a whisper left from before."""
    place.twin.views.clear()
    place.twin.teams["T1"].ephemerals.clear()
    return place


def element(message: dict[str, Any], action: str) -> dict[str, Any]:
    """A button, as it is shown."""
    found = [part for part in limits.parts_of(message["blocks"]) if str(part.get("action_id", "")).startswith(action)]
    assert found, f"no {action} in {[part.get('action_id') for part in limits.parts_of(message['blocks']) if part.get('action_id')]}"
    return found[0]


def window(here: Play, user: str = ME) -> dict[str, Any] | None:
    """The modal that somebody has open."""
    return next((view for view in reversed(list(here.twin.views.values())) if view["to"] == user and view["type"] == "modal"), None)


async def opened(here: Play, title: str, user: str = ME, says: str = "") -> dict[str, Any]:
    async def there() -> bool:
        view = window(here, user)
        shown = " ".join(limits.texts_of(view["blocks"])) if view else ""
        return view is not None and view["title"]["text"] == title and "One moment" not in shown and says in shown

    await until(there)
    view = window(here, user)
    assert view is not None
    return view


async def asked(here: Play, text: str = PASSING, user: str = ME, channel: str = MY_CHAT) -> dict[str, Any]:
    ts = await here.twin.say(user, channel, text)
    (message,) = await here.answers(channel, ts)
    await here.idle()
    return message


async def stored(here: Play, message: dict[str, Any]) -> Answer:
    value = str(element(message, "feedback")["positive_button"]["value"]).split()[0]
    return Answer.model_validate_json(await here.advisor.store.answer_json(value))


async def test_feedback_is_a_toggle_and_a_thumb_down_asks_why(here: Play) -> None:
    message = await asked(here)
    answer, buttons = await stored(here, message), element(message, "feedback")

    async def press(name: str) -> None:
        await here.twin.click(ME, MY_CHAT, {"type": "feedback_buttons", "action_id": "feedback", "value": buttons[name]["value"]}, message)

    async def saved(value: int, reason: str | None = None) -> bool:
        found = await here.advisor.store.feedback(answer.id)
        return found is not None and (found.value, found.reason) == (value, reason)

    await press("positive_button")
    await until(lambda: saved(1))
    await press("negative_button")
    await until(lambda: saved(-1))
    view = await opened(here, "What was wrong?")
    reason = {"reason": {"type": "radio_buttons", "selected_option": {"value": "outdated"}}}
    told = await here.twin.submit(ME, view, {"reason": reason, "comment": {"comment": {"value": "It is 2027."}}})
    assert told["response_action"] == "update"
    await until(lambda: saved(-1, "outdated"))
    feedback = await here.advisor.store.feedback(answer.id)
    assert feedback is not None and feedback.comment == "It is 2027."
    await press("positive_button")  # the last press wins, and takes the reason along
    await until(lambda: saved(1))


async def test_the_whole_answer_opens_with_the_exact_quotes_behind_it(here: Play) -> None:
    message = await asked(here)
    answer = await stored(here, message)
    await here.twin.click(ME, MY_CHAT, element(message, "whole"), message)
    view = await opened(here, "Answer and quotes")
    shown = " ".join(limits.texts_of(view["blocks"]))
    assert answer.citations and all(citation.quote in shown for citation in answer.citations)
    assert limits.view_problems(view) == []


async def test_a_suggestion_is_said_aloud_and_answered_once_however_often_the_press_is_delivered(here: Play) -> None:
    message = await asked(here)
    press = {
        **element(message, "feedback"),
        "type": "button",
        "action_id": "ask:next:0",
        "value": "How long can I stay on an H-1B?",
        "action_ts": "1.5",
    }
    for _ in range(3):
        await here.twin.click(ME, MY_CHAT, press, message)
    await here.answers(MY_CHAT, message["thread_ts"], 3)
    await here.idle()
    assert len(here.thread(MY_CHAT, message["thread_ts"])) == 3
    said = [m for m in here.thread(MY_CHAT, message["thread_ts"]) if "six years" in str(m)]
    assert len(said) == 1


async def test_a_human_is_asked_for_in_a_modal_and_the_thread_is_told(here: Play) -> None:
    message = await asked(here, channel=CHANNEL, text=f"<@UBOTT1> {PASSING}")
    await here.twin.click(ME, CHANNEL, element(message, "handoff"), message)
    view = await opened(here, "Ask an advisor", says="A human advisor will read")
    before = await here.advisor.store.handoffs()
    await here.twin.submit(ME, view, {"note": {"note": {"value": "My case is odd <!channel>"}}})
    (handoff,) = [each for each in await here.advisor.store.handoffs() if each not in before]
    assert (handoff.state, handoff.reason) == ("requested", "My case is odd <!channel>")
    await here.answers(CHANNEL, message["thread_ts"], 2)
    last = here.thread(CHANNEL, message["thread_ts"])[-1]
    assert "advisor was asked" in last["text"] and limits.mentions(last["blocks"], last["text"]) == []
    await here.twin.submit(ME, {**view, "id": "again"}, {"note": {"note": {"value": "and again"}}})
    assert len(await here.advisor.store.handoffs()) == len(before) + 1


async def test_a_message_of_somebody_is_answered_for_me_alone_and_then_shared(here: Play) -> None:
    ts = await here.twin.say("U3T1", CHANNEL, "How long can one stay on an H-1B?")
    await here.twin.shortcut(ME, "answer_this", CHANNEL, ts)
    team = here.twin.teams["T1"]

    async def whispers(number: int) -> bool:
        return len(team.ephemerals) == number

    await until(lambda: whispers(1))
    (preview,) = team.ephemerals
    assert preview["to"] == ME and here.thread(CHANNEL, ts) == []
    assert limits.problems(preview["blocks"], "message") == []
    await here.twin.click(ME, CHANNEL, element(preview, "share"), preview)
    (shared,) = await here.answers(CHANNEL, ts)
    assert "six years" in str(shared["blocks"])
    await until(lambda: whispers(0))
    assert not team.statuses
    assert limits.mentions(shared["blocks"], shared["text"]) == ["@U1T1"]  # who shared it, and nobody else


async def test_what_is_pressed_on_a_preview_stays_between_its_reader_and_us(here: Play) -> None:
    ts = await here.twin.say("U3T1", CHANNEL, PASSING)
    await here.twin.shortcut(ME, "answer_this", CHANNEL, ts)
    team = here.twin.teams["T1"]

    async def whispers(number: int) -> bool:
        return len(team.ephemerals) == number

    await until(lambda: whispers(1))
    preview, before = team.ephemerals[0], len(team.channels[CHANNEL].messages)
    answer_id = element(preview, "whole")["value"]
    press = {"type": "button", "action_id": "ask:next:0", "value": "How long can I stay on an H-1B?", "action_ts": "7.5"}
    await here.twin.click(ME, CHANNEL, press, preview)
    await until(lambda: whispers(2))
    assert "six years" in str(team.ephemerals[1]["blocks"]) and team.ephemerals[1]["to"] == ME
    await here.twin.click(ME, CHANNEL, {"type": "button", "action_id": "rows", "value": answer_id}, preview)
    await here.twin.click(ME, CHANNEL, element(preview, "handoff"), preview)
    view = await opened(here, "Ask an advisor", says="A human advisor will read")
    await here.twin.submit(ME, view, {"note": {"note": {"value": "Only for you"}}})
    await here.idle()
    assert any(handoff.reason == "Only for you" for handoff in await here.advisor.store.handoffs())
    assert len(team.channels[CHANNEL].messages) == before  # nobody else has seen anything


async def test_a_preview_can_be_dismissed(here: Play) -> None:
    ts = await here.twin.say("U3T1", CHANNEL, "How long can one stay on an H-1B?")
    await here.twin.shortcut(ME, "answer_this", CHANNEL, ts)
    team = here.twin.teams["T1"]

    async def whispers(number: int) -> bool:
        return len(team.ephemerals) == number

    await until(lambda: whispers(1))
    await here.twin.click(ME, CHANNEL, element(team.ephemerals[0], "dismiss"), team.ephemerals[0])
    await until(lambda: whispers(0))
    assert here.thread(CHANNEL, ts) == []


@pytest.mark.parametrize("channel", ["", CHANNEL])
async def test_the_global_shortcut_asks_and_the_answer_comes_where_it_was_wanted(here: Play, channel: str) -> None:
    await here.twin.shortcut(ME, "ask")
    view = await opened(here, "Ask IMG Advisor")
    wrong = await here.twin.submit(ME, view, {"question": {"question": {"value": "  "}}})
    assert wrong["response_action"] == "errors" and "question" in wrong["errors"]
    place = here.twin.teams["T1"].channels[channel or MY_CHAT]
    before = len(place.messages)
    values = {"question": {"question": {"value": PASSING}}, "where": {"where": {"selected_conversation": channel or None}}}
    await here.twin.submit(ME, view, values)

    async def aloud() -> bool:
        return len(place.messages) > before

    await until(aloud)
    question, answer = await here.answers(place.id, place.messages[before]["ts"], 2)
    assert PASSING in str(question["blocks"]) and "218" in str(answer)


async def test_an_answer_of_another_workspace_can_not_be_read_shared_or_rated(here: Play) -> None:
    message = await asked(here)
    answer = await stored(here, message)
    before = await here.advisor.store.handoffs()
    here.twin.team("T2", "Clinic")
    await install(here.slack, here.twin, "T2")
    stranger, chat = "U1T2", "DU1T2"
    ts = await here.twin.say(stranger, chat, PASSING)
    (theirs,) = await here.answers(chat, ts)
    await here.twin.click(stranger, chat, {"type": "button", "action_id": "whole", "value": answer.id}, theirs)
    view = await opened(here, "Answer and quotes", stranger)
    assert "not there any more" in str(view["blocks"]) and answer.citations[0].quote not in str(view["blocks"])
    await here.twin.click(stranger, chat, {"type": "feedback_buttons", "action_id": "feedback", "value": f"{answer.id} -1"}, theirs)
    await here.twin.click(stranger, chat, {"type": "button", "action_id": "share", "value": answer.id}, theirs)
    await here.twin.click(stranger, chat, {"type": "button", "action_id": "handoff", "value": answer.id}, theirs)
    await opened(here, "Ask an advisor", stranger)
    await here.idle()
    assert await here.advisor.store.feedback(answer.id) is None
    assert await here.advisor.store.handoffs() == before
    assert len(here.thread(chat, ts)) == 1


async def test_a_button_on_a_forgotten_answer_says_so(here: Play) -> None:
    message = await asked(here)
    answer = await stored(here, message)
    assert answer.conversation_id is not None
    await here.advisor.store.forget(answer.conversation_id)
    await here.twin.click(ME, MY_CHAT, element(message, "whole"), message)
    view = await opened(here, "Answer and quotes")
    assert "forgotten" in str(view["blocks"])


async def test_an_odd_press_is_acknowledged_and_does_nothing(here: Play) -> None:
    message = await asked(here)
    for action in ({"action_id": "feedback", "value": "x"}, {"action_id": "ask:next:0", "value": " "}, {"action_id": "whole"}):
        await here.twin.click(ME, MY_CHAT, {"type": "button", **action}, message)
    assert all(status == 200 for _, status, _ in here.twin.deliveries)
    assert blocks.FEEDBACK in str(message["blocks"])
