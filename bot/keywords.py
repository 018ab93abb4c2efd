"""BM25 over the chunks of a collection, and the idf that tells how much of a question a passage covers.

BM25 as in Robertson & Zaragoza 2009 ("The Probabilistic Relevance Framework"), k1 = 1.2, b = 0.75, with Lucene's idf
ln(1 + (N - df + 0.5) / (df + 0.5)), which is never negative. Term weights are computed once, when the index is built.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

K1 = 1.2
B = 0.75


@dataclass(frozen=True, slots=True)
class Keywords:
    """A term x document matrix in compressed rows: `columns[starts[t]:starts[t+1]]` are the documents that hold term t."""

    vocabulary: dict[str, int]
    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    idf: np.ndarray
    documents: int

    def scores(self, tokens: Sequence[str]) -> np.ndarray:
        """BM25 of every document for a question's tokens; (documents,) float32."""
        result = np.zeros(self.documents, np.float32)
        for token in dict.fromkeys(tokens):
            term = self.vocabulary.get(token)
            if term is not None:
                at = slice(self.starts[term], self.starts[term + 1])
                result[self.columns[at]] += self.weights[at]
        return result

    def rarity(self, token: str) -> float:
        """idf of a token; one that no document holds is the rarest of all."""
        term = self.vocabulary.get(token)
        return float(self.idf[term]) if term is not None else float(np.log(1 + (self.documents + 0.5) / 0.5))

    def to_bytes(self) -> bytes:
        out = io.BytesIO()
        terms = "\n".join(self.vocabulary).encode()
        np.savez(out, terms=np.frombuffer(terms, np.uint8), starts=self.starts, columns=self.columns, weights=self.weights, idf=self.idf,
                 documents=np.array(self.documents))  # fmt: skip
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Keywords:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            terms = arrays["terms"].tobytes().decode()
            vocabulary = {term: i for i, term in enumerate(terms.split("\n"))} if terms else {}
            return cls(vocabulary, arrays["starts"], arrays["columns"], arrays["weights"], arrays["idf"], int(arrays["documents"]))


def build_keywords(documents: Sequence[Sequence[str]]) -> Keywords:
    """From each document's tokens."""
    counts = [Counter(tokens) for tokens in documents]
    lengths = np.array([sum(count.values()) for count in counts] or [1], np.float32)
    mean = float(lengths.mean()) or 1.0
    postings: dict[str, list[tuple[int, int]]] = {}
    for i, count in enumerate(counts):
        for token, times in count.items():
            postings.setdefault(token, []).append((i, times))
    vocabulary = {token: i for i, token in enumerate(sorted(postings))}
    starts = np.zeros(len(vocabulary) + 1, np.int64)
    columns: list[int] = []
    weights: list[float] = []
    idf = np.zeros(len(vocabulary), np.float32)
    n = len(counts)
    for token, term in vocabulary.items():
        rows = postings[token]
        idf[term] = np.log(1 + (n - len(rows) + 0.5) / (len(rows) + 0.5))
        for i, times in rows:
            columns.append(i)
            weights.append(float(idf[term]) * times * (K1 + 1) / (times + K1 * (1 - B + B * float(lengths[i]) / mean)))
        starts[term + 1] = len(columns)
    return Keywords(vocabulary, starts, np.array(columns, np.int32), np.array(weights, np.float32), idf, n)
