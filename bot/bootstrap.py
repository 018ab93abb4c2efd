"""Builds the parts from settings, in one place; tests call it with other settings."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import importlib
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.accounts import Accounts
from bot.advisor import Advisor
from bot.agent import Agent
from bot.collector import paused
from bot.database import open_engine
from bot.embedding import Embedder, open_embedder
from bot.errors import WeightsError
from bot.migrations import upgrade
from bot.models import open_model
from bot.parsed import Parsed
from bot.prompts import Prompts
from bot.rewriter import Rewriter
from bot.sessions import Sessions
from bot.settings import ROOT, Settings
from bot.spent import Budget
from bot.store import Store
from bot.translate import Translator
from bot.universal import UniversalEncoder
from bot.vectors import Vectors
from bot.weights import Progress
from bot.words import read_words
from bot.writer import ModelWriter


def _encoders(settings: Settings, progress: Progress | None) -> tuple[Embedder, UniversalEncoder]:
    folder = settings.weights_folder
    embedder = open_embedder(settings.embedder, folder, threads=settings.threads, offline=settings.offline, progress=progress)
    return embedder, UniversalEncoder(folder)


def _begun(embedder: Embedder, universal: UniversalEncoder) -> None:
    """Reads the weights that an answer needs and a search may not, while the index is read. What is wrong with them is told where the first
    text needs them."""
    with contextlib.suppress(WeightsError):
        embedder.embed(["Hello"])
        universal.read()
        if embedder.embed_kinds:
            embedder.embed_kinds(["Hello"])
            universal.embed_kinds(["Hello"])


def open_accounts(engine: AsyncEngine, settings: Settings) -> Accounts:
    """Enough for the commands that need no index."""
    idle, longest = dt.timedelta(minutes=settings.session_idle_minutes), dt.timedelta(hours=settings.session_hours)
    return Accounts(engine, Sessions(engine, idle, longest))


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
    prompts = Prompts(ROOT / "prompts", settings.data / "templates")
    model = open_model(settings)
    budget = Budget(
        settings.model_tokens, settings.model_seconds, settings.model_usd, settings.model_usd_per_million_in,
        settings.model_usd_per_million_out,
    )  # fmt: skip
    settings.data.mkdir(parents=True, exist_ok=True)
    read = Parsed(settings.data / "parsed")
    engine = await open_engine(settings.database)
    try:
        with paused():
            # Reading the weights leaves the interpreter free: the word lists and the migrations run meanwhile.
            loading = asyncio.create_task(asyncio.to_thread(_encoders, settings, progress))
            try:
                words = await asyncio.to_thread(read_words, settings.knowledge, read)
                await upgrade(engine)
                if settings.vectors_url:
                    await asyncio.to_thread(importlib.import_module, "chromadb")
            finally:
                await asyncio.wait([loading])
            embedder, universal = loading.result()
    except BaseException:
        await engine.dispose()
        raise
    asyncio.get_running_loop().run_in_executor(None, _begun, embedder, universal)
    translator = Translator(model, prompts, words.languages, words.terms, settings.model_timeout_s) if model else None
    return Advisor(
        engine=engine,
        store=Store(engine, settings.secret.get_secret_value()),
        vectors=Vectors(settings.vectors_url, settings.data / "vectors"),
        embedder=embedder,
        universal=universal,
        terms=words.terms,
        polarity=words.polarity,
        planner=words.planner,
        reread=lambda: read_words(settings.knowledge, read),
        prompts=prompts,
        chooser=words.chooser,
        bearing=words.bearing,
        languages=words.languages,
        weights=words.weights,
        writer=ModelWriter(model, prompts, settings.model_timeout_s) if model is not None else None,
        agent=Agent(model, prompts, steps=settings.model_steps, timeout_s=settings.model_timeout_s, budget=budget) if model else None,
        rewriter=Rewriter(model, prompts, settings.model_timeout_s, translator),
        translator=translator,
        budget=budget,
        model=settings.model or None,
        collection=settings.collection,
        chunker=chunker,
        today=today,
        accounts=open_accounts(engine, settings),
    )
