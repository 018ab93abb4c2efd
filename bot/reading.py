"""A sentence taken apart into what a comparison needs: figures, named things, content words, and words that turn the sense.

The words that turn the sense, and the words that may stand for one another, are data (`polarity.yaml`); this module only applies them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import yaml

from bot.errors import SettingsError
from bot.figures import Figure, clean, find, spell_out_names
from bot.settings import ROOT
from bot.terms import STOP, Read, Terms, any_of, read_yaml, stem


@dataclass(frozen=True, slots=True)
class Axis:
    name: str
    strict: bool = False
    negative: bool = False
    order: bool = False
    kept: bool = False


@dataclass(slots=True)
class Polarity:
    """The words of `polarity.yaml`, ready to look up."""

    axes: dict[str, Axis]
    signs: dict[str, tuple[str, int]]  # phrase -> axis, +1 or -1; ("not", -1) for negators
    groups: dict[str, frozenset[int]]  # stem -> synonym lines it stands on
    light: frozenset[str]
    pattern: re.Pattern[str]
    synonyms: dict[str, frozenset[str]] = field(default_factory=dict)  # stem -> other stems on its lines
    denying: frozenset[str] = frozenset()  # stems of verbs and the like that deny
    untrue: frozenset[str] = frozenset()  # stems that call a statement false
    reporting: frozenset[str] = frozenset()  # stems by which somebody else is said to say so


def read_polarity(path: Path, read: Read = read_yaml) -> Polarity:
    """Reads `polarity.yaml`.

    Raises:
        SettingsError: when the file is missing or not of the expected shape.
    """
    try:
        data = read(path.read_bytes())
        axes = {
            name: Axis(name, *(bool(item.get(k)) for k in ("strict", "negative", "order", "kept"))) for name, item in data["axes"].items()
        }
        signs: dict[str, tuple[str, int]] = {}
        for name, item in data["axes"].items():
            for phrase in item["plus"]:
                signs.setdefault(_spaced(phrase), (name, 1))
            for phrase in item["minus"]:
                signs.setdefault(_spaced(phrase), (name, -1))
        for phrase in data["negators"]:
            signs[_spaced(phrase)] = ("not", -1)
        lines: dict[str, set[int]] = {}
        for i, words in enumerate(data["synonyms"]):
            for word in words:
                lines.setdefault(stem(word), set()).add(i)
        pattern = re.compile(rf"(?<![a-z0-9])(?:{any_of(signs)})(?![a-z0-9])|n't\b|[a-z0-9]+(?:[.'&-][a-z0-9]+)*|[^\W\d_]+|[,;:()]")
        others = [frozenset(stem(word) for word in words if " " not in word) for words in data["synonyms"]]
        return Polarity(
            axes, signs, {k: frozenset(v) for k, v in lines.items()}, _stems(data["light"]), pattern,
            {word: frozenset().union(*(others[i] for i in at)) - {word} for word, at in lines.items()},
            *(_stems(data.get(name, ())) for name in ("denying", "untrue", "reporting")),
        )  # fmt: skip
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"The word list {path.name} cannot be read ({type(error).__name__}: {error}). Correct the file.") from None


@lru_cache(maxsize=1)
def shipped_polarity() -> Polarity:
    """The word list that comes with the program."""
    return read_polarity(ROOT / "knowledge" / "data" / "polarity.yaml")


def _stems(words: Iterable[str]) -> frozenset[str]:
    return frozenset(stem(w) for w in words)


def _spaced(phrase: object) -> str:
    if not isinstance(phrase, str):  # YAML reads a bare "no" or "on" as a truth value
        raise TypeError(f"{phrase!r} stands where a word should; put it in quotes")
    return re.sub(r"[\s-]+", " ", phrase).strip()


@dataclass(frozen=True, slots=True)
class Token:
    """One word that counts: a content word, a named thing, a figure, or a word that turns the sense ("axis" with its sign)."""

    kind: str  # "word", "entity", "figure", "axis"
    key: str  # stem, entity id, normal form of the figure, name of the axis
    sign: int = 0  # 9: a word that also stands as an axis token
    denied: bool = field(default=False, compare=False)  # an axis word under a negator: its sign is already turned
    clause: int = field(default=0, compare=False)  # between commas, brackets …
    part: int = field(default=0, compare=False)  # between semicolons and colons
    word: str = field(default="", compare=False)  # as written

    @property
    def same_kind(self) -> str:
        return self.key.partition(":")[0] if self.kind == "figure" else self.kind

    @property
    def mark(self) -> tuple[str, str, int]:
        return (self.kind, self.key, self.sign)

    @property
    def affirms(self) -> bool:
        """A denial denied: "not optional", "nobody is refused"."""
        return self.denied and self.sign > 0 and self.key in _DENYING_AXES

    @property
    def denies(self) -> bool:
        """Whether it says that something is not so: "not optional" does not."""
        return self.kind == "axis" and (self.key == "not" or (self.sign < 0 if self.key in _DENYING_AXES else self.denied))


@dataclass(slots=True, weakref_slot=True)
class Reading:
    """A sentence taken apart."""

    text: str  # as a reader sees it
    figures: tuple[Figure, ...]
    entities: dict[str, str]  # id -> kind
    tokens: tuple[Token, ...]
    words: frozenset[str]  # stems of all its words, small ones too
    stems: frozenset[str]
    groups: frozenset[int]  # synonym lines of its stems
    prefixes: frozenset[str]  # first letters of its longer stems
    axes: dict[str, Counter[int]] = field(default_factory=dict)

    def has(self, mark: tuple[str, str, int]) -> bool:
        return any(t.mark == mark for t in self.tokens)


PREFIX = 6
"""Letters from which two words of one root are taken for each other ("certif-icate", "certif-ied")."""

_DENYING_AXES = frozenset({"duty", "permit", "scope"})
_SINGULAR = re.compile(r"\b([A-Z]{1,2}-?\d[A-Z]?)s\b")
_GLUE = frozenset("of to for the a an or and than in on at".split())
_KEPT = frozenset("not no only most more few".split()) - STOP
_TURNED_AFAR = frozenset("duty permit scope claim verdict".split())  # "no letter is required"
_TURNED = frozenset("duty permit claim only scope outcome verdict always chance official good sure match law win many span".split())
_BEFORE_FIGURES = frozenset("under over above below beyond within".split())
"""Bounds only where a figure follows: "under 30", but "under ACGME rules"."""
_NOUNS = frozenset("block blocks cap limit charge charges".split())
_MOST_FIGURES = 26 * 26
_NO = frozenset("no none neither nobody".split())
WORDS = re.compile(r"[a-z0-9]+")


class Reader:
    """Takes sentences apart, remembering the last few."""

    def __init__(self, terms: Terms, polarity: Polarity, *, remembered: int = 1024) -> None:
        self.terms = terms
        self.polarity = polarity
        self.read = lru_cache(maxsize=remembered)(self._read)

    def _read(self, text: str) -> Reading:
        plain = clean(text)
        figures = find(plain)
        tokens = self._tokens(plain, figures)
        entities = {t.key: self.terms.entities[t.key].kind for t in tokens if t.kind == "entity"}
        axes: dict[str, Counter[int]] = {}
        for token in tokens:
            if token.kind == "axis":
                axes.setdefault(token.key, Counter())[token.sign] += 1
        stems = frozenset(t.key for t in tokens if t.kind in ("word", "entity"))
        groups = frozenset(i for s in stems for i in self.polarity.groups.get(s, ()))
        words = frozenset(stem(w) for w in re.findall(r"[a-z]+", plain.lower()))
        return Reading(
            plain, figures, entities, tokens, words, stems, groups, frozenset(s[:PREFIX] for s in stems if len(s) >= PREFIX), axes
        )

    def _tokens(self, plain: str, figures: tuple[Figure, ...]) -> tuple[Token, ...]:
        """The words that count, in order. A figure is one token, whatever way it is written."""
        parts: list[str] = []
        keys: list[Figure] = []
        at = 0
        for figure in figures:
            if figure.kind == "name" or figure.start < at or len(keys) == _MOST_FIGURES:
                continue
            head = self.terms.canonical(plain[figure.start : figure.end + 40]).split(" ", 1)[0].strip(",.;:")
            if head in self.terms.entities:  # "two-year home-residence rule", "Form I-129"
                continue
            parts += [plain[at : figure.start], f" zfigure{_letters(len(keys))}z "]
            keys.append(figure)
            at = figure.end
        parts.append(plain[at:])
        canonical = self.terms.canonical(_SINGULAR.sub(r"\1", spell_out_names("".join(parts)))).replace("cannot", "can not")
        canonical = re.sub(r"\bcan't\b", "can not", canonical)
        canonical = re.sub(r"\bwon't\b", "will not", canonical).replace("n't", " not")
        result: list[Token] = []
        clause = part = 0
        for match in self.polarity.pattern.finditer(canonical):
            word = match.group()
            if word in ",;:()":
                clause += 1
                part += word in ";:"
                continue
            new = self._of(word, keys)
            result += [replace(token, clause=clause, part=part, word=word) for token in new]
        return tuple(self._deny(_bounds(result)))

    def _of(self, word: str, figures: list[Figure]) -> list[Token]:
        if word.startswith("zfigure") and word.endswith("z"):
            figure = figures[_unletters(word[7:-1])]
            return [Token("figure", figure.key), *([Token("axis", "bound", 1)] if figure.shown.endswith("+") else [])]
        word = word.removesuffix("'s")
        if word in self.terms.entities:
            return [Token("entity", word)]
        sign = self.polarity.signs.get(re.sub(r"[\s-]+", " ", word))
        if sign:
            result = [Token("axis", *sign)]
            for part in re.split(r"[\s-]+", word):
                if sign[0] not in ("not", "condition", "order", "tense") and part not in _GLUE and part not in STOP:
                    result.append(Token("word", stem(part), sign=9))
            return result
        if word in STOP and word not in _KEPT:
            return []
        pieces = [piece for piece in re.split(r"[-&]", word.replace(".", "")) if len(piece) > 1 and piece not in STOP]
        return [Token("entity", piece) if piece in self.terms.entities else Token("word", stem(piece)) for piece in pieces]

    def _deny(self, tokens: list[Token]) -> list[Token]:
        """Turns the first axis word that a negator reaches: "not required" counts against, "does not have to" and "no letter is
        required" too."""
        result = list(tokens)
        gone: set[int] = set()
        for i, token in enumerate(tokens):
            if token.kind != "axis" or token.key != "not":
                continue
            # "can not", "may not": the permission stands before the negator.
            before = i - 1
            while before >= 0 and tokens[before].sign == 9:
                before -= 1
            if (
                before >= 0
                and tokens[before].mark == ("axis", "permit", 1)
                and tokens[before].clause == token.clause
                and token.word not in _NO
            ):
                result[before] = replace(tokens[before], sign=-1, denied=True)
                gone.add(i)
                continue
            reach, longest = 0, 2 if token.word in _NO else 0
            for j in range(i + 1, min(i + 7, len(tokens))):
                other = tokens[j]
                if other.clause != token.clause or reach > longest or (other.kind == "axis" and other.key == "not"):
                    break
                if other.kind == "axis" and other.key in (_TURNED_AFAR if reach else _TURNED):
                    result[j] = replace(other, sign=-other.sign, denied=True)
                    gone.add(i)
                    break
                if other.key != "tense" and other.sign != 9 and other.key not in self.polarity.light:
                    reach += 1
        return [t for i, t in enumerate(result) if i not in gone]


