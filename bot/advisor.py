"""The one front door. A channel hands in a Question and renders the events that come back.

plan -> gather -> write -> verify -> save. Writers (the extractive composer, a chat model) are interchangeable; what they write is shown
only after the verifier has compared it, sentence by sentence, with the passages it names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bot import tools
from bot.desk import Desk
from bot.embedding import Embedder
from bot.index import Index
from bot.kinds import Kinds
from bot.plan import Planner
from bot.prompts import Prompts
from bot.retrieve import Retriever
from bot.shelf import Shelf
from bot.terms import Terms
from bot.tools import ToolRun
from bot.vectors import Vectors
from bot.verify import Verifier

if TYPE_CHECKING:
    from bot.fit import Labelled

Value = TypeVar("Value")


class Advisor(Desk, Shelf):
    """Answers questions. Built by `bot.bootstrap.open_advisor`."""

    async def tool(self, name: str, arguments: dict[str, Any]) -> ToolRun:
        """A look-up outside an answer; nothing is stored.

        Raises:
            InputError: no such tool, or wrong arguments. IndexMissing, IndexMismatch.
        """
        room = await self._room(None)
        found = await self._worker.run(tools.run, name, arguments, room.tables, self._today())
        return found.model_copy(update={"knowledge_version": room.index.knowledge_version})

    async def status(self) -> dict[str, Any]:
        """For readiness: knowledge_version, documents, chunks, collection, embedder, model (or None).

        Raises:
            IndexMissing, IndexMismatch.
        """
        index = (await self._room(None)).index
        return {
            "knowledge_version": index.knowledge_version, "documents": len({c.document_id for c in index.chunks}),
            "chunks": len(index.chunks), "collection": index.collection, "embedder": index.meta["embedder"], "model": self._model,
        }  # fmt: skip

    @property
    def embedder(self) -> Embedder:
        return self._embedder

    @property
    def vectors(self) -> Vectors:
        return self._vectors

    @property
    def terms(self) -> Terms:
        return self._terms

    @property
    def prompts(self) -> Prompts:
        return self._prompts

    async def index(self) -> Index:
        """The default collection as it is searched now.

        Raises:
            IndexMissing, IndexMismatch.
        """
        return (await self._room(None)).index

    async def embedded(self, texts: Sequence[str]) -> np.ndarray:
        """A vector for each text, of length one."""
        return await self._worker.run(self._embedder.embed, texts)

    async def fitted(self, work: Callable[[Retriever, Planner], Value]) -> Value:
        """Runs a fit of the ranking and the refusal on the worker."""
        room = await self._room(None)
        return await self._worker.run(work, room.retriever, self._planner)

    async def labelled(self, path: Path) -> Labelled:
        """What the kinds of messages are fitted on: labelled messages and golden questions of a folder, stored questions of the guides."""
        from bot.fit import labelled

        def read(text: str) -> str:
            return self._languages.read(text).english or text

        room = await self._room(None)
        return await self._worker.run(labelled, room.retriever, self._planner, path, read, self._universal.embed)

    async def fitted_kinds(self, found: Labelled, without: Collection[str] = ()) -> Kinds:
        """The kinds of messages, fitted anew to all but some of the texts."""
        return await self._worker.run(found.kinds, self._embedder.fingerprint, without)

    @contextmanager
    def telling_kinds_by(self, kinds: Kinds) -> Iterator[None]:
        """For a measurement: other weights than those that come along tell kinds of messages apart meanwhile."""
        before, self._weighed = self._weighed, lambda: kinds
        try:
            yield
        finally:
            self._weighed = before

    async def measured(self, measure: Callable[[Verifier, Terms], Value]) -> Value:
        """Runs a measurement of the verifier on the worker, as answers do."""
        return await self._worker.run(measure, self._verifier, self._terms)

    async def close(self) -> None:
        await asyncio.to_thread(self._worker.close)
        await self.engine.dispose()
