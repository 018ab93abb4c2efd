"""The rows of the real index, and a day."""

import asyncio
import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.bootstrap import open_advisor
from bot.rows import Tables
from bot.settings import read_settings


@pytest.fixture(scope="session")
def tables(library) -> Tables:
    async def read() -> Tables:
        advisor = await open_advisor(read_settings(data=library))
        try:
            return (await advisor._room(None)).tables
        finally:
            await advisor.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, read()).result()


@pytest.fixture
def today() -> dt.date:
    return dt.date(2026, 11, 26)


@pytest.fixture
async def advisor(library, today):
    """Over all guides and tables; stateless questions only, the library is shared."""
    found = await open_advisor(read_settings(data=library), today=lambda: today)
    yield found
    await found.close()
