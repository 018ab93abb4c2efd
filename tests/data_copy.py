"""A copy of a data folder that may be in use."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "advisor.sqlite3"


def copy_data(data: Path, to: Path) -> Path:
    """Reading a database's file otherwise than through SQLite takes from this process the locks it holds on it, as closing any file does;
    another process that ends would then take away the log that this one writes to."""
    shutil.copytree(data, to, ignore=shutil.ignore_patterns(f"{DATABASE}*"))
    with closing(sqlite3.connect(data / DATABASE)) as source, closing(sqlite3.connect(to / DATABASE)) as copy:
        source.backup(copy)
    return to
