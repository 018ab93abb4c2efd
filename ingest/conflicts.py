"""The conflict finder: sentences in different places that cannot both be true.

Two statements are held against each other when they speak of the same thing: the same named things (state, visa, exam, specialty …), mostly
the same words. They clash when one has another figure or date where the other has its own, when one denies what the other says, when they
differ in nothing but a visa, state or exam, or when one counts a country's graduates as IMGs and the other does not.

They do not clash when they carry different dates of validity, years or groups of people, or when `data/conflicts.yaml` knows the conflict.
It is a comparison of words, not of meaning: what it finds is worth a look, and what it does not find is not proven to be free of conflicts.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np

from bot.figures import Figure, clean, find, same
from bot.terms import STOP, Terms, stem
from bot.verify import Polarity
from ingest.registry import Registry
from ingest.statements import Statement

# Weighted word overlap (Dice, 0 to 1) from which two statements are taken to be about the same thing. Set on the guides of November 2026 so
# that few pairs are named that are not worth a look, and checked with the contradictions of tests/ingest/planted.yaml.
ALIKE = {"figure": 0.54, "date": 0.62, "denial": 0.6, "name": 0.72}
ALIKE_SAME_FACT = {"figure": 0.42, "date": 0.5, "denial": 0.5, "name": 0.6}  # both rest on the same fact: they should say the same
AROUND = 0.3  # overlap of the words around the two figures
AROUND_MANY = 0.55  # the same where either side has several figures to choose from
_WINDOW = 7  # words on either side of a figure

ClashKind = Literal["figure", "date", "denial", "name", "member"]


@dataclass(frozen=True, slots=True)
class Clash:
    kind: ClashKind
    first: Statement
    second: Statement
    detail: str
    score: float


@dataclass(frozen=True, slots=True)
class _Slot:
    """A figure, the words around it, and the part of the sentence (or the cell) it stands in."""

    figure: Figure
    around: frozenset[str]
    clause: str
    base: bool  # the whole that something is a part of: "of 419"
    column: frozenset[str]  # of a table cell: the words of its column's name
    years: frozenset[str]  # the year it is told of


@dataclass(frozen=True, slots=True)
class _Sign:
    """A word that turns the sense ("must", "may not"), and the words it turns."""

    axis: str
    sign: int
    about: frozenset[str]  # after it
    near: frozenset[str]  # before and after it
    next: str  # the first word after it


@dataclass(slots=True)
class _Claim:
    """A statement taken apart for comparison."""

    statement: Statement
    words: frozenset[str]  # one word for each group of synonyms, and ids of named things
    written: frozenset[str]  # stems as they stand, of all words
    named: dict[str, frozenset[str]]  # ids of named things by kind
    topic: frozenset[str]  # named things of the guide's title and the section's heading
    slots: tuple[_Slot, ...]
    dates: tuple[_Slot, ...]
    years: frozenset[str]  # of the sentence, "as of" included; else of its row or heading
    repeated: frozenset[str]  # words that stand in it more than once
    proper: frozenset[str]  # capitalised words that are no named things
    signs: tuple[_Sign, ...]
    labels: frozenset[tuple[str, str]]  # "Day 2", "year 5": parts of a series
    past: bool
    facts: frozenset[str]


def find_conflicts(statements: Sequence[Statement], terms: Terms, polarity: Polarity, registry: Registry) -> list[Clash]:
    """The clashes among `statements`, the surest first; each pair once, and one place is named with at most three others."""
    reader = _Reader(terms, polarity)
    claims = [reader.read(s) for s in statements if "advice" not in s.facts and s.facts]
    known = _Known(registry)
    clashes = [*_pairs(claims, known, terms), *_members(claims, known)]
    clashes.sort(key=lambda c: (-c.score, c.first.place, c.second.place))
    seen: set[tuple[str, str]] = set()
    count: Counter[str] = Counter()
    result = []
    for clash in clashes:
        pair = (clash.first.place + clash.first.said, clash.second.place + clash.second.said)
        if pair in seen or count[pair[0]] >= 3 or count[pair[1]] >= 3:
            continue
        seen.add(pair)
        count.update(pair)
        result.append(clash)
    return result


class _Known:
    """The conflicts of the registry, by fact."""

    def __init__(self, registry: Registry) -> None:
        self.of: dict[str, set[str]] = defaultdict(set)
        for name, conflict in registry.conflicts.items():
            for position in conflict.positions:
                if position.fact:
                    self.of[position.fact].add(name)
        for fact, record in registry.facts.items():
            self.of[fact].update(record.conflicts)

    def covers(self, a: _Claim, b: _Claim) -> bool:
        """Whether a known conflict has a position of each statement. The same fact told twice is not two positions."""
        return any(x != y and self.of[x] & self.of[y] for x in a.facts if x in self.of for y in b.facts if y in self.of)


# Reading ------------------------------------------------------------------------------------------------------------------

_MONTHS = "january february march april may june july august september october november december".split()
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()
_NUMBERS += "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_MONTH = rf"(?:(?:{'|'.join(_MONTHS)}) )?"
_PUBLICATION = "as of|source|pages?|text|list|survey|rule|guide|booklet|table|undated|report|document|stored|copy|blog|article|listed|dated"
_SOURCE_DATE = re.compile(
    rf"\((?:[^()]*\b(?:{_PUBLICATION})\b[^()]*|(?:[A-Z][\w.& ]+, )?{_MONTH}(?:19|20)\d\d)\)"
    rf"|\b(?:as of|as listed in|last seen in|according to an? (?:\w+ )?)(?:(?:early|mid|late|the) )?{_MONTH}(?:19|20)\d\d\b"
    r"|, on a page of (?:19|20)\d\d|\bin (?:an?|one|the) (?:(?:19|20)\d\d|undated)\b(?= \w+)",
    re.I,
)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_PLAIN_WORD = re.compile(r"[a-z0-9]+(?:['’.&-][a-z0-9]+)*")
_PROPER = re.compile(r"(?<![.!?:;] )(?<!^)\b[A-Z][\w&.-]*[\w]")
_PAST = frozenset(
    "before until former formerly old older earlier previously past propose proposes proposed bill would outdated wrong wrongly historical "
    "rescinded replaced disagree disagrees differ differs".split()
)
_NOT_PROPER = frozenset(
    "match step steps pathway pathways board medical state states united us usmle img imgs ecfmg the applicants section form act health "
    "school doctors department center university hospital program programs residency internal medicine clinical".split()
) | frozenset(_MONTHS)
_CELL_NAME = re.compile(r"( - |; )[^:;]+: ")
_ONLY = re.compile(r"\b(?:only|solely|exclusively)\b", re.I)
_ONLY_WHAT = re.compile(r"(?:\S+ )only\b|\bonly (?:for |the |on )?\S+", re.I)
_NON_US = re.compile(r"\bnon[- ]U\.?S\.?(?:[- ]citizen)?(?= )")
_US_GROUP = re.compile(r"\bU\.?S\.?(?:[- ]citizen)?(?= (?:IMG|international medical grad))")
_LABEL = re.compile(r"\b(day|year|phase|tier|block|part|pgy)[ -]?(\d)\b")
_HEDGE = re.compile(
    r"(?:,? (?:which|that|and|but) )?we (?:could not|did not|do not|cannot) (?:confirm|check|find|know)\b"
    r"|\bnot (?:known to us|confirmed|verified|in our sources|listed|found|stated|read)\b"
    r"|\bcap[- ]exempt\b|, not [^,.;]+ own page,",
    re.I,
)
_PEOPLE = re.compile(
    r" (?:of the [\d,]+ )?(?:active |matched |unmatched )?(?:non-)?(?:U\.?S\.?[- ])?(?:citizen )?(?:IMGs?|MDs?|DOs?|applicants|seniors)\b"
)
_OF = re.compile(r"\bof (?:the |its |all |about )?$", re.I)
_CLAUSE_START = re.compile(r"^|[;:,(] |\b(?:while|whereas|but|against|and) ")
_CLAUSE_END = re.compile(r"[;:(]|, (?!\d)|\b(?:while|whereas|but|against|and) |\.$")
_DENIED = re.compile(r"\b(?:not|no|never|without|un(?=matched|filled|published))", re.I)
# Words that make two statements speak of different things when each has another word of the same line.
_OPPOSITES = [
    frozenset(stem(word) for word in line.split())
    for line in (
        "mean median average middle half quarter",
        "nonus usgroup seniors",
        "placed unmatched unplaced",
        "placed ranked applied offered",
        "filled unfilled",
        "ranked applied offered filled",
        "positions medians median scores score",
        "first second third fourth fifth final later additional next",
        "initial renewal extension new",
        "regular premium late standard expedited",
        "principal dependent spouse child family",
        "minimum maximum least most",
        "lowest highest top bottom",
        "categorical preliminary advanced",
        "published unpublished",
        "gold silver",
        "primary specialist specialty",
        "public private nonprofit",
        "rural urban",
        "graduate graduates student students",
        "employer applicant",
        "training full permanent provisional temporary limited restricted",
        "morning afternoon",
        "shared couples single",
        "fee deadline",
        "citizens noncitizens",
        "men women",
        "positions programs applicants interviews",
        "in-person virtual",
        "paper online",
        "domestic international",
        "physician surgeon nurse",
        "listed required recommended preferred",
        "abstracts publications volunteer research work",
        "failed passed",
    )
]
_DENIABLE = frozenset({"duty", "permit", "scope", "verdict", "outcome"})
_CLASHING = frozenset({"duty", "permit", "not", "scope", "verdict", "change", "only"})
_SCOPES = ("state", "country", "exam", "visa", "pathway", "specialty", "group", "waiver", "form")


def without_source_dates(text: str) -> str:
    """`text` (cleaned) with what says when the source is of blanked out: "(as of March 2026)", "(undated page)"; places stay the same."""
    return _SOURCE_DATE.sub(lambda m: " " * len(m.group()), text)


class _Reader:
    def __init__(self, terms: Terms, polarity: Polarity) -> None:
        self.terms = terms
        self.polarity = polarity
        self.places = _place_words(terms)
        self._entities: dict[str, dict[str, set[str]]] = {}

    def read(self, statement: Statement) -> _Claim:
        plain = clean(statement.said)
        told = clean(without_source_dates(plain))
        valid = frozenset(year for m in _SOURCE_DATE.finditer(plain) for year in _YEAR.findall(m.group()))
        figures = [f for f in find(told) if f.kind != "name" and not f.soft and (f.kind != "percent" or re.search(r"\d", f.shown))]
        named = self.terms.found(re.sub(r"'s\b", "", told))
        topic = self._topic(statement.headings)
        kinds = {kind: frozenset(named.get(kind) or topic.get(kind, set())) for kind in _SCOPES}
        stems = _stems(told)
        own = {ident for idents in named.values() for ident in idents}
        first_cell = told.split(" - ", 1)[0] if statement.kind == "row" else ""
        slots = tuple(
            self._slot(told, f, statement.kind)
            for f in figures
            if f.start >= len(first_cell)
            and not (f.kind == "count" and not f.unit and re.fullmatch(r"[A-Z]\w+ ", told[: f.start]))  # "Sign two"
        )
        years = {s.figure.value[:4] for s in slots if s.figure.kind == "date" and not s.figure.value.startswith("?")}
        return _Claim(
            statement,
            frozenset(self._group(word) for word in stems) | own,
            _all_stems(told),
            kinds,
            frozenset(ident for idents in topic.values() for ident in idents),
            tuple(s for s in slots if s.figure.kind != "date"),
            tuple(s for s in slots if s.figure.kind == "date"),
            frozenset(years or _years(f"{first_cell} {statement.head}") or _years(f"{statement.headings[-1]} {' '.join(statement.facts)}"))
            | valid,
            frozenset(word for word, n in Counter(self._group(stem(w)) for w in _words(told)).items() if n > 1),
            (_proper_words(_CELL_NAME.sub(r"\1", told) if first_cell else told) - self.places)
            | (frozenset(_words(first_cell)) - STOP - own),
            self._signs(_CELL_NAME.sub(r"\1", told[len(first_cell) :]) if first_cell else told),
            frozenset((m[1], m[2]) for m in _LABEL.finditer(told.lower())),
            bool(_PAST & set(re.findall(r"[a-z-]+", told.lower()))),
            frozenset(statement.facts),
        )

    def _topic(self, headings: tuple[str, ...]) -> dict[str, set[str]]:
        text = " . ".join(headings)
        if text not in self._entities:
            self._entities[text] = self.terms.found(text)
        return self._entities[text]

    def _group(self, word: str) -> str:
        lines = self.polarity.groups.get(word)
        return f"={min(lines)}" if lines else word

    def _slot(self, text: str, figure: Figure, kind: str) -> _Slot:
        if figure.kind == "count" and not figure.unit and _PEOPLE.match(text, figure.end):
            figure = replace(figure, unit="person")
        if kind == "row":  # a cell holds little: the names of its row and column say what it is about
            start = text.rfind("; ", 0, figure.start) + 1 or text.find(" - ") + 2
            stop = text.find("; ", figure.end)
            stop = stop if stop > 0 else len(text)
            if figure.kind == "count" and not figure.unit and re.search(r"dollars|USD", text[start : figure.start]):
                figure = replace(figure, kind="money", unit="usd")
            before = [*_words(text.split(" - ", 1)[0]), *_words(text[start : figure.start])]
            value = max(text.find(": ", start, figure.start) + 1, start)
            column = frozenset(self._group(word) for word in _stems(text[start:value]))
        else:
            value = max(m.end() for m in _CLAUSE_START.finditer(text, 0, figure.start))
            end = _CLAUSE_END.search(text, figure.end)
            stop = end.start() if end else len(text)
            before = _words(text[: figure.start])[-_WINDOW:]
            column = frozenset()
        near = [*before, *_words(text[figure.end : stop])[:_WINDOW]]
        around = frozenset(self._group(word) for word in _stems(" ".join(near)))
        return _Slot(
            figure,
            around,
            text[value:stop],
            bool(_OF.search(text[: figure.start])),
            column,
            _year_of(text, figure, start if kind == "row" else 0),
        )

    def _signs(self, text: str) -> tuple[_Sign, ...]:
        """The words that turn the sense, "not required" and "may not" counted as one turned word."""
        lower = re.sub(r"n't\b", " not", _HEDGE.sub(" ", text).lower().replace("can't", "can not").replace("won't", "will not"))
        tokens: list[tuple[str, int] | str] = []
        for match in self.polarity.pattern.finditer(re.sub(r"\$?\d[\d,.]*\d", " ", lower)):
            word = match.group()
            turn = ("not", -1) if word == "no" else self.polarity.signs.get(re.sub(r"[\s-]+", " ", word))
            if word in ",;:()" or word in ("because", "so", "if", "while", "and", "but", "unless"):
                tokens.append(",")
            elif turn or word not in STOP:
                tokens.append(turn or word)
        result = []
        at = 0
        while at < len(tokens):
            token, start = tokens[at], at
            at += 1
            if isinstance(token, str):
                continue
            axis, sign = token
            one, two = (tokens[at + i] if at + i < len(tokens) else "," for i in (0, 1))
            if axis == "not" and not isinstance(one, str) and one[0] in _DENIABLE:  # "not required"
                axis, sign, at = one[0], -one[1], at + 1
            elif axis == "not" and isinstance(one, str) and one != "," and not isinstance(two, str) and two[0] in _DENIABLE:
                axis, sign, tokens[at + 1] = two[0], -two[1], ","  # "no categorical exemption"
            elif axis == "permit" and not isinstance(one, str) and one[0] == "not":  # "may not"
                sign, at = -sign, at + 1
            about = self._words_by(tokens[at : at + 5])
            ahead = self._words_by(tokens[max(0, start - 4) : start][::-1])
            result.append(_Sign(axis, sign, about, about | ahead, next(iter(self._words_by(tokens[at : at + 1])), "")))
        return tuple(result)

    def _words_by(self, tokens: Sequence[tuple[str, int] | str]) -> frozenset[str]:
        """The nearest three words of the clause."""
        words: list[str] = []
        for token in tokens:
            if token == "," or len(words) == 3:
                break
            words += [token] if isinstance(token, str) else []
        return frozenset(self._group(word) for word in _stems(" ".join(words)))


def _place_words(terms: Terms) -> frozenset[str]:
    """Words of the names of states and countries: they are compared as named things, not as names of hospitals or people."""
    return frozenset(word for e in terms.entities.values() if e.kind in ("state", "country") for word in e.name.lower().split())


def _words(text: str) -> list[str]:
    return _PLAIN_WORD.findall(_US_GROUP.sub("usgroup", _NON_US.sub("nonus", text)).lower())


def _proper_words(text: str) -> frozenset[str]:
    words = (match.group().lower().rstrip(".") for match in _PROPER.finditer(text))
    return frozenset(word for word in words if word not in _NOT_PROPER and not re.search(r"\d", word))


def _stems(text: str) -> frozenset[str]:
    return frozenset(
        stem(part)
        for word in _words(text)
        if word not in STOP and word not in _MONTHS and word not in _NUMBERS and not word[0].isdigit()
        for part in re.split(r"[-&.]", word.replace("'s", ""))
        if len(part) > 1 and part not in STOP
    )


def _year_of(text: str, figure: Figure, start: int) -> frozenset[str]:
    """ "562 in 2023": the year behind a figure; else the last one before it."""
    behind = re.match(r"(?:[ -][\w-]+){0,4}? (?:in|for) (?:the )?((?:19|20)\d\d)\b", text[figure.end :])
    if behind:
        return frozenset({behind[1]})
    return frozenset(_YEAR.findall(text[start : figure.start])[-1:])


def _years(text: str) -> frozenset[str]:
    return frozenset(_YEAR.findall(text))


def _all_stems(text: str) -> frozenset[str]:
    return frozenset(stem(part) for word in _words(text.replace("matched", "placed")) for part in re.split(r"[-&.]", word))


# Comparing ----------------------------------------------------------------------------------------------------------------


def _pairs(claims: list[_Claim], known: _Known, terms: Terms) -> Iterator[Clash]:
    weight = _weights(claims)
    compare = _Comparison(terms, weight)
    sums = np.array([sum(weight[w] for w in claim.words) for claim in claims])
    holders: dict[str, list[int]] = defaultdict(list)
    for i, claim in enumerate(claims):
        for word in claim.words:
            holders[word].append(i)
    postings = {word: np.array(places) for word, places in holders.items()}
    least = min(ALIKE_SAME_FACT.values())
    for i, claim in enumerate(claims):
        overlap = np.zeros(len(claims))
        for word in claim.words:
            overlap[postings[word]] += weight[word]
        alike = 2 * overlap / (sums + sums[i] + 1e-9)
        for j in np.flatnonzero(alike[i + 1 :] >= least) + i + 1:
            other = claims[j]
            if _apart(claim, other) or known.covers(claim, other):
                continue
            clash = _clash(claim, other, float(alike[j]), compare)
            if clash:
                yield clash


def _weights(claims: list[_Claim]) -> dict[str, float]:
    """Inverse document frequency: rare words tell what a statement is about."""
    count: Counter[str] = Counter(word for claim in claims for word in claim.words)
    return {word: math.log(1 + len(claims) / n) for word, n in count.items()}


def _overlap(a: frozenset[str], b: frozenset[str], weight: dict[str, float]) -> float:
    total = sum(weight.get(w, 3.0) for w in a) + sum(weight.get(w, 3.0) for w in b)
    return 2 * sum(weight.get(w, 3.0) for w in a & b) / total if total else 0.0


def _apart(a: _Claim, b: _Claim) -> bool:
    """Neighbours in a section or table are written to differ."""
    one, two = a.statement, b.statement
    if one.file != two.file:
        return False
    if one.kind == two.kind == "row":
        return True
    if one.anchor != two.anchor:
        return False
    return one.kind == "row" or two.kind == "row" or abs(one.line - two.line) <= 1


def _clash(a: _Claim, b: _Claim, alike: float, compare: _Comparison) -> Clash | None:
    shared = {fact for fact in a.facts & b.facts if not fact.startswith("row-")}
    bounds = ALIKE_SAME_FACT if shared else ALIKE
    if a.past != b.past and not (shared and alike >= 0.8):
        return None
    if _other_subject(a, b, bool(shared)):
        return _swapped(a, b, bounds, shared, compare)
    if not _same_years(a, b, bool(shared), alike):
        return _moved(a, b, alike, bounds, compare)
    if _opposite(a.written, b.written):
        return None
    figures = compare.unlike(a, b, a.slots, b.slots, bool(shared))
    dates = compare.unlike(a, b, a.dates, b.dates, bool(shared))
    if figures and alike >= bounds["figure"] and not dates:
        return _found("figure", a, b, figures[0], alike)
    if dates and not figures:
        return _moved(a, b, alike, bounds, compare)
    if (
        alike >= bounds["denial"]
        and not figures
        and not dates
        and all(a.named[kind] == b.named[kind] for kind in _SCOPES)
        and compare.denied(a, b, alike)
    ):
        return Clash("denial", a.statement, b.statement, "one denies what the other says", alike)
    return None


def _moved(a: _Claim, b: _Claim, alike: float, bounds: dict[str, float], compare: _Comparison) -> Clash | None:
    """The same event on another date: every other figure agrees."""
    dates = compare.unlike(a, b, a.dates, b.dates, True)
    if not dates or alike < bounds["date"] or _opposite(a.written, b.written):
        return None
    few, many = sorted((a.slots, b.slots), key=len)
    if (
        not all(any(_agree(x.figure, y.figure) for y in many) for x in few)
        or many
        and not few
        and alike < (0.65 if a.facts & b.facts else 0.75)
    ):
        return None
    return _found("date", a, b, dates[0], alike)


def _found(kind: ClashKind, a: _Claim, b: _Claim, pair: tuple[Figure, Figure], alike: float) -> Clash:
    return Clash(kind, a.statement, b.statement, f"'{pair[0].shown}' against '{pair[1].shown}'", alike)


def _other_subject(a: _Claim, b: _Claim, shared: bool) -> bool:
    """Whether they speak of different states, exams, visas …, or of different hospitals or people by name."""
    for kind in _SCOPES:
        x, y = a.named[kind], b.named[kind]
        if x != y and not (x <= y or y <= x):
            return True
        if bool(x) != bool(y) and not shared and len(x | y) <= 2 and kind in ("state", "country", "exam", "specialty", "group"):
            return True
    if {kind for kind, _ in a.labels} & {kind for kind, _ in b.labels} and not a.labels & b.labels:
        return True
    return bool(a.proper and b.proper and not a.proper & b.proper and not shared)


def _opposite(a: frozenset[str], b: frozenset[str]) -> bool:
    return any(a & line and b & line and not a & b & line for line in _OPPOSITES)


def _same_years(a: _Claim, b: _Claim, shared: bool, alike: float) -> bool:
    if a.years and b.years:
        return bool(a.years & b.years)
    return a.years == b.years or shared or alike >= 0.7


def _alike_kind(f: Figure, g: Figure) -> bool:
    if f.kind == "date" or g.kind == "date":
        # "July 2025" and "2025" differ in how exact they are, not in what they say.
        return f.kind == g.kind and [part.startswith("?") for part in f.value.split("-")] == [
            part.startswith("?") for part in g.value.split("-")
        ]
    if f.kind == "span" and g.kind == "span":
        return True
    return f.kind == g.kind and (f.unit == g.unit or f.kind == "count" and not (f.unit and g.unit) and "person" not in (f.unit, g.unit))


def _near(f: Figure, g: Figure) -> bool:
    """Whether one could be taken for the other: 218 and 214, not 218 and 1,762."""
    if f.kind not in ("count", "money"):
        return True
    small, large = sorted((abs(float(Fraction(f.value))), abs(float(Fraction(g.value)))))
    return large <= small * (5 if f.kind == "count" else 12)


def _agree(f: Figure, g: Figure) -> bool:
    return same(f, g) or same(g, f) or f.value.strip("().") == g.value.strip("().") and (f.kind == g.kind or "ref" in (f.kind, g.kind))


def _unmatched(xs: tuple[_Slot, ...], ys: tuple[_Slot, ...]) -> list[tuple[_Slot, _Slot]]:
    """Figures of the same kind that stand on one side only, in pairs."""
    only = [x for x in xs if not any(_agree(x.figure, y.figure) for y in ys)]
    others = [y for y in ys if not any(_agree(x.figure, y.figure) for x in xs)]
    return [(x, y) for x in only for y in others if _alike_kind(x.figure, y.figure) and _near(x.figure, y.figure)]


class _Comparison:
    def __init__(self, terms: Terms, weight: dict[str, float]) -> None:
        self.weight = weight
        self._named: dict[str, dict[str, set[str]]] = {}
        self._terms = terms
        self._places = _place_words(terms)

    def unlike(self, a: _Claim, b: _Claim, xs: tuple[_Slot, ...], ys: tuple[_Slot, ...], shared: bool) -> list[tuple[Figure, Figure]]:
        """Figures that stand in the same words with another value, the closest pair first."""
        pairs = _unmatched(xs, ys)
        least = AROUND if len(pairs) == 1 else AROUND_MANY
        scored = [(_overlap(x.around, y.around, self.weight), x, y) for x, y in pairs]
        scored.sort(key=lambda item: -item[0])
        return [(x.figure, y.figure) for score, x, y in scored if score >= least + (0 if shared else 0.1) and self._same_role(a, b, x, y)]

    def _same_role(self, a: _Claim, b: _Claim, x: _Slot, y: _Slot) -> bool:
        """Whether the parts of the two sentences that hold the figures can be about the same thing."""
        if any(bool(word.search(x.clause)) != bool(word.search(y.clause)) for word in (_DENIED, _ONLY)) or x.base != y.base:
            return False
        if _opposite(_all_stems(x.clause), _all_stems(y.clause)):
            return False
        of = [{f.key for f in find(slot.clause) if f.kind == "count" and f.unit and f.shown != slot.figure.shown} for slot in (x, y)]
        if of[0] and of[1] and not of[0] & of[1]:  # "330 dollars for 30 programs", "930 for 50 programs"
            return False
        one, two = self._found(x.clause), self._found(y.clause)
        for kind in _SCOPES:
            mine, theirs = one.get(kind, set()), two.get(kind, set())
            if mine and theirs and not mine & theirs:
                return False
            if a.named[kind] and b.named[kind] and a.named[kind] != b.named[kind] and not mine & theirs:
                return False
            if kind in ("state", "country", "specialty") and bool(a.named[kind]) != bool(b.named[kind]) and 0 < len(mine | theirs) <= 2:
                return False
        if x.column and y.column and _overlap(x.column, y.column, self.weight) < 0.5:
            return False
        if any(one.column and not two.column and self._part(one.column, of.words) < 0.4 for one, two, of in ((x, y, b), (y, x, a))):
            return False
        if x.figure.kind != "date":
            years = x.years or a.years, y.years or b.years
            if years[0] and years[1] and not years[0] & years[1]:
                return False
        names = _proper_words(x.clause) - self._places, _proper_words(y.clause) - self._places
        return not (names[0] and b.proper and not names[0] & b.proper or names[1] and a.proper and not names[1] & a.proper)

    def _found(self, clause: str) -> dict[str, set[str]]:
        if clause not in self._named:
            self._named[clause] = self._terms.found(re.sub(r"'s\b", "", clause))
        return self._named[clause]

    def denied(self, a: _Claim, b: _Claim, alike: float) -> bool:
        if self._other_only(a, b):
            return True
        if bool(_ONLY.search(a.statement.said)) != bool(_ONLY.search(b.statement.said)):
            return False
        return self._denies(a, b, alike) or self._denies(b, a, alike)

    def _other_only(self, a: _Claim, b: _Claim) -> bool:
        """ "J-1 only" against "H-1B only"."""
        sides = []
        for claim in (a, b):
            found = _ONLY_WHAT.search(clean(claim.statement.said))
            sides.append(self._found(found.group()).get("visa", set()) if found else set())
        return bool(sides[0] and sides[1] and not sides[0] & sides[1])

    def _denies(self, a: _Claim, b: _Claim, alike: float) -> bool:
        """Whether `a` has a turned word about the same as `b`'s, with the other sign, or a "not" about something that `b` says outright."""
        for sign in a.signs:
            if sign.axis == "not":
                if alike >= 0.8 and any(other.axis == "not" for other in b.signs):
                    continue
                if any(other.sign < 0 and _overlap(sign.near, other.near, self.weight) >= 0.25 for other in b.signs):
                    continue
                if len(sign.about) < 2 and alike < (0.7 if a.facts & b.facts else 0.85) or a.repeated & {sign.next}:
                    continue
                if sign.next in b.words and self._part(sign.about, b.words) >= 0.6:
                    return True
            elif sign.axis in _CLASHING:
                others = [other for other in b.signs if other.axis == sign.axis]
                if {s.sign for s in a.signs if s.axis == sign.axis} & {other.sign for other in others}:
                    continue
                if any(self._near(sign, other) >= 0.4 for other in others):
                    return True
        return False

    def _near(self, sign: _Sign, other: _Sign) -> float:
        return max(_overlap(sign.about, other.about, self.weight), _overlap(sign.near, other.near, self.weight))

    def _part(self, words: frozenset[str], of: frozenset[str]) -> float:
        total = sum(self.weight.get(w, 3.0) for w in words)
        return sum(self.weight.get(w, 3.0) for w in words & of) / total if total else 0.0


