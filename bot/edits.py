"""What an advisor changed between a draft and what was sent, sentence by sentence, and of what kind it is.

`fact`: a sentence stands on both sides with other figures, names or citations, or says the opposite. `scope`: a claim was added or
taken out. `tone`: only words, greetings and order. Of a whole text the gravest kind counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.errors import InputError
from bot.figures import find
from bot.reply import read_reply
from bot.sentences import split
from bot.terms import STOP, fold, stem

Kind = Literal["none", "tone", "scope", "fact"]
ORDER: tuple[Kind, ...] = ("none", "tone", "scope", "fact")

SAME = 0.5
"""Share of the shorter sentence's words that another one must hold to be the same sentence in other words."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_COURTESY = re.compile(
    r"^\W*(?:dear|hello|hi|good (?:morning|day|evening)|thank|thanks|many thanks|best|kind|warm|regards|sincerely|yours|cheers|good luck"
    r"|all the best|i hope|we hope|hope|i wish|we wish|please (?:write|reply|ask|let|feel|tell)|do not hesitate|feel free|happy to|glad"
    r"|i am glad|we are glad|sorry|i am sorry|we are sorry|welcome|take care|congratulations|let (?:me|us) know|here is|here are"
    r"|hola|estimad|querid|buenos|buenas|gracias|muchas gracias|saludos|un saludo|atentamente|un abrazo|cordialmente|mucha suerte|suerte"
    r"|esper|lament|por favor|felicidades|felicitaciones)\b",
    re.I,
)
_LIMITS = {
    "not": re.compile(r"\b(?:not|no|never|neither|nor|without|cannot|none)\b|n't\b", re.I),
    "must": re.compile(r"\b(?:must|required?|requires|has to|have to|mandatory|obligatory)\b", re.I),
    "may": re.compile(r"\b(?:may|can|could|might|optional|allowed|permitted)\b", re.I),
    "only": re.compile(r"\b(?:only|at least|at most|up to|minimum|maximum|more than|less than|before|after|until)\b", re.I),
}


@dataclass(frozen=True, slots=True)
class Change:
    """`before` empty: added; `after` empty: taken out. `keys` name the evidence that either side cites."""

    kind: Kind
    before: str
    after: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    kind: Kind
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    keys: frozenset[str]  # what it cites
    words: frozenset[str]
    plain: str  # to see whether two are equal

    @property
    def claims(self) -> bool:
        """Whether it tells the reader something about the matter, and is no greeting or question."""
        if self.keys or any(not figure.soft for figure in find(self.text)):
            return True
        if self.text.rstrip("\"'”’) ").endswith("?") or _COURTESY.match(self.text):
            return False
        return len(self.words) >= 3


def difference(draft: str, sent: str) -> Difference:
    """Both texts as advisors write them: evidence keys (`[e1a2b3c]`) behind sentences, or none."""
    return compare(_read(draft), _read(sent))


def changed(before: Sequence[str], after: Sequence[str]) -> Difference:
    """The same for sentences that are cut already and whose citations do not matter."""
    return compare([_said(text, ()) for text in before], [_said(text, ()) for text in after])


def compare(before: Sequence[_Said], after: Sequence[_Said]) -> Difference:
    old, new = _without_equal(before, after)
    changes = []
    for group, others in _pairs(old, new):
        keys = tuple(sorted(_keys([*group, *others])))
        changes.append(Change(_kind(group, others), _joined(group), _joined(others), keys))
    moved = [s.plain for s in before] != [s.plain for s in after]
    kind = max((change.kind for change in changes), key=ORDER.index, default="tone" if moved else "none")
    return Difference(kind, tuple(changes))


def _read(text: str) -> list[_Said]:
    try:
        pieces = [(piece.text, piece.keys) for piece in read_reply(text)]
    except InputError:  # empty, or longer than a reply may be
        pieces = [(said, ()) for said in split(text)]
    return [_said(said, keys) for said, keys in pieces]


def _said(text: str, keys: Iterable[str]) -> _Said:
    words = frozenset(stem(word) for word in _WORD.findall(fold(text)) if word not in STOP)
    return _Said(text, frozenset(keys), words, " ".join(fold(text).split()) + "".join(sorted(keys)))


def _without_equal(before: Sequence[_Said], after: Sequence[_Said]) -> tuple[list[_Said], list[_Said]]:
    shared = Counter(s.plain for s in before) & Counter(s.plain for s in after)

    def rest(side: Sequence[_Said]) -> list[_Said]:
        left = Counter(shared)
        kept = []
        for said in side:
            if left[said.plain]:
                left[said.plain] -= 1
            else:
                kept.append(said)
        return kept

    return rest(before), rest(after)


def _pairs(old: list[_Said], new: list[_Said]) -> list[tuple[list[_Said], list[_Said]]]:
    """What became what: sentences that were merged or split stand in one group; one side is empty where nothing corresponds."""
    edges = set()
    for side, other, turned in ((old, new, False), (new, old, True)):
        for i, said in enumerate(side):
            best = max(range(len(other)), key=lambda j: _alike(said, other[j]), default=None)
            if best is not None and _alike(said, other[best]) >= SAME:
                edges.add((best, i) if turned else (i, best))
    groups: list[tuple[set[int], set[int]]] = []
    for i, j in sorted(edges):
        joined = ({i}, {j})
        for group in [g for g in groups if i in g[0] or j in g[1]]:
            groups.remove(group)
            joined = (joined[0] | group[0], joined[1] | group[1])
        groups.append(joined)
    matched_old = {i for group in groups for i in group[0]}
    matched_new = {j for group in groups for j in group[1]}
    groups += [({i}, set()) for i in range(len(old)) if i not in matched_old]
    groups += [(set(), {j}) for j in range(len(new)) if j not in matched_new]
    ordered = sorted(groups, key=lambda g: (min(g[0], default=len(old)), min(g[1], default=len(new))))
    return [([old[i] for i in sorted(a)], [new[j] for j in sorted(b)]) for a, b in ordered]


def _alike(a: _Said, b: _Said) -> float:
    if min(len(a.words), len(b.words)) == 0:
        return 0.0
    shared = len(a.words & b.words)
    # One shared word makes no pair, unless it is all there is.
    if shared < 2 and max(len(a.words), len(b.words)) > 2:
        return 0.0
    return shared / min(len(a.words), len(b.words)) - 0.001 * abs(len(a.words) - len(b.words))


def _kind(old: list[_Said], new: list[_Said]) -> Kind:
    if not old or not new:
        return "scope" if any(said.claims for said in (*old, *new)) else "tone"
    if _figures(old) != _figures(new) or _keys(old) != _keys(new) or _limits(old) != _limits(new):
        return "fact"
    return "tone"


def _figures(side: list[_Said]) -> set[str]:
    return {figure.key for said in side for figure in find(said.text) if not figure.soft}


def _keys(side: list[_Said]) -> set[str]:
    return {key for said in side for key in said.keys}


def _limits(side: list[_Said]) -> set[str]:
    """What a sentence permits, demands or denies: a changed "not" or "must" is another rule."""
    text = _joined(side)
    found = {name for name, pattern in _LIMITS.items() if pattern.search(text)}
    return found - {"may"} if "must" in found or "not" in found else found


def _joined(side: list[_Said]) -> str:
    return " ".join(said.text for said in side)
