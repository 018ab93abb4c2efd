"""The last whole check of a knowledge folder, at hand at once. A new one runs beside the server, in a process of its own, when a file
changed; until it is done the old one is shown with its date.

`python -m ingest.checked FOLDER` prints the report as JSON.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

from ingest.check import Finding, check
from ingest.load import find_files

log = logging.getLogger(__name__)
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Checked:
    findings: tuple[Finding, ...]
    guides: int
    statements: int
    at: dt.datetime


class Checks:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: Checked | None = None
        self._stamp: Stamp | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._running is not None and not self._running.done()

    async def last(self) -> Checked | None:
        """What was found last; None: the first check is still running. Starts one where a file, or the day, is another."""
        stamp = await asyncio.to_thread(_stamp, self._folder)
        if stamp != self._stamp and not self.running:
            self._running = asyncio.create_task(self._run(stamp))
        return self._last

    async def done(self) -> Checked | None:
        """Waits for the check that is running."""
        await self.last()
        if self._running is not None:
            await self._running
        return self._last

    async def _run(self, stamp: Stamp) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ingest.checked", str(self._folder), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, cwd=Path(__file__).resolve().parent.parent,
        )  # fmt: skip
        try:
            out, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            raise
        self._stamp = stamp
        if process.returncode:
            log.warning("The knowledge check ended with status %s.", process.returncode)
            return
        report = json.loads(out)
        findings = tuple(Finding(**{key: finding[key] for key in Finding.__slots__}) for finding in report["findings"])
        self._last = Checked(findings, report["guides"], report["statements"], dt.datetime.now(dt.UTC))

    async def close(self) -> None:
        if self._running is not None and not self._running.done():
            self._running.cancel()


def _stamp(folder: Path) -> Stamp:
    found = [("today", dt.date.today().toordinal(), 0)]
    for path in find_files(folder) if folder.is_dir() else []:
        stat = path.stat()
        found.append((path.name, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


if __name__ == "__main__":
    print(json.dumps(check(Path(sys.argv[1])).as_json()))
