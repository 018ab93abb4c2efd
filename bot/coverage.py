"""Which chunks and spans hold how much of a question: counted for all of them at once, from the words down.

A few words a question against some ten thousand spans: marking the holders of each word takes a third of a millisecond, comparing sets of
words candidate by candidate took twenty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bot.errors import IndexMismatch
from bot.keywords import Keywords, TermSets


@dataclass(frozen=True, slots=True)
class Covered:
    """Shares of the question's idf mass in 0..1, one a chunk and one a span (chunk after chunk)."""

    chunks: np.ndarray
    spans: np.ndarray
    unnamed_by_chunks: np.ndarray  # share of the names that a chunk lacks; 0 when there are none
    unnamed_by_spans: np.ndarray


class Coverage:
    """The term sets of an index, turned round: term -> who holds it.

    Raises:
        IndexMismatch: the index has no term sets.
    """

    def __init__(self, keywords: Keywords) -> None:
        if keywords.chunk_sets is None or keywords.span_sets is None or keywords.span_firsts is None:
            raise IndexMismatch("The index was written by an older version. Run: img-advisor ingest --rebuild")
        self._terms = len(keywords.vocabulary)
        self._sizes = (len(keywords.chunk_sets), len(keywords.span_sets))
        self._holders = (_turned(keywords.chunk_sets, self._terms), _turned(keywords.span_sets, self._terms))

    def _with(self, which: int, term: int) -> np.ndarray:
        """Which chunks (0) or spans (1) hold a term: their numbers, each once. Nobody holds one below zero."""
        starts, owners = self._holders[which]
        return owners[starts[term] : starts[term + 1]] if 0 <= term < self._terms else owners[:0]

    def of(self, core: Mapping[str, Sequence[frozenset[int]]], weights: Mapping[str, float], names: Sequence[int] = ()) -> Covered:
        """
        Args:
            core: token -> sets of terms, of which any one covers it when half of it is there.
            weights: token -> idf.
            names: terms of names.
        """
        total = sum(weights.values())
        shares = [np.zeros(size) for size in self._sizes]
        for which, share in enumerate(shares):
            for token, sets in core.items():
                share[self._held(which, sets)] += weights[token]
            if total:
                share /= total
        unnamed = [np.zeros(size) for size in self._sizes]
        for which, share in enumerate(unnamed):
            if names:
                for name in names:
                    share[self._with(which, name)] -= 1
                share += len(names)
                share /= len(names)
        return Covered(*shares, *unnamed)

    def _held(self, which: int, sets: Sequence[frozenset[int]]) -> np.ndarray:
        """Who holds any of the sets: their numbers, each once, or a mark for each."""
        if len(sets) == 1 and len(sets[0]) == 1:
            return self._with(which, next(iter(sets[0])))
        result = np.zeros(self._sizes[which], bool)
        for words in sets:
            if len(words) == 1:
                result[self._with(which, next(iter(words)))] = True
            else:
                count = np.zeros(self._sizes[which], np.int16)
                for word in words:
                    count[self._with(which, word)] += 1
                result |= count * 2 >= len(words)
        return result


def _turned(sets: TermSets, terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Compressed rows, term -> numbers of the sets that hold it."""
    owners = np.repeat(np.arange(len(sets), dtype=np.int32), np.diff(sets.starts))
    starts = np.concatenate([[0], np.cumsum(np.bincount(sets.ids, minlength=terms))])
    return starts, owners[np.argsort(sets.ids, kind="stable")]
