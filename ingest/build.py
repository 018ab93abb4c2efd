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
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
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
from bot.index import entries, laid_out
from bot.keywords import Keywords, build_keywords
from bot.passage import Chunk, read_chunk
from bot.terms import Terms
from bot.vectors import Vectors
from ingest.chunk import CHUNKER, chunk, chunk_text, entities_of, pieces, span_texts
from ingest.document import Document
from ingest.fetch import Download, address, download, is_address, read_prefixes
from ingest.load import load, read_bytes
from ingest.registry import Registry
from ingest.tables import table_chunks, table_documents

_SURROGATE = re.compile("[\\ud800-\\udfff]")
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
    download: Download | None = None  # instead of a path
    tables: bool = False  # the tables of the knowledge folder `path`, each row to be looked up


async def read_sources(arguments: Sequence[Path | str], allowed_urls: str) -> list[Source]:
    """What the arguments of `ingest` name: files, folders, and web addresses, which are fetched.

    Raises:
        InputError, SettingsError: an address is not allowed. DocumentError: it cannot be had.
    """
    prefixes = read_prefixes(allowed_urls)
    sources = []
    for argument in arguments:
        if is_address(argument):
            url = address(argument)
            sources.append(Source(Path(url), url, download=await download(url, prefixes)))
        else:
            path = Path(argument)
            sources.append(Source(path, str(path.resolve())))
    return sources


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
    guide_pages: bool = True,
    words: str = "",
    progress: Progress = lambda what, done, total: None,
) -> Report:
    """Brings `collection` to what `sources` hold.

    Args:
        words: changes when a word list of the knowledge folder does, so that servers read it anew.
        guide_pages: the guides of this collection are shown as pages below /guides/, and citations lead there.
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
            run = _Run(engine, vectors, embedder, terms, registry, sources, collection, rebuild, allow_shrink, guide_pages, words, progress)
            return await run.run()
    except Timeout:
        raise AdvisorError("Another ingest is under way. Wait until it has finished.") from None
    except (OSError, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or getattr(error, "strerror", None) or type(error).__name__)
        raise AdvisorError(
            f"The index could not be written ({reason}). The old index is unchanged; free some space or check permissions and run again."
        ) from None


@dataclass(slots=True)
class _Run:
    """One run, under the lock."""

    engine: AsyncEngine
    vectors: Vectors
    embedder: Embedder
    terms: Terms
    registry: Registry
    sources: Sequence[Source]
    collection: str
    rebuild: bool
    allow_shrink: bool
    guide_pages: bool
    words: str
    progress: Progress

    async def run(self) -> Report:
        began = asyncio.get_running_loop().time()
        report = Report(self.collection, embedder=self.embedder.fingerprint)
        documents = await asyncio.to_thread(_load, self.sources, self.registry, self.guide_pages, report, self.progress)
        stored, manifest = await _read_stored(self.engine, self.collection)
        # Documents of other sources than those read now stay. With another embedder, chunker or word list they are embedded and
        # named anew, but they cannot be cut anew: their files are not at hand.
        fresh = self.rebuild or manifest is None or manifest["embedder"] != self.embedder.fingerprint or manifest["chunker"] != CHUNKER
        meta = self._meta()
        if manifest is not None and any(manifest["meta"].get(key) != meta[key] for key in ("terms", "pages")):
            fresh = True  # entities and keywords are made with the word list
        plan = self._plan(documents, stored, fresh, report)
        if (
            manifest is not None
            and not fresh
            and not plan.todo
            and not plan.gone
            and all(manifest["meta"].get(key) == meta[key] for key in ("conflicts", "words"))
        ):
            report.knowledge_version = manifest["knowledge_version"]
            report.chunks, report.spans = manifest["meta"]["counts"]
            await asyncio.to_thread(_tidy, self.vectors, self.collection, {manifest["snapshot"], manifest["meta"].get("previous")})
        else:
            await self._build(plan, stored, manifest, meta, fresh, report)
        report.seconds = round(asyncio.get_running_loop().time() - began, 3)
        return report

    def _meta(self) -> dict[str, Any]:
        return {
            "conflicts": {key: value.model_dump() for key, value in self.registry.conflicts.items()},
            "terms": self.terms.version,
            "words": self.words,
            "pages": self.guide_pages,
        }

    def _plan(self, documents: list[Document], stored: dict[str, _Stored], fresh: bool, report: Report) -> _Plan:
        roots = {source.name for source in self.sources}
        for document in documents:
            other = stored.get(document.id)
            if other is not None and other.root not in roots:
                raise InputError(
                    f"The document '{document.id}' is already in '{self.collection}' from another source. "
                    "Rename it, or use another collection."
                )
        hashes = {document.id: document.content_hash for document in documents}
        gone = [ident for ident, old in stored.items() if old.root in roots and ident not in hashes]
        changed = [d for d in documents if d.id not in stored or stored[d.id].content_hash != hashes[d.id]]
        moved = [d for d in documents if d.id in stored and stored[d.id].root != d.root]
        todo = documents if fresh else [*changed, *(d for d in moved if d not in changed)]
        report.documents = len(documents)
        report.added = sum(1 for d in documents if d.id not in stored)
        report.changed = len(todo) - report.added
        report.unchanged = len(documents) - len(todo)
        report.removed = len(gone)
        others = [ident for ident, old in stored.items() if old.root not in roots]
        return _Plan(documents, todo, gone, others, hashes)

    async def _build(
        self, plan: _Plan, stored: dict[str, _Stored], manifest: dict[str, Any] | None, meta: dict[str, Any], fresh: bool, report: Report
    ) -> None:
        made = await asyncio.to_thread(self._cut, plan.todo)
        _refuse_shrink(self.sources, stored, plan.documents, made, self.allow_shrink)
        old = await _read_chunks(self.engine, self.collection)
        same = (  # vectors made before can be taken over; another chunker may embed other texts for the same chunk
            manifest is not None
            and not self.rebuild
            and (manifest["embedder"], manifest["chunker"]) == (self.embedder.fingerprint, CHUNKER)
        )
        touched = {d.id for d in plan.todo} | set(plan.gone)
        others = set(plan.others)
        again = [_renamed(chunk, self.terms) for chunk, _ in old if chunk.document_id in others] if fresh else []
        kept = [(chunk, blob) for chunk, blob in old if chunk.document_id not in touched and not (fresh and chunk.document_id in others)]
        known = [(chunk, blob) for chunk, blob in old if chunk.document_id in touched or fresh] if same else []
        new = [chunk for chunks in made.values() for chunk in chunks]
        known = [(chunk, blob) for chunk, blob in known if not chunk.cells]
        blobs = await asyncio.to_thread(_embed, [c for c in [*new, *again] if not c.cells], known, self.embedder, self.progress)
        blobs |= {chunk.chunk_id: b"" for chunk in [*new, *again] if chunk.cells}
        everything = sorted(
            [*kept, *((chunk, blobs[chunk.chunk_id]) for chunk in [*new, *again])], key=lambda pair: (pair[0].document_id, pair[0].position)
        )
        if not everything:
            raise InputError("There is nothing to index: the sources hold no text. Check the path.")
        report.knowledge_version = _version([chunk for chunk, _ in everything])
        everything = [(chunk, blob) for chunk, blob in everything if not chunk.cells]  # rows of tables are not searched
        chunks = [chunk for chunk, _ in everything]
        report.chunks, report.spans = len(chunks), sum(len(chunk.spans) for chunk in chunks)
        self.progress("Writing the index", 0, 3)
        keywords = await asyncio.to_thread(_keywords, chunks, self.terms)
        snapshot = f"{self.collection}.{report.knowledge_version}.{secrets.token_hex(3)}"
        matrix, starts = laid_out(chunks, [blob for _, blob in everything])
        ids, rows = entries(chunks, starts)
        await asyncio.to_thread(self.vectors.write, snapshot, ids, matrix[rows])
        self.progress("Writing the index", 1, 3)
        previous = manifest["snapshot"] if manifest else None
        row = {
            "name": self.collection,
            "knowledge_version": report.knowledge_version,
            "embedder": self.embedder.fingerprint,
            "chunker": CHUNKER,
            "snapshot": snapshot,
            "built_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "keywords": keywords.to_bytes(),
            "meta": meta | {"counts": [report.chunks, report.spans], "previous": previous},
        }
        try:
            await _switch(self.engine, row, previous, plan, made, blobs, again)
        except BaseException:
            await asyncio.to_thread(self.vectors.remove, snapshot)
            raise
        self.progress("Writing the index", 2, 3)
        await asyncio.to_thread(_tidy, self.vectors, self.collection, {snapshot, previous})
        self.progress("Writing the index", 3, 3)

    def _cut(self, documents: list[Document]) -> dict[str, list[Chunk]]:
        return {d.id: self._chunks(d) for d in documents}

    def _chunks(self, document: Document) -> list[Chunk]:
        if document.kind == "table":
            return table_chunks(document, self.terms, pages=self.guide_pages)
        return chunk(document, self.embedder.count_tokens, self.embedder.max_tokens, self.terms, pages=self.guide_pages)


@dataclass(frozen=True, slots=True)
class _Plan:
    documents: list[Document]
    todo: list[Document]  # to be cut and written
    gone: list[str]
    others: list[str]  # documents of the collection from sources that are not read now
    hashes: dict[str, str]


def _load(sources: Sequence[Source], registry: Registry, pages: bool, report: Report, progress: Progress) -> list[Document]:
    documents: dict[str, Document] = {}
    errors: list[DocumentError] = []
    passed_over: list[str] = []
    for source in sources:
        for document in _read(source, registry, pages, errors, passed_over):
            if document.id in documents:
                errors.append(
                    DocumentError(f"the id '{document.id[:80]}' is used twice; ids must differ", file=document.id[:80], field="id")
                )
                continue
            if len(document.id) > 300:
                errors.append(DocumentError("the id is longer than 300 characters", file=document.id[:60] + "…", field="id"))
                continue
            if not _storable(document):
                errors.append(
                    DocumentError("holds characters that are no text (NUL, or half of a pair); remove them", file=document.id[:80])
                )
                continue
            documents[document.id] = replace(document, root=source.name)
            progress("Reading", len(documents), 0)
    if errors:
        raise Broken(errors)
    if passed_over:
        shown = ", ".join(passed_over[:5]) + (" …" if len(passed_over) > 5 else "")
        report.warnings.append(f"Not read, because their formats are not known ({len(passed_over)}): {shown}")
    return list(documents.values())


def _storable(document: Document) -> bool:
    """Escapes in JSON and YAML can write what no database takes."""
    questions = [question for some in document.questions.values() for question in some]
    text = "".join([document.id, document.title, document.body, document.summary, *document.audience, *document.topics, *questions])
    return "\0" not in text and not _SURROGATE.search(text)


def _read(source: Source, registry: Registry, pages: bool, errors: list[DocumentError], passed_over: list[str]) -> Iterator[Document]:
    if source.tables:
        yield from table_documents(source.path, registry, errors)
        return
    if source.download is None:
        yield from load(source.path, registry, errors, id_root=source.id_root, passed_over=passed_over, pages=pages)
        return
    got = source.download
    try:
        yield read_bytes(got.raw, got.form, source.name, registry, url=got.url, encoding=got.encoding, pages=pages)
    except DocumentError as error:
        errors.append(error)


async def _read_stored(engine: AsyncEngine, collection: str) -> tuple[dict[str, _Stored], dict[str, Any] | None]:
    docs, chunks = tables.documents, tables.chunks
    async with engine.connect() as connection:
        manifest = (
            await connection.execute(
                sa.select(*(c for c in tables.collections.c if c.name != "keywords")).where(tables.collections.c.name == collection)
            )
        ).mappings().first()  # fmt: skip
        query = sa.select(chunks.c.document_id, sa.func.count()).where(chunks.c.collection == collection).group_by(chunks.c.document_id)
        counts: dict[str, int] = {ident: count for ident, count in await connection.execute(query)}
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
                f"'{source.path.name}' now gives {after} passages where it gave {before}. Nothing was changed. "
                "If that is meant, run again with --yes."
            )


def _embed(chunks: list[Chunk], known: list[tuple[Chunk, bytes]], embedder: Embedder, progress: Progress) -> dict[str, bytes]:
    """Each chunk's vectors as stored. Texts that are known from before are taken over, equal ones are embedded once.

    Texts of like length go to the model together, whichever chunk they are of.
    """
    vectors: dict[tuple[str, str], np.ndarray] = {}
    for item, blob in known:
        vectors.update(zip(_texts(item), np.frombuffer(blob, np.float32).reshape(-1, embedder.dimensions), strict=True))
    texts_of = {item.chunk_id: _texts(item) for item in chunks}
    parts = _divide([text for texts in texts_of.values() for text in texts if text not in vectors], embedder)
    wanted = list(dict.fromkeys(part for group in parts.values() for part, _ in group))
    if wanted:
        matrix = _vectors(wanted, embedder, progress)
        place = {text: i for i, text in enumerate(wanted)}
        vectors |= {text: _mean([(matrix[place[part]], weight) for part, weight in group]) for text, group in parts.items()}
    return {
        ident: np.stack([vectors[text] for text in texts]).astype(np.float32, copy=False).tobytes() for ident, texts in texts_of.items()
    }


def _texts(item: Chunk) -> list[tuple[str, str]]:
    """What is embedded for a chunk, in the order in which its vectors are stored. As (subject, text)."""
    return [chunk_text(item), *span_texts(item), *(("", question) for question in item.questions)]


def _divide(texts: list[tuple[str, str]], embedder: Embedder) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Each text with its pieces and their weights: itself, but for the few that are longer than the embedder can read."""
    result = {text: [("".join(text), 1)] for text in texts}
    long = [text for text in result if len(text[0]) + len(text[1]) > embedder.max_tokens - 2]  # a token is a character at least
    for at in range(0, len(long), 500):
        some = long[at : at + 500]
        for text, cost in zip(some, embedder.count_tokens(["".join(text) for text in some]), strict=True):
            if cost > embedder.max_tokens:
                parts = pieces(*text, embedder.count_tokens, embedder.max_tokens)
                result[text] = list(zip(parts, embedder.count_tokens(parts), strict=True))
    return result


