"""How hard a text is to read, and which abbreviations it never explains."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_VOWELS = re.compile(r"[aeiouy]+")
_ABBREVIATION = re.compile(r"(?<![\w$/.&-])([A-Z][A-Z&]+[A-Z]|[A-Z]{2})s?(?![\w/&]|-\d|\.[A-Z])")


def grade(sentences: Iterable[str]) -> float:
    """The US school grade a text asks for: 0.39 words/sentence + 11.8 syllables/word - 15.59.

    Source: J. P. Kincaid, R. P. Fishburne, R. L. Rogers, B. S. Chissom, Derivation of New Readability Formulas for Navy Enlisted Personnel,
    Naval Technical Training Command, Research Branch Report 8-75, 1975. Figures and abbreviations are left out: they are no words to sound
    out.
    """
    words = syllables_ = count = 0
    for sentence in sentences:
        found = [word for word in _WORD.findall(sentence) if not word.isupper()]
        if found:
            count += 1
            words += len(found)
            syllables_ += sum(map(syllables, found))
    return 0.39 * words / count + 11.8 * syllables_ / words - 15.59 if words else 0.0


def syllables(word: str) -> int:
    """Groups of vowels, a silent ending not counted; right for most English words, and at least 1."""
    word = word.lower().removesuffix("'s")
    count = len(_VOWELS.findall(word))
    silent = re.search(r"[^aeiouy]e$|[^aeiouytd]ed$|[^aeiouyscxzg]es$", word) and not re.search(r"[^aeiouy]les?$|[sc]hes$", word)
    if silent:
        count -= 1
    return max(count, 1)


def unexplained(lines: Iterable[tuple[int, str]], known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Abbreviations in capitals that no line explains, each with the number of the first line that uses it.

    Explained means "international medical graduate (IMG)" or "IMG (international medical graduate)" anywhere in the text.
    """
    first: dict[str, int] = {}
    rows = list(lines)
    for number, row in rows:
        for match in _ABBREVIATION.finditer(row):
            first.setdefault(match[1], number)
    text = "\n".join(row for _, row in rows)
    for word, number in first.items():
        if word not in known and not _explained(word, text):
            yield number, word


def _explained(word: str, text: str) -> bool:
    for match in re.finditer(rf"\((?:the |an? )?{re.escape(word)}s?[),;]", text):  # "educational commission … (ECFMG)"
        if _spells(word, _initials(text[max(0, match.start() - 120) : match.start()])[-12:]):
            return True
    for match in re.finditer(rf"\b{re.escape(word)}s?,? \(([^()]+)\)", text):
        if _spells(word, _initials(match[1])):
            return True
    for match in re.finditer(rf"\b{re.escape(word)}s?, (?:the |an? )?([^.;()]+)", text):  # "FCVS, the Federation Credentials …"
        if _spells(word, _initials(match[1])[: len(word) + 3]):
            return True
    return False


def _initials(words: str) -> str:
    return "".join(word[0] for word in re.findall(r"[A-Za-z]+", words)).upper()


def _spells(word: str, initials: str) -> bool:
    """Whether most letters of `word` stand in `initials` in order (names like MyIntealth or "tax ID" skip some)."""
    at, hits = 0, 0
    for letter in word.replace("&", ""):
        found = initials.find(letter, at)
        if found >= 0:
            hits += 1
            at = found + 1
    return hits >= max(2, len(word) - 1)
