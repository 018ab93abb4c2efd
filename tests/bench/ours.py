"""This project, asked as its server asks it: one event loop, the advisor behind it. The same messages as in stock.py."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.collector import one_thread, rarer

if TYPE_CHECKING:
    from bot.settings import Settings


def settings(folder: str) -> Settings:
    from bot.settings import read_settings

    return read_settings(data=Path(folder), database_url="", vectors_url="", model="", embedder="gte-small")


async def build(folder: str) -> dict[str, Any]:
    from ingest.run import run

    report = await run(settings(folder))
    return {"chunks": report.chunks, "unchanged": report.unchanged, "documents": report.documents}


async def search(advisor: Any, question: str, k: int) -> list[list[Any]]:
    """[guide, anchor of the section] of each passage found."""
    return [[p.document_id, p.chunk.anchor] for p in await advisor.search(question, k=k)]


async def timed(advisor: Any, question: str) -> float:
    start = time.perf_counter()
    await advisor.search(question, k=5)
    return 1000 * (time.perf_counter() - start)


async def answered(advisor: Any, message: dict[str, Any]) -> dict[str, Any]:
    from bot.answer import Question, Turn

    question = Question(text=message["text"], history=[Turn(**turn) for turn in message["history"]])
    start = time.perf_counter()
    answer = await advisor.answer(question)
    return {"ms": 1000 * (time.perf_counter() - start), "status": answer.status}


async def reply(message: dict[str, Any], advisor: Any) -> Any:
    if message["do"] == "one":
        spent = time.process_time()
        times = [await timed(advisor, question) for question in message["questions"]]
        return {"ms": times, "cpu": time.process_time() - spent}
    if message["do"] == "many":
        gate = asyncio.Semaphore(message["at_once"])

        async def one(question: str) -> float:
            async with gate:
                return await timed(advisor, question)

        start, spent = time.perf_counter(), time.process_time()
        times = await asyncio.gather(*(one(question) for question in message["questions"]))
        return {"seconds": time.perf_counter() - start, "ms": times, "cpu": time.process_time() - spent}
    if message["do"] == "found":
        return [await search(advisor, question, k) for question, k in message["questions"]]
    if message["do"] == "answers":
        return [await answered(advisor, question) for question in message["questions"]]
    raise ValueError(message["do"])


async def first(folder: str, question: str) -> Any:
    from bot.bootstrap import open_advisor

    advisor = await open_advisor(settings(folder))
    found = await search(advisor, question, 5)
    say(found)
    await advisor.close()


async def serve(folder: str) -> Any:
    from bot.bootstrap import open_advisor

    advisor = await open_advisor(settings(folder))
    await advisor.status()
    say(versions())
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(await reply(json.loads(line), advisor))
    await advisor.close()


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("onnxruntime", "tokenizers", "chromadb")}


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def main() -> None:
    one_thread(), rarer()  # as the command line does, before it imports the rest
    mode, folder, *rest = sys.argv[1:]
    if mode == "build":
        say(asyncio.run(build(folder)))
    else:
        asyncio.run(first(folder, *rest) if mode == "first" else serve(folder))


if __name__ == "__main__":
    main()
