"""`img-advisor serve` as a process of its own, as operators run it."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STOP_S = 30
"""Longest wait for a clean end on a busy machine."""


@dataclass(slots=True)
class Running:
    process: subprocess.Popen[str]
    url: str
    errors: list[str] = field(default_factory=list)
    """Lines on standard error so far"""
    reader: threading.Thread | None = None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end; its exit status."""
        self.process.send_signal(how)
        status = self.process.wait(STOP_S)
        if self.reader is not None:
            self.reader.join(STOP_S)
        return status


@contextmanager
def running(command: Sequence[str | Path], *, cwd: Path, env: dict[str, str]) -> Iterator[Running]:
    """Starts the command, and waits until it has printed its address. It is killed at the end where it still runs."""
    with subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        found = Running(process, "")
        assert process.stdout is not None and process.stderr is not None
        errors = process.stderr
        found.reader = threading.Thread(target=lambda: found.errors.extend(errors), daemon=True)
        found.reader.start()
        try:
            line = process.stdout.readline()
            address = re.search(r"http://\S+", line)
            if address is None:
                process.wait(STOP_S)
                found.reader.join(STOP_S)
                raise AssertionError(f"no address on standard output but {line!r}; standard error: {''.join(found.errors)}")
            found.url = address[0].rstrip("/")
            yield found
        finally:
            if process.poll() is None:
                process.kill()
