"""Advisors' replies written in Slack: drafted, checked, sent once, by advisors alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from slack_people import ADVISOR, APPLICANT, CHANNEL, account_of, element, opened, window, words
from slack_twin import Play, install, play, until
from web_server import PASSING

from bot.answer import Reply
from bot.settings import Settings
from bot.store import StoredReply
from web.slack import limits
from web.slack.twin import User

pytestmark = pytest.mark.asyncio(loop_scope="module")
TITLE = "Draft a reply"
GOOD = "Dear colleague,\n\nThe Step 2 CK minimum passing score is 218 for exams taken on or after 1 July 2025."
WRONG = "The Step 2 CK minimum passing score is 231 for exams taken on or after 1 July 2025."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with play(settings, tmp_path_factory.mktemp("drafting")) as found:
        await account_of(found, ADVISOR, "Dr. Ana Ruiz")
        await account_of(found, "U7T1", "Ben Ito")
        found.twin.teams["T1"].users["U7T1"] = User("U7T1", "Ben", "T1")
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(place: Play) -> Play:
    place.twin.views.clear()
    place.twin.teams["T1"].ephemerals.clear()
    return place


async def drafted(here: Play, text: str = PASSING, user: str = ADVISOR, channel: str = CHANNEL) -> tuple[str, dict[str, Any]]:
    """Somebody writes in a channel, an advisor drafts a reply: the message's ts, and the modal."""
    ts = await here.twin.say(APPLICANT, channel, text)
    await here.twin.shortcut(user, "draft_reply", channel, ts)
    return ts, await opened(here, TITLE, user, "Asked")


def typed(view: dict[str, Any], text: str, *, what: str = "send", stand: bool = False) -> dict[str, Any]:
    """What the modal would send."""
    name = element(view, "text")["action_id"]
    values: dict[str, Any] = {name: {name: {"value": text}}, "what": {"what": {"selected_option": {"value": what}}}}
    if stand:
        values["own"] = {"own": {"selected_options": [{"value": "own"}]}}
    return values


async def replies(here: Play, channel: str, ts: str) -> list[Reply]:
    thread = await here.slack.threads.find("T1", channel, ts)
    assert thread is not None
    said = await here.advisor.store.messages(thread.conversation_id)
    return [Reply.model_validate_json(m.json) for m in said if isinstance(m, StoredReply)]


async def check(here: Play, view: dict[str, Any], text: str, says: str) -> dict[str, Any]:
    shown = {**view, "state": {"values": typed(view, text)}}
    await here.twin.click(ADVISOR, "", element(view, "draft_check"), view=shown)
    return await opened(here, TITLE, ADVISOR, says)


async def test_a_draft_to_anyones_message_is_verified_edited_checked_and_sent_in_the_advisors_name(here: Play) -> None:
    ts, view = await drafted(here)
    assert limits.view_problems(view) == []
    text = element(view, "text")["initial_value"]
    assert "218" in text and "sentences checked" in words(view) and "USMLE" in words(view)
    view = await check(here, view, WRONG, "231")
    assert "is not in its source" in words(view) and "218" in words(view)
    await here.twin.submit(ADVISOR, view, typed(view, WRONG))
    view = await opened(here, TITLE, ADVISOR, "No guide bears out")
    assert await replies(here, CHANNEL, ts) == []
    assert element(view, "text")["initial_value"] == WRONG  # nothing that was typed is lost
    view = await check(here, view, GOOD, "1 of 1 sentence checked")
    await here.twin.submit(ADVISOR, view, typed(view, GOOD))
    await opened(here, TITLE, ADVISOR, "Sent as Dr. Ana Ruiz")
    (reply,) = await replies(here, CHANNEL, ts)
    assert reply.advisor == "Dr. Ana Ruiz" and reply.own_words_by is None and reply.citations
    await here.twin.submit(ADVISOR, view, typed(view, GOOD))  # pressed again, late
    await here.idle()
    assert len(await replies(here, CHANNEL, ts)) == 1


async def test_own_words_go_out_only_when_somebody_stands_for_them_and_are_marked(here: Play) -> None:
    ts, view = await drafted(here)
    mine = f"{GOOD} I liked Vienna best of all cities."
    view = await check(here, view, mine, "No guide")
    await here.twin.submit(ADVISOR, view, typed(view, mine, stand=True))
    await opened(here, TITLE, ADVISOR, "Sent as")
    (reply,) = await replies(here, CHANNEL, ts)
    assert reply.own_words_by == "Dr. Ana Ruiz" and [s.kind for s in reply.sentences].count("own") == 1


