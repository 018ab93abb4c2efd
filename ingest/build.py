"""Documents -> a collection of the index, incrementally and all at once or not at all.

Order of a run: load and check everything; chunk and embed what changed; write a new Chroma snapshot; switch the database
to it in one transaction; remove older snapshots. Killed or out of disk before the switch, the old index goes on serving.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.embedding import Embedder
from bot.errors import AdvisorError, DocumentError, InputError, ShrinkRefused
from bot.keywords import Keywords, build_keywords
from bot.passage import Chunk, read_chunk
from bot.terms import Terms
from bot.vectors import Vectors
from ingest.chunk import CHUNKER, chunk, chunk_text, span_texts
from ingest.load import Document, load, to_json
from ingest.registry import Registry

COLLECTION = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
SHRINK_BELOW = 0.5
"""A source that comes back with less than this share of its chunks asks before it wipes the rest."""

Progress = Callable[[str, int, int], None]
"""(what, done, in all)"""


@dataclass(slots=True)
class Report:
    """What a run did. Documents are counted, not listed: a corpus may hold millions."""

    collection: str
    documents: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    chunks: int = 0
    spans: int = 0
    knowledge_version: str = ""
    embedder: str = ""
    chunker: str = CHUNKER
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder to read. `name` is what the index remembers it by; `id_root` is what document ids are relative to."""

    path: Path
    name: str
    id_root: Path | None = None


@dataclass(slots=True)
class _Stored:
    """A document as the database holds it."""

    root: str
    content_hash: str
    chunks: int


class Broken(InputError):
    """Documents that cannot be used; `errors` has one for each."""

    type = "invalid-document"

    def __init__(self, errors: Sequence[DocumentError]) -> None:
        shown = [str(error) for error in errors[:20]]
        more = f" … and {len(errors) - 20} more" if len(errors) > 20 else ""
        super().__init__(f"Nothing was changed, because {len(errors)} of the documents cannot be used: " + " | ".join(shown) + more)
        self.errors = list(errors)


