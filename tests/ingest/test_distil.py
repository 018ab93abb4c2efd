"""The weights of the query encoder, made anew: torch and onnx live in .venv-st, so both steps of the trainer run there."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from torch_side import PYTHON, needs_torch

from bot.embedding import OnnxEmbedder
from bot.query_encoder import QueryEncoder
from bot.settings import ROOT, read_settings
from ingest.distil import cut, hurried

TEXTS = [
    "Do I need Step 3 for an H-1B visa?",
    "How much does ECFMG certification cost, and who pays?",
    "visa",
    "Programs in Texas that sponsor a J-1 visa, and what they ask of applicants who graduated more than five years ago",
]
# The trainer as it is, but for the layers: with all twelve the student is the teacher.
WHOLE = """
import sys
from pathlib import Path
from ingest import distil
distil.LAYERS = tuple(range(12))
distil.train(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), epochs=float(sys.argv[4]))
"""


@pytest.fixture
def folder(tmp_path: Path, embedder: OnnxEmbedder) -> Path:
    texts = [*TEXTS, *(f"Step {i} in 20{i}" for i in range(10, 60))]
    ids, vectors = embedder.tokens(texts), embedder.embed(texts)
    np.savez(tmp_path / "texts.npz", lengths=[len(row) for row in ids], ids=np.concatenate(ids), vectors=vectors, index=vectors)
    return tmp_path


def trained(folder: Path, epochs: int) -> QueryEncoder:
    model, out = read_settings().weights_folder / "gte-small" / "onnx" / "model.onnx", folder / "out.onnx"
    command = [str(PYTHON), "-c", WHOLE, str(folder), str(model), str(out), str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return QueryEncoder(model, out)


@needs_torch
def test_with_all_layers_and_nothing_learnt_it_is_the_embedder(folder: Path, embedder: OnnxEmbedder) -> None:
    """What is written to the file computes what the embedder does, but for rounding to eight and seven bits."""
    made = trained(folder, 0).embed(embedder.tokens(TEXTS))
    assert (made * embedder.embed(TEXTS)).sum(1).min() > 0.998


@needs_torch
def test_a_second_round_goes_on_where_the_first_ended(folder: Path, embedder: OnnxEmbedder) -> None:
    first = trained(folder, 2).embed(embedder.tokens(TEXTS))
    assert (folder / "student.npz").is_file()
    again = trained(folder, 0).embed(embedder.tokens(TEXTS))
    assert np.abs(first - again).max() < 1e-5
    assert np.abs(first - embedder.embed(TEXTS)).max() > 1e-3  # it has learnt


def test_texts_are_varied_as_people_type_them() -> None:
    rng = random.Random(0)
    text = "Do I need Step 3 for an H-1B visa?"
    hasty = [hurried(text, rng) for _ in range(50)]
    assert len(set(hasty)) > 5 and all(each == each.lower() and not each.endswith("?") for each in hasty)
    assert all(abs(len(each) - len(text)) < 6 for each in hasty)
    parts = [cut(text, rng) for _ in range(50)]
    assert all(part and set(part.split()) <= set(text.split()) for part in parts)
    assert cut("visa fee", rng) == "visa fee"
