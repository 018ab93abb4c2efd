"""What goes wrong between us and Slack: each question is answered once, or its asker is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from slack_twin import Play, app_for, copied, install, play, slack_settings, until
from sqlalchemy.exc import OperationalError
from web_server import PASSING

from bot import jobs as queue_module
from bot.jobs import Crew, Job, Jobs
from bot.settings import Settings
from web.slack import door
from web.slack.app import Slack
from web.slack.talk import ANSWER, key_of
from web.slack.twin import Twin
from web.slack.twin_server import running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with play(settings, tmp_path_factory.mktemp("slack")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(opened: Play, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Play]:
    monkeypatch.setattr(queue_module, "delay_s", lambda attempts: 0.05)
    opened.twin.log.clear()
    opened.twin.deliveries.clear()
    yield opened
    await opened.idle()
    opened.twin.faults.clear()


async def answered_once(here: Play, channel: str = "DU1T1") -> dict[str, Any]:
    ts = await here.twin.say("U1T1", channel, PASSING)
    await here.answers(channel, ts)
    await here.idle()
    (answer,) = here.thread(channel, ts)
    assert "218" in str(answer["blocks"]) + answer["text"] and not answer.get("streaming")
    return answer


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "status is refused": ("assistant.threads.setStatus", {"error": "missing_scope"}),
    "status is rate-limited": ("assistant.threads.setStatus", {"status": 429, "retry_after": 60}),
    "the workspace cannot stream": ("chat.startStream", {"error": "unknown_method", "times": 9}),
    "the start is rate-limited": ("chat.startStream", {"status": 429, "retry_after": 1}),
    "the start is an error": ("chat.startStream", {"status": 500}),
    "the start is an error, and had its effect": ("chat.startStream", {"status": 503, "done": True}),
    "the stream dies before its end": ("chat.stopStream", {"error": "message_not_in_streaming_state"}),
    "the end is an error": ("chat.stopStream", {"status": 500}),
    "the end is an error, and had its effect": ("chat.stopStream", {"status": 500, "done": True}),
    "the end is rate-limited": ("chat.stopStream", {"status": 429, "retry_after": 1}),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_whatever_slack_does_the_answer_stands_there_once(here: Play, name: str) -> None:
    method, how = FAULTS[name]
    here.twin.fail(method, **how)
    await answered_once(here)


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 500, "done": True}, {"status": 429, "retry_after": 1}], ids=str)
async def test_a_message_that_is_posted_whole_is_posted_once(here: Play, how: dict[str, Any]) -> None:
    here.twin.fail("chat.startStream", error="unknown_method", times=99)
    here.twin.fail("chat.postMessage", **how)
    await answered_once(here)
    assert here.twin.calls("chat.postMessage") or how.get("done")


async def test_a_call_that_is_never_answered_is_tried_again(here: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.slack.app.TIMEOUT_S", 0.3)
    session = here.slack._session
    assert session is not None
    monkeypatch.setattr(session, "_timeout", aiohttp.ClientTimeout(total=0.5))
    here.twin.fail("chat.startStream", timeout=True, done=True)
    await answered_once(here)


async def test_a_stream_that_dies_in_the_middle_becomes_the_whole_answer(here: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.slack.speak.PACE_S", 0.0)
    here.twin.fail("chat.appendStream", error="message_not_in_streaming_state")
    answer = await answered_once(here)
    assert here.twin.calls("chat.update") and "100" not in answer["ts"]
    # Slack ends a stream by itself after five minutes
    clock, now = here.twin.clock, time.time()
    stream = here.advisor.stream

    async def slow(question: Any) -> AsyncIterator[Any]:
        sentences = 0
        async for event in stream(question):
            sentences += event.type == "sentence"
            if sentences == 2:
                here.twin.clock = lambda: now + 400
            yield event

    monkeypatch.setattr(here.advisor, "stream", slow)
    try:
        await answered_once(here)
    finally:
        here.twin.clock = clock


async def test_a_token_that_is_revoked_in_the_middle_ends_the_work_and_no_token_is_logged(
    here: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("web.slack.speak.PACE_S", 0.0)
    team = here.twin.teams["T1"]
    here.twin.fail("chat.appendStream", error="token_revoked")
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)

    async def failed() -> bool:
        return await here.slack.jobs.state(ANSWER, key_of("T1", "DU1T1", ts)) == "failed"

    await until(failed)
    here.twin.fail("*", error="invalid_auth", times=50)
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    await until(failed)
    await here.idle()
    here.twin.faults.clear()
    here.twin.fail("chat.stopStream", status=500)
    await answered_once(here)  # nothing is broken for good
    logged = [f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in caplog.records]
    ours = [line for line in logged if line.startswith(("web", "bot", "slack", "img_advisor", "uvicorn"))]
    for secret in (team.token, here.twin.signing_secret, here.twin.client_secret, here.twin.app_token):
        assert not [line for line in logged if secret in line]
    assert not [line for line in ours if PASSING in line or "218" in line], "nor what people write"
    assert [line for line in ours if "given up" in line]


async def test_events_come_again_and_again_and_are_taken_once(here: Play) -> None:
    message, events = here.twin.write("U1T1", "DU1T1", PASSING)
    statuses = [status for status, _ in await asyncio.gather(*(here.twin.post(event) for event in events * 20))]
    await here.answers("DU1T1", message["ts"])
    for event in events * 5:
        await here.twin.post(event, headers={"x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout"})
    await here.idle()
    assert set(statuses) == {200} and len(here.thread("DU1T1", message["ts"])) == 1


async def test_a_database_that_is_down_loses_nothing_and_people_are_told(here: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    await answered_once(here)  # its token is known from now on
    down = True
    insert = Jobs._insert

    async def broken(self: Jobs, rows: Any) -> Any:
        if down:
            raise OperationalError("", {}, Exception("the server does not answer"))
        return await insert(self, rows)

    monkeypatch.setattr(Jobs, "_insert", broken)
    here.twin.teams["T1"].ephemerals.clear()
    sent = [here.twin.write("U1T1", "DU1T1", PASSING) for _ in range(3)]
    for _, events in sent:
        for event in events * 2:
            assert (await here.twin.post(event))[0] == 200, "it is acknowledged all the same"
    command = await here.twin.command("U1T1", "C1T1", PASSING)
    assert "memory" in command["text"]
    assert len(here.slack.spool.names()) == 3
    async with asyncio.timeout(60):
        while not (told := [m["text"] for m in here.twin.teams["T1"].ephemerals if m["channel"] == "DU1T1"]):
            await asyncio.sleep(0.05)
    await asyncio.sleep(2.1)
    told = [m["text"] for m in here.twin.teams["T1"].ephemerals if m["channel"] == "DU1T1"]
    assert len(told) == 1 and "I answer as soon as" in told[0]
    assert len(here.slack.spool.names()) == 3, "nothing is taken away before it is queued"
    down = False
    for message, _ in sent:
        await here.answers("DU1T1", message["ts"])
    await here.idle()
    assert [len(here.thread("DU1T1", message["ts"])) for message, _ in sent] == [1, 1, 1]
    assert here.slack.spool.names() == []


async def test_a_queue_that_is_slow_is_not_waited_for_and_a_spool_that_is_full_asks_slack_to_come_again(
    here: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, held = Jobs._insert, asyncio.Event()

    async def slow(self: Jobs, rows: Any) -> Any:
        if rows[0]["kind"] == "slack.event":
            await held.wait()
        return await insert(self, rows)

    monkeypatch.setattr(Jobs, "_insert", slow)
    monkeypatch.setattr(door, "QUEUE_S", 0.1)
    message, events = here.twin.write("U1T1", "DU1T1", PASSING)
    assert (await here.twin.post(events[0]))[0] == 200 and not held.is_set()
    monkeypatch.setattr("web.slack.spool.MOST", 0)
    refused, others = here.twin.write("U1T1", "DU1T1", PASSING)
    assert (await here.twin.post(others[0]))[0] == 503
    held.set()
    monkeypatch.setattr("web.slack.spool.MOST", 100)
    await here.answers("DU1T1", message["ts"])
    await here.twin.deliver(others[0])
    await here.answers("DU1T1", refused["ts"])
    await here.idle()
    assert len(here.thread("DU1T1", message["ts"])) == len(here.thread("DU1T1", refused["ts"])) == 1


@pytest.mark.parametrize("moment", ["acknowledged", "asked", "begun", "posted"])
async def test_a_process_that_dies_at_any_moment_leaves_one_answer(settings: Settings, tmp_path: Path, moment: str) -> None:
    """It is cut off without a chance to tidy up; another one takes over when the lease has run out."""
    copied(settings.data, tmp_path / "data")
    twin = Twin()
    async with running(twin):
        twin.team("T1")
        mine = slack_settings(settings.model_copy(update={"data": tmp_path / "data"}), twin)
        with pytest.MonkeyPatch.context() as patch:
            async with app_for(mine, twin) as slack:
                await install(slack, twin, "T1")
                ts = await killed(slack, twin, moment, patch)
        async with app_for(mine, twin) as slack:
            here = Play(twin, slack)
            await here.answers("DU1T1", ts)
            await here.idle()
            (answer,) = here.thread("DU1T1", ts)
            assert "218" in answer["text"] + str(answer["blocks"]) and not answer.get("streaming")
            thread = await slack.threads.find("T1", "DU1T1", ts)
            assert thread is not None and len(await slack.advisor.store.messages(thread.conversation_id)) == 2, "asked once, too"


async def killed(slack: Slack, twin: Twin, moment: str, patch: pytest.MonkeyPatch) -> str:
    """Asks, and lets the process be as good as dead when it has come to a moment."""
    dead = asyncio.Event()

    async def die(*_: Any, **__: Any) -> Any:
        dead.set()
        await asyncio.sleep(3600)

    async def sleep(*_: Any, **__: Any) -> None:
        await asyncio.sleep(3600)

    async def nothing(*_: Any, **__: Any) -> None:
        pass

    async def unnoted(job: Job, **values: Any) -> None:
        await (die() if "ts" in values else note(job, **values))

    slack.jobs.lease_s, note = 1.0, slack.jobs.note
    match moment:
        case "acknowledged":
            slack.crew.hands["slack.event"] = die
        case "asked":
            slack.threads.answered = die  # type: ignore[method-assign]
        case "begun":
            slack.jobs.note = unnoted  # type: ignore[method-assign]
        case "posted":
            slack.jobs.done = die  # type: ignore[method-assign]
    patch.setattr(Crew, "_hold", sleep)
    patch.setattr(Crew, "stop", nothing)
    message, events = twin.write("U1T1", "DU1T1", PASSING)
    assert (await twin.post(events[0]))[0] == 200
    await asyncio.wait_for(dead.wait(), 20)
    for task in [*slack._tasks, *slack.crew._running]:
        task.cancel()
    slack._tasks = []
    return str(message["ts"])