async def test_a_draft_can_be_left_in_the_console(here: Play) -> None:
    ts, view = await drafted(here)
    await here.twin.submit(ADVISOR, view, typed(view, GOOD, what="keep"))
    await opened(here, TITLE, ADVISOR, "Kept")
    assert await replies(here, CHANNEL, ts) == []
    thread = await here.slack.threads.find("T1", CHANNEL, ts)
    assert thread is not None
    handoff = await here.advisor.store.handoff(thread.conversation_id)
    assert handoff is not None and handoff.state == "assigned"
    (draft,) = await here.advisor.drafts.of(handoff.id)
    assert (await here.advisor.drafts.version(draft.id, draft.version)).text == GOOD
    await here.twin.shortcut(ADVISOR, "draft_reply", CHANNEL, ts)  # and taken up again where it was left

    async def again() -> bool:
        found = window(here, ADVISOR)
        return found is not None and found["id"] != view["id"] and "Asked" in words(found)

    await until(again)
    assert element(window(here, ADVISOR), "text")["initial_value"] == GOOD


async def test_an_applicant_can_neither_draft_nor_send(here: Play) -> None:
    ts = await here.twin.say(APPLICANT, CHANNEL, PASSING)
    await here.twin.shortcut(APPLICANT, "draft_reply", CHANNEL, ts)
    await opened(here, TITLE, APPLICANT, "Only advisors")
    assert await here.slack.threads.find("T1", CHANNEL, ts) is None  # nothing was begun
    ts, view = await drafted(here)
    forged = {**view, "to": APPLICANT}
    await here.twin.submit(APPLICANT, forged, typed(view, GOOD))
    await here.idle()
    assert await replies(here, CHANNEL, ts) == []


async def test_two_advisors_one_gets_it(here: Play) -> None:
    ts, _ = await drafted(here)
    await here.twin.shortcut("U7T1", "draft_reply", CHANNEL, ts)
    await opened(here, TITLE, "U7T1", "Dr. Ana Ruiz has this question")


async def test_who_writes_again_meanwhile_is_read_first(here: Play) -> None:
    ts, view = await drafted(here)
    thread = await here.slack.threads.find("T1", CHANNEL, ts)
    assert thread is not None
    await here.advisor.store.add_question(thread.conversation_id, "And how long is the scale?")
    await here.twin.submit(ADVISOR, view, typed(view, GOOD))
    view = await opened(here, TITLE, ADVISOR, "wrote again")
    assert "And how long is the scale?" in words(view) and await replies(here, CHANNEL, ts) == []
    await here.twin.submit(ADVISOR, view, typed(view, GOOD))
    await opened(here, TITLE, ADVISOR, "Sent as")
    assert len(await replies(here, CHANNEL, ts)) == 1


async def test_where_the_app_is_no_member_the_draft_stays_in_the_console(here: Play) -> None:
    here.twin.channel("T1", "C5T1", "elsewhere", members={APPLICANT, ADVISOR})
    _, view = await drafted(here, channel="C5T1")
    assert "no member of this channel" in words(view)
    assert [o["value"] for o in element(view, "what")["options"]] == ["keep"]


async def test_a_draft_of_another_workspace_opens_for_nobody_else(here: Play) -> None:
    team = here.twin.team("T2", "Clinic")
    await install(here.slack, here.twin, "T2")
    team.users["U2T2"].email = f"{ADVISOR.lower()}@example.com"
    ts, view = await drafted(here)
    press = {**element(view, "draft_check")}
    await here.twin.click("U2T2", "", press, view={**view, "state": {"values": typed(view, GOOD)}})
    await here.twin.submit("U2T2", {**view}, typed(view, GOOD))
    await here.idle()
    assert await replies(here, CHANNEL, ts) == []


async def test_a_message_that_is_deleted_is_forgotten_where_nobody_has_answered_it(here: Play) -> None:
    ts, view = await drafted(here, "My secret: I failed Step 1.")
    thread = await here.slack.threads.find("T1", CHANNEL, ts)
    assert thread is not None and len(await here.advisor.store.messages(thread.conversation_id)) == 1
    await here.twin.delete(CHANNEL, ts)
    await here.idle()
    assert await here.advisor.store.messages(thread.conversation_id) == []


async def test_an_empty_message_is_no_question(here: Play) -> None:
    ts = await here.twin.say(APPLICANT, CHANNEL, "<@U2T1>")
    await here.twin.shortcut(ADVISOR, "draft_reply", CHANNEL, ts)
    await opened(here, TITLE, ADVISOR, "nothing to read")


async def test_what_takes_long_is_promised_in_time_and_shown_when_it_is_there(here: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.slack.windows.SOON_S", 0.0)
    _, view = await drafted(here)
    told = await here.twin.submit(ADVISOR, view, typed(view, GOOD, what="keep"))
    assert "One moment" in words(told["view"])
    await opened(here, TITLE, ADVISOR, "Kept")
