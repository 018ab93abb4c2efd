"""Whether a message is ours to answer, and what is said instead or first where it is not: rules, as data (`scope.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from bot.disguise import readings
from bot.errors import SettingsError
from bot.messages import KINDS, MessageKind
from bot.orders import gives_orders
from bot.parsed import Parsed
from bot.terms import Read, fold, read_yaml


@dataclass(frozen=True)
class Pattern:
    """A regular expression that is compiled when it is first needed: all those of the rules take a quarter of a second."""

    written: str

    def search(self, text: str) -> re.Match[str] | None:
        return self.compiled.search(text)

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """
        Raises:
            re.error
        """
        return re.compile(self.written, re.I)


@dataclass(frozen=True)
class Phrase(Pattern):
    """A plain phrase, only asked of a text that has all its words: of a thousand phrases that is hardly any."""

    words: tuple[str, ...]

    def search(self, text: str) -> re.Match[str] | None:
        return super().search(text) if all(word in text for word in self.words) else None


class Phrases:
    """The phrases of a rule, by the letters they begin with: only those are asked that may begin somewhere in a text, of hundreds a few."""

    def __init__(self, phrases: Iterable[Phrase] = ()) -> None:
        self._by_start: dict[str, list[Phrase]] = {}
        for phrase in phrases:
            self._by_start.setdefault(phrase.words[0][:2], []).append(phrase)

    def found(self, text: str) -> bool:
        return any(phrase.search(text) for start in self._by_start.keys() & _starts(text) for phrase in self._by_start[start])


@lru_cache(maxsize=64)
def _starts(text: str) -> frozenset[str]:
    """All that a phrase which is found in a text may begin with; every rule asks for the same texts."""
    return frozenset((*text, *(text[i : i + 2] for i in range(len(text) - 1))))


@dataclass(frozen=True, slots=True)
class Scope:
    """A kind of message that is not answered from evidence alone.

    `phrase` names the templates said, `section` what is quoted besides. `unless` rules `patterns` and `phrases` out, but not `always`.
    """

    id: str
    patterns: tuple[Pattern, ...]
    phrase: str
    status: str
    section: str = ""
    everywhere: bool = False  # also where other documents than the guides are asked
    unless: Pattern | None = None
    kind: MessageKind = "out_of_scope"
    always: tuple[Pattern, ...] = ()
    disguised: bool = False  # looked for in other readings of the message, too
    orders: bool = False  # text that gives orders to a machine counts
    closing: str = ""  # the template said last
    nearest: bool = False  # of `section` only the one that the search finds nearest, else the first
    yields: bool = False  # where the guides surely answer
    goes_on: str = ""  # "rest": what else is asked is answered; "all": the message is
    phrases: Phrases = field(default_factory=Phrases)  # in other languages
    spoken: tuple[tuple[str, Phrase], ...] = ()  # those of several words, and their languages
    in_doubt: bool = False  # the message may as well be none of this kind

    def doubted(self, *, answered: bool) -> Scope:
        """For a message that may be of this kind: what is not done is said, and the message then answered, where the guides seem to
        (`answered`)."""
        phrase = self.phrase.split()[0] + (" in_doubt" if answered else "")
        return replace(
            self, in_doubt=True, phrase=phrase, section="", nearest=False, closing="", goes_on="all", status="answered"
        )  # fmt: skip

    def compile(self) -> None:
        """All patterns, ahead of the first message.

        Raises:
            re.error
        """
        for pattern in (*self.patterns, *self.always, *((self.unless,) if self.unless else ())):
            _ = pattern.compiled

    def matches(self, message: Reading) -> bool:
        texts = message.texts if not self.disguised else (*message.texts, *message.disguised)
        return (self.orders and gives_orders(message.said)) or any(self._fits(text) for text in texts)

    def language_of(self, said: str) -> str | None:
        """The language of the longest phrase of this rule in a message: a short cry tells its language by nothing else."""
        text = fold(said)
        found = [(len(m[0]), code) for code, pattern in self.spoken if (m := pattern.search(text))]
        return max(found, key=lambda each: each[0])[1] if found else None

    def _fits(self, text: str) -> bool:
        if any(p.search(text) for p in self.always):
            return True
        return (self.phrases.found(text) or any(p.search(text) for p in self.patterns)) and not (self.unless and self.unless.search(text))


@dataclass(frozen=True)
class Reading:
    """A message as rules see it: as written and in English words (`texts`, folded), and what it may be a disguise of."""

    said: str
    english: str = ""

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(fold(text) for text in (self.said, self.english) if text))

    @cached_property
    def disguised(self) -> tuple[str, ...]:
        return tuple(readings(self.said))


def first(scopes: Sequence[Scope], said: str, english: str, *, guides: bool) -> Scope | None:
    """The first rule that a message falls under, those that yield last; of other documents than the guides only rules that hold
    everywhere are asked."""
    reading = Reading(said, english)
    asked = sorted((s for s in scopes if guides or s.everywhere), key=lambda s: s.yields)
    return next((s for s in asked if s.matches(reading)), None)


def read_scopes(folder: Path, read: Read = read_yaml, known: Mapping[str, str] | None = None) -> list[Scope]:
    """From `data/scope.yaml` of a knowledge folder; none where it is not there. Words that several patterns share are a map of
    name -> pattern (`words:`) and stand in patterns as <name>; `known` are there from the beginning.

    Raises:
        SettingsError: the file is not of the expected shape.
    """
    words = dict(known or {})
    scopes: list[Scope] = []
    for entry in entries(folder, "scope.yaml", read):
        try:
            if "words" in entry:
                for name, pattern in entry["words"].items():
                    words[name] = f"(?:{_spelt_out(pattern, words)})"
            else:
                scopes.append(_scope(entry, words))
        except (KeyError, TypeError, AttributeError) as error:
            raise SettingsError(f"The file scope.yaml cannot be read ({type(error).__name__}: {str(error)[:120]}). Correct it.") from None
    if isinstance(read, Parsed) and scopes:
        read.passed((folder / "data" / "scope.yaml").read_bytes(), lambda: _check(scopes))
    else:
        _check(scopes)
    return scopes


def _check(scopes: Sequence[Scope]) -> None:
    for scope in scopes:
        try:
            scope.compile()
        except re.error as error:
            raise SettingsError(f"scope.yaml: the rule '{scope.id}' has a pattern that is none ({str(error)[:120]}). Correct it.") from None


def _scope(data: dict[str, Any], words: dict[str, str]) -> Scope:
    always, when = (tuple(Pattern(_spelt_out(p, words)) for p in data.get(name) or ()) for name in ("always", "when"))
    says: dict[str, list[str]] = data.get("says") or {}
    said = [
        (code, phrase, pattern) for code, listed in says.items() for phrase, pattern in zip(listed, phrases({code: listed}), strict=True)
    ]  # fmt: skip
    unless = data.get("unless")
    kind = data.get("kind", data["id"] if data["id"] in KINDS else "out_of_scope")
    if kind not in KINDS:
        raise SettingsError(f"scope.yaml: the rule '{data['id']}' has no kind of message; write one of {', '.join(KINDS)}.")
    goes_on = str(data.get("goes_on", ""))
    if goes_on not in ("", "rest", "all"):
        raise SettingsError(f"scope.yaml: the rule '{data['id']}' goes on with '{goes_on}'; write rest or all.")
    return Scope(
        id=str(data["id"]), phrase=str(data["phrase"]), status=str(data["status"]), section=str(data.get("section", "")), kind=kind,
        patterns=when, phrases=Phrases(p for _, _, p in said), always=always,
        # Single words are left out: some are those of other languages, too.
        spoken=tuple((code, p) for code, phrase, p in said if " " in phrase and code != "roman"),
        unless=Pattern(_spelt_out(unless, words)) if unless else None,
        everywhere=bool(data.get("everywhere")), disguised=bool(data.get("disguised")), orders=bool(data.get("orders")),
        closing=str(data.get("closing", "")), nearest=bool(data.get("nearest")), yields=bool(data.get("yields")), goes_on=goes_on,
    )  # fmt: skip


def _spelt_out(pattern: str, words: dict[str, str]) -> str:
    """
    Raises:
        KeyError: a word that is not defined above.
    """
    return re.sub(r"(?<!\(\?P)(?<!\(\?)<([a-z_]+)>", lambda m: words[m[1]], str(pattern))


def phrases(says: dict[str, list[str]]) -> Iterator[Phrase]:
    """Plain phrases in other languages, read as messages are (`fold`). A * at the end of a word leaves its ending open, … stands for up to
    forty letters within a sentence.

    Raises:
        SettingsError: a phrase has no word in it.
    """
    for language, listed in says.items():
        for phrase in listed:
            pieces = [_phrase(piece, language) for piece in phrase.split("…")]
            written = r"[^.?!\n]{0,40}".join(pattern for pattern, _ in pieces)
            words = tuple(word for _, words in pieces for word in words)
            if not all(words) or not words:
                raise SettingsError(f"scope.yaml: the phrase '{phrase}' ({language}) lacks a word. Write one, or remove the phrase.")
            yield Phrase(written, words)


_UNSPACED = frozenset({"zh", "ja", "th", "my"})
"""Languages that write no spaces between words."""


def _phrase(piece: str, language: str) -> tuple[str, list[str]]:
    """Its pattern, and the words in it."""
    if language in _UNSPACED:
        words = fold(piece).split()
        return r"\s*".join(map(re.escape, words)), words
    words = [fold(word.rstrip("*")) for word in piece.split()]
    endings = [r"\w*" if word.endswith("*") else "" for word in piece.split()]
    return r"(?<!\w)" + r"\s+".join(re.escape(word) + end for word, end in zip(words, endings, strict=True)) + r"(?!\w)", words


def entries(folder: Path, name: str, read: Read = read_yaml) -> list[dict[str, Any]]:
    """The list in a data file of a knowledge folder; empty where there is no file.

    Raises:
        SettingsError: it cannot be read.
    """
    path = folder / "data" / name
    if not path.is_file():
        return []
    try:
        found = read(path.read_bytes()) or []
        if not all(isinstance(entry, dict) for entry in found):
            raise TypeError("it must be a list of entries with fields")
        return list(found)
    except (OSError, yaml.YAMLError, TypeError) as error:
        raise SettingsError(f"The file {name} cannot be read ({type(error).__name__}: {str(error)[:120]}). Correct it.") from None