def _vectors(texts: list[str], embedder: Embedder, progress: Progress) -> np.ndarray:
    matrix = np.empty((len(texts), embedder.dimensions), np.float32)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)  # long ones first: the bar speeds up, never stalls
    for at in range(0, len(order), 64):
        part = order[at : at + 64]
        matrix[part] = embedder.embed([texts[i] for i in part])
        progress("Embedding", at + len(part), len(texts))
    return matrix


def _mean(parts: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """The vector of a text that was embedded in pieces: their mean by length, of length 1 again."""
    if len(parts) == 1:
        return parts[0][0]
    total = np.sum([vector * weight for vector, weight in parts], axis=0)
    return np.asarray(total / (np.linalg.norm(total) or 1.0), np.float32)


async def _read_chunks(engine: AsyncEngine, collection: str) -> list[tuple[Chunk, bytes]]:
    table = tables.chunks
    query = sa.select(table.c.chunk_id, table.c.text, table.c.meta, table.c.vectors).where(table.c.collection == collection)
    async with engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    return [(read_chunk(ident, text, meta), blob) for ident, text, meta, blob in rows]


def _renamed(item: Chunk, terms: Terms) -> Chunk:
    """A chunk that is not cut again, its entities by the word list of now."""
    spans = tuple(replace(span, entities=entities_of(terms, span.said)) for span in item.spans)
    return replace(item, spans=spans, entities=entities_of(terms, " \n ".join([*item.heading, item.text])))


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


async def _switch(
    engine: AsyncEngine, row: dict[str, Any], previous: str | None, plan: _Plan, made: dict[str, list[Chunk]], blobs: dict[str, bytes],
    again: list[Chunk],
) -> None:  # fmt: skip
    """The one moment at which the new index becomes the index."""
    collection = row["name"]
    docs, chunks, here = tables.documents, tables.chunks, tables.collections
    async with engine.begin() as connection:
        if previous is None:
            await connection.execute(sa.insert(here).values(**row))
        else:
            found = await connection.execute(sa.update(here).where(here.c.name == collection, here.c.snapshot == previous).values(**row))
            if not found.rowcount:  # the lock is a file of this machine; another machine has another
                raise AdvisorError("Another ingest has changed the collection meanwhile. Run again.")
        stale = [*plan.gone, *(d.id for d in plan.todo)]
        for at in range(0, len(stale), 500):
            part = stale[at : at + 500]
            await connection.execute(sa.delete(chunks).where(chunks.c.collection == collection, chunks.c.document_id.in_(part)))
            await connection.execute(sa.delete(docs).where(docs.c.collection == collection, docs.c.document_id.in_(part)))
        for item in again:
            await connection.execute(
                sa.update(chunks)
                .where(chunks.c.collection == collection, chunks.c.chunk_id == item.chunk_id)
                .values(vectors=blobs[item.chunk_id], meta=item.meta())
            )
        for at in range(0, len(plan.todo), 200):
            some = plan.todo[at : at + 200]
            await connection.execute(sa.insert(docs), [_document_row(d, collection, plan.hashes[d.id]) for d in some])
            rows = [_chunk_row(c, collection, blobs[c.chunk_id]) for d in some for c in made[d.id]]
            if rows:
                await connection.execute(sa.insert(chunks), rows)


def _document_row(document: Document, collection: str, digest: str) -> dict[str, Any]:
    facts = {
        key: {
            "source": fact.source.model_dump(),
            "as_of": fact.as_of,
            "volatile": fact.volatile,
            "confidence": fact.confidence,
            "conflicts": fact.conflicts,
        }
        for key, fact in document.facts.items()
    }
    return {
        "collection": collection,
        "document_id": document.id,
        "root": document.root,
        "content_hash": digest,
        "title": document.title,
        "body": document.body,
        "meta": document.describe() | {"facts": facts},
    }


def _chunk_row(item: Chunk, collection: str, blob: bytes) -> dict[str, Any]:
    return {
        "collection": collection,
        "chunk_id": item.chunk_id,
        "document_id": item.document_id,
        "position": item.position,
        "text": item.text,
        "meta": item.meta(),
        "vectors": blob,
    }


def _tidy(vectors: Vectors, collection: str, keep: set[str | None]) -> None:
    """Removes the snapshots of older versions and of runs that were killed.

    The previous one stays, for servers that have not noticed the switch yet.
    """
    for name in vectors.names():
        if name.startswith(collection + ".") and name not in keep:
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