def _swapped(a: _Claim, b: _Claim, bounds: dict[str, float], shared: set[str], compare: _Comparison) -> Clash | None:
    """The same statement of another visa, state, exam …: an error when both name the same source or the same figures and names."""
    differ = [kind for kind in _SCOPES if a.named[kind] != b.named[kind]]
    if len(differ) != 1 or _unmatched(a.slots, b.slots) or _unmatched(a.dates, b.dates) or compare.denied(a, b, 0.0):
        return None
    x, y = a.named[differ[0]], b.named[differ[0]]
    if not x or not y or x & y or a.statement.kind == "row" and b.statement.kind == "row":
        return None
    if bool(a.slots) != bool(b.slots) or a.slots and not any(_agree(m.figure, t.figure) for m in a.slots for t in b.slots):
        return None
    if x & a.topic and y & b.topic:  # each speaks of what its own guide is about
        return None
    if not shared and not (a.proper & b.proper and len(a.proper ^ b.proper) <= 2) and not _telling(a, b):
        return None
    entities = x | y
    rest = _overlap(a.words - entities, b.words - entities, compare.weight)
    if rest < bounds["name"]:
        return None
    return Clash("name", a.statement, b.statement, f"{', '.join(sorted(x))} against {', '.join(sorted(y))}", rest)