def _bounds(tokens: list[Token]) -> list[Token]:
    """Without "under", "over" … that no figure follows, and "up to" before a date."""
    result: list[Token] = []
    for i, token in enumerate(tokens):
        after = [n for n in tokens[i + 1 : i + 3] if n.kind == "figure"]
        bare = token.kind == "axis" and token.word in _BEFORE_FIGURES and not after
        before = result[-1] if result else token
        noun = token.word in _NOUNS and (before.kind == "figure" or before.key == "always")  # "14 blocks", "each block"
        place = token.word == "from" and not (after and after[0].same_kind == "date")  # "relief from residency"
        until = token.kind == "axis" and token.word == "up to" and after and after[0].same_kind == "date"
        if token.kind != "axis" or not (bare or until or noun or place):
            result.append(token)
    return result


def _letters(n: int) -> str:
    return chr(97 + n // 26) + chr(97 + n % 26)


def _unletters(code: str) -> int:
    return (ord(code[0]) - 97) * 26 + ord(code[1]) - 97


def coverage(token: Token, reading: Reading, polarity: Polarity, around: Reading | None = None) -> float:
    """How much of a word `reading` holds: 1 the word itself, less for a word that stands for it, for its root, or for a word
    of the headings."""
    if token.key in reading.stems:
        return 1.0
    if token.kind == "entity":
        return 0.9 if around and token.key in around.stems else 0.0
    if polarity.groups.get(token.key, frozenset()) & reading.groups:
        return 0.9
    if around and token.key in around.stems:
        return 0.8
    return 0.8 if token.key[:PREFIX] in reading.prefixes else 0.0


def weight(token: Token, polarity: Polarity) -> float:
    """What a word counts in a comparison of meaning; 0 for words that only turn the sense, and figures, which are compared on their own."""
    if token.kind == "entity":
        return 1.0
    if token.kind != "word":
        return 0.0
    return 0.25 if token.key in polarity.light or token.sign == 9 else 1.0
