"""Memory that was only needed for a while, and threads that are not needed at all."""

from __future__ import annotations

import ctypes
import os
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


THREADS = """
import os, sys
from web.cli import main
sys.argv = ["img-advisor", "--help"]
try:
    main()
except SystemExit:
    pass
early = "numpy" not in sys.modules
import numpy as np
np.ones((500, 500)) @ np.ones((500, 500))
print(early, len(os.listdir("/proc/self/task")))
"""


@pytest.mark.parametrize("set_to, threads", [(None, 1), ("2", 2)])
def test_numpy_gets_no_threads_of_its_own_unless_they_are_asked_for(set_to: str | None, threads: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment |= {"OPENBLAS_NUM_THREADS": set_to} if set_to else {}
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == f"True {threads}"


def test_where_the_library_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    given_back()