async def ingest(
    engine: AsyncEngine,
    vectors: Vectors,
    embedder: Embedder,
    terms: Terms,
    registry: Registry,
    sources: Sequence[Source],
    *,
    collection: str,
    lock_file: Path,
    rebuild: bool = False,
    allow_shrink: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Brings `collection` to what `sources` hold.

    Args:
        rebuild: forget what is stored and index everything again.
        allow_shrink: wipe even when a source comes back with less than half of its chunks.
    Raises:
        InputError: a path or collection name is wrong. Broken: documents that cannot be used; the index is as before.
        ShrinkRefused: see allow_shrink. AdvisorError: another run is under way, or the disk is full.
    """
    if not COLLECTION.fullmatch(collection):
        raise InputError(f"'{collection[:60]}' is not a collection name. Use up to 41 small letters, digits, '-' and '_'.")
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(str(lock_file), timeout=0):
            return await _ingest(engine, vectors, embedder, terms, registry, sources, collection, rebuild, allow_shrink, progress)
    except Timeout:
        raise AdvisorError("Another ingest is under way. Wait until it has finished.") from None
    except (OSError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or getattr(error, "strerror", None) or type(error).__name__)
        raise AdvisorError(
            f"The index could not be written ({reason}). The old index is unchanged; free some space or check permissions and run again."
        ) from None


async def _ingest(
    engine: AsyncEngine, vectors: Vectors, embedder: Embedder, terms: Terms, registry: Registry, sources: Sequence[Source], collection: str, rebuild: bool,
    allow_shrink: bool, progress: Progress,
) -> Report:  # fmt: skip
    began = asyncio.get_running_loop().time()
    documents = _load(sources, registry, progress)
    stored, manifest = await _read_stored(engine, collection)
    fresh = rebuild or manifest is None or manifest["embedder"] != embedder.fingerprint or manifest["chunker"] != CHUNKER
    if not fresh and manifest is not None and manifest["meta"].get("terms") != terms.version:
        fresh = True  # entities and keywords are made with the word list
    roots = {source.name for source in sources}
    hashes = {document.id: document.content_hash for document in documents}
    for document in documents:
        other = stored.get(document.id)
        if other is not None and other.root not in roots:
            raise InputError(
                f"The document '{document.id}' is already in '{collection}' from another source. Rename it, or use another collection."
            )
    gone = [ident for ident, old in stored.items() if old.root in roots and ident not in hashes]
    todo = [d for d in documents if fresh or d.id not in stored or stored[d.id].content_hash != hashes[d.id]]
    report = Report(collection, documents=len(documents), embedder=embedder.fingerprint)
    report.removed = len(gone)
    report.added = sum(1 for d in todo if d.id not in stored)
    report.changed = len(todo) - report.added
    report.unchanged = len(documents) - len(todo)
    meta = {"conflicts": {key: value.model_dump() for key, value in registry.conflicts.items()}, "terms": terms.version}
    if (
        not todo
        and not gone
        and not fresh
        and manifest is not None
        and manifest["meta"] == meta | {"counts": manifest["meta"].get("counts")}
    ):
        report.knowledge_version = manifest["knowledge_version"]
        report.chunks, report.spans = manifest["meta"]["counts"]
        report.seconds = round(asyncio.get_running_loop().time() - began, 3)
        return report

    made = {d.id: chunk(d, embedder.count_tokens, embedder.max_tokens, terms) for d in todo}
    _refuse_shrink(sources, stored, documents, made, allow_shrink)
    blobs = await asyncio.to_thread(_embed, [c for chunks in made.values() for c in chunks], embedder, progress)
    kept = await _read_kept(engine, collection, {d.id for d in todo} | set(gone)) if not fresh else []
    if fresh:  # documents of other sources in this collection must survive a change of embedder: they cannot be read again from here
        others = [ident for ident, old in stored.items() if old.root not in roots]
        if others:
            kept = await _again(engine, collection, others, embedder, terms, progress)
    everything = sorted(
        [*kept, *((c, blobs[c.chunk_id]) for chunks in made.values() for c in chunks)],
        key=lambda pair: (pair[0].document_id, pair[0].position),
    )
    if not everything:
        raise InputError("There is nothing to index: the sources hold no text. Check the path.")
    version = _version([c for c, _ in everything])
    report.knowledge_version, report.chunks, report.spans = version, len(everything), sum(len(c.spans) for c, _ in everything)
    meta["counts"] = [report.chunks, report.spans]
    progress("Writing the index", 0, 3)
    keywords = await asyncio.to_thread(_keywords, [c for c, _ in everything], terms)
    snapshot = f"{collection}.{version}.{hashlib.sha256(dt.datetime.now(dt.UTC).isoformat().encode()).hexdigest()[:6]}"
    ids, matrix = _entries(everything)
    await asyncio.to_thread(vectors.write, snapshot, ids, matrix)
    progress("Writing the index", 1, 3)
    row = {
        "name": collection, "knowledge_version": version, "embedder": embedder.fingerprint, "chunker": CHUNKER, "snapshot": snapshot,
        "built_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "keywords": keywords.to_bytes(), "meta": meta,
    }  # fmt: skip
    by_id = {d.id: d for d in todo}
    names = {d.id: d.root for d in documents}
    try:
        await _switch(engine, row, [by_id[i] for i in made], made, blobs, gone, names, fresh, kept)
    except BaseException:
        await asyncio.to_thread(vectors.remove, snapshot)
        raise
    progress("Writing the index", 2, 3)
    await asyncio.to_thread(_tidy, vectors, collection, snapshot, manifest["snapshot"] if manifest else None)
    progress("Writing the index", 3, 3)
    report.seconds = round(asyncio.get_running_loop().time() - began, 3)
    return report


def _load(sources: Sequence[Source], registry: Registry, progress: Progress) -> list[Document]:
    documents: dict[str, Document] = {}
    errors: list[DocumentError] = []
    for source in sources:
        for document in load(source.path, registry, errors, id_root=source.id_root):
            if document.id in documents:
                errors.append(DocumentError(f"the id '{document.id}' is used twice; ids must differ", file=document.id, field="id"))
                continue
            if len(document.id) > 300:
                errors.append(DocumentError("the id is longer than 300 characters", file=document.id[:60] + "…", field="id"))
                continue
            object.__setattr__(document, "root", source.name)
            documents[document.id] = document
            progress("Reading", len(documents), 0)
    if errors:
        raise Broken(errors)
    return list(documents.values())


async def _read_stored(engine: AsyncEngine, collection: str) -> tuple[dict[str, _Stored], dict[str, Any] | None]:
    docs, chunks = tables.documents, tables.chunks
    async with engine.connect() as connection:
        manifest = (
            await connection.execute(
                sa.select(*(c for c in tables.collections.c if c.name != "keywords")).where(tables.collections.c.name == collection)
            )
        ).mappings().first()  # fmt: skip
        counts = dict(
            (
                await connection.execute(
                    sa.select(chunks.c.document_id, sa.func.count()).where(chunks.c.collection == collection).group_by(chunks.c.document_id)
                )
            )
            .tuples()
            .all()
        )
        rows = await connection.execute(
            sa.select(docs.c.document_id, docs.c.root, docs.c.content_hash).where(docs.c.collection == collection)
        )
        return {ident: _Stored(root, digest, counts.get(ident, 0)) for ident, root, digest in rows}, dict(manifest) if manifest else None


def _refuse_shrink(
    sources: Sequence[Source], stored: dict[str, _Stored], documents: list[Document], made: dict[str, list[Chunk]], allow_shrink: bool
) -> None:
    for source in sources:
        before = sum(old.chunks for old in stored.values() if old.root == source.name)
        after = sum(len(made[d.id]) if d.id in made else stored[d.id].chunks for d in documents if d.root == source.name)
        if before >= 4 and after < before * SHRINK_BELOW and not allow_shrink:
            raise ShrinkRefused(
                f"'{source.path.name}' now gives {after} passages where it gave {before}. Nothing was changed. If that is meant, run again with --yes."
            )


def _embed(chunks: list[Chunk], embedder: Embedder, progress: Progress) -> dict[str, bytes]:
    """Each chunk's vectors as stored. Texts of like length go to the model together, whichever chunk they are of."""
    texts: list[str] = []
    for item in chunks:
        texts += [chunk_text(item), *span_texts(item), *item.questions]
    if not texts:
        return {}
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)  # long ones first: the bar speeds up, never stalls
    matrix: np.ndarray | None = None
    for at in range(0, len(order), 64):
        part = order[at : at + 64]
        found = embedder.embed([texts[i] for i in part])
        if matrix is None:
            matrix = np.empty((len(texts), found.shape[1]), np.float32)
        matrix[part] = found
        progress("Embedding", at + len(part), len(texts))
    assert matrix is not None
    blobs, start = {}, 0
    for item in chunks:
        stop = start + 1 + len(item.spans) + len(item.questions)
        blobs[item.chunk_id] = matrix[start:stop].tobytes()
        start = stop
    return blobs


