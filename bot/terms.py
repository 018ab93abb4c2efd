"""The field's words: what applicants write -> one spelling, and the things that must not be mistaken for one another.

All of it is data (`terms.yaml` in the knowledge folder); this module only applies it.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import snowballstemmer
import yaml

from bot.errors import SettingsError


def stemmer(language: str) -> Callable[[str], str]:
    """Stems of one language, for any thread: snowballstemmer's own keep the word they work on, and threads would change it for each other.

    Raises:
        KeyError: there is none for it.
    """
    made, busy = snowballstemmer.stemmer(language), threading.Lock()

    def stemmed(word: str) -> str:
        with busy:
            return cast(str, made.stemWord(word))

    return stemmed


_STEMMED = stemmer("english")
# Question words and glue: they carry no subject, so neither matching nor coverage counts them.
STOP = frozenset(
    "a about above after again all also am an and any are as at be because been before being below between both "
    "but by came can cannot could did do does "
    "doing down during each few for from further get gets getting got had has have having he her here hers him his "
    "how i if in into is it its just know let "
    "like me mean means more most much my need needs no nor not now of off on once only or other our out over own "
    "please same shall she should so some such "
    "tell than that the their them then there these they this those through to too under until up us very want was "
    "we were what when where which while who "
    "whom why will with would you your yours im ive id dont doesnt cant wont isnt arent didnt hi hello hey thanks "
    "thank really actually still ever even many "
    "ok okay one two s t m re ve d ll give given say said someone anyone anything something thing things".split()
)
_WORD = re.compile(r"[a-z0-9]+(?:[.'’&-][a-z0-9]+)*|[^\W\d_]+", re.UNICODE)
_FOLD = str.maketrans(
    {"‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " ", "\u202f": " "}
)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    return _STEMMED(word)


def fold(text: str) -> str:
    """Lower case, one kind of hyphen, quote and space, accents and invisible characters off, look-alike letters read as Latin ones."""
    if text.isascii():
        return text.lower()  # there is nothing else to it, and most texts are
    text = unicodedata.normalize("NFKC", text).translate(_FOLD).casefold()
    decomposed = unicodedata.normalize("NFD", text)
    text = "".join(c for c in decomposed if unicodedata.category(c) not in {"Mn", "Cf"})
    if not text.isascii() and re.search(r"[a-z]", text):
        text = re.sub(r"\S*[a-z]\S*", lambda m: m.group().translate(_LOOKALIKES), text)
    return text


# Cyrillic and Greek letters that look like Latin ones (Unicode TR39 confusables); only applied inside words that also hold Latin letters.
_LOOKALIKES = str.maketrans("авеёкмнорстухіјѕԁԛԝαβεικνορτυχ", "abeekmhopctyxijsdqwabeiknoptux")


@dataclass(frozen=True, slots=True)
class Entity:
    id: str
    kind: str
    name: str


class Forms:
    """Phrases to be found in a text as whole words, the longest first. Each space of a phrase also stands for hyphens or more white space.

    A tree that is walked, since a pattern of thousands of phrases takes a quarter of a second to compile.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        """`phrases`: as `_squeeze` leaves them."""
        self._tree: dict[str, Any] = {}
        for phrase in phrases:
            node = self._tree
            for char in phrase:
                node = node.setdefault(char, {})
            node[""] = {}
        self._starts = re.compile(f"(?<![a-z0-9])[{''.join(map(re.escape, self._tree))}]")

    def replaced(self, text: str, by: Callable[[str], str]) -> str:
        parts, end = [], 0
        for found in self._starts.finditer(text):
            start = found.start()
            if start >= end and (stop := self._stop(text, start)):
                parts += [text[end:start], by(text[start:stop])]
                end = stop
        return "".join([*parts, text[end:]]) if parts else text

    def _stop(self, text: str, at: int) -> int:
        """Where the longest phrase that starts at `at` ends; 0 when there is none."""
        node, stop, end = self._tree, 0, len(text)
        while at < end:
            char = text[at]
            at += 1
            if char == "-" or char.isspace():
                char = " "
                while at < end and (text[at] == "-" or text[at].isspace()):
                    at += 1
            if char not in node:
                break
            node = node[char]
            if "" in node and (at == end or text[at] not in _LETTERS):
                stop = at
        return stop


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


