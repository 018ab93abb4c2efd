"""A real server over a real, small knowledge base that is indexed once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from web_server import Server, Talk, begin, serve, write_knowledge
from widget_page import CHROMIUM, World, world_around

from bot.answer import Event, Question
from bot.settings import Settings, read_settings
from ingest.run import run

expect.set_options(timeout=20_000)  # a busy machine is no failure


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium, from Debian's package."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("Chromium was not found. Install it (Debian: apt-get install chromium).", pytrace=False)
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=program, args=list(CHROMIUM))
        yield found
        await found.close()


@pytest.fixture(scope="module")
def world(settings: Settings) -> Iterator[World]:
    with world_around(settings) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser without a past. What it complains about (a policy that was broken, an error in a script of any frame) fails the test."""
    complaints: list[str] = []

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None)

    found = await browser.new_context(reduced_motion="reduce")
    found.set_default_timeout(20_000)
    found.on("page", watch)
    yield found
    await found.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()
