"""Text -> vectors with the real gte-small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from bot.embedding import MAX_TOKENS, OnnxEmbedder, as_langchain, open_embedder
from bot.errors import WeightsError

TEXTS = [
    "Do I need Step 3 for an H-1B visa?",
    "H-1B",
    "",
    "Texas gives a physician-in-training permit to residents. " * 12,
    "¿Necesito una visa? 需要签证吗",
    "A J-1 physician goes home for two years, or gets a waiver.",
    "Is Step 3 required before the H-1B petition is filed?",
]


def test_vectors_have_length_one(embedder: OnnxEmbedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions) == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_nearer_in_meaning_is_nearer(embedder: OnnxEmbedder) -> None:
    cosines = embedder.embed(TEXTS) @ embedder.embed([TEXTS[0]])[0]
    assert int(np.argsort(-cosines)[1]) == TEXTS.index("Is Step 3 required before the H-1B petition is filed?")


def test_no_texts_make_no_vectors(embedder: OnnxEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 384)
    assert embedder.count_tokens([]) == []


@pytest.mark.parametrize("tokens, waste", [(512, 32), (16, 0), (100_000, 100_000)])
def test_a_vector_does_not_depend_on_what_is_embedded_with_it(
    embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch, tokens: int, waste: int
) -> None:
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    monkeypatch.setattr(embedder, "batch_tokens", tokens)
    monkeypatch.setattr(embedder, "batch_waste", waste)
    order = [4, 0, 6, 2, 5, 1, 3]
    assert np.abs(embedder.embed([TEXTS[i] for i in order]) - alone[order]).max() < 1e-5
    assert np.abs(embedder.embed([*TEXTS, *TEXTS])[len(TEXTS) :] - alone).max() < 1e-5


def test_the_model_is_given_no_more_padding_and_tokens_than_set(embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[list[list[int]]] = []
    real = embedder._run
    monkeypatch.setattr(embedder, "_run", lambda ids: (batches.append(ids), real(ids))[1])
    texts = [f"visa {'question ' * (i % 29)}" for i in range(120)]
    embedder.embed(texts)
    assert sum(len(batch) for batch in batches) == len(texts)
    assert len(batches) < len(texts) / 3
    for batch in batches:
        padded = len(batch) * max(map(len, batch))
        assert padded <= embedder.batch_tokens
        assert padded - sum(map(len, batch)) <= embedder.batch_waste


def test_tokens_are_counted_with_the_special_ones_and_beyond_the_limit(embedder: OnnxEmbedder) -> None:
    assert embedder.count_tokens(["", "visa", "visa visa"]) == [2, 3, 4]
    assert embedder.count_tokens(["visa " * 2000]) == [2002]


def test_of_a_very_long_text_the_beginning_counts(embedder: OnnxEmbedder) -> None:
    start = "visa " * (MAX_TOKENS - 2)
    long, cut, other = embedder.embed([start + "license " * 50_000, start, "license " * 50])
    assert float(long @ cut) > 0.99999
    assert float(long @ other) < 0.95


def test_odd_characters_make_a_vector(embedder: OnnxEmbedder) -> None:
    vectors = embedder.embed(["\x00\x01", "\u202evisa\u202c", "👩‍⚕️" * 50, "\ufffd" * 10, " \n\t "])
    assert np.isfinite(vectors).all()


def test_missing_files_say_how_to_place_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="by hand"):
        open_embedder("gte-small", tmp_path, offline=True)


def test_without_the_extra_sentence_transformers_says_what_to_install(tmp_path: Path) -> None:
    """In an interpreter where importing it fails, whatever is installed here."""
    code = (
        "import sys; sys.modules['sentence_transformers'] = None\n"
        "from pathlib import Path; from bot.embedding import open_embedder; from bot.errors import SettingsError\n"
        "try:\n    open_embedder('sentence-transformers:all-MiniLM-L6-v2', Path('.'))\n"
        "except SettingsError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'img-advisor[sentence-transformers]'" in done.stdout


def test_the_default_runtime_never_imports_torch() -> None:
    heavy = {"torch", "transformers", "sentence_transformers"}
    code = f"import sys, bot.bootstrap, onnxruntime, tokenizers; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_langchains_parts_can_use_an_embedder(embedder: OnnxEmbedder) -> None:
    found = as_langchain(embedder)
    assert isinstance(found, Embeddings)
    documents = found.embed_documents(["a visa", "a fee"])
    assert np.allclose(documents, embedder.embed(["a visa", "a fee"])) and np.allclose(found.embed_query("a fee"), documents[1], atol=1e-5)