@dataclass(slots=True)
class Terms:
    """The lexicon. `version` changes when the data does, so that indexes know they are out of date."""

    entities: dict[str, Entity]
    version: str
    _forms: Forms
    _form_ids: dict[str, str]
    _state_codes: dict[str, str]
    _ambiguous_codes: dict[str, str]
    _words: dict[str, str]  # by the abbreviation without its gaps: "pre-match", "pre match" and "prematch" are one
    _words_pattern: re.Pattern[str] | None
    _capitals: dict[str, str] = field(default_factory=dict)  # short forms that are names only in capitals
    _namesakes: dict[str, tuple[re.Pattern[str], str]] = field(default_factory=dict)  # states that share their name with a country
    canonical: Callable[[str], str] = field(init=False, repr=False, compare=False)
    """Text, folded, with each recognised entity replaced by its one-word id ("Step two CK" -> "step2ck")."""

    def __post_init__(self) -> None:
        self.canonical = lru_cache(maxsize=256)(self._canonical)  # of one question it is asked four times over

    def _canonical(self, text: str) -> str:
        folded = fold(self._codes(text))
        result = self._forms.replaced(folded, lambda found: self._form_ids[_squeeze(found)])
        for state, (pattern, country) in self._namesakes.items():
            if state in result and pattern.search(folded):
                result = result.replace(state, country)
        return result

    def _codes(self, text: str) -> str:
        # Two capital letters count as a state only where they stand like one: "in TX", "TX?", "NY and NJ"; never "IN", "OR", "ME" in
        # running capitals.
        if text.isupper():
            return text
        text = _SHORT.sub(lambda m: self._capitals.get(m.group(), m.group()), text)
        text = _CODE.sub(lambda m: m.group(1) + self._state_codes.get(m.group(2), m.group(2)), text)
        return _PLACED.sub(lambda m: self._ambiguous_codes.get(m.group(), m.group()), text)

    def found(self, text: str) -> dict[str, set[str]]:
        """Entity ids by kind: visa, form, exam, pathway, body, system, waiver, specialty, group, state, country."""
        result: dict[str, set[str]] = {}
        for word in _WORD.findall(self.canonical(text)):
            entity = self.entities.get(word)
            if entity:
                result.setdefault(entity.kind, set()).add(entity.id)
        return result

    def tokens(self, text: str, *, expand: bool = False) -> list[str]:
        """Stemmed content words and entity ids, in order. `expand` adds the plain words of abbreviations (for questions, not evidence)."""
        canonical = self.canonical(text)
        if expand and self._words_pattern is not None:
            extra = [self._words[_closed(m.group())] for m in self._words_pattern.finditer(canonical)]
            if extra:
                canonical += " " + self.canonical(" ".join(dict.fromkeys(extra)))
        result = []
        for word in _WORD.findall(canonical):
            if word in self.entities:
                result.append(word)
            elif word not in STOP and (len(word) > 1 or word.isdigit()):
                result.extend(stem(part) for part in _parts(word))
        return result

    def expanded(self, text: str) -> str:
        """`text` with the plain words of its abbreviations added in brackets, for the embedder, which does not know them."""
        if self._words_pattern is None:
            return text
        extra = [self._words[_closed(m.group())] for m in self._words_pattern.finditer(fold(text))]
        names = [self.entities[i].name for idents in self.found(text).values() for i in sorted(idents)]
        extra = [words for words in dict.fromkeys([*names, *extra]) if words.lower() not in fold(text)]
        return f"{text} ({'; '.join(extra)})" if extra else text

    def name(self, entity_id: str) -> str:
        return self.entities[entity_id].name

    def forms(self, kind: str) -> list[str]:
        """All that entities of a kind are called, folded."""
        return [form for form, ident in self._form_ids.items() if self.entities[ident].kind == kind]

    def is_abbreviation(self, word: str) -> bool:
        """Whether `terms.yaml` gives plain words for it."""
        return _closed(word) in self._words

    def spelled_out(self, word: str) -> tuple[str, ...]:
        """Tokens of the plain words that an abbreviation stands for."""
        return tuple(self.tokens(self._words[_closed(word)])) if self.is_abbreviation(word) else ()


_CODE = re.compile(r"(^|[\s(,/])([A-Z]{2})(?=$|[\s),.?!;:/])")
_SHORT = re.compile(r"(?<![\w'’.-])[A-Z]{2}(?![\w'’.-]*\w)(?! (?:an?|at|from|going|in|not|on|the) )")  # "IM from Egypt" is "I'm"
_AMBIGUOUS = {
    "IN",
    "OR",
    "ME",
    "HI",
    "OK",
    "ID",
    "OH",
    "LA",
    "MA",
    "PA",
    "DE",
    "AL",
    "MD",
    "CO",
    "CT",
    "GA",
}  # words, degrees, abbreviations
# … unless they stand where a place has to: "license in OH", "OR medical board". "MD license" is a doctor's, in any state, and
# "residency in LA" may be in Los Angeles.
_PLACED = re.compile(
    r"(?:(?<=\blicense in )|(?<=\blicensed in )|(?<=\blicence in )|(?<=\blicensure in ))"
    r"[A-Z]{2}(?![\w-])"
    r"|(?<![\w-])(?!MD)[A-Z]{2}(?= (?:state |medical )*(?:licen[sc]es?\b|licensure|board of medicine|medical board|pathway))"
)


