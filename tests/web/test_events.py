from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from web_server import PASSING, Got, Server, Talk, begin, is_problem, read_events

from bot.answer import Event, Question, StatusEvent
from web.events import HEARTBEAT_S, Run, Runs, Sent


def listen(client: httpx.Client, talk: Talk, text: str = PASSING, last: str | None = None, at_most: int = 1000) -> list[Got]:
    headers = {**talk.headers, "Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    with client.stream("POST", talk.messages, json={"text": text}, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no" and "no-store" in response.headers["cache-control"]
        return read_events(response, at_most)


def turns(client: httpx.Client, talk: Talk) -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get(talk.path, headers=talk.headers).json()["turns"]
    return found


def until_answered(client: httpx.Client, talk: Talk) -> list[dict[str, object]]:
    for _ in range(300):
        found = turns(client, talk)
        if len(found) == 2:
            return found
        time.sleep(0.05)
    pytest.fail("the answer was never stored")


def test_status_then_sentences_then_the_answer(client: httpx.Client, talk: Talk) -> None:
    events = listen(client, talk)
    names = [event.name for event in events]
    assert names[0] == "status" and names[-1] == "answer" and names.count("answer") == 1
    assert set(names) == {"status", "sentence", "answer"}
    assert all(event.id for event in events) and len({event.id for event in events}) == len(events)
    answer = events[-1].data
    sentences = [event.data for event in events if event.name == "sentence"]
    assert [said["sentence"] for said in sentences] == answer["sentences"]
    for said in sentences:
        for citation in said["citations"]:
            assert citation in answer["citations"]
        assert {c["n"] for c in said["citations"]} == set(said["sentence"]["citations"])
    assert all(isinstance(event.data["text"], str) for event in events if event.name == "status")
    assert turns(client, talk)[1]["answer"] == answer


def test_a_dropped_connection_loses_nothing(client: httpx.Client, talk: Talk, paced: Callable[[float], None]) -> None:
    paced(0.15)
    first = listen(client, talk, at_most=1)
    assert [event.name for event in first] == ["status"]
    stored = until_answered(client, talk)
    assert "218" in stored[1]["answer"]["text"]  # type: ignore[index]


def test_resuming_gives_what_was_missed_and_asks_nothing_twice(client: httpx.Client, talk: Talk, paced: Callable[[float], None]) -> None:
    paced(0.15)
    seen = listen(client, talk, at_most=2)
    rest = listen(client, talk, last=seen[-1].id)
    assert rest[-1].name == "answer"
    assert [event.id.rpartition(".")[2] for event in seen + rest] == [str(i + 1) for i in range(len(seen) + len(rest))]
    assert len(turns(client, talk)) == 2
    again = listen(client, talk, last=seen[0].id)
    assert again == (seen + rest)[1:]
    assert len(turns(client, talk)) == 2


def test_a_run_that_is_gone_sends_the_stored_answer(client: httpx.Client, server: Server, talk: Talk) -> None:
    events = listen(client, talk)
    server.state.runs.forget(talk.id)
    resumed = listen(client, talk, last=events[0].id)
    assert [event.name for event in resumed] == ["answer"] and resumed[0].data == events[-1].data
    assert len(turns(client, talk)) == 2


def test_anothers_run_cannot_be_resumed(client: httpx.Client, talk: Talk) -> None:
    theirs = listen(client, talk)
    mine = begin(client)
    events = listen(client, mine, text="How much is the SEVIS fee?", last=theirs[0].id)
    assert events[-1].data["conversation_id"] == mine.id and "220" in events[-1].data["text"]


@pytest.mark.parametrize("last", ["", "x", ".1", "nonsense.99999999999", "a.b", "stored.1", "é".encode().decode("latin-1")])
def test_a_last_event_id_that_means_nothing_asks_anew(client: httpx.Client, talk: Talk, last: str) -> None:
    headers = {**talk.headers, "Accept": "text/event-stream", "Last-Event-ID": last.encode("latin-1")}
    with client.stream("POST", talk.messages, json={"text": PASSING}, headers=headers) as response:
        assert read_events(response)[-1].name == "answer"
    assert len(turns(client, talk)) == 2


def test_an_error_on_the_way_is_a_problem_event(client: httpx.Client, server: Server, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(question: Question) -> AsyncIterator[Event]:
        yield StatusEvent(text="Reading")
        raise RuntimeError(f"{question.text} in /srv/private/file.py with password hunter2")

    monkeypatch.setattr(server.state.advisor, "stream", broken)
    events = listen(client, talk, text="What did I write?")
    assert [event.name for event in events] == ["status", "error"]
    problem = events[-1].data
    assert problem["status"] == 500 and problem["incident"] in problem["detail"]
    assert "private" not in str(problem) and "hunter2" not in str(problem)
    response = client.post(talk.messages, json={"text": "What did I write?"}, headers=talk.headers)
    assert is_problem(response, 500, "internal")["incident"]


def test_refusals_come_before_the_stream(client: httpx.Client, talk: Talk) -> None:
    headers = {**talk.headers, "Accept": "text/event-stream"}
    is_problem(client.post(talk.messages, json={"text": " "}, headers=headers), 422, "invalid-input")
    is_problem(client.post(talk.messages, json={"text": "fee?"}, headers={"Accept": "text/event-stream"}), 401, "unauthorized")


# The run itself, without a server


async def test_a_quiet_run_sends_heartbeats() -> None:
    assert HEARTBEAT_S == 15
    run = Run("c")
    lines = run.lines(heartbeat_s=0.01)
    assert (await anext(lines)).startswith("retry:")
    assert (await anext(lines)).startswith(":")
    run.add(Sent("status", "{}"))
    assert await anext(lines) == f"id: {run.id}.1\nevent: status\ndata: {{}}\n\n"
    run.finish(0)
    assert [line async for line in lines] == []


async def test_runs_end_without_listeners_and_are_forgotten_in_time() -> None:
    now = 0.0
    ended: list[Run] = []
    runs = Runs(lambda run, seconds: ended.append(run), clock=lambda: now)

    async def nothing() -> AsyncIterator[Event]:
        yield StatusEvent(text="Reading")

    first = runs.start("c", nothing())
    await first.wait()
    assert ended == [first]
    assert first.failure is not None and first.failure.status == 500  # a stream that ends without an answer is our error
    assert runs.find("c", f"{first.id}.1") == (first, 1) and runs.find("d", f"{first.id}.1") is None
    now = 301.0
    await runs.start("c", nothing()).wait()
    assert runs.find("c", f"{first.id}.1") is None
    await runs.close()


async def test_closing_stops_what_does_not_end_and_says_so() -> None:
    runs = Runs(lambda run, seconds: None)

    async def endless() -> AsyncIterator[Event]:
        yield StatusEvent(text="Reading")
        await asyncio.Event().wait()

    run = runs.start("c", endless())
    await asyncio.sleep(0)
    await runs.close(patience_s=0.01)
    assert run.finished and run.failure is not None and run.failure.type == "/problems/stopping"
