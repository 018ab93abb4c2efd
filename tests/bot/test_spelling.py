"""English words, kept in less room: nothing is told otherwise than by the dictionary that they come from."""

from __future__ import annotations

import random

from spellchecker import SpellChecker

from bot.spelling import LONGEST, english

DICTIONARY = SpellChecker(language="en")
COUNTS = DICTIONARY.word_frequency.dictionary
SOME = random.Random(1).sample(sorted(COUNTS), 500)


def test_words_are_as_common_as_the_dictionary_says():
    assert [english().count(word) for word in SOME] == [COUNTS[word] * (len(word.encode()) <= LONGEST) for word in SOME]
    assert all(english().count(word) == COUNTS[word] for word in ("the", "zyrtec", "can't", min(COUNTS), max(COUNTS)) if word in COUNTS)


def test_what_is_no_word_is_none():
    for word in ("", "xqzt", "th", "thee" * 20, "résidencia", "\U0001f600", "the\n", "vis\ud800"):
        assert (word in english()) == (word in COUNTS), word
    assert "visa" in english().near("vis\ud800")


def test_near_a_slip_are_the_words_that_the_dictionary_has_there():
    for word in ("residncy", "vsa", "aplication", "teh", "qqqqqq", "a", *(each[:-1] + "q" for each in SOME[:60] if each.isascii())):
        assert set(english().near(word)) == {w for w in DICTIONARY.known(DICTIONARY.edit_distance_1(word)) if w.isascii()}, word
