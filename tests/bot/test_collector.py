"""Memory that was only needed for a while."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from bot.collector import given_back

HELD = """
from pathlib import Path
from bot.collector import given_back
resident = lambda: int(Path("/proc/self/statm").read_text().split()[1]) * 4096
kept = []
for _ in range(20):
    freed = [bytes(2000) for _ in range(1000)]
    kept.append(bytes(2000))  # lies behind what is freed, so that it is not given back by itself
del freed
before = resident()
given_back()
print(before - resident())
"""


def test_what_was_freed_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1_000_000, done.stdout


def test_where_the_library_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    given_back()
