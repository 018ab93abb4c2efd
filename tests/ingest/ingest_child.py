"""Run as a program by test_interrupted: ingests FOLDER into DATA, and stops at a step, or lets files grow to a size only.

ingest_child.py DATA FOLDER STEP DONE FSIZE: at the first report of STEP with at least DONE done it says so and waits to be killed.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from pathlib import Path

from ingest_files import REGISTRY

from bot.database import open_engine
from bot.embedding import open_embedder
from bot.errors import AdvisorError
from bot.settings import ROOT, read_settings
from bot.terms import read_terms
from bot.vectors import Vectors
from ingest.build import Source, ingest


async def main(data: Path, folder: Path, step: str, done_at: int, most_bytes: int) -> None:
    def progress(what: str, done: int, total: int) -> None:
        if what == step and done >= done_at:
            print(f"at {what} {done} of {total}", flush=True)
            if done_at >= 0:
                time.sleep(600)

    embedder = open_embedder("gte-small", read_settings().weights_folder)
    engine = await open_engine(f"sqlite+aiosqlite:///{data / 'advisor.sqlite3'}")
    terms = read_terms(ROOT / "knowledge" / "data" / "terms.yaml")
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        report = await ingest(
            engine, Vectors("", data / "vectors"), embedder, terms, REGISTRY, [Source(folder, folder.name)],
            collection="docs", lock_file=data / "ingest.lock", progress=progress,
        )  # fmt: skip
        print(f"done {report.knowledge_version}", flush=True)
    except AdvisorError as error:
        print(f"refused {error}", flush=True)
    finally:
        await engine.dispose()


if __name__ == "__main__":
    name, folder_, step_, at, size = sys.argv[1:]
    asyncio.run(main(Path(name), Path(folder_), step_, int(at), int(size)))
