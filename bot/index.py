"""A collection as it is searched: its chunks and sentence vectors in memory, its chunk vectors in Chroma."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.database import reading
from bot.errors import AdvisorError, IndexMismatch, IndexMissing, UnknownCollection
from bot.keywords import Keywords
from bot.passage import Chunk, read_chunk
from bot.vectors import Snapshot, SnapshotMissing, Vectors

log = logging.getLogger(__name__)


class Nearest:
    """The entries of a collection, by how near they are: in Chroma. Until `open` has been called, and where Chroma's files cannot be
    opened, they are compared one by one, which takes a few milliseconds longer and finds the same."""

    def __init__(
        self, opening: Callable[[], Snapshot], ids: list[str], rows: list[int], matrix: np.ndarray, snapshot: Snapshot | None = None
    ) -> None:  # fmt: skip
        """
        Args:
            rows: of the entries, in `matrix`, which holds vectors of other texts as well. snapshot: where it is open already.
        """
        self._opening, self._ids, self._rows, self._matrix = opening, ids, np.array(rows, np.int64), matrix
        self._snapshot = snapshot
        self._once = threading.Lock()

    @property
    def size(self) -> int:
        return len(self._ids)

    def open(self) -> None:
        """Any thread may call it, again as well."""
        with self._once:
            if self._snapshot is None:
                try:
                    self._snapshot = self._opening()
                except AdvisorError as error:
                    log.warning("Chroma is done without: %s", error)

    def query(self, vectors: np.ndarray, k: int) -> list[list[str]]:
        """As `Snapshot.query`."""
        if self._snapshot is not None:
            return self._snapshot.query(vectors, k)
        near = (self._matrix @ np.asarray(vectors, np.float32).T)[self._rows]
        return [[self._ids[i] for i in np.argsort(-cosines, kind="stable")[:k].tolist()] for cosines in near.T]


@dataclass(frozen=True, slots=True)
class Index:
    """`vectors` holds for each chunk, from `starts[i]` on: the chunk's own vector, one a span, one a question.

    `table_rows` are looked up by tools and cited like chunks, but not searched: beside prose, hundreds of rows of like words would only
    crowd it out.
    """

    collection: str
    knowledge_version: str
    chunks: list[Chunk]
    rows: dict[str, int]  # chunk id -> row in chunks
    vectors: np.ndarray  # (n, dimensions) float32
    starts: np.ndarray  # (len(chunks) + 1,)
    keywords: Keywords
    snapshot: Nearest
    conflicts: dict[str, Any]
    meta: dict[str, Any]
    table_rows: list[Chunk] = field(default_factory=list)

    def span_vectors(self, row: int) -> np.ndarray:
        start = self.starts[row] + 1
        return self.vectors[start : start + len(self.chunks[row].spans)]


async def stored_version(engine: AsyncEngine, collection: str) -> str | None:
    """The version that the database holds now; None when the collection does not exist. Cheap: one row."""
    query = sa.select(tables.collections.c.snapshot).where(tables.collections.c.name == collection)
    async with engine.connect() as connection:
        return (await connection.execute(query)).scalar_one_or_none()


async def load_index(engine: AsyncEngine, vectors: Vectors, collection: str, fingerprint: str, chunker: str | None = None) -> Index:
    """Reads a collection into memory. Vectors that Chroma has lost are written again from the database.

    Raises:
        IndexMissing: nothing is indexed. UnknownCollection: other collections are there, this one is not.
        IndexMismatch: built by another embedder or chunker.
    """
    async with reading(engine).connect() as connection:
        row = (await connection.execute(sa.select(tables.collections).where(tables.collections.c.name == collection))).mappings().first()
        if row is None:
            names = list((await connection.execute(sa.select(tables.collections.c.name).order_by(tables.collections.c.name))).scalars())
            if not names:
                raise IndexMissing("Nothing is indexed yet. Run: img-advisor ingest")
            raise UnknownCollection(f"There is no collection '{collection}'. There are: {', '.join(names)}.")
        again = f"img-advisor ingest --rebuild --collection {collection}"
        if row["embedder"] != fingerprint:
            raise IndexMismatch(
                f"The collection '{collection}' was indexed with the embedder {row['embedder']}, now {fingerprint} is set. Run: {again}"
            )
        if chunker is not None and row["chunker"] != chunker:
            raise IndexMismatch(f"The collection '{collection}' was indexed with {row['chunker']}, now it is {chunker}. Run: {again}")
        found = (
            await connection.execute(
                sa.select(tables.chunks.c.chunk_id, tables.chunks.c.text, tables.chunks.c.meta, tables.chunks.c.vectors).where(
                    tables.chunks.c.collection == collection
                )
            )
        ).all()
    return await asyncio.to_thread(_build, collection, dict(row), found, vectors)


def _build(collection: str, row: dict[str, Any], found: Any, vectors: Vectors) -> Index:
    # The order in which the keywords were counted. A database would sort by the rules of its own language.
    found = sorted(found, key=lambda entry: (entry.meta["document_id"], entry.meta["position"]))
    everything = [(read_chunk(chunk_id, text, meta), blob) for chunk_id, text, meta, blob in found]
    chunks = [chunk for chunk, _ in everything if not chunk.cells]
    matrix, starts = laid_out(chunks, [blob for chunk, blob in everything if not chunk.cells])
    return Index(
        collection=collection,
        knowledge_version=row["knowledge_version"],
        chunks=chunks,
        rows={chunk.chunk_id: i for i, chunk in enumerate(chunks)},
        vectors=matrix,
        starts=starts,
        keywords=Keywords.from_bytes(row["keywords"]),
        snapshot=_nearest(vectors, row["snapshot"], chunks, matrix, starts),
        conflicts=row["meta"].get("conflicts", {}),
        meta={key: value for key, value in row["meta"].items() if key != "conflicts"}
        | {"snapshot": row["snapshot"], "embedder": row["embedder"]},
        table_rows=[chunk for chunk, _ in everything if chunk.cells],
    )


def laid_out(chunks: Sequence[Chunk], blobs: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """`vectors` and `starts` of Index, from each chunk's vectors as stored."""
    parts = [np.frombuffer(blob, np.float32) for blob in blobs]
    counts = [1 + len(chunk.spans) + len(chunk.questions) for chunk in chunks]
    dimensions = len(parts[0]) // counts[0] if parts else 1
    matrix = np.concatenate(parts).reshape(-1, dimensions) if parts else np.empty((0, dimensions), np.float32)
    return matrix, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def entries(chunks: Sequence[Chunk], starts: np.ndarray) -> tuple[list[str], list[int]]:
    """What Chroma holds, and the rows of its vectors: a chunk's own under its id, its questions' under `id#number`.

    Args:
        starts: as in Index.
    """
    ids: list[str] = []
    rows: list[int] = []
    for item, start, stop in zip(chunks, starts, starts[1:], strict=False):
        ids += [item.chunk_id, *(f"{item.chunk_id}#{i}" for i in range(len(item.questions)))]
        rows += [int(start), *range(int(stop) - len(item.questions), int(stop))]
    return ids, rows


def _nearest(vectors: Vectors, name: str, chunks: list[Chunk], matrix: np.ndarray, starts: np.ndarray) -> Nearest:
    def opened() -> Snapshot | None:
        return None if vectors.opens_later(name) else vectors.open(name)

    ids, rows = entries(chunks, starts)
    try:
        snapshot = opened()
    except SnapshotMissing:
        if not chunks:
            raise
        # After a restore, on a machine that has none of its own yet, or because this version was replaced while it was being read.
        vectors.write(name, ids, matrix[rows])
        snapshot = opened()
    return Nearest(lambda: vectors.open(name), ids, rows, matrix, snapshot)
