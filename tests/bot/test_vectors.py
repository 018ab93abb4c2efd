import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.errors import AdvisorError, SettingsError
from bot.settings import ROOT
from bot.vectors import SnapshotMissing, Vectors

DIMENSIONS = 16


@pytest.fixture(params=["embedded", "server"])
def vectors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vectors]:
    found = Vectors(request.getfixturevalue("chroma_url") if request.param == "server" else "", tmp_path / "vectors")
    before = set(found.names())
    yield found
    for name in set(found.names()) - before:
        found.remove(name)


@pytest.fixture
def name() -> str:
    """The server is shared by all tests."""
    return f"c-{uuid.uuid4().hex[:8]}.v1"


def points(seed: int, n: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(n, DIMENSIONS)).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def nearest(matrix: np.ndarray, queries: np.ndarray, k: int) -> list[list[str]]:
    return [[str(i) for i in row[:k]] for row in np.argsort(-(queries @ matrix.T), axis=1)]


def write(vectors: Vectors, name: str, matrix: np.ndarray) -> None:
    vectors.write(name, [str(i) for i in range(len(matrix))], matrix)


def test_a_snapshot_finds_what_is_nearest(vectors: Vectors, name: str) -> None:
    matrix, queries = points(1, 3000), points(2, 5)
    write(vectors, name, matrix)  # more than one batch
    snapshot = vectors.open(name)
    assert snapshot.size == 3000
    assert snapshot.query(queries, 10) == nearest(matrix, queries, 10)
    assert snapshot.query(queries, 10) == vectors.open(name).query(queries, 10)


def test_a_snapshot_smaller_than_k_gives_what_it_has(vectors: Vectors, name: str) -> None:
    matrix = points(1, 3)
    write(vectors, name, matrix)
    assert vectors.open(name).query(matrix[:1], 50) == nearest(matrix, matrix[:1], 50)
    assert vectors.open(name).query(matrix[:0], 50) == []
    empty = name + ".empty"
    write(vectors, empty, matrix[:0])
    assert vectors.open(empty).query(matrix, 5) == [[], [], []]


def test_snapshots_are_listed_and_removed(vectors: Vectors, name: str) -> None:
    write(vectors, name, points(1, 3))
    write(vectors, name + ".b", points(2, 3))
    assert [n for n in vectors.names() if n.startswith(name)] == [name, name + ".b"]
    vectors.remove(name)
    vectors.remove(name)
    assert [n for n in vectors.names() if n.startswith(name)] == [name + ".b"]
    with pytest.raises(SnapshotMissing, match="img-advisor ingest --rebuild"):
        vectors.open(name)
    vectors.open(name + ".b")


def test_one_client_writes_and_reads_many_times(vectors: Vectors, name: str) -> None:
    for i in range(3):
        write(vectors, f"{name}.{i}", points(i, 3))
        assert vectors.open(f"{name}.{i}").size == 3


def test_a_name_written_again_keeps_the_vectors_it_has(vectors: Vectors, name: str) -> None:
    first = points(1, 20)
    write(vectors, name, first)
    write(vectors, name, points(2, 30))
    assert vectors.open(name).query(first[:3], 5) == nearest(first, first[:3], 5)
    assert [n for n in vectors.names() if n.startswith(name)] == [name]


def test_a_name_written_after_its_removal_holds_the_new_vectors(vectors: Vectors, name: str) -> None:
    first, second = points(1, 20), points(2, 30)
    write(vectors, name, first)
    old = vectors.open(name)
    assert old.query(first[:1], 3) == nearest(first, first[:1], 3)
    vectors.remove(name)
    write(vectors, name, second)
    new = vectors.open(name)
    assert new.size == 30
    assert new.query(second[:3], 5) == nearest(second, second[:3], 5)
    del old
    gc.collect()
    assert new.query(second[:3], 5) == nearest(second, second[:3], 5)


def test_writers_of_one_name_leave_one_complete_snapshot(vectors: Vectors, name: str) -> None:
    matrix = points(1, 200)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: write(vectors, name, matrix), range(4)))
    assert [n for n in vectors.names() if n.startswith(name)] == [name]
    assert vectors.open(name).query(matrix[:3], 5) == nearest(matrix, matrix[:3], 5)


def test_a_search_after_the_removal_of_its_snapshot_finds_it_or_says_so(vectors: Vectors, name: str) -> None:
    matrix = points(1, 300)
    write(vectors, name, matrix)
    snapshot = vectors.open(name)
    vectors.remove(name)
    try:
        assert snapshot.query(matrix[:1], 3) == nearest(matrix, matrix[:1], 3)
    except SnapshotMissing:
        pass  # so that the caller opens the next one
    with pytest.raises(SnapshotMissing):
        vectors.open(name)


def test_many_threads_search_one_snapshot_and_open_it_together(vectors: Vectors, name: str) -> None:
    matrix = points(1, 500)
    write(vectors, name, matrix)
    shared = vectors.open(name)
    barrier = threading.Barrier(8)

    def search(i: int) -> bool:
        barrier.wait()
        queries = points(100 + i, 4)
        return all(s.query(queries, 8) == nearest(matrix, queries, 8) for s in (shared, vectors.open(name), shared))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(search, range(8)))
    gc.collect()
    assert shared.query(matrix[:1], 3) == nearest(matrix, matrix[:1], 3)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to count")
