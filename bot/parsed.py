"""Data files as they were parsed before. Reading all word lists as YAML takes a third of a second of a start, as JSON a fiftieth."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot.terms import read_yaml

KEPT = 200
"""Files kept; each change of a data file leaves one that nobody asks for any more."""


class Parsed:
    """Reads YAML as `bot.terms.read_yaml` does, from what was kept of the same bytes where that is there. What cannot be kept, or becomes
    another thing as JSON (a date, a key that is a number), is parsed anew each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, raw: bytes) -> Any:
        """
        Raises:
            yaml.YAMLError: it is not YAML.
        """
        path = self._folder / f"{hashlib.sha256(raw).hexdigest()[:32]}.json"
        with contextlib.suppress(OSError, ValueError, RecursionError):
            return json.loads(path.read_bytes())
        found = read_yaml(raw)
        with contextlib.suppress(OSError, TypeError, ValueError, RecursionError):
            written = json.dumps(found, ensure_ascii=False)
            if json.loads(written) == found:
                self._keep(path, written.encode())
        return found

    def passed(self, raw: bytes, check: Callable[[], object]) -> None:
        """Runs a check of a file's content, unless the same has passed it before under the same Python."""
        path = self._folder / f"{hashlib.sha256(raw).hexdigest()[:32]}-{sys.version_info.major}.{sys.version_info.minor}.passed"
        if not path.exists():
            check()
            with contextlib.suppress(OSError):
                self._keep(path, b"")

    def _keep(self, path: Path, written: bytes) -> None:
        """Whole or not at all, also where two processes start at once."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{secrets.token_hex(4)}")
        part.write_bytes(written)
        os.replace(part, path)
        for old in sorted(self._folder.iterdir(), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
