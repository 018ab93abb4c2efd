"""A small real chat model through the whole path: `make eval-model`. What it writes is poor; what is shown must hold all the same."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.bootstrap import open_advisor
from bot.evaluate import evaluate, table
from bot.settings import ROOT, read_settings

FOLDER = os.environ.get("IMG_ADVISOR_SMALL_MODEL")
pytestmark = pytest.mark.skipif(not FOLDER, reason="opt-in: make eval-model")
QUESTIONS = Path(__file__).parent / "questions.yaml"
TIMEOUT_S = 180


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    folder = ROOT / str(FOLDER)
    server = [folder / "bin" / "python", Path(__file__).parent / "server.py", folder / "model.gguf"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            found = next((m[0] for line in process.stdout if (m := re.search(r"http://[\d.:]+", line))), None)
            assert found, "the server did not start"
            yield found
        finally:
            process.kill()


def test_what_a_small_model_writes_is_verified(library: Path, address: str) -> None:
    async def work() -> dict:
        settings = read_settings(
            data=library, model="openai:qwen2.5-coder-0.5b", model_base_url=f"{address}/v1", model_timeout_s=TIMEOUT_S, model_steps=2
        )
        advisor = await open_advisor(settings)
        try:
            return await evaluate(advisor, QUESTIONS, verifier=False, progress=lambda what, done, total: print(f"{what} {done} of {total}"))
        finally:
            await advisor.close()

    report = asyncio.run(work())
    print("\n" + table(report))
    measures = report["measures"]
    assert measures["citation_support"] == 1.0 and measures["unsupported_figures"] == 0, table(report)
    assert report["writers"]["llm"], "the model wrote nothing that held"
    assert measures["recall@5"] >= 0.8
