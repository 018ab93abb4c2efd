"""Events that could not be queued because the database did not answer: laid into files beside it until it does.

They are acknowledged all the same, so they must outlive this process: a file each, written whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

MOST = 20_000
"""More are not taken: Slack then sends them again, later."""


class Full(Exception):
    """There is no room for another event, or no way to write it."""


class Spool:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = len(self.names())

    def names(self) -> list[Path]:
        """Oldest first."""
        found = []
        for path in self._folder.glob("*.json") if self._folder.is_dir() else ():
            with contextlib.suppress(FileNotFoundError):  # another process has just queued it
                found.append((path.stat().st_mtime_ns, path.name, path))
        return [path for *_, path in sorted(found)]

    def lay(self, payload: dict[str, Any]) -> bool:
        """False: it lies there already.

        Raises:
            Full.
        """
        name = hashlib.sha256(str(payload["event_id"]).encode()).hexdigest()[:40]
        path, part = self._folder / f"{name}.json", self._folder / f"{name}.{secrets.token_hex(4)}.part"
        if path.exists():
            return False
        if self._count >= MOST:
            raise Full
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
                json.dump(payload, out)
                out.flush()
                os.fsync(out.fileno())
            os.replace(part, path)
        except OSError as error:
            log.error("An event cannot be laid aside (%s); Slack is asked to send it again.", error.strerror)
            raise Full from None
        self._count += 1
        return True

    def read(self, path: Path) -> dict[str, Any] | None:
        """None: another process has taken it, or it is damaged."""
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            path.unlink(missing_ok=True)
            return None

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._count = max(0, self._count - 1)
