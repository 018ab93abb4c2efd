"""Real parts for every test: both databases, both kinds of Chroma, the embedder, the word list."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import bootstrap
from bot.database import open_engine
from bot.embedding import OnnxEmbedder, open_embedder
from bot.migrations import upgrade
from bot.settings import ROOT, read_settings
from bot.terms import Terms, read_terms
from bot.universal import UniversalEncoder
from ingest.run import run

START_S = 60
"""Longest wait for a server to come up on a busy machine."""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(what: str, ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"{what} did not start: {log.read_text(errors='replace')[-1000:]}", pytrace=False)
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    return _free_port()


# PostgreSQL


def _postgres_program(name: str) -> str:
    """Debian keeps the server's programs outside PATH, one folder a version; the newest is taken."""
    places = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name) if p.parent.name.isdigit() else 0, reverse=True
    )
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", ""), "/usr/local/bin"]))
    if found is None:
        pytest.fail(f"PostgreSQL's '{name}' was not found. Install it (Debian: apt-get install postgresql).", pytrace=False)
    return found


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.fail("The tests run as root, and there is no user 'postgres' or 'nobody' to run PostgreSQL as.", pytrace=False)


class PostgresServer:
    """A server in a folder of its own, which can be stopped and started again. `url` is without a database's name."""

    def __init__(self, folder: Path) -> None:
        self._who = _unprivileged()
        self._folder, self._port = folder, _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if self._who:
            os.chown(folder, self._who["user"], self._who["group"])
        # Not UTC: what is stored must not depend on the server's clock setting.
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "Asia/Kolkata"}
        self._common = {**self._who, "cwd": folder, "env": environment}
        # Sorted as people of a language sort, as most servers do: what relies on the order of bytes shall fail here.
        made = subprocess.run(
            [_postgres_program("initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
            + ["--locale-provider=icu", "--icu-locale=en-US"],
            capture_output=True,
            text=True,
            **self._common,
        )
        if made.returncode:
            pytest.fail(f"initdb failed: {made.stderr[-1000:]}", pytrace=False)
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}"

    def start(self) -> None:
        log = self._folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [_postgres_program("postgres"), "-D", str(self._folder / "data"), "-p", str(self._port), "-k", str(self._folder),
                 "-h", "127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
                 "-c", "max_connections=200"],
                stdout=out, stderr=out, **self._common,
            )  # fmt: skip
        _wait("PostgreSQL", lambda: _answers(self._port), self._process, log)

    def stop(self) -> None:
        if self._process is not None:
            _stop(self._process, signal.SIGINT)  # "fast": does not wait for clients
            self._process = None


@contextmanager
def _postgres_server() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = None
    try:
        server = PostgresServer(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server that was started for this run (without a database's name), ends with it, and may be filled at will."""
    with _postgres_server() as server:
        yield server.url


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, to be stopped and started; its database is "postgres"."""
    with _postgres_server() as server:
        yield server


def _answers(port: int) -> bool:
    async def connect() -> bool:
        try:
            await (await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database="postgres", timeout=5)).close()
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        return True

    return asyncio.run(connect())


def _apart(statement: str, server: str) -> None:
    """Runs a statement in a thread of its own, because a test's event loop may be running in this one."""

    async def run() -> None:
        connection = await asyncpg.connect(server + "/postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run()).result()


PostgresDatabase = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="session")
def postgres_database(postgres: str) -> PostgresDatabase:
    """Makes a PostgreSQL database for a `with` block; gives its URL, as an operator writes it in IMG_ADVISOR_DATABASE_URL. It is empty, or
    a copy of one that nobody is connected to (`like`: the URL of that)."""

    @contextmanager
    def make(like: str = "") -> Iterator[str]:
        name, template = f"test_{uuid.uuid4().hex}", like.rpartition("/")[2] or "template1"
        _apart(f'CREATE DATABASE "{name}" TEMPLATE "{template}"', postgres)
        try:
            yield f"{postgres}/{name}"
        finally:
            _apart(f'DROP DATABASE "{name}" WITH (FORCE)', postgres)

    return make


@pytest.fixture
def postgres_url(postgres_database: PostgresDatabase) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    with postgres_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database that does not exist yet, nor does its folder."""
    return f"sqlite:///{tmp_path / 'database' / 'advisor.sqlite3'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new, empty database of each kind: a test that uses it runs twice."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """`database_url`, opened and migrated."""
    found = await open_engine(database_url)
    await upgrade(found)
    yield found
    await found.dispose()


# Chroma


RunChroma = Callable[[Path, int], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def run_chroma() -> RunChroma:
    """Starts a Chroma server on a folder and a port, and stops it at the end of the `with` block; gives its URL."""

    @contextmanager
    def run(folder: Path, port: int) -> Iterator[str]:
        log, url = folder / "chroma.log", f"http://127.0.0.1:{port}"
        program = Path(sys.executable).parent / "chroma"  # beside the Python that runs the tests
        with log.open("wb") as out:
            process = subprocess.Popen(
                [program, "run", "--path", folder / "chroma", "--host", "127.0.0.1", "--port", str(port)],
                stdout=out,
                stderr=out,
                cwd=folder,
            )

        def ready() -> bool:
            try:
                return httpx.get(f"{url}/api/v2/heartbeat", timeout=5).is_success
            except httpx.HTTPError:
                return False

        try:
            _wait("Chroma", ready, process, log)
            yield url
        finally:
            _stop(process, signal.SIGTERM)

    return run


@pytest.fixture(scope="session")
def chroma_url(tmp_path_factory: pytest.TempPathFactory, run_chroma: RunChroma) -> Iterator[str]:
    """A Chroma server, as an operator writes it in IMG_ADVISOR_VECTORS_URL. Tests share it: use collection names of your own."""
    with run_chroma(tmp_path_factory.mktemp("chroma"), _free_port()) as url:
        yield url


# Words and vectors


@pytest.fixture(scope="session")
def embedder() -> OnnxEmbedder:
    """gte-small itself, with its real weights."""
    found = open_embedder("gte-small", read_settings().weights_folder)
    assert isinstance(found, OnnxEmbedder)
    return found


@pytest.fixture(scope="session", autouse=True)
def encoders_are_read_once() -> Iterator[None]:
    """The weights are the same for everything in this process, and nothing changes them: reading them takes most of opening an advisor."""
    known: dict[tuple[Any, ...], Any] = {}

    def once(name: str, folder: Path, *, progress: Any = None, **how: Any) -> Any:
        key = name, folder, *sorted(how.items())
        if key not in known:
            known[key] = open_embedder(name, folder, progress=progress, **how)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "open_embedder", once)
        patch.setattr("ingest.run.open_embedder", once)
        patch.setattr(bootstrap, "UniversalEncoder", functools.cache(UniversalEncoder))
        yield


@pytest.fixture(scope="session")
def terms() -> Terms:
    return read_terms(ROOT / "knowledge" / "data" / "terms.yaml")


# The guides


@pytest.fixture(scope="session")
def library() -> Path:
    """A data folder in which all guides are indexed, for reading. It stays from run to run, so only what changed is indexed again."""
    folder = ROOT / ".img-advisor" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    # Of two runs at once one indexes, the other waits. A test's event loop may be running in this thread.
    with (folder.parent / "test.lock").open("w") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pool.submit(asyncio.run, run(read_settings(data=folder), allow_shrink=True)).result()
    return folder
