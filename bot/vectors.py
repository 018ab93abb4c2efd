"""Chroma, embedded or as a server. Each version of a collection is a snapshot: written once, read, removed; never changed.

Embedded Chroma is not safe across processes, so every snapshot has a folder of its own: an ingest in another process
never writes where a server reads. A snapshot is written under another name and gets its own when it is complete, so that one
whose writer was killed can never be opened.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bot.errors import AdvisorError, IndexMissing, SettingsError

_BATCH = 2000
_PART = ".part-"
"""Between a snapshot's name and a random mark: not complete yet, or being removed."""
CONNECT_TIMEOUT_S = 10
REPLY_TIMEOUT_S = 60
_LOCK = threading.Lock()
"""Chroma keeps its embedded databases in one table for the whole process, and does not guard it."""
_UNUSED: deque[Any] = deque()
"""Clients of snapshots that nobody refers to any more. They are closed when the next one is opened: the garbage collector, which finds
them, may run while this very thread holds a lock that closing needs."""


class SnapshotMissing(IndexMissing):
    """The snapshot is not there (any more): the database names a newer one, or the vectors were lost."""

    def __init__(self) -> None:
        super().__init__("The vectors of the index are missing. Run: img-advisor ingest --rebuild")


class Snapshot:
    """One searchable set of vectors. Any thread may search. What it holds open is closed some time after nobody refers to it any more."""

    def __init__(self, collection: Any, reading: Callable[[], Any]) -> None:
        self._collection = collection
        self._reading = reading
        with reading():
            self.size = int(collection.count())

    def query(self, vectors: np.ndarray, k: int) -> list[list[str]]:
        """The ids of the k nearest entries to each vector, nearest first.

        Raises:
            SnapshotMissing: it was removed meanwhile. AdvisorError: the server does not answer, or the files cannot be read.
        """
        if not self.size or not len(vectors):
            return [[] for _ in vectors]
        with self._reading():
            found = self._collection.query(query_embeddings=np.asarray(vectors, np.float32), n_results=min(k, self.size), include=[])
        return found["ids"]


class Vectors:
    """The snapshots of one deployment. `url` empty: embedded, below `folder`.

    Every method may raise SettingsError (the server does not answer) and AdvisorError (what is stored cannot be read).
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._remote: Any = None
        self._connecting = threading.Lock()

    def write(self, name: str, ids: Sequence[str], vectors: np.ndarray) -> None:
        """A new snapshot with these entries. One of the same name stays as it is: it is complete, and names are not given twice.

        Raises:
            AdvisorError, OSError: the disk is full, or the folder cannot be written. What was there is unchanged.
        """
        part = f"{name}{_PART}{secrets.token_hex(4)}"
        try:
            if self._url:
                self._write_to_server(name, part, ids, vectors)
            else:
                self._write_to_folder(name, part, ids, vectors)
        except BaseException as error:
            try:
                self.remove(part)
                if isinstance(error, Exception) and name in self.names():
                    return  # another process was first
            except AdvisorError:
                pass  # the server is gone; the next run's tidying finds it
            raise

    def _write_to_server(self, name: str, part: str, ids: Sequence[str], vectors: np.ndarray) -> None:
        with self._reading(part):
            _fill(self._server(), part, ids, vectors).modify(name=name)

    def _write_to_folder(self, name: str, part: str, ids: Sequence[str], vectors: np.ndarray) -> None:
        path = self._folder / part
        path.mkdir(parents=True)
        try:
            client = _open_folder(path)
            try:
                _fill(client, part, ids, vectors).modify(name=name)
            finally:
                _release(client)
        except (ValueError, TypeError, OSError):
            raise
        except Exception as error:  # an InternalError for whatever happens to the files
            why = type(error).__name__
            raise AdvisorError(
                f"The vectors of the index could not be written ({why}). Free some space or check permissions and run again."
            ) from None
        os.rename(path, self._folder / name)

    def open(self, name: str) -> Snapshot:
        """
        Raises:
            SnapshotMissing: there is none of this name.
        """
        with self._reading(name):
            if not self.opens_later(name):
                # Without embedding_function=None Chroma attaches a default one that downloads a model.
                return Snapshot(self._server().get_collection(name, embedding_function=None), lambda: self._reading(name))
            client = _open_folder(self._folder / name)
            try:
                snapshot = Snapshot(client.get_collection(name, embedding_function=None), lambda: self._reading(name))
            except BaseException:
                _release(client)
                raise
            weakref.finalize(snapshot, _UNUSED.append, client).atexit = False
            return snapshot

    def opens_later(self, name: str) -> bool:
        """Whether a snapshot is a folder: Chroma's import and the files take longer than a start should.

        Raises:
            SnapshotMissing: there is none of this name.
        """
        if self._url:
            return False
        if not (self._folder / name / "chroma.sqlite3").is_file():
            raise SnapshotMissing
        return True

    def remove(self, name: str) -> None:
        """One that is not there is already removed."""
        if self._url:
            if name in self.names():
                with self._reading(name):
                    try:
                        self._server().delete_collection(name)
                    except Exception as error:
                        if not _says_missing(error):
                            raise
            return
        gone = self._folder / f"{name.partition(_PART)[0]}{_PART}{secrets.token_hex(4)}"
        try:
            os.rename(self._folder / name, gone)  # at once, so that nobody opens half of it
        except FileNotFoundError:
            return
        _forget_folder(self._folder / name)
        shutil.rmtree(gone, ignore_errors=True)

    def names(self) -> list[str]:
        """Names of all snapshots that exist, whether in use, left over, or never completed."""
        if not self._url:
            return sorted(p.name for p in self._folder.iterdir() if p.is_dir()) if self._folder.is_dir() else []
        with self._reading(""):
            return sorted(c if isinstance(c, str) else c.name for c in self._server().list_collections())

    def _server(self) -> Any:
        with self._connecting:
            if self._remote is None:
                self._remote = _connect(self._url)
            return self._remote

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Chroma's errors in words for people. Its classes differ between the embedded one, the server and versions."""
        try:
            yield
        except AdvisorError:
            raise
        except Exception as error:
            if self._url and _not_reached(error):
                raise _no_server(type(error).__name__) from None
            if _says_missing(error) or (not self._url and name and not (self._folder / name).is_dir()):
                raise SnapshotMissing from None
            if self._url:
                raise AdvisorError(f"The Chroma server could not do what was asked ({type(error).__name__}). Look at its log.") from None
            raise AdvisorError(
                f"The vectors of the index cannot be read ({type(error).__name__}). Run: img-advisor ingest --rebuild"
            ) from None


