"""Questions embedded the short way: nearly the vectors of the embedder itself, whatever is embedded with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.embedding import OnnxEmbedder, open_embedder
from bot.errors import WeightsError
from bot.golden import read_golden
from bot.kinds import MessageVectors, read_kinds
from bot.query_encoder import LONGEST, QueryEncoder
from bot.settings import ROOT, read_settings
from bot.universal import UniversalEncoder

# None of these was learnt from.
QUESTIONS = [q.question for q in read_golden(ROOT / "tests" / "golden")]


def test_its_vectors_are_nearly_those_of_the_embedder(embedder: OnnxEmbedder) -> None:
    short, whole = embedder.embed_short(QUESTIONS), embedder.embed(QUESTIONS)
    assert short.shape == whole.shape and short.dtype == np.float32
    assert np.allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)
    cosines = (short * whole).sum(1)
    assert cosines.mean() > 0.96 and cosines.min() > 0.85


def test_what_lies_near_a_question_stays_near(embedder: OnnxEmbedder) -> None:
    """Of what the embedder finds nearest to a question, beside all other questions."""
    whole = embedder.embed(QUESTIONS)
    of_whole, of_short = whole @ whole.T, embedder.embed_short(QUESTIONS) @ whole.T
    np.fill_diagonal(of_whole, -1), np.fill_diagonal(of_short, -1)
    nearest = of_whole.argmax(1)
    place = (of_short > of_short[np.arange(len(nearest)), nearest, None]).sum(1)
    assert (place < 5).mean() > 0.85


def test_a_vector_does_not_depend_on_what_is_embedded_with_it(embedder: OnnxEmbedder) -> None:
    some = [*QUESTIONS[:40], "", "visa " * 60, "a visa for " * LONGEST, "¿Necesito una visa? 需要签证吗"]
    alone = np.concatenate([embedder.embed_short([text]) for text in some])
    assert np.abs(embedder.embed_short(some) - alone).max() < 1e-5
    assert np.abs(embedder.embed_short(some[::-1])[::-1] - alone).max() < 1e-5


def test_what_is_longer_than_it_learnt_is_embedded_by_the_embedder_itself(embedder: OnnxEmbedder) -> None:
    long = "Do I need Step 3 for an H-1B visa in Texas? " * LONGEST
    assert np.array_equal(embedder.embed_short([long]), embedder.embed([long]))
    assert embedder.embed_short([]).shape == (0, embedder.dimensions)


def test_another_embedder_has_none() -> None:
    mini = open_embedder("all-MiniLM-L6-v2", read_settings().weights_folder)
    assert mini.embed_short is None and mini.embed_kinds is None


def test_kinds_are_told_by_a_vector_of_their_own(embedder: OnnxEmbedder) -> None:
    """Of one text whatever is embedded with it, and of a long one's beginning."""
    some = [*QUESTIONS[:20], "", "visa " * 60]
    alone = np.concatenate([embedder.embed_kinds([text]) for text in some])
    assert np.allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-5) and np.abs(embedder.embed_kinds(some) - alone).max() < 1e-5
    long = "visa " * 3 * LONGEST
    assert np.array_equal(embedder.embed_kinds([long]), embedder.embed_kinds([long + "and a fee"]))


def test_the_weights_that_come_along_tell_by_all(embedder: OnnxEmbedder) -> None:
    kinds, universal = read_kinds(), UniversalEncoder(read_settings().weights_folder)
    assert kinds is not None and kinds.tuned is not None and kinds.heard is not None

    def read(text: str) -> list[MessageVectors]:
        plain = MessageVectors(embedder.embed([text])[0], universal.embed([text])[0])
        both = replace(plain, trained_meaning=embedder.embed_kinds([text])[0])
        return [plain, both, replace(both, trained_spoken=universal.embed_kinds([text])[0])]

    vague = "Who else got in there, and how come they let that one person off?"
    told = [kinds.guess(vectors, vague, vague) for vectors in read(vague)]
    assert told[0] != told[1] != told[2] and all(sum(each.values()) == pytest.approx(1, abs=0.01) for each in told)
    text = "Could you find out for me what my co-resident earns, and under which visa she is?"
    of_all = kinds.guess(read(text)[2], text, text)
    assert max(of_all, key=lambda kind: of_all[kind]) == "personal_data"
    bars = "Hello || " + text  # nothing that somebody writes makes it a message in two languages
    assert kinds.guess(read(bars)[2], bars, bars) == kinds.guess(read(bars)[2], bars)


def test_weights_that_do_not_belong_together_are_refused(tmp_path, embedder: OnnxEmbedder) -> None:
    gte, other = (read_settings().weights_folder / name / "onnx" / "model.onnx" for name in ("gte-small", "all-MiniLM-L6-v2"))
    open_embedder("all-MiniLM-L6-v2", read_settings().weights_folder)  # fetched where it is not there
    broken = tmp_path / "query_encoder.onnx"
    broken.write_bytes(b"not a model")
    for model, weights in ((other, None), (tmp_path / "none.onnx", None), (gte, broken), (gte, tmp_path / "none.onnx"), (gte, gte)):
        with pytest.raises(WeightsError, match="query encoder cannot be read"):
            QueryEncoder(model, *([weights] if weights else []))
