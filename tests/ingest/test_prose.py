from __future__ import annotations

import pytest

from ingest.prose import grade, syllables, unexplained


@pytest.mark.parametrize(
    ("word", "count"),
    [("fee", 1), ("state", 1), ("visa", 2), ("asked", 1), ("needed", 2), ("residency", 4), ("table", 2), ("rules", 1), ("physician's", 3)],
)
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


def test_grade_follows_the_formula() -> None:
    # 6 words, 6 syllables, 1 sentence: 0.39 * 6 + 11.8 * 1 - 15.59
    assert grade(["The cat sat on the mat."]) == pytest.approx(-1.45)


def test_long_words_and_sentences_are_harder() -> None:
    plain = ["Ask the board.", "Pay the fee."]
    hard = ["Notwithstanding jurisdictional considerations, applicants habitually encounter administrative complications."]
    assert grade(plain) < 3 < 16 < grade(hard)
    assert grade([]) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "The Liaison Committee on Medical Education (LCME) accredits.",
        "LCME (Liaison Committee on Medical Education) accredits.",
        "LCME, the Liaison Committee on Medical Education, accredits.",
        "Form I-129 and H-1B and PGY-1.",
    ],
)
def test_explained_abbreviations(text: str) -> None:
    assert list(unexplained([(1, text)], frozenset())) == []


def test_unexplained_abbreviations_once_with_their_first_line() -> None:
    lines = [(3, "The LCME accredits."), (4, "Ask the LCME (2024).")]
    assert list(unexplained(lines, frozenset())) == [(3, "LCME")]
    assert list(unexplained(lines, frozenset({"LCME"}))) == []
