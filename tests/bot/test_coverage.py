"""Shares of a question's idf mass, counted from the words down, against the same counted set by set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.coverage import Coverage
from bot.errors import IndexMismatch
from bot.keywords import Keywords, build_keywords

WORDS = "visa step score exam match fee state license waiver research".split()


@pytest.fixture(scope="module")
def keywords() -> Keywords:
    rng = np.random.default_rng(3)
    spans = [[[*rng.choice(WORDS, rng.integers(0, 5))] for _ in range(rng.integers(1, 6))] for _ in range(40)]
    chunks = [[word for span in each for word in span] for each in spans]
    return build_keywords(chunks, chunks, spans)


def _share(core: dict[str, tuple[frozenset[int], ...]], weights: dict[str, float], terms: frozenset[int]) -> float:
    held = sum(weights[t] for t, sets in core.items() if any(len(words & terms) * 2 >= len(words) for words in sets))
    return held / sum(weights.values()) if weights else 0.0


@pytest.mark.parametrize(
    "question",
    [
        {"visa": [["visa"]], "score": [["score"], ["exam", "step"]]},
        {"fee": [["fee"], ["nowhere"]], "absent": [["absent"]]},
        {"research": [["research", "match", "state"]]},
        {},
    ],
)
def test_shares_are_those_of_the_sets_of_each_chunk_and_span(keywords: Keywords, question: dict[str, list[list[str]]]) -> None:
    core = {token: tuple(keywords.term_ids(words) for words in sets) for token, sets in question.items()}
    weights = {token: 1.0 + i for i, token in enumerate(core)}
    found = Coverage(keywords).of(core, weights)
    at = 0
    for row in range(40):
        here = keywords.chunk_terms(row)
        assert found.chunks[row] == pytest.approx(_share(core, weights, here))
        assert keywords.span_firsts is not None and at == keywords.span_firsts[row]
        stop = int(keywords.span_firsts[row + 1]) if row + 1 < 40 else len(found.spans)
        for number in range(stop - at):
            assert found.spans[at + number] == pytest.approx(_share(core, weights, keywords.span_terms(row, number)))
        at = stop


def test_names_that_are_lacking(keywords: Keywords) -> None:
    names = [keywords.vocabulary["waiver"], keywords.vocabulary["fee"], -1]
    found = Coverage(keywords).of({}, {}, names)
    for row in range(40):
        assert found.unnamed_by_chunks[row] == pytest.approx(sum(name not in keywords.chunk_terms(row) for name in names) / 3)
    assert found.unnamed_by_spans.min() < found.unnamed_by_spans.max() == 1
    assert not Coverage(keywords).of({}, {}).unnamed_by_chunks.any()


def test_an_index_without_term_sets_says_what_to_run(keywords: Keywords) -> None:
    with pytest.raises(IndexMismatch, match="--rebuild"):
        Coverage(replace(keywords, chunk_sets=None))
