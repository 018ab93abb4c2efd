"""The encoder that tells kinds of messages apart, trained anew: torch lives in .venv-st, so the trainer runs there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from torch_side import PYTHON, needs_torch

from bot.embedding import OnnxEmbedder
from bot.kinds import Kinds, Tuned
from bot.messages import KINDS
from bot.query_encoder import QueryEncoder
from bot.settings import ROOT, read_settings

TEXTS = [
    *((f"How do I bake bread number {i}, and how long does it stay in the oven?", "out_of_scope") for i in range(24)),
    *((f"Which visa did resident number {i} have, and what did they earn?", "personal_data") for i in range(24)),
]


@pytest.fixture
def folder(tmp_path: Path, embedder: OnnxEmbedder) -> Path:
    ids = embedder.tokens([text for text, _ in TEXTS])
    rows = {"lengths": [len(row) for row in ids], "ids": np.concatenate(ids), "spoken": np.zeros((len(ids), 4), np.float32)}
    np.savez(tmp_path / "texts.npz", **rows, kinds=[KINDS.index(kind) for _, kind in TEXTS], weights=np.ones(len(ids)))
    return tmp_path


def trained(folder: Path, layers: int, epochs: int) -> tuple[QueryEncoder, Tuned]:
    model, encoder, tuned = read_settings().weights_folder / "gte-small" / "onnx" / "model.onnx", folder / "made.onnx", folder / "made.npz"
    how = ["--layers", str(layers), "--epochs", str(epochs), "--encoder", str(encoder), "--tuned", str(tuned)]
    done = subprocess.run([str(PYTHON), "-m", "ingest.tune", "train", str(folder), *how], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tuned) as data:
        return QueryEncoder(model, encoder), Tuned(*(data[name].astype(np.float32) for name in ("bias", "meaning", "spoken")))


def told(made: tuple[QueryEncoder, Tuned], embedder: OnnxEmbedder, text: str) -> str:
    """By the trained encoder, beside a regression that knows nothing."""
    encoder, tuned = made
    nothing = [np.zeros(shape, np.float32) for shape in (12, (12, 384), (12, 4), (12, 1 << 14), 1 << 14)]
    guess = Kinds("this", *nothing, tuned).guess(nothing[1][0], nothing[2][0], text, text, encoder.embed(embedder.tokens([text]))[0])
    assert sum(guess.values()) == pytest.approx(1, abs=0.01)
    return max(guess, key=lambda kind: guess[kind])


@needs_torch
def test_it_learns_kinds_and_fewer_layers_go_on_from_more(folder: Path, embedder: OnnxEmbedder) -> None:
    asked = {"How do I bake a cake?": "out_of_scope", "Which visa did the chief resident have?": "personal_data"}
    made = trained(folder, 3, 12)
    assert {text: told(made, embedder, text) for text in asked} == asked
    fewer = trained(folder, 2, 12)
    assert {text: told(fewer, embedder, text) for text in asked} == asked
    same = trained(folder, 2, 0)  # as many layers as kept: map and layers are those of the last round
    for a, b in zip((fewer[1].bias, fewer[1].meaning), (same[1].bias, same[1].meaning), strict=True):
        assert np.abs(a - b).max() < 1e-3
    ids = embedder.tokens(list(asked))
    assert np.abs(fewer[0].embed(ids) - same[0].embed(ids)).max() < 1e-5
    trained(folder, 3, 0)  # more layers than kept: begins anew