def test_snapshots_that_nobody_holds_any_more_cost_nothing(tmp_path: Path, name: str) -> None:
    """A server that runs for months opens a new snapshot after every ingest."""
    vectors = Vectors("", tmp_path)

    def cost() -> tuple[int, int]:
        gc.collect()
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    def turn(i: int) -> None:
        write(vectors, f"{name}.{i}", points(i, 50))
        assert len(vectors.open(f"{name}.{i}").query(points(0, 1), 3)[0]) == 3

    turn(0)
    before = cost()
    for i in range(1, 6):
        turn(i)
    after = cost()
    assert after[0] <= before[0] + 2 and after[1] <= before[1] + 2


def test_a_write_that_is_killed_leaves_no_snapshot_that_opens(tmp_path: Path, name: str) -> None:
    code = (
        "import os, signal, sys, threading\nfrom pathlib import Path\nimport numpy as np\nfrom bot.vectors import Vectors\n"
        "matrix = np.random.default_rng(0).normal(size=(40000, 16)).astype('f4')\n"
        "def kill():\n    import time\n    while not list(Path(sys.argv[1]).glob('*/chroma.sqlite3')): time.sleep(0.005)\n"
        "    time.sleep(0.2)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "threading.Thread(target=kill).start()\nVectors('', Path(sys.argv[1])).write(sys.argv[2], [str(i) for i in range(40000)], matrix)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), name], cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    vectors = Vectors("", tmp_path)
    with pytest.raises(SnapshotMissing):
        vectors.open(name)
    left = vectors.names()
    assert left and all(n.startswith(name) for n in left)  # so that the next run finds and removes it
    matrix = points(1, 10)
    write(vectors, name, matrix)
    assert vectors.open(name).query(matrix[:2], 4) == nearest(matrix, matrix[:2], 4)
    for n in left:
        vectors.remove(n)
    assert vectors.names() == [name]


def test_a_write_that_fails_leaves_the_old_snapshot_and_nothing_else(vectors: Vectors, name: str) -> None:
    matrix = points(1, 10)
    write(vectors, name, matrix)
    with pytest.raises(Exception, match=r"(?i)id"):
        vectors.write(name + ".b", ["same", "same"], points(2, 2))
    assert [n for n in vectors.names() if n.startswith(name)] == [name]
    assert vectors.open(name).query(matrix[:2], 4) == nearest(matrix, matrix[:2], 4)


def test_a_disk_without_space_is_said(tmp_path: Path, name: str) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nimport numpy as np\nfrom bot.errors import AdvisorError\n"
        "from bot.vectors import Vectors\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "vectors = Vectors('', Path(sys.argv[1]))\n"
        "try:\n    vectors.write(sys.argv[2], [str(i) for i in range(5000)], np.ones((5000, 64), 'f4'))\n"
        "except (AdvisorError, OSError) as error:\n    print('said:', error, vectors.names())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), name], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("said:") and done.stdout.endswith(" []\n"), done.stdout + done.stderr
    assert str(tmp_path) not in done.stdout


# What is missing or broken


def test_vectors_that_are_not_there_are_said(vectors: Vectors, tmp_path: Path) -> None:
    with pytest.raises(SnapshotMissing, match="img-advisor ingest --rebuild"):
        vectors.open("nothing.v1")
    assert Vectors("", tmp_path / "no folder").names() == []
    assert not (tmp_path / "vectors" / "nothing.v1").exists()


def test_vectors_that_cannot_be_read_are_said(tmp_path: Path, name: str) -> None:
    vectors = Vectors("", tmp_path / "v")
    write(vectors, name, points(1, 10))
    (tmp_path / "v" / name / "chroma.sqlite3").write_bytes(b"not a database, at all" * 500)
    with pytest.raises(AdvisorError, match="img-advisor ingest --rebuild") as caught:
        vectors.open(name)
    assert str(tmp_path) not in str(caught.value)
    shutil.rmtree(tmp_path / "v" / name)
    (tmp_path / "v" / name).mkdir()
    with pytest.raises(SnapshotMissing):
        vectors.open(name)


def test_a_server_that_does_not_answer_is_said(tmp_path: Path, free_port: int) -> None:
    vectors = Vectors(f"http://127.0.0.1:{free_port}", tmp_path)
    for call in (vectors.names, lambda: vectors.open("c.v1"), lambda: write(vectors, "c.v1", points(1, 3))):
        with pytest.raises(SettingsError, match="IMG_ADVISOR_VECTORS_URL"):
            call()


def test_a_server_that_is_something_else_is_said(tmp_path: Path, postgres: str) -> None:
    with pytest.raises(SettingsError, match="IMG_ADVISOR_VECTORS_URL"):
        Vectors("http://127.0.0.1:" + postgres.rpartition(":")[2], tmp_path).names()
    with pytest.raises(SettingsError, match="IMG_ADVISOR_VECTORS_URL"):
        Vectors("http://127.0.0.1:99999", tmp_path).names()


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path, free_port: int, name: str, run_chroma: Callable[..., Any]) -> None:
    matrix = points(1, 10)
    with run_chroma(tmp_path, free_port) as url:
        vectors = Vectors(url, tmp_path)
        write(vectors, name, matrix)
        snapshot = vectors.open(name)
    for call in (vectors.names, lambda: vectors.open(name), lambda: snapshot.query(matrix[:1], 3)):
        with pytest.raises(AdvisorError, match="Chroma server"):
            call()
    with run_chroma(tmp_path, free_port):
        assert snapshot.query(matrix[:1], 3) == nearest(matrix, matrix[:1], 3)
        assert vectors.names() == [name]