def _squeeze(text: str) -> str:
    return re.sub(r"[\s-]+", " ", text).strip()


def _closed(text: str) -> str:
    return re.sub(r"[\s-]+", "", text)


def _parts(word: str) -> Iterable[str]:
    """ "cap-exempt" counts as cap-exempt, cap and exempt, so that either spelling finds the other."""
    if "-" in word or "&" in word:
        yield word
        yield from (p for p in re.split(r"[-&]", word) if len(p) > 1 and p not in STOP)
    else:
        yield word.replace("'s", "").replace(".", "") or word


Read = Callable[[bytes], Any]
"""Reads YAML: `read_yaml`, or `bot.parsed.Parsed`."""


def read_yaml(raw: bytes | str) -> Any:
    """`yaml.safe_load`, by libyaml where it is there: a fifth of the time."""
    return yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_terms(path: Path, read: Read = read_yaml) -> Terms:
    """Reads `terms.yaml`.

    Raises:
        SettingsError: when the file is missing or not of the expected shape.
    """
    try:
        raw = path.read_bytes()
        data = read(raw)
        return _build(data, hashlib.sha256(raw).hexdigest()[:12])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, re.error) as error:
        raise SettingsError(f"The word list {path.name} cannot be read ({type(error).__name__}: {error}). Correct the file.") from None


def _build(data: dict, version: str) -> Terms:
    entities: dict[str, Entity] = {}
    forms: dict[str, str] = {}
    for kind, items in data["entities"].items():
        for item in items:
            entities[item["id"]] = Entity(item["id"], kind, item["name"])
            for form in [item["name"], *item["forms"]]:
                forms[_squeeze(fold(str(form)))] = item["id"]
    codes: dict[str, str] = {}
    ambiguous: dict[str, str] = {}
    for code, state in data["states"].items():
        ident = "state" + code.lower()
        entities[ident] = Entity(ident, "state", state["name"])
        for form in [state["name"], *state.get("forms", [])]:
            forms[_squeeze(fold(form))] = ident
        (ambiguous if code in _AMBIGUOUS else codes)[code] = state["name"]
    for country in data["countries"]:
        ident = _country_id(country)
        entities[ident] = Entity(ident, "country", country)
        for form in [country, *data.get("country_forms", {}).get(country, [])]:
            forms.setdefault(_squeeze(fold(form)), ident)
    words = {fold(k): v for k, v in data["words"].items()}
    closed = {_closed(k): v for k, v in words.items()}
    namesakes = {}
    for code, state in data["states"].items():
        if "country" in state:
            namesakes["state" + code.lower()] = (re.compile(state["country"]["where"]), _country_id(state["country"]["name"]))
    abbreviations = _alternatives(words) if words else None
    return Terms(entities, version, Forms(forms), forms, codes, ambiguous, closed, abbreviations, data.get("capitals", {}), namesakes)


def _country_id(name: str) -> str:
    return "country" + re.sub(r"[^a-z]", "", fold(name))


def _alternatives(forms: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{any_of(forms)})(?![a-z0-9])")


def any_of(phrases: Iterable[str]) -> str:
    """A pattern for all phrases, the longest first.

    A space in a phrase also matches a hyphen or several spaces, a hyphen also a space or nothing.
    Common beginnings are tried once, so that hundreds of phrases cost little more than one.
    """
    tree: dict[str, dict] = {}
    for phrase in phrases:
        node = tree
        for char in phrase:
            node = node.setdefault(_GAPS.get(char) or re.escape(char), {})
        node[""] = {}
    return _branches(tree)


_GAPS = {" ": r"[\s-]+", "-": r"[\s-]?"}


def _branches(tree: dict[str, dict]) -> str:
    parts = [piece + _branches(rest) for piece, rest in sorted(tree.items(), key=lambda item: item[0] in _GAPS.values()) if piece]
    if not parts:
        return ""
    joined = parts[0] if len(parts) == 1 and "" not in tree else f"(?:{'|'.join(parts)})"
    return f"{joined}?" if "" in tree else joined
