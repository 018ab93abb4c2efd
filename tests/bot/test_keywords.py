"""BM25 against its formula, and the stored term sets against what the texts say."""

import math

import numpy as np
import pytest

from bot.errors import IndexMismatch
from bot.keywords import Keywords, build_keywords
from bot.terms import Terms

TEXTS = ["the J-1 visa is a visa for exchange visitors", "the H-1B visa is for workers in Texas", "Step 2 CK costs money"]
QUESTIONS = ["", "Can I get an H1B?", ""]
SPANS = [["the J-1 visa", "a visa for exchange visitors"], [], ["Step 2 CK", "costs money", "Amount: 995 dollars"]]


@pytest.fixture(scope="module", params=["built", "stored"])
def keywords(terms: Terms, request: pytest.FixtureRequest) -> Keywords:
    made = build_keywords(
        [terms.tokens(f"{text} {question}") for text, question in zip(TEXTS, QUESTIONS, strict=True)],
        [terms.tokens(text) for text in TEXTS],
        [[terms.tokens(span) for span in spans] for spans in SPANS],
    )
    return made if request.param == "built" else Keywords.from_bytes(made.to_bytes())


def test_scores_follow_the_formula(keywords: Keywords, terms: Terms) -> None:
    documents = [terms.tokens(f"{text} {question}") for text, question in zip(TEXTS, QUESTIONS, strict=True)]
    mean = sum(map(len, documents)) / 3
    idf = math.log(1 + (3 - 2 + 0.5) / 2.5)
    for token in ("visa",):
        expected = [
            idf * d.count(token) * 2.2 / (d.count(token) + 1.2 * (0.25 + 0.75 * len(d) / mean)) if token in d else 0.0 for d in documents
        ]
        assert np.allclose(keywords.scores([token, token, "unheard"]), expected, rtol=1e-5)
    assert keywords.rarity("visa") == pytest.approx(idf, rel=1e-5)


def test_a_word_that_no_document_has_is_the_rarest(keywords: Keywords) -> None:
    assert keywords.rarity("unheard") == pytest.approx(keywords.rarity("dollar"), rel=1e-5)  # only a span read aloud says "dollars"
    assert all(keywords.rarity("unheard") > keywords.rarity(word) for word in ("statetx", "visa", "step2ck"))


def test_terms_of_chunks_and_spans_are_those_of_their_texts(keywords: Keywords, terms: Terms) -> None:
    for row, text in enumerate(TEXTS):
        assert keywords.chunk_terms(row) == keywords.term_ids(terms.tokens(text))
        for number, span in enumerate(SPANS[row]):
            assert keywords.span_terms(row, number) == keywords.term_ids(terms.tokens(span))
    assert keywords.span_terms(2, 2) != keywords.span_terms(2, 1)
    assert not keywords.chunk_terms(1) & keywords.term_ids(["get"]), "a stored question is not what a chunk says"


def test_unknown_words_count_and_match_nothing(keywords: Keywords) -> None:
    found = keywords.term_ids(["visa", "unheard", "unseen"])
    assert len(found) == 3
    assert len(found & keywords.chunk_terms(0)) == 1


def test_many_words_need_wider_ids() -> None:
    words = [f"w{i:06d}" for i in range(70_000)]
    keywords = build_keywords([words], [words], [[words[-2:]]])
    assert keywords.span_terms(0, 0) == keywords.term_ids(words[-2:])


def test_an_index_without_term_sets_says_what_to_run() -> None:
    old = build_keywords([["visa"]])
    blob = Keywords(old.vocabulary, old.starts, old.columns, old.weights, old.idf, old.documents).to_bytes()
    read = Keywords.from_bytes(blob)
    assert read.scores(["visa"]).shape == (1,)
    with pytest.raises(IndexMismatch, match="--rebuild"):
        read.chunk_terms(0)


def test_an_empty_collection() -> None:
    keywords = Keywords.from_bytes(build_keywords([], [], []).to_bytes())
    assert keywords.scores(["visa"]).shape == (0,)
    assert keywords.vocabulary == {}
