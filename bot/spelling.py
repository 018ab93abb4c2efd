"""Whether a word is English, how common it is, and which words are one slip away: pyspellchecker's 160,000 words, names among them.

They are kept as one sorted array: 5 MB, where a dictionary takes 25.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from spellchecker import SpellChecker

from bot.collector import given_back

LONGEST = 24
"""Bytes of a word. Nine are longer, and are not held: every other would take their room."""


class English:
    def __init__(self) -> None:
        counts = SpellChecker(language="en").word_frequency.dictionary
        held = sorted((word.encode(), count) for word, count in counts.items() if len(word.encode()) <= LONGEST)
        self._words = np.array([word for word, _ in held], f"S{LONGEST}")
        self._counts = np.array([count for _, count in held], np.int64)
        self._slips = SpellChecker(language=None)
        self._slips.word_frequency.load_words(["abcdefghijklmnopqrstuvwxyz'"])  # what a slip may put in

    def __contains__(self, word: str) -> bool:
        return self.count(word) > 0

    def count(self, word: str) -> int:
        """How often a word stands in the texts that the list was made from; 0 where it is not held."""
        asked = word.encode(errors="replace")  # half of a pair is in no word
        at = int(np.searchsorted(self._words, asked)) if len(asked) <= LONGEST else len(self._words)
        return int(self._counts[at]) if at < len(self._words) and self._words[at] == asked else 0

    def near(self, word: str) -> list[str]:
        """The words that come of a word by one letter left out, added, changed, or exchanged with the next."""
        made = np.array(sorted(made.encode(errors="replace") for made in self._slips.edit_distance_1(word)))
        at = np.minimum(np.searchsorted(self._words, made), len(self._words) - 1)
        return [found.decode() for found in made[self._words[at] == made]]


@lru_cache(maxsize=1)
def english() -> English:
    """Read at the first word that the guides do not know."""
    found = English()
    given_back()
    return found
