"""A word list of one language: the phrases that applicants use, and the English words to search with.

The longest phrase that is known wins. A word may stand in a phrase as it is written, in the spelling the list makes of it, without a
prefix or an ending, by its stem, or by its beginning (`examen*`). Chinese is read character by character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from bot.terms import stemmer

LEAST_STEM = 4
LEAST_LEFT = 3  # letters that stay when a prefix or an ending goes
LEAST_SLIP = 5  # letters of a word that may have a slip in it
LONGEST_WORD = 60  # letters; what is longer is a key that was held down, and would take long to look at
SURE = 75  # of a word that stands in the list as it is

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_ARABIC = "\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff"
_DEVANAGARI = "\u0900-\u0963\u0971-\u097f"
_TOKEN = re.compile(
    rf"[{_HAN}]|[{_ARABIC}]+|[{_DEVANAGARI}]+|[\u0400-\u04ff]+(?:-[\u0400-\u04ff]+)*|\d+(?:[.,]\d+)*(?![^\W_])"
    rf"|[^\W_{_HAN}{_ARABIC}{_DEVANAGARI}\u0400-\u04ff]+(?:[-'’/&][^\W_{_HAN}{_ARABIC}{_DEVANAGARI}\u0400-\u04ff]+)*|[¿?¡!.,;:\n]"
)
_MARKS = "?!.,;:\n"
_LETTERS = str.maketrans("ىیئكکہھۂۃةەٱؤ", "ييي" + "كك" + "هههههه" + "ا" + "و")
_PUNCTUATION = str.maketrans("؟،؛۔。？！，、；：।", "?,;..?!,,;:.")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[.\u00a0\u202f ]\d{3})+(?![\d.,]*\d)")
_SENTENCE = re.compile(r"(?:[^.!?;\n]|\.(?=\S))+[.!?;\n]*\s*|[.!?;\n]+\s*")
_TIMES = {"thousand": 1_000, "lakh": 100_000, "ten-thousand": 10_000, "million": 1_000_000}
_MANY = re.compile(rf"(\d+(?:\.\d+)?) ({'|'.join(_TIMES)})\b")


def plain(text: str) -> str:
    """`text` in the usual characters: digits and marks as in English, nothing that cannot be seen."""
    if text.isascii():
        return text  # nothing of it changes, and most texts are
    text = unicodedata.normalize("NFKC", text).translate(_PUNCTUATION)
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text if unicodedata.category(c) != "Cf" and c != "ـ")


def folded(word: str) -> str:
    """Small letters without accents, vowel signs of Arabic and dots under letters: people leave them out, or type them in other ways."""
    if word.isascii():
        return word.casefold()
    kept = []
    base = ""
    for c in unicodedata.normalize("NFD", word.casefold()):
        if unicodedata.category(c) != "Mn" or "\u0900" <= c <= "\u097f" and c != "\u093c":
            base = c
            kept.append("\u0902" if c == "\u0901" else c)
        elif c == "\u0306" and base == "и":
            kept.append(c)  # й is a letter of its own
    return unicodedata.normalize("NFC", "".join(kept)).translate(_LETTERS)


def tokens(text: str) -> list[str]:
    """Words, numbers and marks; Chinese characters one by one."""
    return _TOKEN.findall(text)


@dataclass(frozen=True, slots=True)
class Phrase:
    words: tuple[frozenset[str], ...]  # keys of each word, any of which may stand there
    english: str
    opens: bool  # it opens an English question: how much, can I


@dataclass(slots=True)
class Clause:
    """English words of a message up to the next mark; `front` opens it."""

    front: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a message. `known` and `unknown` count its words that carry meaning."""

    english: str
    known: int
    unknown: tuple[str, ...]