def _telling(a: _Claim, b: _Claim) -> bool:
    """Whether they share a figure that hardly occurs twice by chance."""
    return any(
        _agree(x.figure, y.figure) and (x.figure.kind in ("money", "percent") or x.figure.kind == "date" and "?" not in x.figure.value[5:7])
        for x in (*a.slots, *a.dates)
        for y in (*b.slots, *b.dates)
    )


# Who is an IMG ------------------------------------------------------------------------------------------------------------

_GROUP = re.compile(r"\bIMGs?\b|\binternational medical graduates?\b|\bforeign medical graduates?\b", re.I)
_IS = re.compile(
    r"\b(?:is|are|count|counts|counted|treat|treats|treated|class|classed|regarded|considered|become|became|belong|means|be)\b", re.I
)
_OUTSIDE = re.compile(r"\b(?:outside(?: of)?|other than|except|apart from|not|never|no longer|neither|without)\b[^.;:]{0,40}$", re.I)


def _members(claims: Iterable[_Claim], known: _Known) -> Iterator[Clash]:
    """Statements that count a country's graduates as IMGs, against those that leave them out."""
    sides: dict[str, dict[bool, list[_Claim]]] = defaultdict(lambda: {True: [], False: []})
    for claim in claims:
        text = claim.statement.said
        group = _GROUP.search(text)
        if not group or not _IS.search(text) or claim.slots or not re.search(r"graduat|school|studied", text, re.I):
            continue
        for country in claim.named["country"]:
            place = re.search(rf"\b{country.removeprefix('country')[:5]}\w*", text, re.I)
            if place:
                sides[country][_counts_in(text, place, group)].append(claim)
    for side in sides.values():
        for a in side[True]:
            for b in side[False]:
                if not known.covers(a, b) and not (a.statement.file == b.statement.file and a.statement.anchor == b.statement.anchor):
                    yield Clash("member", a.statement, b.statement, "one counts them as IMGs, the other does not", 0.9)


def _counts_in(text: str, country: re.Match[str], group: re.Match[str]) -> bool:
    """Whether the country's graduates are said to be in the group: "outside the US and Canada" leaves them out, "never IMGs" too."""
    left_out = bool(_OUTSIDE.search(text[: country.start()]))
    denied = country.end() <= group.start() and bool(
        re.search(r"\b(?:not|never|no longer|neither|nor)\b", text[country.end() : group.start()], re.I)
    )
    corrected = bool(re.search(r"\b(?:no longer|not|never) true\b|\b(?:wrong|false|incorrect|outdated)\b", text[group.end() :], re.I))
    return (left_out == denied) != corrected
