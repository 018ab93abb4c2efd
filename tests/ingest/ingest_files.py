"""What the tests of ingest share: a collection in real SQLite and Chroma, and files made on the spot."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pypdf import PdfReader, PdfWriter
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.embedding import Embedder, OnnxEmbedder
from bot.index import Index, load_index
from bot.terms import Terms
from bot.vectors import Vectors
from ingest.build import Report, Source, ingest
from ingest.chunk import CHUNKER
from ingest.registry import FactRecord, Registry, SourceRecord


class Counting:
    """The real embedder, with a note of every text it was given."""

    def __init__(self, real: OnnxEmbedder) -> None:
        self._real = real
        self.fingerprint, self.dimensions, self.max_tokens = real.fingerprint, real.dimensions, real.max_tokens
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        return self._real.embed(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._real.count_tokens(texts)


REGISTRY = Registry(
    sources={"board": SourceRecord(title="Board page", publisher="The Board", url="https://board.example.org/rules", published="2025-05")},
    facts={"fee-1": FactRecord(source="board", as_of="2025-06", volatile=True)},
)


@dataclass
class Room:
    """A data folder with one collection."""

    engine: AsyncEngine
    vectors: Vectors
    embedder: Counting
    terms: Terms
    data: Path
    registry: Registry = field(default_factory=lambda: REGISTRY)

    async def ingest(self, *sources: Path, collection: str = "docs", embedder: Embedder | None = None, **options: Any) -> Report:
        return await ingest(
            self.engine,
            self.vectors,
            embedder or self.embedder,
            options.pop("terms", self.terms),
            self.registry,
            [Source(path, path.name) for path in sources],
            collection=collection,
            lock_file=self.data / "ingest.lock",
            **options,
        )

    async def index(self, collection: str = "docs") -> Index:
        return await load_index(self.engine, self.vectors, collection, self.embedder.fingerprint, CHUNKER)

    async def texts(self) -> list[str]:
        return [chunk.text for chunk in (await self.index()).chunks]

    def snapshots(self) -> list[str]:
        return self.vectors.names()

    def nearest(self, index: Index, query: str, k: int = 3) -> list[str]:
        """Document ids of the nearest entries in Chroma."""
        ids = index.snapshot.query(self.embedder.embed([query]), k)[0]
        return [index.chunks[index.rows[ident.partition("#")[0]]].document_id for ident in ids]


def jsonl(path: Path, **texts: str) -> Path:
    path.write_text("".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items()))
    return path


def guide(body: str, front: str = "title: A guide\nsource: board") -> str:
    return f"---\n{front}\n---\n{body}"


def pdf(pages: Sequence[Sequence[str]], *, title: str = "", bookmarks: Sequence[tuple[str, int]] = ()) -> bytes:
    """A PDF with these lines on its pages, written by hand; no page, no text."""
    fonts = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    kids = " ".join(f"{3 + 2 * i} 0 R" for i in range(len(pages)))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>"]
    for i, lines in enumerate(pages):
        shown = "".join("({}) Tj T* ".format(line.replace("(", "\\(").replace(")", "\\)")) for line in lines)
        stream = f"BT /F1 12 Tf 72 720 Td 14 TL {shown}ET"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources {fonts} /Contents {4 + 2 * i} 0 R >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{at:010d} 00000 n \n" for at in offsets)
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    raw = out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()
    if not title and not bookmarks:
        return raw
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(raw)))
    if title:
        writer.add_metadata({"/Title": title})
    for label, page in bookmarks:
        writer.add_outline_item(title=label, page_number=page)
    end = io.BytesIO()
    writer.write(end)
    return end.getvalue()
