"""Ingest into real SQLite and Chroma: what it costs, what it leaves behind, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from ingest_files import Room, guide, jsonl

from bot import tables
from bot.errors import AdvisorError, InputError, ShrinkRefused
from ingest.build import Broken, drop
from ingest.registry import FactRecord

BODY = "J-1 visas need a sponsor. [^fee-1] The fee is $5.\n\n## Waivers {#waivers}\nA waiver takes months. [^board]\n"
FRONT = "title: Visas\nquestions:\n  waivers:\n  - How long does a waiver take?"


@pytest.fixture
def corpus(folder: Path) -> Path:
    (folder / "visas.md").write_text(guide(BODY, FRONT))
    (folder / "note.txt").write_text("Bring a passport. Bring two photos.")
    jsonl(folder / "more.jsonl", one="The first line says this.", two="The second line says that.", three="A third one.")
    return folder


async def rows_of(room: Room) -> dict[str, int]:
    """How many rows each table holds, and Chroma."""
    async with room.engine.connect() as connection:
        counts = {
            table.name: (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            for table in (tables.documents, tables.chunks)
        }
    counts["chroma"] = (await room.index()).snapshot.size
    return counts


async def test_a_first_run(room: Room, corpus: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = await room.ingest(corpus, progress=lambda *step: told.append(step))
    assert (report.documents, report.added, report.changed, report.removed, report.unchanged) == (5, 5, 0, 0, 0)
    assert (report.chunks, report.spans) == (6, 8)
    assert await rows_of(room) == {"index_documents": 5, "index_chunks": 6, "chroma": 7}
    assert {what for what, _, _ in told} == {"Reading", "Embedding", "Writing the index"}
    assert told[-1] == ("Writing the index", 3, 3)
    index = await room.index()
    assert room.nearest(index, "how long is the waiver", 1) == ["visas"]
    assert room.nearest(index, "photos", 1) == ["note.txt"]
    assert index.knowledge_version == report.knowledge_version


async def test_unchanged_sources_cost_no_embedding_and_write_nothing(room: Room, corpus: Path) -> None:
    first = await room.ingest(corpus)
    before, snapshots = len(room.embedder.texts), room.snapshots()
    for path in corpus.iterdir():
        path.touch()
    again = await room.ingest(corpus)
    assert len(room.embedder.texts) == before
    assert (again.unchanged, again.added, again.changed) == (5, 0, 0)
    assert (again.knowledge_version, again.chunks, again.spans) == (first.knowledge_version, first.chunks, first.spans)
    assert room.snapshots() == snapshots


async def test_equal_texts_are_embedded_once(room: Room, folder: Path) -> None:
    jsonl(folder / "a.jsonl", **{f"d{i}": "The same statement everywhere." for i in range(20)})
    await room.ingest(folder)
    assert len(room.embedder.texts) == len(set(room.embedder.texts)) == 1
    index = await room.index()
    assert len(index.chunks) == 20 and np.allclose(index.vectors, index.vectors[0])


async def test_only_what_changed_is_embedded(room: Room, corpus: Path) -> None:
    await room.ingest(corpus)
    room.embedder.texts.clear()
    (corpus / "visas.md").write_text(guide(BODY.replace("takes months", "takes a year"), FRONT))
    report = await room.ingest(corpus)
    assert (report.changed, report.unchanged) == (1, 4)
    assert len(room.embedder.texts) == 2 and all("takes a year" in text for text in room.embedder.texts)
    assert not any("takes months" in text for text in await room.texts())
    assert await rows_of(room) == {"index_documents": 5, "index_chunks": 6, "chroma": 7}


async def test_what_is_stored_is_what_a_new_build_would_store(room: Room, corpus: Path) -> None:
    """Changed, shortened, deleted, renamed, added: the index is the same as one made at once from what is there now."""
    (corpus / "long.txt").write_text("Kept sentence. " + "Dropped sentence. " * 300)
    await room.ingest(corpus)
    (corpus / "long.txt").write_text("Kept sentence.")
    (corpus / "note.txt").rename(corpus / "renamed.txt")
    jsonl(corpus / "more.jsonl", one="The first line says this.", three="A third one, changed.", four="A fourth.")
    (corpus / "sub").mkdir()
    (corpus / "visas.md").rename(corpus / "sub" / "visas.md")
    report = await room.ingest(corpus, allow_shrink=True)
    assert (report.added, report.changed, report.removed, report.unchanged) == (3, 2, 3, 1)
    await room.ingest(corpus, collection="fresh")
    one, other = await room.index(), await room.index("fresh")
    assert one.chunks == other.chunks and one.knowledge_version == other.knowledge_version
    assert np.allclose(one.vectors, other.vectors, atol=1e-5)
    assert one.snapshot.size == other.snapshot.size
    assert one.keywords.to_bytes() == other.keywords.to_bytes()
    texts = " ".join(await room.texts())
    assert "Dropped" not in texts and "second line" not in texts
    assert len([name for name in room.snapshots() if name.startswith("docs.")]) == 2, "this one, and the one before for running servers"


async def test_a_changed_source_date_changes_its_guides(room: Room, corpus: Path) -> None:
    await room.ingest(corpus)
    room.embedder.texts.clear()
    facts = {"fee-1": FactRecord(source="board", as_of="2026-01")}
    room.registry = room.registry.model_copy(update={"facts": facts})
    report = await room.ingest(corpus)
    assert report.changed == 1 and room.embedder.texts == []
    assert {fact.as_of for chunk in (await room.index()).chunks for fact in chunk.facts.values()} == {"2026-01", "2025-05"}


async def test_another_word_list_names_everything_anew_and_embeds_nothing(room: Room, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("An H-1B petition.")
    await room.ingest(corpus)
    await room.ingest(other)
    room.embedder.texts.clear()
    kept = {ident: entity for ident, entity in room.terms.entities.items() if ident != "h1b"}
    terms = replace(room.terms, version="other", entities=kept)
    await room.ingest(corpus, terms=terms)
    assert room.embedder.texts == []
    assert not any("h1b" in chunk.entities for chunk in (await room.index()).chunks)
    assert await rows_of(room) == {"index_documents": 6, "index_chunks": 7, "chroma": 8}


async def test_two_sources_in_one_collection_leave_each_other_alone(room: Room, corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.txt").write_text("An H-1B petition.")
    await room.ingest(corpus)
    report = await room.ingest(other)
    assert (report.added, report.removed, report.chunks) == (1, 0, 7)
    (other / "note.txt").write_text("The same name.")
    with pytest.raises(InputError, match="note.txt"):
        await room.ingest(other)
    assert await rows_of(room) == {"index_documents": 6, "index_chunks": 7, "chroma": 8}


async def test_a_rebuild_forgets_what_was_known_and_gives_the_same(room: Room, corpus: Path) -> None:
    first = await room.ingest(corpus)
    count = len(room.embedder.texts)
    again = await room.ingest(corpus, rebuild=True)
    assert again.knowledge_version == first.knowledge_version
    assert len(room.embedder.texts) == 2 * count


async def test_guides_of_a_collection_without_pages(room: Room, corpus: Path) -> None:
    await room.ingest(corpus)
    assert {chunk.guide is None for chunk in (await room.index()).chunks if chunk.document_id == "visas"} == {False}
    await room.ingest(corpus, guide_pages=False)
    chunks = (await room.index()).chunks
    assert all(chunk.guide is None and chunk.source.title for chunk in chunks)
    assert {chunk.document_id for chunk in chunks} == {"visas.md", "note.txt", "one", "two", "three"}


# The guard


async def test_a_source_that_shrinks_asks_first(room: Room, corpus: Path) -> None:
    await room.ingest(corpus)
    for name in ("more.jsonl", "note.txt"):
        (corpus / name).unlink()
    before = await rows_of(room)
    with pytest.raises(ShrinkRefused, match="--yes"):
        await room.ingest(corpus)
    assert await rows_of(room) == before
    report = await room.ingest(corpus, allow_shrink=True)
    assert (report.removed, report.chunks) == (4, 2)


async def test_an_emptied_folder_wipes_nothing(room: Room, corpus: Path) -> None:
    await room.ingest(corpus)
    for path in corpus.iterdir():
        path.unlink()
    before = await rows_of(room)
    with pytest.raises(ShrinkRefused):
        await room.ingest(corpus)
    with pytest.raises(InputError, match="nothing to index"):
        await room.ingest(corpus, allow_shrink=True)
    assert await rows_of(room) == before


async def test_an_empty_folder_and_a_folder_of_other_formats(room: Room, folder: Path) -> None:
    with pytest.raises(InputError, match="nothing to index"):
        await room.ingest(folder)
    (folder / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="nothing to index"):
        await room.ingest(folder)
    (folder / "a.txt").write_text("Text.")
    report = await room.ingest(folder)
    assert len(report.warnings) == 1 and "picture.png" in report.warnings[0]


# Bad input


@pytest.mark.parametrize("name", ["", "Upper", "a b", "../up", "a.b", "-a", "x" * 42, "naïve", "a/b"])
async def test_a_collection_name_that_is_none(room: Room, corpus: Path, name: str) -> None:
    with pytest.raises(InputError, match="collection name"):
        await room.ingest(corpus, collection=name)
    assert room.snapshots() == []


async def test_broken_documents_are_all_named_and_nothing_changes(room: Room, corpus: Path) -> None:
    await room.ingest(corpus)
    before, version = await rows_of(room), (await room.index()).knowledge_version
    (corpus / "visas.md").write_text(guide("No source at all.", "title: x"))
    (corpus / "note.txt").write_bytes(b"\xff\xfe\xfa")
    (corpus / "fees.yaml").write_text("a: [")
    jsonl(corpus / "again.jsonl", one="The id of another file's line.", two="And again.")
    with pytest.raises(Broken) as caught:
        await room.ingest(corpus)
    assert {(e.file, e.field) for e in caught.value.errors} == {
        ("visas.md", "source"), ("note.txt", None), ("fees.yaml", None), ("one", "id"), ("two", "id"),
    }  # fmt: skip
    assert str(corpus) not in str(caught.value)
    assert await rows_of(room) == before and (await room.index()).knowledge_version == version


async def test_many_errors_are_counted_not_listed(room: Room, folder: Path) -> None:
    (folder / "a.jsonl").write_text("{\n" * 5000)
    with pytest.raises(Broken, match="4980 more") as caught:
        await room.ingest(folder)
    assert len(str(caught.value)) < 5000


async def test_an_id_that_is_too_long(room: Room, folder: Path) -> None:
    jsonl(folder / "a.jsonl", **{"x" * 301: "Text."})
    with pytest.raises(Broken, match="300"):
        await room.ingest(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"id": "a\\u0000b", "text": "Text."}'),
        ("b.jsonl", '{"id": "b", "title": "x\\u0000", "text": "Text."}'),
        ("c.jsonl", '{"id": "c", "text": "Half \\ud800 of a pair."}'),
        ("d.yaml", '- {a: "x\\0y"}'),
        ("e.md", guide("Text.", 'title: "x\\ud800"\nsource: board')),
        ("f.md", guide("Text.", 'title: x\nsummary: "x\\0"\nsource: board')),
    ],
)
async def test_escapes_for_what_is_no_text(room: Room, folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(Broken):
        await room.ingest(folder)
    assert room.snapshots() == []


async def test_ids_of_any_script_and_sign(room: Room, folder: Path) -> None:
    ids = ["日本/一", "a b#c", "../../etc/passwd", "é", "'; DROP TABLE index_chunks; --", "%", "\u202etxet"]
    (folder / "a.jsonl").write_text("".join(json.dumps({"id": ident, "text": f"Text of {i}."}) + "\n" for i, ident in enumerate(ids)))
    await room.ingest(folder)
    index = await room.index()
    assert {chunk.document_id for chunk in index.chunks} == set(ids)
    assert [chunk.document_id for chunk in index.chunks] == sorted(ids)


# Two at once, and large ones


async def test_two_runs_at_once(room: Room, corpus: Path) -> None:
    results = await asyncio.gather(room.ingest(corpus), room.ingest(corpus), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["AdvisorError", "Report"]
    assert any("under way" in str(result) for result in results)
    assert (await room.ingest(corpus)).unchanged == 5


async def test_a_run_on_another_machine_in_between_is_noticed(room: Room, corpus: Path) -> None:
    """Machines that share a database share no lock file."""
    await room.ingest(corpus)
    (corpus / "note.txt").write_text("Changed once.")
    switched = False

    def meanwhile(what: str, done: int, total: int) -> None:
        nonlocal switched
        if what == "Writing the index" and done == 1 and not switched:
            switched = True
            with sa.create_engine(f"sqlite:///{room.data / 'advisor.sqlite3'}").begin() as connection:
                connection.execute(sa.update(tables.collections).values(snapshot="docs.other.machine"))

    before = room.snapshots()
    with pytest.raises(AdvisorError, match="Run again"):
        await room.ingest(corpus, progress=meanwhile)
    assert room.snapshots() == before, "its own snapshot is gone"


class Hashed:
    """No model: embedding thousands of texts would take minutes here, and this test is about memory and bookkeeping, not meaning."""

    fingerprint, dimensions, max_tokens = "hashed@1", 8, 512

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([[hash((text, i)) % 1000 + 1 for i in range(8)] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]


async def test_many_lines(room: Room, folder: Path) -> None:
    path = jsonl(folder / "many.jsonl", **{f"doc-{i:04d}": f"Line {i} speaks of thing {i % 7}." for i in range(1000)})
    gc.collect()
    tracemalloc.start()
    report = await room.ingest(folder, embedder=Hashed())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (report.added, report.chunks) == (1000, 1000)
    assert peak < 400 * path.stat().st_size
    with path.open("a") as out:
        out.write(json.dumps({"id": "new", "text": "One more line."}) + "\n")
    again = await room.ingest(folder, embedder=Hashed())
    assert (again.added, again.changed, again.unchanged, again.chunks) == (1, 0, 1000, 1001)


async def test_dropping_a_collection_leaves_nothing(room: Room, corpus: Path) -> None:
    await room.ingest(corpus)
    await room.ingest(corpus, collection="docs-2")
    await drop(room.engine, room.vectors, "docs")
    assert all(name.startswith("docs-2.") for name in room.snapshots())
    assert len((await room.index("docs-2")).chunks) == 6