class Glossary:
    def __init__(self, data: dict[str, Any]) -> None:
        """
        Raises:
            KeyError, TypeError, AttributeError, re.error: `data` is not of the expected shape.
        """
        self._stem: Callable[[str], str] = stemmer(data["stemmer"]) if data.get("stemmer") else str
        self._spelling = [(re.compile(old), new) for old, new in data.get("spelling", ())]
        self._apart = re.compile(data["apart"], re.I) if data.get("apart") else None
        self._asks = re.compile(data["asks"], re.I) if data.get("asks") else None
        self._characters = {ord(old): new for old, new in zip(*data.get("characters", ("", "")), strict=True)}
        self._prefixes = sorted(map(folded, data.get("prefixes", ())), key=len, reverse=True)
        self._endings = sorted(map(folded, data.get("endings", ())), key=len, reverse=True)
        joins = [folded(_text(word)) for word in data.get("joins", ())]
        self._joins = frozenset(word for word in joins if not word.endswith("*"))
        self._joined = tuple(word.rstrip("*") for word in joins if word.endswith("*"))  # written together with the next word
        self._by_first: dict[str, list[Phrase]] = {}
        self._singles: dict[str, Phrase] = {}
        self.longest = 1
        for word in data["function_words"]:
            self._add([_text(word)], "", opens=False, exact=True)
        for section, opens in (("frames", True), ("terms", False)):
            for english, forms in data.get(section, {}).items():
                for form in forms:
                    self._add(self._words(_text(form)), _text(english), opens=opens)

    def _words(self, text: str) -> list[str]:
        return re.findall(rf"(?:{_TOKEN.pattern})\*?", self.written(text))

    def _add(self, words: list[str], english: str, *, opens: bool, exact: bool = False) -> None:
        keys = tuple(self._form_keys(word, exact=exact) for word in words)
        phrase = Phrase(keys, english, opens)
        for key in keys[0]:
            self._by_first.setdefault(key, []).append(phrase)
        if len(keys) == 1 and len(words[0].rstrip("*")) >= LEAST_SLIP and english:
            self._singles.setdefault(folded(words[0].rstrip("*")), phrase)
        self.longest = max(self.longest, len(keys))

    def _form_keys(self, word: str, *, exact: bool) -> frozenset[str]:
        if word.endswith("*"):
            return frozenset({self._spelt(folded(word[:-1])) + "*"})
        word = folded(word)
        stems = {"=" + self._stem(word)} if len(word) >= LEAST_STEM and not exact else set()
        return frozenset({word, "~" + self._spelt(word)} | stems)

    def _spelt(self, word: str) -> str:
        for old, new in self._spelling:
            word = old.sub(new, word)
        return word

    def _keys(self, word: str) -> dict[str, int]:
        """What a word of a message may stand as, and how sure that is: the surest first, as of phrases that fit alike the first counts."""
        if len(word) > LONGEST_WORD:
            return {word: 90}
        word = folded(word)
        spelt = self._spelt(word)
        keys = {spelt[:n] + "*": 10 + n for n in range(2, len(spelt) + 1)}
        for left in self._shortened(word):
            keys[left] = keys["~" + self._spelt(left)] = 60
            if len(left) >= LEAST_STEM:
                keys["=" + self._stem(left)] = 50
        if len(word) >= LEAST_STEM:
            keys["=" + self._stem(word)] = 70
        return dict(sorted((keys | {"~" + spelt: 80, word: 90}).items(), key=lambda key: -key[1]))

    def _shortened(self, word: str) -> list[str]:
        """The word without a prefix, an ending, or both; what keeps most of it, and its end, first."""
        starts = {word, *(word.removeprefix(p) for p in self._prefixes if word.startswith(p) and len(word) - len(p) >= LEAST_LEFT)}
        ends = {s.removesuffix(e) for s in starts for e in self._endings if s.endswith(e) and len(s) - len(e) >= LEAST_LEFT}
        return sorted((starts | ends) - {word}, key=lambda left: (-len(left), not word.endswith(left), left))

    def written(self, text: str) -> str:
        """`text` as the list writes: traditional characters as simplified ones, joined words apart, 100.000 as 100,000."""
        text = plain(text).translate(self._characters)
        if self._apart is not None:
            text = self._apart.sub(" ", text)
        return _GROUPED.sub(lambda m: re.sub(r"\D", ",", m.group()), text)

    def _marked(self, text: str) -> str:
        """`text` with a question mark after each sentence that asks without one: "kya", "吗" and "ли" are marks enough."""
        if (asks := self._asks) is None:
            return text
        sentences = _SENTENCE.findall(plain(text))
        return "".join(s.rstrip(" .\n") + "? " if "?" not in s and asks.search(s.translate(self._characters)) else s for s in sentences)

    def knows(self, word: str) -> bool:
        """Whether a word by itself is a term of the list, not one of its function words."""
        found, _ = self._found([self._keys(word)], 0)
        return found is not None and bool(found.english)

    def read(self, text: str, fixed: Callable[[str], bool], stays: Callable[[str, bool], bool]) -> Reading:
        """
        Args:
            fixed: whether a word is a figure, an abbreviation or a name of the field, and no form of another word; or words, one name.
            stays: whether a word that the list does not have is kept as it is; told whether it opens a sentence.
        """
        words = tokens(self.written(self._marked(text)))
        keys = [self._keys(word) if word not in _MARKS else {word: 90} for word in words]
        clauses = [Clause()]
        if words and self._goes_on(next((word for word in words if word not in "¿¡"), "")):
            clauses[0].front.append("and")
        known, unknown = 0, []
        i, first = 0, True
        while i < len(words):
            word, size = words[i], 1
            if word in _MARKS:
                clauses[-1].mark = word
                clauses.append(Clause())
                first = word not in ",;:"
            elif word not in "¿¡":
                phrase, size = self._read_at(i, words, keys, fixed)
                if phrase is not None and (phrase.english or not self._is_name(word, first)):
                    (clauses[-1].front if phrase.opens else clauses[-1].rest).append(phrase.english)
                    known += bool(phrase.english)
                elif fixed(word) or stays(word, first):
                    clauses[-1].rest.append(word)
                    known += 1
                else:
                    unknown.append(word)
                first = False
            i += size
        return Reading(_joined(clauses), known, tuple(unknown))

    def _read_at(
        self, at: int, words: Sequence[str], keys: Sequence[dict[str, int]], fixed: Callable[[str], bool]
    ) -> tuple[Phrase | None, int]:
        """The phrase that stands at a place, and of how many words it is."""
        phrase, sure = self._found(keys, at)
        size = len(phrase.words) if phrase else 1
        for more in (3, 2):
            name = words[at : at + more]
            if more > size and len(name) == more and all(w.isascii() for w in name) and fixed(" ".join(name)):
                return Phrase((), " ".join(name), opens=False), more  # "New York"
        if phrase is not None and sure < SURE and fixed(words[at]):
            return None, 1
        return phrase or self._with_a_slip(words[at]), size

    def _goes_on(self, word: str) -> bool:
        """Whether a message that begins with this word goes on with what was said before."""
        word = folded(word)
        if word in self._joins:
            return True
        return word.startswith(self._joined) and len(word) > 3 and word not in self._by_first if self._joined else False

    def _is_name(self, word: str, first: bool) -> bool:
        return not first and len(word) > 1 and word.isupper() and word.isascii()

    def _found(self, keys: Sequence[dict[str, int]], at: int) -> tuple[Phrase | None, int]:
        """The longest phrase that stands at a place, and how sure it is; of those as long the surest, and rather one with a meaning."""
        best: tuple[int, int, bool] = (0, 0, False)
        found = None
        for key in keys[at]:
            for phrase in self._by_first.get(key, ()):
                size = len(phrase.words)
                if size < best[0] or at + size > len(keys):
                    continue
                sure = 0
                for options, wanted in zip(keys[at : at + size], phrase.words, strict=True):
                    fits = max((options[key] for key in wanted if key in options), default=0)
                    if not fits:
                        break
                    sure += fits
                else:
                    if (size, sure, bool(phrase.english)) > best:
                        best, found = (size, sure, bool(phrase.english)), phrase
        return found, best[1]

    def _with_a_slip(self, word: str) -> Phrase | None:
        word = folded(word)
        if len(word) < LEAST_SLIP or not word.isalpha():
            return None
        near = extract(word, self._singles.keys(), scorer=OSA.distance, score_cutoff=1 if len(word) < 9 else 2, limit=1)
        return self._singles[near[0][0]] if near and near[0][0][0] == word[0] else None


def _joined(clauses: Iterable[Clause]) -> str:
    parts: list[str] = []
    for clause in clauses:
        words = [w for w in (*dict.fromkeys(clause.front), *clause.rest) if w]
        words = [w for i, w in enumerate(words) if i == 0 or w != words[i - 1]]
        if words:
            parts.append(" ".join(words) + (clause.mark if clause.mark in "?!.," else "."))
        elif parts and clause.mark == "?":
            parts[-1] = parts[-1].rstrip(".,") + "?"
    text = _MANY.sub(lambda m: f"{int(float(m[1]) * _TIMES[m[2]]):,}", " ".join(parts))
    return text.rstrip(".,")


def _text(value: Any) -> str:
    if not isinstance(value, str):  # YAML reads a bare "no" or "on" as a truth value
        raise TypeError(f"{value!r} stands where a word should; put it in quotes")
    return value
