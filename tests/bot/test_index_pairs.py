"""The same index from SQLite with embedded Chroma and from PostgreSQL with a Chroma server."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.database import open_engine
from bot.embedding import OnnxEmbedder
from bot.errors import IndexMismatch, IndexMissing, UnknownCollection
from bot.index import Index, load_index, stored_version
from bot.migrations import upgrade
from bot.settings import ROOT
from bot.terms import Terms
from bot.vectors import SnapshotMissing, Vectors
from ingest.build import Report, Source, drop, ingest
from ingest.chunk import CHUNKER
from ingest.registry import Registry

TEXTS = {
    "j1": "J-1 physicians are sponsored by one organisation. The two-year home residence rule applies to them.",
    "H1B": "H-1B workers need a petition by the employer. Step 3 must be passed before the petition is filed.",
    "ecfmg": "ECFMG certification needs a medical degree and passed examinations. Pathways show clinical skills.",
    "match": "Rank lists are certified in February. The Match algorithm favours what applicants prefer.",
    "step-1": "Step 1 is reported as pass or fail. An old three-digit score stays on the transcript.",
    "_fees": "Applications cost more for each further program. A spreadsheet helps to keep the sum in sight.",
    "letters": "Three letters of recommendation are usual. A letter from a US hospital weighs more.",
    "interviews": "Interviews are held by video. A quiet room and a tested camera matter more than a suit.",
}
QUERIES = [
    "Who sponsors a J-1 visa?",
    "Is Step 1 scored?",
    "when do I certify my rank list",
    "do I need Step 3 for H-1B",
    "camera for the interview",
]


def corpus(folder: Path, changed: dict[str, str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"id": key, "title": key.upper(), "text": text}) for key, text in (TEXTS | (changed or {})).items() if text]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    return folder


@dataclass
class Deployment:
    engine: AsyncEngine
    vectors: Vectors
    embedder: OnnxEmbedder
    terms: Terms
    folder: Path
    name: str  # of the collection: the Chroma server is shared by all tests

    async def ingest(self, path: Path) -> Report:
        return await ingest(
            self.engine, self.vectors, self.embedder, self.terms, Registry(), [Source(path, "corpus")],
            collection=self.name, lock_file=self.folder / "lock",
        )  # fmt: skip

    async def load(self) -> Index:
        found = await load_index(self.engine, self.vectors, self.name, self.embedder.fingerprint, CHUNKER)
        found.snapshot.open()
        return found

    def search(self, index: Index) -> list[list[str]]:
        return index.snapshot.query(self.embedder.embed(QUERIES), 5)


Deploy = Callable[[str], Awaitable[Deployment]]
PAIRS = ["sqlite+embedded", "postgresql+server"]


@pytest.fixture
async def deploy(
    embedder: OnnxEmbedder, terms: Terms, tmp_path: Path, sqlite_url: str, postgres_url: str, chroma_url: str
) -> AsyncIterator[Deploy]:
    opened: list[Deployment] = []

    async def open_(pair: str) -> Deployment:
        url, vectors_url = (sqlite_url, "") if pair == "sqlite+embedded" else (postgres_url, chroma_url)
        engine = await open_engine(url)
        await upgrade(engine)
        vectors = Vectors(vectors_url, tmp_path / "vectors")
        opened.append(Deployment(engine, vectors, embedder, terms, tmp_path, f"pairs-{uuid.uuid4().hex[:8]}"))
        return opened[-1]

    yield open_
    for found in opened:
        await drop(found.engine, found.vectors, found.name)
        await found.engine.dispose()


@pytest.fixture(params=PAIRS)
async def deployment(request: pytest.FixtureRequest, deploy: Deploy) -> Deployment:
    return await deploy(request.param)


async def test_both_pairs_hold_and_find_the_same(deploy: Deploy, tmp_path: Path) -> None:
    path = corpus(tmp_path / "corpus")
    indexes, found = [], []
    for pair in PAIRS:
        deployment = await deploy(pair)
        report = await deployment.ingest(path)
        assert (report.documents, report.added) == (len(TEXTS), len(TEXTS))
        index = await deployment.load()
        indexes.append(index)
        found.append(deployment.search(index))
    one, other = indexes
    assert found[0] == found[1]
    assert [one.chunks[one.rows[ids[0]]].document_id for ids in found[0]] == ["j1", "step-1", "match", "H1B", "interviews"]
    assert one.chunks == other.chunks and one.rows == other.rows
    assert one.knowledge_version == other.knowledge_version
    assert np.array_equal(one.vectors, other.vectors) and np.array_equal(one.starts, other.starts)
    assert one.keywords.vocabulary == other.keywords.vocabulary
    assert np.array_equal(one.keywords.scores(["visa"]), other.keywords.scores(["visa"]))
    for index in indexes:
        assert index.snapshot.size == sum(1 + len(chunk.questions) for chunk in index.chunks)
        assert len(index.vectors) == index.starts[-1]
        assert [len(index.span_vectors(i)) for i in range(len(index.chunks))] == [len(chunk.spans) for chunk in index.chunks]


async def test_the_same_is_found_before_chroma_is_open(deploy: Deploy, tmp_path: Path) -> None:
    deployment = await deploy(PAIRS[0])
    await deployment.ingest(corpus(tmp_path / "corpus"))
    index = await load_index(deployment.engine, deployment.vectors, deployment.name, deployment.embedder.fingerprint, CHUNKER)
    at_once = deployment.search(index)
    index.snapshot.open()
    shutil.rmtree(tmp_path / "vectors")  # what is open is held open: nothing is compared one by one any more
    index.snapshot._matrix = np.empty((0, 0), np.float32)
    assert deployment.search(index) == at_once
    assert index.snapshot.query(np.empty((0, 384), np.float32), 5) == []


async def test_what_cannot_be_opened_is_told_in_the_log_and_done_without(deploy: Deploy, tmp_path: Path, caplog) -> None:
    deployment = await deploy(PAIRS[0])
    await deployment.ingest(corpus(tmp_path / "corpus"))
    index = await load_index(deployment.engine, deployment.vectors, deployment.name, deployment.embedder.fingerprint, CHUNKER)
    before = deployment.search(index)
    shutil.rmtree(tmp_path / "vectors")
    index.snapshot.open()
    assert "img-advisor ingest --rebuild" in caplog.text
    assert deployment.search(index) == before, "the vectors are in the database, too"


def test_the_first_search_of_a_process_does_not_wait_for_chroma(library: Path) -> None:
    """Its import alone takes a third of a start."""
    ask = (
        "import asyncio, sys; from pathlib import Path\n"
        "from bot.bootstrap import open_advisor; from bot.settings import read_settings\n"
        "async def main():\n"
        "    advisor = await open_advisor(read_settings(data=Path(sys.argv[1])))\n"
        "    found = await advisor.search('How many attempts do I have at Step 1?')\n"
        "    print(found[0].document_id, 'chromadb' in sys.modules)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", ask, str(library)], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["usmle/attempts-and-time-limits", "False"], done.stderr[-2000:]


async def test_a_change_is_seen_and_the_old_index_still_searches(deployment: Deployment, tmp_path: Path) -> None:
    await deployment.ingest(corpus(tmp_path / "corpus"))
    old = await deployment.load()
    assert await stored_version(deployment.engine, deployment.name) == old.meta["snapshot"]
    before = deployment.search(old)
    changed = {"_fees": "", "step-1": "Step 1 has no numbers now.", "pets": "Dogs need a crate to fly."}
    report = await deployment.ingest(corpus(tmp_path / "corpus", changed))
    assert (report.added, report.changed, report.removed) == (1, 1, 1)
    new = await deployment.load()
    assert await stored_version(deployment.engine, deployment.name) == new.meta["snapshot"] != old.meta["snapshot"]
    assert {chunk.document_id for chunk in new.chunks} == set(TEXTS) - {"_fees"} | {"pets"}
    assert deployment.search(old) == before
    dogs = new.snapshot.query(deployment.embedder.embed(["taking my dog on the flight"]), 1)[0][0]
    assert new.chunks[new.rows[dogs]].document_id == "pets"


async def test_what_is_not_indexed_is_said(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="img-advisor ingest"):
        await deployment.load()
    assert await stored_version(deployment.engine, deployment.name) is None
    await deployment.ingest(corpus(tmp_path / "corpus"))
    with pytest.raises(UnknownCollection, match=deployment.name):
        await load_index(deployment.engine, deployment.vectors, "another", deployment.embedder.fingerprint)
    with pytest.raises(IndexMismatch, match="--rebuild"):
        await load_index(deployment.engine, deployment.vectors, deployment.name, "another-model@0")
    with pytest.raises(IndexMismatch, match="--rebuild"):
        await load_index(deployment.engine, deployment.vectors, deployment.name, deployment.embedder.fingerprint, "another chunker")


async def test_lost_vectors_are_written_again_from_the_database(deployment: Deployment, tmp_path: Path) -> None:
    """After a restore, on a second machine, or when somebody empties the folder."""
    await deployment.ingest(corpus(tmp_path / "corpus"))
    index = await deployment.load()
    before, snapshot = deployment.search(index), index.meta["snapshot"]
    deployment.vectors.remove(snapshot)
    with pytest.raises(SnapshotMissing):
        deployment.vectors.open(snapshot)
    again = await asyncio.gather(*(deployment.load() for _ in range(3)))
    for index in again:
        assert deployment.search(index) == before
    assert [name for name in deployment.vectors.names() if name.startswith(deployment.name)] == [snapshot]


async def test_an_index_is_of_one_version_whenever_it_is_loaded(deployment: Deployment, tmp_path: Path) -> None:
    """An ingest switches versions just after the reader has read which one there is."""
    await deployment.ingest(corpus(tmp_path / "corpus"))
    old = await deployment.load()
    url = deployment.engine.url.render_as_string(hide_password=False)
    switched = threading.Event()

    async def switch() -> None:
        engine = await open_engine(url)
        chunks, collections = tables.chunks, tables.collections
        async with engine.begin() as connection:
            await connection.execute(sa.update(collections).where(collections.c.name == deployment.name).values(knowledge_version="new"))
            await connection.execute(sa.update(chunks).where(chunks.c.collection == deployment.name).values(text="new"))
        await engine.dispose()

    @sa.event.listens_for(deployment.engine.sync_engine, "after_cursor_execute")
    def after(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM index_collections" in statement and not switched.is_set():
            switched.set()
            other = threading.Thread(target=asyncio.run, args=(switch(),))
            other.start()
            other.join()

    index = await deployment.load()
    assert switched.is_set()
    texts = {chunk.text for chunk in index.chunks}
    assert (index.knowledge_version == "new") == (texts == {"new"})
    assert index.knowledge_version in {"new", old.knowledge_version}
