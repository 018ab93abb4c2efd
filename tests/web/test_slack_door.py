"""What may come in from Slack, and what may not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from slack_twin import Play, play, until
from web_server import PASSING

from bot.settings import Settings
from web.app import create_app
from web.limits import MAX_BODY_BYTES
from web.slack.socket import Socket
from web.slack.twin import packed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Play]:
    async with play(settings, tmp_path_factory.mktemp("slack")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def here(opened: Play) -> AsyncIterator[Play]:
    yield opened
    await opened.idle()


async def send(here: Play, raw: bytes, headers: Any, kind: str = "application/json") -> httpx.Response:
    return await here.twin.http.post(f"{here.twin.app_url}/slack/events", content=raw, headers={"content-type": kind, **headers})


async def put(here: Play) -> int:
    return sum((await here.slack.jobs.counts()).values())


def an_event(here: Play) -> bytes:
    _, (event,) = here.twin.write("U1T1", "DU1T1", PASSING)
    return json.dumps(event).encode()


async def test_only_what_slack_has_signed_and_lately_is_taken(here: Play) -> None:
    raw, before = an_event(here), await put(here)
    good = here.twin.signed(raw)
    now = time.time()
    wrong: list[dict[str, str]] = [
        {}, here.twin.signed(raw, secret="another"), here.twin.signed(raw + b" "), {**good, "x-slack-signature": "v0=é"},
        {"x-slack-signature": good["x-slack-signature"]}, {"x-slack-request-timestamp": good["x-slack-request-timestamp"]},
        {**good, "x-slack-request-timestamp": "soon"}, {**good, "x-slack-request-timestamp": "9" * 400},
        {**good, "x-slack-request-timestamp": "-1"}, here.twin.signed(raw, now - 301), here.twin.signed(raw, now + 302),
    ]  # fmt: skip
    for headers in wrong:
        response = await send(here, raw, {name: value.encode() for name, value in headers.items()})
        assert response.status_code == 403 and response.headers["content-type"] == "application/problem+json"
    assert await put(here) == before
    for skew in (-290, 290):
        assert (await send(here, raw, here.twin.signed(raw, now + skew))).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{}", b"[" * 50_000, b'{"type": "event_callback"}',
     b'{"type": "event_callback", "event": "x", "team_id": "T1", "event_id": "E1"}',
     b'{"type": "event_callback", "event": {}, "team_id": ["T1"], "event_id": "E1"}'],
    ids=lambda raw: raw[:20].decode(errors="replace"),
)  # fmt: skip
async def test_what_is_signed_but_malformed_is_refused_without_a_stumble(here: Play, raw: bytes) -> None:
    response = await send(here, raw, here.twin.signed(raw))
    assert response.status_code in (404, 422), response.text
    form = b"payload=" + raw.replace(b"&", b"")
    response = await send(here, form, here.twin.signed(form), "application/x-www-form-urlencoded")
    assert response.status_code in (404, 422), response.text


async def test_odd_events_end_in_the_queue_and_harm_nobody(here: Play) -> None:
    odd: list[dict[str, Any]] = [
        {}, {"type": 5}, {"type": "message"}, {"type": "message", "subtype": "message_changed"}, {"type": "message", "channel": {"id": 1}},
        {"type": "message", "channel": "C1T1", "user": "U1T1", "ts": "1", "text": None}, {"type": "app_mention", "user": "U1T1"},
        {"type": "message", "subtype": "message_deleted", "channel": "C1T1"}, {"type": "never_heard_of"},
        {"type": "message", "subtype": "message_changed", "message": {"user": "U1T1"}, "channel": "C1T1"},
        {"type": "message", "channel": "D404", "channel_type": "im", "user": "U1T1", "ts": "1.5", "text": "x" * 9000},
    ]  # fmt: skip
    for event in odd:
        status, _ = await here.twin.post(here.twin.event("T1", dict(event)))
        assert status in (200, 422), event
    assert (await here.twin.post(here.twin.event("T1", {"type": "message", "text": "\x00\ud800"})))[0] in (200, 422)
    await here.idle(40)
    ts = await here.twin.say("U1T1", "DU1T1", PASSING)
    assert await here.answers("DU1T1", ts), "it works on"


async def test_a_body_that_is_too_large_is_not_read(here: Play) -> None:
    raw = b'{"type": "' + b"x" * MAX_BODY_BYTES + b'"}'
    assert (await send(here, raw, here.twin.signed(raw))).status_code == 413


async def test_a_request_that_is_played_again_is_refused(here: Play) -> None:
    body = {"team_id": "T1", "channel_id": "C1T1", "user_id": "U1T1", "command": "/img", "text": "help", "trigger_id": "1.2.3"}
    raw, kind = packed(body, "slash_commands")
    headers = here.twin.signed(raw)
    first = await send(here, raw, headers, kind)
    assert first.status_code == 200 and "/img question" in first.json()["text"]
    here.slack._seen.clear()  # another replica
    assert (await send(here, raw, headers, kind)).status_code == 403
    event = an_event(here)
    signed = here.twin.signed(event)
    before = await put(here)
    assert [(await send(here, event, signed)).status_code for _ in range(3)] == [200] * 3
    await here.idle()
    assert await put(here) == before + 2, "the event and its answer"


async def test_an_address_is_verified_and_an_app_that_is_not_installed_gets_nowhere(here: Play) -> None:
    raw = json.dumps({"type": "url_verification", "challenge": "abc", "token": "x"}).encode()
    assert (await send(here, raw, here.twin.signed(raw))).json() == {"challenge": "abc"}
    form = b"ssl_check=1&token=x"
    assert (await send(here, form, here.twin.signed(form), "application/x-www-form-urlencoded")).status_code == 200
    here.twin.team("T8", "Elsewhere", installed=False)
    ts = await here.twin.say("U1T8", "DU1T8", PASSING)
    await here.idle()
    assert not here.thread("DU1T8", ts)
    del here.twin.teams["T8"]


async def test_without_settings_there_is_no_door(settings: Settings) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(settings)), base_url="http://here") as client:
        for answer in (await client.post("/slack/events", json={}), await client.get("/slack/install"), await client.get("/slack/export")):
            assert answer.status_code == 404 and "not set up" in answer.json()["detail"]


async def test_fifty_events_at_once_are_acknowledged_in_time(here: Play) -> None:
    """Three seconds are Slack's limit; the measured figure is in the README."""
    events = [event for n in range(50) for event in here.twin.write("U1T1", "C1T1", f"chat {n}")[1]]
    statuses = [status for status, _ in await asyncio.gather(*(here.twin.post(event) for event in events))]
    assert set(statuses) == {200}


async def test_socket_mode_takes_the_same_over_a_connection_of_our_own(here: Play) -> None:
    socket = Socket(here.slack)
    await socket.open()
    try:
        ts = await here.twin.say("U1T1", "DU1T1", PASSING)
        assert here.twin.sockets and "218" in str(await here.answers("DU1T1", ts))
        assert "/img question" in (await here.twin.command("U1T1", "C1T1", "help"))["text"]
        session = here.twin.sockets[-1]
        await session.close()  # Slack closes connections now and then

        async def again() -> bool:
            return any(one is not session for one in here.twin.sockets)

        await until(again, 30)
        ts = await here.twin.say("U1T1", "DU1T1", PASSING)
        assert await here.answers("DU1T1", ts)
    finally:
        await socket.close()
        here.twin.sockets.clear()
