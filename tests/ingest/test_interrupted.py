"""Runs that are killed, and runs on a full disk, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ingest_files import Room, jsonl

from bot.settings import ROOT

HERE = Path(__file__).parent
TEXTS = {f"d{i}": f"Statement {i} says one thing. It also says another thing about subject {i}." for i in range(30)}


def child(room: Room, folder: Path, step: str = "", at: int = 0, size: int = 0) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
    return subprocess.Popen(
        [sys.executable, HERE / "ingest_child.py", room.data, folder, step, str(at), str(size)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


async def indexed(room: Room, folder: Path) -> str:
    """A first, small index that must go on serving."""
    jsonl(folder / "a.jsonl", old="The old statement about passports.")
    return (await room.ingest(folder)).knowledge_version


async def serves_old(room: Room, version: str) -> None:
    index = await room.index()
    assert index.knowledge_version == version
    assert [chunk.document_id for chunk in index.chunks] == ["old"]
    assert room.nearest(index, "passport", 1) == ["old"]


@pytest.mark.parametrize(
    ("step", "at"),
    [("Embedding", 64), ("Writing the index", 0), ("Writing the index", 1)],
    ids=["embedding", "before the snapshot", "between snapshot and switch"],
)
async def test_a_killed_run_leaves_the_old_index_and_the_next_one_cleans_up(room: Room, folder: Path, step: str, at: int) -> None:
    version = await indexed(room, folder)
    jsonl(folder / "a.jsonl", old="The old statement about passports.", **TEXTS)
    with child(room, folder, step, at) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert line.startswith(f"at {step}"), process.stderr.read()
        process.kill()
    await serves_old(room, version)
    left = room.snapshots()
    assert len(left) == (2 if at == 1 else 1)
    report = await room.ingest(folder)
    assert report.chunks == 1 + len(TEXTS)
    kept = room.snapshots()
    assert len(kept) == 2 and len(set(left) & set(kept)) == 1, "the new one and the one before; what the killed run wrote is gone"


async def test_an_unchanged_run_cleans_up_too(room: Room, folder: Path) -> None:
    """The change that was being indexed when the run was killed has been taken back since."""
    version = await indexed(room, folder)
    jsonl(folder / "a.jsonl", old="Another statement.", new="And one more.")
    with child(room, folder, "Writing the index", 1) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.kill()
    assert len(room.snapshots()) == 2
    jsonl(folder / "a.jsonl", old="The old statement about passports.")
    assert (await room.ingest(folder)).unchanged == 1
    assert len(room.snapshots()) == 1
    await serves_old(room, version)


async def test_a_second_process_waits_for_nobody(room: Room, folder: Path) -> None:
    await indexed(room, folder)
    jsonl(folder / "a.jsonl", old="The old statement about passports.", **TEXTS)
    with child(room, folder, "Embedding", 0) as first:
        assert first.stdout is not None and first.stdout.readline()
        with child(room, folder) as second:
            assert second.communicate(timeout=120)[0].startswith("refused Another ingest is under way")
        first.kill()


@pytest.mark.parametrize(
    ("size", "says"), [(40_000, "vectors of the index"), (450_000, "index could not be written")], ids=["Chroma", "database"]
)
async def test_a_full_disk_is_one_sentence_and_the_old_index_stays(room: Room, folder: Path, size: int, says: str) -> None:
    """Played by the largest size a file may grow to: too little for Chroma's files, or for those of the database only."""
    version = await indexed(room, folder)
    same = "one of the clauses of a long line that is embedded once and stored many times, " * 100
    jsonl(folder / "b.jsonl", **{f"b{i}": same for i in range(50)})
    with child(room, folder, size=size) as process:
        out, errors = process.communicate(timeout=300)
    assert out.startswith("refused ") and out.count("\n") == 1, errors
    assert says in out and "space" in out
    assert "Traceback" not in errors and str(room.data) not in out
    await serves_old(room, version)
    assert len(room.snapshots()) == 1
    assert (await room.ingest(folder)).documents == 51
