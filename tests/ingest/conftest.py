"""A collection of its own in real SQLite and Chroma, and a folder to fill it from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ingest_files import Counting, Room

from bot.database import open_engine
from bot.embedding import OnnxEmbedder
from bot.migrations import upgrade
from bot.terms import Terms
from bot.vectors import Vectors


@pytest.fixture
async def room(tmp_path: Path, embedder: OnnxEmbedder, terms: Terms) -> AsyncIterator[Room]:
    data = tmp_path / "data"
    data.mkdir()
    engine = await open_engine(f"sqlite+aiosqlite:///{data / 'advisor.sqlite3'}")
    await upgrade(engine)
    yield Room(engine, Vectors("", data / "vectors"), Counting(embedder), terms, data)
    await engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "corpus"
    found.mkdir()
    return found
