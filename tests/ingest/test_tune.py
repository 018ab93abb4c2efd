"""The encoders that tell kinds of messages apart, trained anew: torch lives in .venv-st, so the trainer runs there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from torch_side import PYTHON, needs_torch

from bot import universal
from bot.embedding import OnnxEmbedder
from bot.kinds import HEARD, TUNED, Tuned, read_tuned
from bot.messages import KINDS
from bot.query_encoder import KINDS as KIND_ENCODER
from bot.query_encoder import QueryEncoder
from bot.settings import ROOT, read_settings
from bot.universal import DIMENSIONS, UniversalEncoder

TEXTS = [
    *((f"How do I bake bread number {i}, and how long does it stay in the oven?", "out_of_scope") for i in range(24)),
    *((f"Which visa did resident number {i} have, and what did they earn?", "personal_data") for i in range(24)),
]


@pytest.fixture
def folder(tmp_path: Path, embedder: OnnxEmbedder, encoder: UniversalEncoder) -> Path:
    texts = [text for text, _ in TEXTS]
    ids, pieces = embedder.tokens(texts), encoder.pieces(texts)
    rows = {"lengths": list(map(len, ids)), "ids": np.concatenate(ids), "spoken": np.zeros((len(ids), DIMENSIONS), np.float32)}
    heard = {"piece_lengths": list(map(len, pieces)), "pieces": np.concatenate(pieces), "meaning": embedder.embed(texts)}
    np.savez(tmp_path / "texts.npz", **rows, **heard, kinds=[KINDS.index(kind) for _, kind in TEXTS], weights=np.ones(len(ids)))
    return tmp_path


@pytest.fixture
def encoder() -> UniversalEncoder:
    return UniversalEncoder(read_settings().weights_folder)


def run(folder: Path, *how: object) -> None:
    given = [str(PYTHON), "-m", "ingest.tune", "train", str(folder), *map(str, how)]
    done = subprocess.run(given, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


def trained(folder: Path, layers: int, epochs: int) -> tuple[QueryEncoder, Tuned]:
    model, encoder, tuned = read_settings().weights_folder / "gte-small" / "onnx" / "model.onnx", folder / "made.onnx", folder / "made.npz"
    run(folder, "--layers", layers, "--epochs", epochs, "--encoder", encoder, "--tuned", tuned)
    found = read_tuned(tuned)
    assert found is not None
    return QueryEncoder(model, encoder), found


def told(made: tuple[QueryEncoder, Tuned], embedder: OnnxEmbedder, text: str) -> str:
    """By the trained encoder alone."""
    encoder, tuned = made
    return KINDS[int(tuned.log_chances(encoder.embed(embedder.tokens([text]))[0], np.zeros(DIMENSIONS)).argmax())]


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


@needs_torch
def test_a_round_goes_on_from_the_weights_that_come_along(folder: Path, embedder: OnnxEmbedder) -> None:
    """Without what earlier rounds left: no step is made, so what comes of it says what the weights that come along say."""
    model, encoder, tuned, heard = read_settings().weights_folder / "gte-small" / "onnx" / "model.onnx", *(
        folder / name for name in ("made.onnx", "made.npz", "heard.npz")
    )  # fmt: skip
    run(folder, "--again", "--mean", "--epochs", 0, "--encoder", encoder, "--tuned", tuned)
    run(folder, "--again", "--epochs", 0, "--universal", "--out", heard)
    ids = embedder.tokens(["How do I bake a cake?", "I graduated in 2015 and need a visa; which programs would look at me at all?"])
    assert (QueryEncoder(model, encoder).embed(ids) * QueryEncoder(model, KIND_ENCODER).embed(ids)).sum(1).min() > 0.995
    for made, shipped in ((tuned, TUNED), (heard, HEARD)):
        a, b = read_tuned(made), read_tuned(shipped)
        assert a is not None and b is not None
        assert np.abs(a.meaning - b.meaning).max() < 0.01 and np.abs(a.spoken - b.spoken).max() < 0.01
    with np.load(heard) as a, np.load(HEARD) as b:
        assert set(a.files) == set(b.files) and all((a[name] == b[name]).all() for name in a.files)


@needs_torch
def test_what_was_written_tells_kinds_too(folder: Path, embedder: OnnxEmbedder, monkeypatch) -> None:
    with np.load(folder / "texts.npz") as data:
        rows = dict(data)
    texts = [text for text, _ in TEXTS]
    np.savez(folder / "texts.npz", **{**rows, "meaning": np.zeros_like(rows["meaning"])})
    made = folder / "heard.npz"
    monkeypatch.setattr(universal, "KINDS", made)
    nothing = np.zeros(embedder.dimensions)
    run(folder, "--universal", "--epochs", 0, "--out", made)
    untrained = UniversalEncoder(read_settings().weights_folder)
    assert np.abs(untrained.embed_kinds(texts) - untrained.embed(texts)).max() < 0.01, "it begins with the layers as they are"
    run(folder, "--universal", "--epochs", 12, "--out", made)
    asked = {"¿Cómo horneo un pastel?": "out_of_scope", "¿Qué visa tiene el jefe de residentes?": "personal_data"}
    vectors = UniversalEncoder(read_settings().weights_folder).embed_kinds(list(asked))
    tuned = read_tuned(made)
    assert tuned is not None and [KINDS[int(tuned.log_chances(nothing, vector).argmax())] for vector in vectors] == list(asked.values())


@needs_torch
def test_a_round_may_keep_the_mean_of_what_it_began_with_and_what_it_learnt(folder: Path) -> None:
    kept, made = folder / "universal.npz", folder / "heard.npz"

    def after(*how: object) -> dict[str, np.ndarray]:
        run(folder, "--universal", "--out", made, *how)
        with np.load(kept) as data:
            return dict(data)

    first = after("--epochs", 2)
    whole = after("--epochs", 2)
    np.savez(kept, **first)
    mean = after("--epochs", 2, "--mean")
    assert any(np.abs(whole[name] - first[name]).max() > 1e-3 for name in first)
    assert all(np.allclose(mean[name], (first[name] + whole[name]) / 2, atol=1e-4) for name in first)
