"""A real server over a real, small knowledge base that is indexed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from web_server import Server, Talk, begin, serve, write_knowledge

from bot.answer import Event, Question
from bot.settings import Settings, read_settings
from ingest.run import run


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of an indexed knowledge base, with limits that tests do not meet by chance."""
    folder = tmp_path_factory.mktemp("web")
    found = read_settings(
        knowledge=write_knowledge(folder / "knowledge"), data=folder / "data", visitor_messages_per_minute=10_000,
        visitor_conversations_per_hour=10_000, visitor_requests_per_minute=100_000, site_messages_per_minute=100_000,
        sites="https://school.example", log_level="error",
    )  # fmt: skip
    asyncio.run(run(found))
    return found


@pytest.fixture(scope="session")
def server(settings: Settings) -> Iterator[Server]:
    with serve(settings) as found:
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


@pytest.fixture
def talk(client: httpx.Client) -> Talk:
    return begin(client)


@pytest.fixture
def paced(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes the advisor rest for so many seconds after each event."""

    def slow_down(pause_s: float) -> None:
        advisor = server.state.advisor
        assert advisor is not None
        stream = advisor.stream

        async def slow(question: Question) -> AsyncIterator[Event]:
            async for event in stream(question):
                yield event
                await asyncio.sleep(pause_s)

        monkeypatch.setattr(advisor, "stream", slow)

    return slow_down
