"""Builds the parts from settings, in one place; tests call it with other settings."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
from collections.abc import Callable
from pathlib import Path

from bot.advisor import Advisor
from bot.collector import paused
from bot.database import open_engine
from bot.embedding import Embedder, open_embedder
from bot.migrations import upgrade
from bot.models import open_model
from bot.plan import read_planner
from bot.prompts import Prompts
from bot.settings import ROOT, Settings
from bot.store import Store
from bot.terms import Terms, read_terms
from bot.vectors import Vectors
from bot.verify import Polarity, read_polarity
from bot.weights import Progress
from bot.writer import ModelWriter


def word_lists(knowledge: Path) -> tuple[Terms, Polarity]:
    """The word lists of a knowledge folder; those that it lacks are the ones that come with the program.

    Raises:
        SettingsError: one cannot be read.
    """
    folder = knowledge / "data"
    shipped = ROOT / "knowledge" / "data"
    terms, polarity = (folder / name if (folder / name).is_file() else shipped / name for name in ("terms.yaml", "polarity.yaml"))
    return read_terms(terms), read_polarity(polarity)


def _embedder(settings: Settings, progress: Progress | None) -> Embedder:
    folder = settings.weights_folder
    return open_embedder(settings.embedder, folder, threads=settings.threads, offline=settings.offline, progress=progress)


async def open_advisor(
    settings: Settings, *, progress: Progress | None = None, chunker: str | None = None, today: Callable[[], dt.date] = dt.date.today
) -> Advisor:
    """Opens database (migrated to head), embedder, vectors and model. Does not build the index.

    Args:
        progress: told how far the embedder's files are, when they must be fetched.
        chunker: the chunker in use; an index made by another one is refused.
    Raises:
        SettingsError, WeightsError.
    """
    prompts = Prompts(ROOT / "prompts")
    model = open_model(settings)
    settings.data.mkdir(parents=True, exist_ok=True)
    engine = await open_engine(settings.database)
    try:
        with paused():
            # Reading the weights leaves the interpreter free: the word lists, the migrations and Chroma's import run meanwhile.
            loading = asyncio.create_task(asyncio.to_thread(_embedder, settings, progress))
            try:
                terms, polarity = await asyncio.to_thread(word_lists, settings.knowledge)
                planner = read_planner(settings.knowledge, terms)
                await upgrade(engine)
                await asyncio.to_thread(importlib.import_module, "chromadb")
            finally:
                await asyncio.wait([loading])
            embedder = loading.result()
    except BaseException:
        await engine.dispose()
        raise
    return Advisor(
        engine=engine,
        store=Store(engine, settings.secret.get_secret_value()),
        vectors=Vectors(settings.vectors_url, settings.data / "vectors"),
        embedder=embedder,
        terms=terms,
        polarity=polarity,
        planner=planner,
        prompts=prompts,
        writer=ModelWriter(model, prompts, settings.model_timeout_s) if model is not None else None,
        model=settings.model or None,
        collection=settings.collection,
        chunker=chunker,
        today=today,
    )