def _fill(client: Any, name: str, ids: Sequence[str], vectors: np.ndarray) -> Any:
    # Of 100 entries looked at in a graph of 16 neighbours an entry, pages that say what is not held were missed, and a vague question was
    # answered. With 32 neighbours 99.4 of 100 that are nearest are found, and as many golden questions as when 200 are looked at.
    # The last entries, fewer than sync_threshold (1000 by default), would be put into the graph anew at every start: up to 0.7 s.
    graph: dict[str, Any] = {
        "space": "cosine", "max_neighbors": 32, "ef_search": 100, "ef_construction": 400, "sync_threshold": 2, "batch_size": 2,
    }  # fmt: skip
    collection = client.create_collection(name, embedding_function=None, configuration={"hnsw": graph})
    step = min(_BATCH, client.get_max_batch_size())
    for at in range(0, len(ids), step):
        collection.add(ids=list(ids[at : at + step]), embeddings=np.asarray(vectors[at : at + step], np.float32))
    return collection


def _says_missing(error: Exception) -> bool:
    return "notfound" in type(error).__name__.lower() or "not exist" in str(error).lower()


# Embedded


def _open_folder(path: Path) -> Any:
    import chromadb
    from chromadb.config import Settings

    while _UNUSED:
        try:
            _release(_UNUSED.popleft())
        except IndexError:
            break  # another thread was faster
    with _LOCK:
        return chromadb.PersistentClient(str(path), settings=Settings(anonymized_telemetry=False))


def _release(client: Any) -> None:
    """Closes a client's files and threads (about eleven and six a snapshot), unless another client of the same folder needs them."""
    from chromadb.api.shared_system_client import SharedSystemClient

    with _LOCK:
        # After _forget_folder the table may name a younger database in the same place: that one is not ours to close.
        if SharedSystemClient._identifier_to_system.get(client._identifier) is client._server._system:
            client.close()


def _forget_folder(path: Path) -> None:
    """Makes the next client of this folder open it anew. Those that are open live on until nobody refers to them."""
    from chromadb.api.shared_system_client import SharedSystemClient

    with _LOCK:
        SharedSystemClient._identifier_to_system.pop(str(path), None)
        SharedSystemClient._identifier_to_refcount.pop(str(path), None)


# Server


def _not_reached(error: Exception) -> bool:
    import httpx

    return isinstance(error, httpx.TransportError)


def _connect(url: str) -> Any:
    import chromadb
    import httpx
    from chromadb.config import Settings

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or (443 if parts.scheme == "https" else 8000)
        # Chroma's own client would wait for ever for a server that does not answer.
        if not httpx.get(f"{parts.scheme}://{host}:{port}/api/v2/heartbeat", timeout=CONNECT_TIMEOUT_S).is_success:
            raise _no_server("something else answers there")
        client = chromadb.HttpClient(
            host=host,
            port=port,
            ssl=parts.scheme == "https",
            settings=Settings(anonymized_telemetry=False),
        )
        session = getattr(getattr(client, "_server", None), "_session", None)
        if session is not None:
            session.timeout = httpx.Timeout(REPLY_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        return client
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise _no_server(type(error).__name__) from None


def _no_server(why: str) -> SettingsError:
    return SettingsError(f"The Chroma server of IMG_ADVISOR_VECTORS_URL does not answer ({why}). Is it running?")
