"""Questions -> vectors beside those of gte-small's passages, in a ninth of the time: two of its twelve layers (the first and the last),
trained until their vectors of short texts are the ones that all twelve give (distillation of the query encoder alone: Kim et al.
2023, "EmbedDistill"), and computed in whole numbers of eight bits, with a scale for each token and for each column of the weights
(Dettmers et al. 2022, "LLM.int8()", section 3).

Passages and their sentences are embedded by gte-small itself, once, at ingest; a question is embedded while somebody waits. The weights
(`query_encoder.onnx`, from gte-small's, MIT licence) are made by `make distil` from the questions that the guides answer, their sentences
and the labelled messages; golden questions and messages held out are not learnt from. Vectors of words are gte-small's own, and are read
from its file.

The encoder that tells kinds of messages apart (`bot.kinds`) is of the same make: the first layers of gte-small, trained on (`make tune`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime

from bot.errors import WeightsError

FILE = Path(__file__).with_name("query_encoder.onnx")
KINDS = Path(__file__).with_name("kind_encoder.onnx")
LONGEST = 128
"""Tokens; no longer text was trained on. The embedder itself embeds what is longer."""

REMEMBERED = 2_000
"""Vectors of words kept once read, 1.5 kB each: questions of one field have a few hundred in common."""


def padded(ids: Sequence[Sequence[int] | np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(texts, longest) int64: the tokens of each text, zeros after them, and 1 where there is one."""
    tokens = np.zeros((len(ids), max(map(len, ids))), np.int64)
    mask = np.zeros(tokens.shape, np.int64)
    for i, row in enumerate(ids):
        tokens[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return tokens, mask


class QueryEncoder:
    def __init__(self, model: Path, weights: Path = FILE) -> None:
        """
        Args:
            model: gte-small's ONNX file, which the vectors of words are read from.
        Raises:
            WeightsError: the weights are not there, or belong to another file.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # waking a second thread for each step takes longer than its half of the step
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
            about = self._session.get_modelmeta().custom_metadata_map
            shape = int(about["words"]), int(about["dimensions"])
            self.dimensions = shape[1]
            self._width, self._offset = 4 * shape[1], int(about["offset"])
            self._word = lru_cache(maxsize=REMEMBERED)(lambda word: self._vectors([word])[0])
            # Read one by one, not mapped: pages of a file that is mapped would count as memory of this process.
            self._file = model.open("rb", buffering=0)
            known = np.frombuffer(bytes.fromhex(about["sample"]), np.float32)
            if not np.array_equal(self._vectors(range(0, shape[0], shape[0] // 8)[: len(known)])[:, 0], known):
                raise ValueError("other vectors of words")
        except Exception as error:  # onnxruntime's own have no common class
            why = f"The query encoder cannot be read, or belongs to another embedder ({type(error).__name__})."
            raise WeightsError(f"{why} Install IMG Advisor again.") from None

    def embed(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """(n, dimensions) float32, rows of length 1, of the embedder's tokens of each text: at most `LONGEST`."""
        tokens, mask = padded(ids)
        different, places = np.unique(tokens, return_inverse=True)
        words = np.stack([self._word(word) for word in different.tolist()])[places.reshape(tokens.shape)]
        return cast(np.ndarray, self._session.run(None, {"words": words, "mask": mask})[0])

    def _vectors(self, words: Sequence[int]) -> np.ndarray:
        """(n, dimensions), of numbers of words, from the file; any thread may read."""
        read = b"".join(os.pread(self._file.fileno(), self._width, self._offset + word * self._width) for word in words)
        return np.frombuffer(read, np.float32).reshape(len(words), -1)
