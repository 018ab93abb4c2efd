"""BM25 over the chunks of a collection, the idf that tells how much of a question a passage covers, and the terms of each
chunk and span, so that a query need not read their texts again.

BM25 as in Robertson & Zaragoza 2009 ("The Probabilistic Relevance Framework"), k1 = 1.2, b = 0.75, with Lucene's idf
ln(1 + (N - df + 0.5) / (df + 0.5)), which is never negative. Term weights are computed once, when the index is built.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bot.errors import IndexMismatch

K1 = 1.2
B = 0.75
REMEMBERED = 60_000
"""Sets of terms kept once made: some 1.5 kB each."""


@dataclass(frozen=True, slots=True)
class TermSets:
    """Sets of vocabulary ids in compressed rows: set i is `ids[starts[i]:starts[i+1]]`, sorted."""

    starts: np.ndarray
    ids: np.ndarray

    def __getitem__(self, i: int) -> frozenset[int]:
        return frozenset(self.ids[self.starts[i] : self.starts[i + 1]].tolist())

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True, slots=True)
class Keywords:
    """A term x document matrix in compressed rows: `columns[starts[t]:starts[t+1]]` are the documents that hold term t."""

    vocabulary: dict[str, int]
    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    idf: np.ndarray
    documents: int
    chunk_sets: TermSets | None = None  # one a chunk
    span_sets: TermSets | None = None  # one a span, chunk after chunk
    span_firsts: np.ndarray | None = None  # where in span_sets the spans of a chunk begin
    _made: dict[tuple[int, int], frozenset[int]] = field(default_factory=dict, repr=False, compare=False)

    def chunk_terms(self, row: int) -> frozenset[int]:
        """Vocabulary ids of what a chunk says, headings included, stored questions not."""
        return self._terms(row, -1)

    def span_terms(self, row: int, number: int) -> frozenset[int]:
        """Vocabulary ids of the document's title and what a span says."""
        return self._terms(row, number)

    def _terms(self, row: int, number: int) -> frozenset[int]:
        key = (row, number)
        made = self._made.get(key)
        if made is None:
            if self.chunk_sets is None or self.span_sets is None or self.span_firsts is None:
                raise IndexMismatch("The index was written by an older version. Run: img-advisor ingest --rebuild")
            if len(self._made) >= REMEMBERED:
                self._made.clear()
            made = self._made[key] = self.chunk_sets[row] if number < 0 else self.span_sets[int(self.span_firsts[row]) + number]
        return made

    def term_ids(self, tokens: Iterable[str]) -> frozenset[int]:
        """Vocabulary ids of tokens. Those that no document has get ids of their own below zero: they count, and match nothing."""
        return frozenset(self.vocabulary.get(token, -1 - i) for i, token in enumerate(sorted(set(tokens))))

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
        arrays: dict[str, Any] = {"starts": self.starts, "columns": self.columns, "weights": self.weights, "idf": self.idf}
        if self.chunk_sets is not None and self.span_sets is not None and self.span_firsts is not None:
            arrays |= {
                "chunk_starts": self.chunk_sets.starts, "chunk_ids": self.chunk_sets.ids, "span_starts": self.span_sets.starts,
                "span_ids": self.span_sets.ids, "span_firsts": self.span_firsts,
            }  # fmt: skip
        np.savez(out, terms=np.frombuffer(terms, np.uint8), documents=np.array(self.documents), **arrays)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Keywords:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            terms = arrays["terms"].tobytes().decode()
            vocabulary = {term: i for i, term in enumerate(terms.split("\n"))} if terms else {}
            found = cls(vocabulary, arrays["starts"], arrays["columns"], arrays["weights"], arrays["idf"], int(arrays["documents"]))
            if "span_firsts" not in arrays:
                return found
            return replace(
                found,
                chunk_sets=TermSets(arrays["chunk_starts"], arrays["chunk_ids"]),
                span_sets=TermSets(arrays["span_starts"], arrays["span_ids"]),
                span_firsts=arrays["span_firsts"],
            )


def build_keywords(
    documents: Sequence[Sequence[str]], chunks: Sequence[Sequence[str]] = (), spans: Sequence[Sequence[Sequence[str]]] = ()
) -> Keywords:
    """From each document's tokens.

    Args:
        chunks: of each document, the tokens of `chunk_terms`. spans: of each document, the tokens of each of its spans.
    """
    counts = [Counter(tokens) for tokens in documents]
    lengths = np.array([sum(count.values()) for count in counts] or [1], np.float32)
    mean = float(lengths.mean()) or 1.0
    postings: dict[str, list[tuple[int, int]]] = {}
    for i, count in enumerate(counts):
        for token, times in count.items():
            postings.setdefault(token, []).append((i, times))
    # A table row read aloud may hold a word that no chunk has as a word of its own: it gets an id, too, and no posting.
    flat = [tokens for of_chunk in spans for tokens in of_chunk]
    words = set(postings).union(*chunks, *flat)
    vocabulary = {token: i for i, token in enumerate(sorted(words))}
    starts = np.zeros(len(vocabulary) + 1, np.int64)
    columns: list[int] = []
    weights: list[float] = []
    idf = np.zeros(len(vocabulary), np.float32)
    n = len(counts)
    for token, term in vocabulary.items():
        rows = postings.get(token, [])
        idf[term] = np.log(1 + (n - len(rows) + 0.5) / (len(rows) + 0.5))
        for i, times in rows:
            columns.append(i)
            weights.append(float(idf[term]) * times * (K1 + 1) / (times + K1 * (1 - B + B * float(lengths[i]) / mean)))
        starts[term + 1] = len(columns)
    return Keywords(
        vocabulary,
        starts,
        np.array(columns, np.int32),
        np.array(weights, np.float32),
        idf,
        n,
        _sets(chunks, vocabulary),
        _sets(flat, vocabulary),
        np.concatenate([[0], np.cumsum([len(of_chunk) for of_chunk in spans])]).astype(np.int32),
    )


def _sets(texts: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> TermSets:
    rows = [sorted({vocabulary[token] for token in tokens}) for tokens in texts]
    ids = np.fromiter((i for row in rows for i in row), np.uint16 if len(vocabulary) <= 0xFFFF else np.uint32)
    return TermSets(np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64), ids)