async def _read_kept(engine: AsyncEngine, collection: str, without: set[str]) -> list[tuple[Chunk, bytes]]:
    table = tables.chunks
    async with engine.connect() as connection:
        rows = await connection.execute(
            sa.select(table.c.chunk_id, table.c.text, table.c.meta, table.c.vectors).where(table.c.collection == collection)
        )  # fmt: skip
        return [(read_chunk(i, text, meta), blob) for i, text, meta, blob in rows if meta["document_id"] not in without]


async def _again(
    engine: AsyncEngine, collection: str, idents: list[str], embedder: Embedder, terms: Terms, progress: Progress
) -> list[tuple[Chunk, bytes]]:
    """Chunks of sources that are not being read now, embedded anew."""
    wanted = set(idents)
    old = [c for c, _ in await _read_kept(engine, collection, set()) if c.document_id in wanted]
    blobs = await asyncio.to_thread(_embed, old, embedder, progress)
    return [(c, blobs[c.chunk_id]) for c in old]


def _version(chunks: list[Chunk]) -> str:
    digest = hashlib.sha256(CHUNKER.encode())
    for item in chunks:
        digest.update(json.dumps([item.chunk_id, item.text, item.meta()], sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _keywords(chunks: list[Chunk], terms: Terms) -> Keywords:
    said = [" \n ".join([*item.heading, item.text]) for item in chunks]
    tokens = [terms.tokens(text) for text in said]
    return build_keywords(
        [
            terms.tokens(" \n ".join([text, *item.questions])) if item.questions else found
            for item, text, found in zip(chunks, said, tokens, strict=True)
        ],
        tokens,
        [[terms.tokens(f"{item.heading[0]} \n {span.said}") for span in item.spans] for item in chunks],
    )


def _entries(everything: list[tuple[Chunk, bytes]]) -> tuple[list[str], np.ndarray]:
    """What Chroma holds: a chunk's own vector under its id, its questions' under `id#number`."""
    ids: list[str] = []
    rows: list[np.ndarray] = []
    for item, blob in everything:
        matrix = np.frombuffer(blob, np.float32).reshape(1 + len(item.spans) + len(item.questions), -1)
        ids.append(item.chunk_id)
        rows.append(matrix[:1])
        if item.questions:
            ids += [f"{item.chunk_id}#{i}" for i in range(len(item.questions))]
            rows.append(matrix[1 + len(item.spans) :])
    return ids, np.concatenate(rows)


async def _switch(
    engine: AsyncEngine, row: dict[str, Any], changed: list[Document], made: dict[str, list[Chunk]], blobs: dict[str, bytes], gone: list[str],
    names: dict[str, str], fresh: bool, kept: list[tuple[Chunk, bytes]],
) -> None:  # fmt: skip
    """The one moment at which the new index becomes the index."""
    collection = row["name"]
    docs, chunks = tables.documents, tables.chunks
    async with engine.begin() as connection:
        found = await connection.execute(sa.update(tables.collections).where(tables.collections.c.name == collection).values(**row))
        if not found.rowcount:
            await connection.execute(sa.insert(tables.collections).values(**row))
        stale = [*gone, *(d.id for d in changed)]
        for at in range(0, len(stale), 500):
            part = stale[at : at + 500]
            await connection.execute(sa.delete(chunks).where(chunks.c.collection == collection, chunks.c.document_id.in_(part)))
            await connection.execute(sa.delete(docs).where(docs.c.collection == collection, docs.c.document_id.in_(part)))
        if fresh and kept:
            for item, blob in kept:
                await connection.execute(
                    sa.update(chunks).where(chunks.c.collection == collection, chunks.c.chunk_id == item.chunk_id).values(vectors=blob)
                )
        for at in range(0, len(changed), 200):
            part_docs = changed[at : at + 200]
            await connection.execute(
                sa.insert(docs),
                [
                    {"collection": collection, "document_id": d.id, "root": names[d.id], "content_hash": d.content_hash, "title": d.title, "body": d.body,
                     "meta": json.loads(to_json(d)) | {"facts": {k: {"source": f.source.model_dump(), "as_of": f.as_of, "volatile": f.volatile,
                                                                      "confidence": f.confidence, "conflicts": f.conflicts} for k, f in d.facts.items()}}}
                    for d in part_docs
                ],
            )  # fmt: skip
            rows = [
                {"collection": collection, "chunk_id": c.chunk_id, "document_id": d.id, "position": c.position, "text": c.text, "meta": c.meta(),
                 "vectors": blobs[c.chunk_id]}
                for d in part_docs for c in made[d.id]
            ]  # fmt: skip
            if rows:
                await connection.execute(sa.insert(chunks), rows)


def _tidy(vectors: Vectors, collection: str, current: str, previous: str | None) -> None:
    """Older snapshots off. The previous one stays for servers that have not noticed the switch yet."""
    for name in vectors.names():
        if name.startswith(collection + ".") and name not in {current, previous}:
            vectors.remove(name)


async def drop(engine: AsyncEngine, vectors: Vectors, collection: str) -> None:
    """Removes a collection and everything of it."""
    async with engine.begin() as connection:
        for table in (tables.chunks, tables.documents):
            await connection.execute(sa.delete(table).where(table.c.collection == collection))
        await connection.execute(sa.delete(tables.collections).where(tables.collections.c.name == collection))
    for name in vectors.names():
        if name.startswith(collection + "."):
            await asyncio.to_thread(vectors.remove, name)
