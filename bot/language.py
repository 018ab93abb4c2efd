"""Which language a message is in, and what it asks in English words to search with.

A language is one file of the knowledge folder, `data/languages/<tag>.yaml`: its script, letters and function words tell it from others, its
word list (`bot/glossary.py`) leads to English. What a list does not know is dropped, unless it is a name, an abbreviation or English.
English is what nothing speaks against.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from bot.errors import SettingsError
from bot.glossary import LEAST_SLIP, LONGEST_WORD, Glossary, folded, plain, tokens
from bot.spelling import english
from bot.terms import STOP, Read, Terms, read_yaml

ENOUGH = 2
"""Function words of a language from which a message can be told to be in it."""
LOOK_BACK = 4
"""How many messages before one that is too short to tell its language are asked: each of a long conversation is read for each question."""
OF_A_SCRIPT = 0.2
"""Share of a message's letters from which another script than Latin decides. A Chinese character counts as two letters."""
UNDERSTOOD = 0.4
"""Share of the words with a meaning that must be known before a message is answered."""
COMMON = 1500
"""How often a word stands in the texts that the list of English words was counted in, to be what a slip was meant as."""
LOOKED_AT = 60
"""Words of a text from which it is told whether it is English at all."""
USUAL = 0.15
"""Share of a, the, how … in the words of a text from which it is English, whatever the others are."""

