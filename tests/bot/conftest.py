"""An advisor over a small library, indexed once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from bot_day import TODAY
from data_copy import copy_data
from small_library import write_library

from bot.advisor import Advisor
from bot.bootstrap import open_advisor
from bot.settings import Settings, read_settings
from ingest.run import run


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the small library, indexed. Not to be written to."""
    folder = tmp_path_factory.mktemp("library")
    settings = read_settings(knowledge=write_library(folder / "knowledge"), data=folder / "data")
    asyncio.run(run(settings))
    return settings


@pytest.fixture
def small(indexed: Settings, tmp_path: Path) -> Settings:
    """A copy of it for one test alone."""
    copy_data(indexed.data, tmp_path / "data")
    shutil.copytree(indexed.knowledge, tmp_path / "knowledge")
    return indexed.model_copy(update={"data": tmp_path / "data", "knowledge": tmp_path / "knowledge"})


@pytest.fixture
async def advisor(small: Settings) -> AsyncIterator[Advisor]:
    found = await open_advisor(small, today=lambda: TODAY)
    yield found
    await found.close()
