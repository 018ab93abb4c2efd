"""A run of ingest from settings: what the command line and the server start with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.collector import paused
from bot.database import open_engine
from bot.embedding import Embedder, open_embedder
from bot.index import load_index
from bot.migrations import upgrade
from bot.settings import Settings
from bot.vectors import Vectors
from bot.words import read_words
from ingest.build import Progress, Report, Source, ingest, read_sources
from ingest.registry import read_registry


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a run works with, kept open for the next one."""

    settings: Settings
    engine: AsyncEngine
    vectors: Vectors
    embedder: Embedder


@asynccontextmanager
async def opened(settings: Settings, progress: Progress = lambda what, done, total: None) -> AsyncIterator[Workshop]:
    """
    Raises:
        SettingsError, WeightsError.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    embedder = await asyncio.to_thread(
        open_embedder, settings.embedder, settings.weights_folder, threads=settings.threads, offline=settings.offline, progress=progress
    )
    engine = await open_engine(settings.database)
    try:
        await upgrade(engine)
        yield Workshop(settings, engine, Vectors(settings.vectors_url, settings.data / "vectors"), embedder)
    finally:
        await engine.dispose()


async def run(
    settings: Settings, paths: Sequence[Path | str] = (), *, collection: str | None = None, rebuild: bool = False,
    allow_shrink: bool = False, progress: Progress = lambda what, done, total: None,
) -> Report:  # fmt: skip
    """Brings a collection to what `paths` (files, folders, allowed web addresses) hold; none: guides and tables of the knowledge folder.

    Raises:
        as ingest.build.ingest, and SettingsError, WeightsError.
    """
    sources = await read_sources(paths, settings.allowed_urls)  # before anything is opened: a wrong path is told at once
    async with opened(settings, progress) as workshop:
        return await run_in(workshop, sources, collection=collection, rebuild=rebuild, allow_shrink=allow_shrink, progress=progress)


async def run_in(
    workshop: Workshop, sources: Sequence[Source] = (), *, collection: str | None = None, rebuild: bool = False,
    allow_shrink: bool = False, progress: Progress = lambda what, done, total: None,
) -> Report:  # fmt: skip
    """A run with parts that are open already; word lists and registry are read anew each time.

    Raises:
        as ingest.build.ingest, and SettingsError.
    """
    settings = workshop.settings
    name = collection or settings.collection
    with paused():
        words = await asyncio.to_thread(read_words, settings.knowledge)
        registry = await asyncio.to_thread(read_registry, settings.knowledge)
    own = [Source(settings.knowledge / "guides", "guides"), Source(settings.knowledge, "tables", tables=True)]
    report = await ingest(
        workshop.engine, workshop.vectors, workshop.embedder, words.terms, registry, sources or own, collection=name,
        lock_file=settings.data / "ingest.lock", rebuild=rebuild, allow_shrink=allow_shrink, progress=progress,
        guide_pages=name == settings.collection, words=words.digest,
    )  # fmt: skip
    if report.added or report.changed or report.removed:
        index = await load_index(workshop.engine, workshop.vectors, name, workshop.embedder.fingerprint)  # what was written can be read
        await asyncio.to_thread(workshop.vectors.open, index.meta["snapshot"])
    return report