SCRIPTS = {
    "Arabic": re.compile(r"[\u0620-\u064a\u066e-\u06d3\u06fa-\u06ff]"),
    "Devanagari": re.compile(r"[\u0900-\u0963\u0971-\u097f]"),
    "Han": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]"),
    "Cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "Latin": re.compile(r"[A-Za-z\u00c0-\u024f]"),
}
_OTHERS = re.compile(r"\b(?:spouse|wife|husband|child|children|family|couple|parents|partner|friend|professor|doctor|graduates)\b")
_LETTER = re.compile(r"\w")
_JOINTS = re.compile(r"[-'’/&]")
_KANA = re.compile(r"[\u3040-\u30ff]")


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells a language from others."""

    script: str
    words: frozenset[str]
    letters: frozenset[str]
    shared: frozenset[str]  # words that are English too, and tell nothing
    others: frozenset[str]  # words of languages that look alike and are not held: Persian beside Urdu


@dataclass(frozen=True, slots=True)
class Understood:
    """A message in English words; empty where nothing of it is known."""

    language: str
    english: str
    unknown: tuple[str, ...]
    enough: bool

    @property
    def told(self) -> str:
        """What it tells without asking; nothing where it speaks of others, too: word lists lose who is spoken of."""
        if self.language == "en":
            return self.english
        if _OTHERS.search(self.english):
            return ""
        clauses = [c for c in re.split(r"(?<=[.,?!])\s+", self.english) if not c.endswith("?")]
        return re.sub(r"\bdo I need\b", "I need", " ".join(clauses))


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    name: str  # in English, as a model is told it
    glossary: Glossary
    negations: frozenset[str]


class Languages:
    """The languages of a knowledge folder; a word list is read when the first message in its language comes."""

    def __init__(self, folder: Path, terms: Terms, read: Read = read_yaml) -> None:
        self._parse = read
        self._terms = terms
        self._files = {path.stem: path for path in sorted(folder.glob("*.yaml"))} if folder.is_dir() else {}
        self._data = lru_cache(maxsize=None)(self._read)
        self.get = lru_cache(maxsize=None)(self._language)
        self._slipped = lru_cache(maxsize=20_000)(self._is_slip)  # messages of a conversation are read again with each question
        self._known: tuple[dict[str, Marks], dict[str, str]] | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(self._files)

    def known(self, tag: str | None) -> str | None:
        """Our code for a tag: "pt-BR" is "pt", "ur-Latn" may be told in the file of another; None where the language is not held."""
        if not tag:
            return None
        names = {code.casefold(): code for code in self._files} | self._marks()[1]
        parts = tag.split("-")
        return next((names[key] for n in range(len(parts), 0, -1) if (key := "-".join(parts[:n]).casefold()) in names), None)

    def detect(self, text: str, before: Sequence[str] = ()) -> str:
        """The code of the language; of what was said before where a message is too short to tell; else "en"."""
        return next((code for said in (text, *reversed(before[-LOOK_BACK:])) if (code := self._told(said)) is not None), "en")

    def answered_in(self, asked: str | None, text: str, before: Sequence[str] = ()) -> str:
        """The language of the answer: the one that was asked for, where it is known, else the one of the message."""
        if asked:
            return self.known(asked) or "en"
        return self.detect(text, before)

    def read(self, text: str, before: Sequence[str] = ()) -> Understood:
        """`text` in English words to search with; English stays as it is."""
        code = self.detect(text, before)
        if code == "en":
            foreign = self._foreign(text)
            return Understood("en", text, foreign, enough=not foreign and _LETTER.search(text) is not None)
        found = self.get(code).glossary.read(text, self._fixed, self._stays)
        all_words = found.known + len(found.unknown)
        leans = bool(before) and not found.unknown  # "¿y?" asks on
        return Understood(code, found.english, found.unknown, enough=leans or found.known >= max(1, UNDERSTOOD * all_words))

    def english(self, text: str, before: Sequence[str] = ()) -> str:
        """The English words of `read`, or the text where nothing of it is understood."""
        return self.read(text, before).english or text

    def name(self, code: str) -> str:
        return self.get(code).name if code in self._files else "English"

    # -- telling languages apart -----------------------------------------------------------------------------------

    def _told(self, text: str) -> str | None:
        """The code of the language, "en" for English; None where the message does not tell."""
        text = plain(text)
        letters = {script: len(pattern.findall(text)) * (1 + (script == "Han")) for script, pattern in SCRIPTS.items()}
        script = max((s for s in letters if s != "Latin"), key=lambda s: letters[s])
        if letters[script] and letters[script] >= OF_A_SCRIPT * sum(letters.values()):
            return None if script == "Han" and _KANA.search(text) else self._told_in(script, text)
        return self._told_in_latin(text)

    def _told_in(self, script: str, text: str) -> str | None:
        codes = [code for code, marks in self._marks()[0].items() if marks.script == script]
        words = [folded(w) for w in tokens(text)]
        points = {code: self._points(code, words, text) for code in codes}
        best = max(codes, key=lambda code: points[code], default=None)
        if best is None:
            return None
        marks = self._marks()[0][best]
        own, other = (sum(word in some for word in words) for some in (marks.words - marks.others, marks.others))
        return best if own >= other else None

    def _points(self, code: str, words: Sequence[str], text: str) -> int:
        marks = self._marks()[0][code]
        return 2 * sum(word in marks.words for word in words) + sum(c in marks.letters for c in text.casefold())

    def _told_in_latin(self, text: str) -> str | None:
        words = [folded(part) for w in tokens(text) if w[0].isalpha() for part in _JOINTS.split(w) if part]
        codes = [code for code, marks in self._marks()[0].items() if marks.script == "Latin"]
        marks = {code: self._marks()[0][code] for code in codes}
        signs = [*words, *(c for c in dict.fromkeys(text.casefold()) if any(c in m.letters for m in marks.values()))]
        has = {
            sign: [c for c, m in marks.items() if sign in m.words or sign in m.shared or sign in m.letters] for sign in set(signs)
        }  # fmt: skip
        weight = {code: sum(1 / len(has[sign]) for sign in signs if code in has[sign]) for code in codes}
        best = max(codes, key=lambda code: weight[code], default="")
        count = sum(sign in marks[best].words or sign in marks[best].letters for sign in signs) if best else 0
        usual = [word for word in words if word in STOP]
        # What is also a word of that language speaks for English only by half.
        against = sum(0.5 if best and word in marks[best].shared else 1 for word in usual)
        if best and count > against and (count >= ENOUGH or len(words) <= ENOUGH + 1):
            return best
        if not usual and (told := self._told_by_terms(codes, text)):
            return told
        return "en" if usual or len(words) > ENOUGH + 1 else None

    def _told_by_terms(self, codes: Sequence[str], text: str) -> str | None:
        """For a few words without grammar ("frais visa"): the language whose word list has most of those that are not English."""
        foreign = [w for w in tokens(plain(text)) if w[0].isalpha() and len(w) > 2 and not self._is_english(w)]
        if not foreign:
            return None
        found = Counter({code: sum(self.get(code).glossary.knows(w) for w in foreign) for code in codes})
        (best, most), = found.most_common(1) or [("", 0)]
        return best if 2 * most > len(foreign) else None

    def _foreign(self, text: str) -> tuple[str, ...]:
        """The words that are not English of a text that hardly has others: it is in a language that is not held, or in none. A slip in a
        longer word is none of these."""
        words = [part for w in tokens(plain(text)) if w[0].isalpha() for part in _JOINTS.split(w) if len(part) > 1][:LOOKED_AT]
        if len(words) <= ENOUGH or sum(folded(word) in STOP for word in words) >= USUAL * len(words):
            return ()
        foreign = tuple(word for word in words if not self._is_english(word))
        if 2 * len(foreign) <= len(words):
            return ()
        foreign = tuple(word for word in foreign if not self._slipped(word))
        return foreign if 2 * len(foreign) > len(words) else ()

    def _is_slip(self, word: str) -> bool:
        """Whether a word is a common one, or a name of the field, but for one letter."""
        if not LEAST_SLIP <= len(word) <= LONGEST_WORD or not word.isascii():
            return False
        return any(english().count(each) >= COMMON or self._is_term(each) for each in english().near(word.casefold()))

    def _is_english(self, word: str) -> bool:
        low = word.casefold()
        return word.isupper() or low in STOP or self._is_term(word) or low in english()

    def _marks(self) -> tuple[dict[str, Marks], dict[str, str]]:
        """Of each language its marks, and the other tags that mean it."""
        if self._known is None:
            marks: dict[str, Marks] = {}
            tags: dict[str, str] = {}
            for code in self._files:
                data = self._data(code)
                weak = {folded(str(w)) for w in data.get("weak_words", ())}
                words = frozenset(folded(str(w)) for w in data["function_words"]) - weak
                others = frozenset(folded(str(w)) for w in data.get("others", ()))
                marks[code] = Marks(str(data.get("script", "Latin")), words, frozenset(data.get("letters", "")), frozenset(weak), others)
                tags |= {str(tag).casefold(): code for tag in data.get("tags", ())}
            self._known = marks, tags
        return self._known

    # -- reading the files -----------------------------------------------------------------------------------------

    def _fixed(self, word: str) -> bool:
        if " " in word:
            return not any(c.isdigit() for c in word) and self._terms.canonical(word) in self._terms.entities
        return any(c.isdigit() for c in word) or (len(word) > 1 and word.isupper() and word.isascii()) or self._is_term(word)

    def _stays(self, word: str, first: bool) -> bool:
        if not SCRIPTS["Latin"].match(word):
            return False
        return (word[:1].isupper() and not first) or (word.isascii() and len(word) > 3 and word.casefold() in english())

    def _is_term(self, word: str) -> bool:
        return any(self._terms.found(word).values()) or self._terms.is_abbreviation(word.casefold())

    def _language(self, code: str) -> Language:
        data = self._data(code)
        try:
            return Language(code, str(data["name"]), Glossary(data), frozenset(map(str, data.get("negations", ()))))
        except (KeyError, TypeError, AttributeError, ValueError, re.error) as error:
            raise self._unreadable(code, error) from None

    def _read(self, code: str) -> dict[str, Any]:
        try:
            data = self._parse(self._files[code].read_bytes())
            return dict(data) | {"function_words": list(data["function_words"]) + list(data.get("weak_words", ()))}
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise self._unreadable(code, error) from None

    def _unreadable(self, code: str, error: Exception) -> SettingsError:
        name = self._files[code].name
        return SettingsError(f"languages/{name} cannot be read ({type(error).__name__}: {str(error)[:160]}). Correct it.")
