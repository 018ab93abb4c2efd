"""A run of ingest from settings: what the command line and the server start with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bot.bootstrap import word_lists
from bot.collector import paused
from bot.database import open_engine
from bot.embedding import open_embedder
from bot.index import load_index
from bot.migrations import upgrade
from bot.settings import Settings
from bot.vectors import Vectors
from ingest.build import Progress, Report, Source, ingest, read_sources
from ingest.registry import read_registry


async def run(
    settings: Settings, paths: Sequence[Path | str] = (), *, collection: str | None = None, rebuild: bool = False,
    allow_shrink: bool = False, progress: Progress = lambda what, done, total: None,
) -> Report:  # fmt: skip
    """Brings a collection to what `paths` (files, folders, allowed web addresses) hold; none: the guides of the knowledge folder.

    Raises:
        as ingest.build.ingest, and SettingsError, WeightsError.
    """
    with paused():
        terms, _ = word_lists(settings.knowledge)
        registry = await asyncio.to_thread(read_registry, settings.knowledge)
    sources = await read_sources(paths, settings.allowed_urls) or [Source(settings.knowledge / "guides", "guides")]
    settings.data.mkdir(parents=True, exist_ok=True)
    embedder = await asyncio.to_thread(
        open_embedder, settings.embedder, settings.weights_folder, threads=settings.threads, offline=settings.offline, progress=progress
    )
    engine = await open_engine(settings.database)
    try:
        await upgrade(engine)
        vectors = Vectors(settings.vectors_url, settings.data / "vectors")
        name = collection or settings.collection
        report = await ingest(
            engine, vectors, embedder, terms, registry, sources, collection=name, lock_file=settings.data / "ingest.lock", rebuild=rebuild,
            allow_shrink=allow_shrink, progress=progress, guide_pages=name == settings.collection,
        )  # fmt: skip
        if report.added or report.changed or report.removed:
            await load_index(engine, vectors, name, embedder.fingerprint)  # what was written can be read
        return report
    finally:
        await engine.dispose()
