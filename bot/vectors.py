"""Chroma, embedded or as a server. Each version of a collection is a snapshot: written once, read, removed; never changed.

Embedded Chroma is not safe across processes, so every snapshot has a folder of its own: an ingest in another process
never writes where a server reads.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bot.errors import AdvisorError, SettingsError

_BATCH = 2000


class Snapshot:
    """One searchable set of vectors."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection
        self.size = int(collection.count())

    def query(self, vectors: np.ndarray, k: int) -> list[list[str]]:
        """The ids of the k nearest entries to each vector, nearest first."""
        if not self.size:
            return [[] for _ in vectors]
        found = self._collection.query(query_embeddings=np.asarray(vectors, np.float32), n_results=min(k, self.size), include=[])
        return found["ids"]


class Vectors:
    """The snapshots of one deployment. `url` empty: embedded, below `folder`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._remote: Any = None

    def _client(self, name: str, *, create: bool = False) -> Any:
        import chromadb
        from chromadb.config import Settings

        quiet = Settings(anonymized_telemetry=False)
        if not self._url:
            path = self._folder / name
            if not create and not path.is_dir():
                raise AdvisorError("The vectors of the index are missing. Run: img-advisor ingest --rebuild")
            path.mkdir(parents=True, exist_ok=True)
            return chromadb.PersistentClient(str(path), settings=quiet)
        if self._remote is None:
            parts = urlsplit(self._url)
            try:
                self._remote = chromadb.HttpClient(
                    host=parts.hostname or "localhost",
                    port=parts.port or (443 if parts.scheme == "https" else 8000),
                    ssl=parts.scheme == "https",
                    settings=quiet,
                )
            except (ValueError, OSError) as error:
                raise SettingsError(
                    f"The Chroma server of IMG_ADVISOR_VECTORS_URL does not answer ({type(error).__name__}). Is it running?"
                ) from None
        return self._remote

    def write(self, name: str, ids: Sequence[str], vectors: np.ndarray) -> None:
        """A new snapshot with these entries; one of the same name, left by a run that was killed, is replaced."""
        self.remove(name)
        client = self._client(name, create=True)
        collection = client.create_collection(
            name, embedding_function=None, configuration={"hnsw": {"space": "cosine", "ef_search": 200, "ef_construction": 200}}
        )
        for at in range(0, len(ids), _BATCH):
            collection.add(ids=list(ids[at : at + _BATCH]), embeddings=np.asarray(vectors[at : at + _BATCH], np.float32))
        self._release(client)

    def open(self, name: str) -> Snapshot:
        """
        Raises:
            AdvisorError: there is no such snapshot; says what to run.
        """
        try:
            # Without embedding_function=None Chroma attaches a default one that downloads a model.
            return Snapshot(self._client(name).get_collection(name, embedding_function=None))
        except (AdvisorError, OSError):
            raise
        except Exception as error:  # chromadb raises its own NotFoundError, a ValueError in some versions
            if "not exist" in str(error).lower() or "notfound" in type(error).__name__.lower():
                raise AdvisorError("The vectors of the index are missing. Run: img-advisor ingest --rebuild") from None
            raise

    def remove(self, name: str) -> None:
        if not self._url:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        elif name in self.names():
            self._client(name).delete_collection(name)

    def names(self) -> list[str]:
        """Names of all snapshots that exist, whether in use or left over."""
        if not self._url:
            return sorted(p.name for p in self._folder.iterdir() if p.is_dir()) if self._folder.is_dir() else []
        return sorted(c if isinstance(c, str) else c.name for c in self._client("").list_collections())

    @staticmethod
    def _release(client: Any) -> None:
        """Closes the files of a snapshot that was just written."""
        close = getattr(client, "close", None)
        if close is not None and not hasattr(client, "get_user_identity_remote"):
            try:
                close()
            except Exception:  # noqa: BLE001  closing is best effort: the data is already on disk
                pass
