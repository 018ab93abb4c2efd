"""What the advisor is made of, and the index in use."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.accounts import Accounts
from bot.agent import Agent
from bot.bearing import Bearing
from bot.collector import given_back, paused
from bot.courtesy import Courtesy
from bot.drafts import Drafts
from bot.embedding import Embedder
from bot.errors import SettingsError
from bot.inbox import Inbox
from bot.index import load_index, stored_version
from bot.judge import in_doubt
from bot.kinds import Kinds, read_kinds
from bot.language import Languages
from bot.macros import Macros
from bot.notes import Notes
from bot.plan import Part, Planner
from bot.profile import ProfileReader
from bot.prompts import Prompts
from bot.retrieve import Found, Retriever, Short, Wanted
from bot.rewriter import Rewriter
from bot.rows import TablePage, Tables
from bot.settings import ROOT
from bot.spent import Budget
from bot.store import Store
from bot.terms import Terms
from bot.tools.choose import Chooser
from bot.translate import Translator
from bot.universal import UniversalEncoder
from bot.vectors import SnapshotMissing, Vectors
from bot.verify import Polarity, Verifier
from bot.words import Words
from bot.work import GuidePage, Room, Search, Work
from bot.worker import Batch, Done, More, Worker
from bot.writer import ModelWriter

log = logging.getLogger(__name__)

PREPARE_AFTER_S = 1.0
"""After an index is opened: the first question should not have to wait for what only later ones need."""
OPEN_AFTER_S = 2.0
"""Chroma is opened so long after an index: a command that answers one question has ended by then, and need not wait for it."""
LOOK_AGAIN_S = 1.0
"""How often at most the database is asked whether another index version is in use."""


class Parts:
    """Built once; shared by the halves of the advisor."""

    def __init__(
        self, *, engine: AsyncEngine, store: Store, vectors: Vectors, embedder: Embedder, terms: Terms, polarity: Polarity,
        planner: Planner, prompts: Prompts, universal: UniversalEncoder, chooser: Chooser | None = None, bearing: Bearing | None = None,
        languages: Languages | None = None, weights: Path | None = None,
        writer: ModelWriter | None = None, agent: Agent | None = None, translator: Translator | None = None,
        budget: Budget | None = None, model: str | None = None, collection: str = "default", chunker: str | None = None,
        reread: Callable[[], Words] | None = None,
        today: Callable[[], dt.date] = dt.date.today, accounts: Accounts | None = None, rewriter: Rewriter | None = None,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.store = store
        self.accounts = accounts or Accounts(engine)
        self.audit = self.accounts.audit
        self.inbox = Inbox(engine, store, self.audit, today)
        self._vectors = vectors
        self._embedder = embedder
        self._universal = universal
        self._terms = terms
        self._polarity = polarity
        self._planner = planner
        self._chooser = chooser
        self._bearing = bearing or Bearing(terms)
        self._languages = languages or Languages(ROOT / "knowledge" / "data" / "languages", terms)
        self._weights = weights or ROOT / "knowledge" / "data" / "weights.yaml"
        self._prompts = prompts
        self._writer = writer
        self._agent = agent
        self._translator = translator
        self._budget = budget or Budget()
        self._model = model
        self._collection = collection
        self._chunker = chunker
        self._reread = reread
        self._today = today
        self._worker = Worker()
        self._weighed: Callable[[], Kinds | None] = read_kinds
        self._verifier = Verifier(terms, embedder.embed, polarity)
        self._profiles = ProfileReader(terms)
        self._courtesy = self._courtesies()
        self._rewriter = rewriter or Rewriter(None, prompts, 0)
        self.drafts, self.notes, self.macros = Drafts(engine, self.audit), Notes(engine), Macros(engine)
        self._rooms: dict[str, Room] = {}
        self._opening = asyncio.Lock()
        self._busy: OrderedDict[str, asyncio.Lock] = OrderedDict()
        self._pages: tuple[str, dict[str, GuidePage]] = ("", {})
        self._table_pages: tuple[str, list[TablePage]] = ("", [])

    async def _find(self, work: Work, search: Search) -> list[Found]:
        """Once more with the index loaded anew when its vectors are gone: the database may name newer ones, or brings them back."""
        try:
            return await work.room.batch.one(search)
        except SnapshotMissing:
            self._rooms.pop(work.room.index.collection, None)
            work.room = await self._room(work.question.collection)
            return await work.room.batch.one(search)

    @staticmethod
    def _search(retriever: Retriever, more: More[Search], done: Done[list[Found]]) -> None:
        """All parts of all searches that wait."""
        parts = deque[tuple[int, int, Search]]()  # the number of a search, and of a part of it
        found: dict[int, dict[int, Found]] = {}

        def wanted(most: int) -> list[tuple[tuple[int, int, Search], Wanted]]:
            while len(parts) < most and (some := more(most - len(parts))):
                for number, search in some:
                    parts.extend((number, i, search) for i in range(len(search.parts)))
                    if not search.parts:
                        done(number, [])
            return [(key, read(key[2].parts[key[1]], key[2])) for key in (parts.popleft() for _ in range(min(most, len(parts))))]

        def read(part: Part, search: Search) -> Wanted:
            return Wanted(retriever.query(part.text, about=part.about, context=part.context), search.k, search.keep, search.short)

        def tell(key: tuple[int, int, Search], each: Found) -> None:
            number, i, search = key
            of_parts = found.setdefault(number, {})
            of_parts[i] = each
            if len(of_parts) == len(search.parts):
                done(number, [each for _, each in sorted(found.pop(number).items())])

        retriever.serve(wanted, tell)

    async def _room(self, collection: str | None) -> Room:
        name = collection or self._collection
        room = self._rooms.get(name)
        now = time.monotonic()
        if room is not None and now - room.looked_at < LOOK_AGAIN_S:
            return room
        async with self._opening:
            room = self._rooms.get(name)
            if room is not None:
                if now - room.looked_at < LOOK_AGAIN_S:
                    return room
                if await stored_version(self.engine, name) == room.index.meta["snapshot"]:
                    room.looked_at = now
                    return room
            with paused():
                index = await load_index(self.engine, self._vectors, name, self._embedder.fingerprint, self._chunker)
                if room is not None and index.meta.get("words") != room.index.meta.get("words"):
                    await self._read_words_anew()
                short = Short(self._embedder.embed_short, in_doubt) if self._embedder.embed_short else None
                retriever = await asyncio.to_thread(Retriever, index, self._terms, self._embedder.embed, self._polarity, short)
            batch: Batch[Search, list[Found]] = Batch(self._worker, partial(self._search, retriever))
            self._rooms[name] = room = Room(index, retriever, batch, Tables(index.table_rows, self._terms, self._weights), now)
            loop = asyncio.get_running_loop()
            loop.call_later(PREPARE_AFTER_S, self._aside, self._planner.prepare)
            loop.call_later(OPEN_AFTER_S, self._aside, lambda: self._settled(retriever))
            return room

    @staticmethod
    def _aside(work: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is being closed
            asyncio.get_running_loop().run_in_executor(None, work)

    @staticmethod
    def _settled(retriever: Retriever) -> None:
        retriever.index.snapshot.open()
        retriever.prepare()
        given_back()

    async def _read_words_anew(self) -> None:
        """Word lists changed since the index before this one was made: the rooms are opened again with the new ones."""
        if self._reread is None:
            return
        try:
            words = await asyncio.to_thread(self._reread)
        except SettingsError as error:
            log.warning("The old word lists stay in use: %s", error)
            return
        self._terms, self._polarity, self._planner = words.terms, words.polarity, words.planner
        self._chooser, self._bearing = words.chooser, words.bearing
        self._languages, self._weights = words.languages, words.weights
        self._verifier = Verifier(words.terms, self._embedder.embed, words.polarity)
        self._profiles = ProfileReader(words.terms)
        self._courtesy = self._courtesies()
        self._rooms.clear()

    def _courtesies(self) -> Courtesy:
        return Courtesy(self._terms, self._prompts.phrases("say", "letter"))
