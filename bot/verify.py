"""Whether a sentence says what its quotes say. Nothing reaches a person without passing here.

Every part of the check is a comparison of the sentence with single sentences of what it cites, never with a page as a whole:

1. figures      each number, amount, date, share, law or form number stands in a cited sentence, in the same role
2. names        each visa, exam, state, country, program … it names is named by the quote, or by the quote's heading
3. polarity     not / only / unless, must / may, before / after, at least / at most … point the same way (`polarity.yaml`), and what the
                quote only proposes, lists or could not confirm is not told as a fact
4. changes      where the sentence nearly repeats a quote, every word that differs is looked at
5. roles        where the quote names two things of a kind, each keeps its own statement; a table cell keeps its row and column
6. meaning      its words are the quote's words or stand for them, each stretch of the sentence in one and the same quote; where they are
                too few, the embedder decides

A sentence that stands in its quote word for word passes at once. When in doubt the answer is no: a dropped sentence costs less than a wrong
one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from bot.figures import Figure, find, same, shown
from bot.passage import cells, read_row
from bot.reading import WORDS, Polarity, Reader, Reading, Token, coverage, read_polarity, shipped_polarity, weight
from bot.sentences import split
from bot.terms import Terms, stem

__all__ = ["Polarity", "Verdict", "Verifier", "read_polarity"]

Embed = Callable[[list[str]], np.ndarray]

# Measured on tests/golden/paraphrases.yaml against sentences cited with a neighbour's quote.
ENOUGH_WORDS = 0.80  # with so large a share of its words in the quote a sentence needs no embedder
TOO_FEW_WORDS = 0.34  # below, no cosine helps
CLOSE = 0.905  # cosine of gte-small at which TOO_FEW_WORDS is enough; the two trade off linearly in between
TURN = 1.2  # what it costs, in words, to pass from one quote to another in the middle of a sentence
FOREIGN = 0.34  # a part of the sentence with so small a share of its words in the quotes is said by none of them
NEAR_COPY = 0.55  # share of a quote's words that stand in the sentence in the same order, from which every change is looked at
SMALL = 3  # content words; a larger difference is a part left out or taken from elsewhere, not a change
LONGEST = 4_000  # characters; no answer has a longer sentence


@dataclass(frozen=True, slots=True)
class Verdict:
    supported: bool
    support: float
    figures: tuple[str, ...] = ()
    missing_figures: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class Verifier:
    def __init__(self, terms: Terms, embed: Embed | None = None, polarity: Polarity | None = None) -> None:
        self.terms = terms
        self.embed = embed
        self.polarity = polarity or shipped_polarity()
        self._reader = Reader(terms, self.polarity)
        self._read = self._reader.read
        self._units = lru_cache(maxsize=1024)(_sentences)

    def check(self, text: str, quotes: Sequence[str], *, context: Sequence[str] = (), as_of: Sequence[str] = ()) -> Verdict:
        """Whether `text` is said by `quotes`.

        `context` (title, headings, header row) may name what the quote is about, but supplies no figure. `as_of` are dates of the facts;
        their month may be told ("as of July 2026").
        """
        stripped = _MARKS.sub("", text).strip()
        if len(stripped) > LONGEST:
            return Verdict(False, 0.0, reasons=("too long for one sentence",))
        as_shown = shown(find(stripped))
        if not stripped or not quotes:
            return Verdict(False, 0.0, as_shown, as_shown, ("nothing is cited" if stripped else "nothing is said",))
        if stripped in quotes:
            return Verdict(True, 1.0, as_shown)
        units = list(dict.fromkeys(unit for quote in quotes for unit in self._units(quote)))
        if stripped in units:
            return Verdict(True, 1.0, as_shown)
        reasons = list(_hidden(stripped, quotes))
        dated = _without_as_of(stripped, as_of)
        if not reasons:
            bare = _bare(dated)
            if any(bare == _bare(unit) for unit in units) or any(bare == _bare(row) for row in _rows_aloud(units, context)):
                return Verdict(True, 1.0, as_shown)
        return self._compare(dated, units, context, as_of, as_shown, reasons)

    def strange(self, text: str, quotes: Sequence[str], context: Sequence[str] = ()) -> tuple[int, list[str]]:
        """How many of the words that tell something the quotes have, and those that neither they nor `context` have. `check` weighs them
        and lets a few pass; who did not write from the quotes, as people do not, should not have many."""
        said = self._read(_without_emphasis(_MARKS.sub("", text)))
        headers = [c for c in context if c.lstrip().startswith("|")]
        quoted = [self._read(_aloud(unit, headers)) for quote in quotes for unit in self._units(quote)]
        around = self._read(" . ".join(context)) if context else None
        known, strange = set[str](), dict[str, str]()
        for token in said.tokens:
            if token.kind == "figure":
                known.add(token.key)
            elif weight(token, self.polarity):
                if max((coverage(token, reading, self.polarity, around) for reading in quoted), default=0.0) >= 0.5:
                    known.add(token.key)
                else:
                    strange[token.key] = token.word
        return len(known), list(strange.values())

    def _compare(
        self, text: str, units: list[str], context: Sequence[str], as_of: Sequence[str], as_shown: tuple[str, ...], reasons: list[str]
    ) -> Verdict:
        text, opening = _without_yes_or_no(_without_emphasis(text))
        headers = [c for c in (*context, *units) if c.lstrip().startswith("|")]
        said = self._read(text)
        # A row of a table is read with its header, each value under the name of its column.
        quoted = [self._read(_aloud(unit, headers)) for unit in units]
        sources = [find(unit) for unit in (*units, *(_header_of(u, headers) for u in units if u.startswith("|")))]
        around = self._read(" . ".join(c for c in context if c not in headers)) if context else None
        missing = self._figures(said, sources, as_of, reasons)
        self._names(said, quoted, [*quoted, *([around] if around else []), *(self._read(h) for h in headers)], around, reasons)
        borne, bearers = self._borne(said, quoted, around, reasons)
        merged = [quoted[i] for i in sorted(set(bearers))] or quoted
        rows = [unit for unit in units if unit.startswith("|")]
        if rows and not any(self._keeps_cells(text, row, _header_of(row, headers)) for row in rows):
            reasons.append("a value stands under another column or beside another label")
        _ranges(said, quoted, reasons)
        self._changes(said, quoted, reasons)
        self._kept(said, merged, reasons)
        compared = self._polarity(said, merged, reasons)
        self._roles(said, merged, reasons, 4.0 if compared else 2.0)
        if opening:
            self._opening(opening, said, reasons)
        support = borne
        if not reasons:
            support = self._meaning(said, units, self._weakest(said, quoted, around, borne, reasons), reasons)
        if reasons:
            return Verdict(False, round(min(support, 0.49), 2), as_shown, tuple(missing), tuple(dict.fromkeys(reasons)))
        return Verdict(True, round(min(1.0, support), 2), as_shown)

    # -- figures and names -----------------------------------------------------------------------------------------

    def _figures(self, said: Reading, sources: list[tuple[Figure, ...]], as_of: Sequence[str], reasons: list[str]) -> list[str]:
        missing: list[str] = []
        for figure in said.figures:
            if figure.kind == "name" or any(same(figure, other) for source in sources for other in source):
                continue
            if figure.soft and not self._rival(figure, sources) or _is_as_of(figure, said.text, as_of):
                continue
            if figure.shown.lower() == "one" and not any(
                o.kind == figure.kind and o.unit == figure.unit for source in sources for o in source
            ):
                continue  # "one program" where the quote says "a program"
            if figure.kind == "money" and any(_priced(figure, source) for source in sources):
                continue
            if figure.kind == "span" and figure.soft:
                reasons.append(f"'{figure.shown}' is not in the quote")
                continue
            missing.append(figure.shown)
            reasons.append(f"figure {figure.shown} is not in the quote")
        return missing

    def _rival(self, figure: Figure, sources: list[tuple[Figure, ...]]) -> bool:
        """ "A year" stands against "two years" in the quote; "80 hours a week" stands against nothing."""
        return figure.kind == "span" and not figure.shown.lower().startswith(("per", "each", "every")) and any(
            other.kind == "span" and other.unit == figure.unit and not other.soft for source in sources for other in source
        ) and not any(other.kind == "count" for source in sources for other in source)  # fmt: skip

    def _names(self, said: Reading, quoted: list[Reading], everything: list[Reading], around: Reading | None, reasons: list[str]) -> None:
        here: dict[str, str] = {}
        for reading in quoted:
            here |= reading.entities
        outer = around.entities if around else {}
        for ident, kind in said.entities.items():
            if ident in here:
                continue
            name = self.terms.name(ident)
            others = [other for other, k in here.items() if k == kind and other not in said.entities]
            if ident not in outer or kind == "form":
                reasons.append(f"names {name}, the quote does not")
            elif others:
                reasons.append(f"names {name}, the quote is about {self.terms.name(others[0])}")
        self._numbered(said, everything, reasons)
        for name in self._proper(said.text, everything):
            reasons.append(f"names {name}, the quote does not")

    def _numbered(self, said: Reading, everything: list[Reading], reasons: list[str]) -> None:
        """Numbers within names: "Step 3 CK" is no Step 2 CK, "Pathways 2 to 5" are not "Pathways 1 to 5"."""
        theirs = [_numbered_names(reading) for reading in everything]
        known = {name for groups in theirs for group in groups for name in group}
        sets = [frozenset(group) for groups in theirs for group in groups]
        sets += [frozenset(name for group in groups for name in group) for groups in theirs]
        entities = {ident for reading in everything for ident in reading.entities}
        shown_as = {(f.start, f.end): f.shown for f in said.figures if f.kind == "name"}
        for (start, end), group in _by_place(said).items():
            written = shown_as[start, end]
            for name in group:
                if name in known or (name in entities and name in self.terms.entities):
                    continue
                if not _is_numbered(name) and any(i in self.terms.entities for i in WORDS.findall(self.terms.canonical(written))):
                    continue
                reasons.append(f"names {written}, the quote does not")
            if re.search(r"\d ?(?:-| to | through ) ?\d", written) and frozenset(group) not in sets:
                reasons.append(f"names {written}, the quote does not")
            if len(set(group)) < len(group):
                reasons.append(f"names one thing twice: {written}")
        names = [f for f in said.figures if f.kind == "name"]
        for one, two in zip(names, names[1:], strict=False):
            if one.value == two.value and one.end <= two.start and re.fullmatch(r",? ?(?:and|or|&|/)? ?", said.text[one.end : two.start]):
                reasons.append(f"names one thing twice: {one.shown}")
        pairs = [
            (a.key, b.key) for a, b in zip(said.tokens, said.tokens[1:], strict=False) if a.kind == b.kind == "entity" and a.part == b.part
        ]
        twice = {a for a, b in pairs if a == b and self.terms.entities[a].kind in ("exam", "pathway", "visa")}
        if twice and not any(a.key == b.key and a.key in twice for r in everything for a, b in zip(r.tokens, r.tokens[1:], strict=False)):
            reasons.append(f"names one thing twice: {self.terms.name(sorted(twice)[0])}")

    def _proper(self, text: str, sources: list[Reading]) -> list[str]:
        """Capitalised names and abbreviations of `text` that neither the quote nor its headings hold."""
        words = frozenset().union(*(r.words for r in sources))  # stems
        matches = list(_CAPITAL.finditer(text))
        found = [name for i, match in enumerate(matches) if (name := _new_name(text, matches, i, match, words))]
        if not found:
            return []
        source = " ".join(r.text for r in sources)
        plain = set(re.findall(r"[^\W_]+", source.lower()))
        canon = {ident for r in sources for ident in r.entities}
        return [word for word, match in found if not self._known(word, match, text, source, plain, words, canon)]

    def _known(
        self, word: str, match: re.Match[str], text: str, source: str, plain: set[str], words: frozenset[str], canon: set[str]
    ) -> bool:
        """Whether the source has a name in another form: as an abbreviation, spelled out, or as part of a known thing."""
        low_word = word.lower().replace(".", "")
        if low_word in plain or all(
            part in plain or part in _COMMON_NAMES or stem(part) in words for part in re.findall(r"[^\W_]+", low_word)
        ):
            return True
        ids = [w for w in WORDS.findall(self.terms.canonical(word)) if w in self.terms.entities]
        if ids and all(w in canon for w in ids):
            return True
        # Part of a longer name that is a known thing ("Step Two", "West Virginia", "United States") was compared as such.
        tail = self.terms.canonical(text[max(0, match.start() - 24) : match.end() + 24])
        if any(low_word in _squeezed(self.terms.name(w)) for w in WORDS.findall(tail) if w in self.terms.entities and w in canon):
            return True
        if _abbreviates(word):
            return word.replace(".", "").replace("-", "").rstrip("s").lower() in _initials(source) or self._expands(
                low_word.rstrip("s"), words
            )
        return _spelt_out(text, match.start(), plain)

    def _expands(self, abbreviation: str, stems: frozenset[str]) -> bool:
        """ "USCE" where the quote says "US clinical experience"."""
        plain = [w for w in self.terms.tokens(abbreviation, expand=True) if w != stem(abbreviation)]
        return bool(plain) and sum(w in stems or w in self.terms.entities for w in plain) * 3 >= len(plain) * 2

    # -- sense -----------------------------------------------------------------------------------------------------

    def _polarity(self, said: Reading, quoted: list[Reading], reasons: list[str]) -> bool:
        """Returns whether sentence and quote compare two things with "than", so that these keep their sides already."""
        here: dict[str, Counter[int]] = {}
        for reading in quoted:
            for name, counter in reading.axes.items():
                here.setdefault(name, Counter()).update(counter)
        tokens = [t for reading in quoted for t in (*reading.tokens, _WALL)]
        self._denials(said.tokens, tokens, reasons)
        self._undenied(said, quoted, reasons)
        mine, theirs = _marked(said.tokens), _marked(tokens)
        pivoted = _sides_swapped(mine, theirs, reasons)
        for name, axis in self.polarity.axes.items():
            if name not in said.axes or axis.negative or name in ("tense", "pivot"):
                continue
            if not axis.order:
                self._signs(axis.name, said, here, tokens, reasons)
            for marker in (m for m in mine if m.token.key == name and not (pivoted and name == "more")):
                rivals = [m for m in theirs if m.token.key == name]
                if any(self._opposed(marker, rival, rivals) for rival in rivals):
                    reasons.append(f"{name} differs")
        if {1} == set(said.axes.get("tense", ())) and {-1} == set(here.get("tense", ())):
            reasons.append("tense differs")
        self._modals(mine, theirs, said, here, reasons)
        groups = {i for r in quoted for i, kind in r.entities.items() if kind == "group"}
        if groups and ("school" in said.axes and "school" not in here) and not any(kind == "group" for kind in said.entities.values()):
            reasons.append("leaves out of whom the quote speaks")
        return pivoted

    def _signs(self, name: str, said: Reading, here: dict[str, Counter[int]], tokens: list[Token], reasons: list[str]) -> None:
        have = here.get(name, Counter())
        for sign, count in said.axes[name].items():
            if not count or have[sign]:
                continue
            if have[-sign]:
                if name not in _COMPARING:
                    reasons.append(f"{name} differs")
            elif self.polarity.axes[name].strict and not self._covers_strict(name, sign, here, tokens):
                reasons.append(f"{name} is not in the quote")

    def _covers_strict(self, name: str, sign: int, here: dict[str, Counter[int]], tokens: Iterable[Token]) -> bool:
        """What else a quote may say for a strict word: "except" and "but not" for "only", "over" for "at least"."""
        words = {t.key for t in tokens if t.kind == "word"}
        denied = bool(here.get("not")) or any(t.denies for t in tokens)
        if name == "only":
            return denied or bool(here.get("condition", Counter())[-1]) or bool(words & {"alon", "just", "none"})
        than = here.get("than", Counter())
        low = words & _LOW
        high = words & _HIGH
        return bool(than[sign] or (low if sign > 0 else high or denied or than[1]))

    def _opposed(self, marker: _Marker, rival: _Marker, rivals: list[_Marker]) -> bool:
        """Whether `rival`, the marker of the quote that is most like `marker`, says the opposite of it."""
        comparing = marker.token.key in _COMPARING
        if rival is not max(rivals, key=lambda m: _likeness(marker, m, comparing)):
            return False
        straight, crossed = marker.straight(rival), marker.crossed(rival) if comparing else 0
        agrees = marker.token.sign == rival.token.sign
        if comparing and marker.right and marker.right[:1] == rival.right[:1]:
            return not agrees
        if max(straight, crossed) < 2:
            return not agrees and comparing and straight >= crossed and straight > 0 and len(rivals) == 1
        if comparing:
            return crossed > straight if agrees else straight > crossed
        alike = [marker.straight(m) for m in rivals if m.token.sign == marker.token.sign]
        return not agrees and (not alike or straight >= max(alike) + 2)

    def _modals(self, mine: list[_Marker], theirs: list[_Marker], said: Reading, here: dict[str, Counter[int]], reasons: list[str]) -> None:
        """ "must" where the quote says "may", and the reverse."""
        narrowed = bool(here.get("only") or here.get("not") or here.get("condition", Counter())[-1] or here.get("bound"))
        must = [m for m in mine if m.token.key == "duty" and m.token.sign > 0 and not m.token.denied and m.token.word in _MUST]
        binding = narrowed or bool({"duty", "order"} & set(here))
        if must and not binding and -1 not in here.get("permit", ()):
            reasons.append("must is not in the quote")
            return
        for name, other in (("duty", "permit"), ("permit", "duty")):
            have, against = here.get(name, Counter()), here.get(other, Counter())
            for marker in [m for m in mine if m.token.key == name and m.token.sign > 0 and not m.token.denied]:
                if said.axes.get(other, Counter())[1] >= max(1, against[1]):
                    continue
                if against[1] and not have[1] and (name == "permit" or not narrowed):
                    reasons.append("must and may differ")
                    return
                right = max(
                    (len(m.right_words & marker.right_words) for m in theirs if m.token.key == name and m.token.sign > 0), default=0
                )
                wrong = max(
                    (len(m.right_words & marker.right_words) for m in theirs if m.token.key == other and m.token.sign > 0), default=0
                )
                if wrong > right and wrong >= 2 and not narrowed:
                    reasons.append("must and may differ")
                    return

    def _denials(self, mine: Sequence[Token], theirs: Sequence[Token], reasons: list[str]) -> None:
        """Each denial of the sentence must answer to one of the quote, and each of the quote to one of the sentence that speaks
        of the same."""
        here = [self._scene(mine, i) for i, t in enumerate(mine) if t.denies]
        there = [(i, self._scene(theirs, i)) for i, t in enumerate(theirs) if t.denies]
        soft_here = [self._scene(mine, i) for i, t in enumerate(mine) if self._is_denying(t)]
        soft_there = [self._scene(theirs, i) for i, t in enumerate(theirs) if self._is_denying(t)]
        for scene in here:
            if not any(scene & other for other in [*(s for _, s in there), *soft_there]):
                reasons.append("negation differs")
                return
        words = {t.key for t in mine if t.kind != "axis"}
        groups = frozenset(g for w in words for g in self.polarity.groups.get(w, ()))
        for i, scene in there:
            anchors = _anchors(theirs, i)
            said = anchors and all(a in words or self.polarity.groups.get(a, frozenset()) & groups for a in anchors)
            if said and not any(scene & other for other in [*here, *soft_here]):
                reasons.append("negation differs")
                return
        if any(t.affirms and not any(o.mark == t.mark for o in theirs) for t in mine):
            reasons.append("negation differs")
        if len(here) > len(there) + len(soft_there):
            reasons.append("negation differs")
        if any(t.kind == "word" and t.key in self.polarity.untrue for t in mine) and not any(t.key in self.polarity.untrue for t in theirs):
            reasons.append("calls something untrue that the quote does not")

    def _undenied(self, said: Reading, quoted: list[Reading], reasons: list[str]) -> None:
        """A sentence that denies nothing, about what the quote denies."""
        if any(t.denies or self._is_denying(t) for t in said.tokens):
            return
        for reading in quoted:
            for token in reading.tokens:
                if token.denies and self._tells(said, [t for t in reading.tokens if t.clause == token.clause], 0.6):
                    reasons.append("negation differs")
                    return

    def _tells(self, said: Reading, tokens: Iterable[Token], share: float) -> bool:
        """Whether the sentence has so large a share of the content words."""
        total = got = 0.0
        for token in tokens:
            if token.kind == "figure":
                total += 1
                got += said.has(token.mark)
            elif token.sign != 9 and token.kind != "axis" and token.key not in self.polarity.reporting:
                total += weight(token, self.polarity)
                got += weight(token, self.polarity) * coverage(token, said, self.polarity)
        return total > 0 and got >= share * total

    def _is_denying(self, token: Token) -> bool:
        if token.kind == "axis":
            return not token.denied and stem(token.word) in self.polarity.denying
        return token.key in self.polarity.denying

    def _scene(self, tokens: Sequence[Token], i: int) -> frozenset[str | int]:
        """The words around a denial and their synonym lines: what it may be about."""
        near: list[Token] = []
        for step, most in ((1, 5), (-1, 4)):
            j, taken = i + step, 0
            while 0 <= j < len(tokens) and taken < most and tokens[j] is not _WALL:
                if tokens[j].kind != "axis" and tokens[j].key not in self.polarity.light:
                    near.append(tokens[j])
                    taken += tokens[j].sign != 9
                j += step
        keys: set[str | int] = {t.key for t in near}
        return frozenset(keys | {g for t in near for g in self.polarity.groups.get(t.key, ())})

    def _kept(self, said: Reading, quoted: list[Reading], reasons: list[str]) -> None:
        """What the quote only proposes, lists or could not confirm is not told as a fact."""
        for reading in quoted:
            for token in reading.tokens:
                axis = self.polarity.axes.get(token.key) if token.kind == "axis" and token.sign < 0 and not token.denied else None
                if axis is None or not axis.kept:
                    continue
                if said.axes.get(token.key, Counter())[-1]:
                    continue
                if token.key == "claim" and said.words & self.polarity.reporting:
                    continue
                if self._tells(said, [t for t in reading.tokens if t.part == token.part and t.word != token.word], 0.5):
                    reasons.append(f"leaves out '{token.word}'")
                    return

    def _opening(self, opening: str, said: Reading, reasons: list[str]) -> None:
        """ "Yes," and "No," must point where the sentence points."""
        first = [t for t in said.tokens if t.clause == said.tokens[0].clause] if said.tokens else []
        if opening == "no" and not any(
            t.denies or self._is_denying(t) or (t.kind == "axis" and t.key in ("only", "condition")) for t in said.tokens
        ):
            reasons.append("'No' opens a sentence that denies nothing")
        if opening == "yes" and any(t.denies for t in first):
            reasons.append("'Yes' opens a denial")

    # -- changes ---------------------------------------------------------------------------------------------------

    def _changes(self, said: Reading, quoted: list[Reading], reasons: list[str]) -> None:
        """Where the sentence nearly repeats a quote, each difference counts."""
        mine = [t for t in said.tokens if t.sign != 9]
        near = []
        for reading in quoted:
            theirs = [t for t in reading.tokens if t.sign != 9]
            matcher = SequenceMatcher(None, [t.mark for t in mine], [t.mark for t in theirs], autojunk=False)
            blocks = matcher.get_matching_blocks()
            matched = sum(block.size for block in blocks)
            if matched >= 4 and (matched >= NEAR_COPY * len(theirs) or matched >= 0.75 * len(mine)):
                near.append((theirs, matcher.get_opcodes(), [range(b.a, b.a + b.size) for b in blocks if b.size > 1], matched))
        for n, (theirs, ops, _, matched) in enumerate(near):
            told = [
                stretch
                for i, item in enumerate(near)
                if i != n and (item[3] >= matched or item[3] >= 0.9 * len(item[0]))
                for stretch in item[2]
            ]
            change = _Change(said, mine, theirs)
            for op, a, b, c, d in ops:
                places = range(a, b) if b > a else range(max(a - 1, 0), min(a + 1, len(mine)))
                if op == "equal" or any(all(at in stretch for at in places) for stretch in told):
                    continue
                reason = self._change(change, mine[a:b], theirs[c:d], quoted)
                if reason:
                    reasons.append(reason)
                    return
            if matched >= 0.75 * len(mine) and self._doubled(mine, theirs, quoted):
                reasons.append("two names or figures have changed places")
                return

    def _change(self, change: _Change, gained: list[Token], lost: list[Token], quoted: list[Reading]) -> str:
        if sum(t.kind != "axis" for t in gained) > SMALL or sum(t.kind != "axis" for t in lost) > SMALL:
            return ""
        for x in gained:
            rivals = [y for y in lost if self._like(x, y) and y.key != x.key]
            if rivals and not any(y.key == x.key for y in lost):
                return "two names or figures have changed places"
        if any(self._kind(y) == "group" for y in lost) and not any(self._kind(x) == "group" for x in gained):
            if not change.moved_along(next(y for y in lost if self._kind(y) == "group")):
                return "leaves out of whom the quote speaks"
        plus = [t for t in gained if t.kind == "axis"]
        minus = [t for t in lost if t.kind == "axis"]
        denied, undenied = any(t.denies for t in plus), any(t.denies for t in minus)
        undone = any(t.affirms for t in minus)
        if denied != undenied and not change.denials_moved():
            if denied and not undone and not any(self._is_denying(t) and change.surplus(t) < 0 for t in change.theirs):
                return "negation differs"
            if undenied and not any(self._is_denying(t) and change.surplus(t) > 0 for t in change.mine):
                return "negation differs"
        if any(t.affirms for t in plus) and not any(t.mark == o.mark for t in plus if t.affirms for o in minus):
            return "negation differs"
        if undone and any(t.key == o.key and t.sign < 0 for t in plus for o in minus if o.affirms):
            return "negation differs"
        if {t.key for t in plus if t.denies} | {t.key for t in minus if t.denies} == {"duty", "permit"} and denied and undenied:
            return "must and may differ"
        have = {t.mark for t in lost}
        got = {t.mark for t in gained}
        plus = [t for t in plus if change.surplus(t) > 0 or (t.key == "only" and not change.moved_along(t))]
        minus = [t for t in minus if change.surplus(t) < 0 or (t.key == "only" and not change.moved_along(t))]
        for t in plus:
            axis = self.polarity.axes.get(t.key)
            if axis is None or t.mark in have or t.denies:
                continue
            if ("axis", t.key, -t.sign) in have and not (axis.negative and undenied):
                return f"{t.key} differs"
            if t.key in _TELLING or (t.key, t.sign) in _TELLING:
                told = sum(x.mark == t.mark for x in change.mine) <= sum(x.mark == t.mark for r in quoted for x in r.tokens)
                if not told and not (axis.strict and self._instead_of_strict(t, change)):
                    return f"{t.key} is not in the quote"
            if t.key == "duty" and ("axis", "permit", 1) in have or t.key == "permit" and ("axis", "duty", 1) in have:
                return "must and may differ"
        for t in minus:
            if t.mark in got or (t.denies and t.key != "only"):
                continue
            if t.key in _BINDING or (t.key, t.sign) in _BINDING:
                lines = self.polarity.groups.get(stem(t.word), frozenset())
                if not self._says_instead(t, change, quoted) and not any(
                    x.key in _INSTEAD.get(t.key, ()) or (x.kind == "word" and self.polarity.groups.get(x.key, frozenset()) & lines)
                    for x in (*gained, *(x for x in change.mine if change.surplus(x) > 0 and x.kind == "axis"))
                ):
                    return f"{t.key} is left out"
        return ""

    def _says_instead(self, token: Token, change: _Change, quoted: list[Reading]) -> bool:
        """Whether a new word of the sentence, even a small one, does for a word left out: "said" for "listed", "while" for "as long as"."""
        if token.key == "claim" and stem(token.word) in change.said.words:
            return True
        new = change.said.words - frozenset().union(*(r.words for r in quoted))
        return bool(
            new & (self.polarity.reporting if token.key == "claim" else frozenset({"while"}) if token.key == "condition" else frozenset())
        )

    def _instead_of_strict(self, token: Token, change: _Change) -> bool:
        """What the quote has in the place of a strict word: "except" or a denial for "only", "over" for "at least"."""
        gone = [t for t in change.theirs if change.surplus(t) < 0]
        if token.key == "only":
            return any(t.denies or self._is_denying(t) or t.mark == ("axis", "condition", -1) for t in gone)
        axes: dict[str, Counter[int]] = {}
        for t in gone:
            if t.kind == "axis":
                axes.setdefault(t.key, Counter())[t.sign] += 1
        return self._covers_strict(token.key, token.sign, axes, change.theirs)

    def _doubled(self, mine: list[Token], theirs: list[Token], quoted: list[Reading]) -> bool:
        """A figure told more often than the quotes tell it, where another of its kind is told less often."""
        here = Counter(t.mark for t in mine if t.kind == "figure")
        everywhere = Counter(t.mark for r in quoted for t in r.tokens if t.kind == "figure")
        there = Counter(t.mark for t in theirs if t.kind == "figure")
        more = [mark for mark in here if here[mark] > everywhere[mark] and everywhere[mark]]
        less = [mark for mark in there if there[mark] > here[mark]]
        return any(a[1].partition(":")[0] == b[1].partition(":")[0] for a in more for b in less)

    # -- roles -----------------------------------------------------------------------------------------------------

    def _roles(self, said: Reading, quoted: list[Reading], reasons: list[str], margin: float) -> None:
        """Two visas, two exams, two figures in the quote: each must keep its own neighbours, by `margin` where the sentence is no
        near copy."""
        mine = [t for t in said.tokens if t.key != "tense"]
        for reading in quoted:
            theirs = [t for t in reading.tokens if t.key != "tense"]
            matcher = SequenceMatcher(None, [t.mark for t in mine], [t.mark for t in theirs], autojunk=False)
            if self._misplaced(mine, theirs, 0.9 if matcher.ratio() >= 0.8 else margin):
                reasons.append("two names or figures have changed places")
                return

    def _misplaced(self, mine: list[Token], theirs: list[Token], margin: float) -> bool:
        for kind in ("entity", "figure"):
            here = [(i, t) for i, t in enumerate(theirs) if t.kind == kind]
            for i, token in enumerate(mine):
                if token.kind != kind:
                    continue
                rivals = [(j, t) for j, t in here if self._like(t, token)]
                if len({t.key for _, t in rivals}) < 2:
                    continue
                around = _around(mine, i, self._like)
                right = max((_touch(around, _around(theirs, j, self._like)) for j, t in rivals if t.key == token.key), default=None)
                wrong = max((_touch(around, _around(theirs, j, self._like)) for j, t in rivals if t.key != token.key), default=0)
                if right is not None and wrong >= right + margin:
                    return True
        return False

    def _like(self, a: Token, b: Token) -> bool:
        if a.kind != b.kind or a.kind not in ("entity", "figure"):
            return False
        return self._kind(a) == self._kind(b) if a.kind == "entity" else a.same_kind == b.same_kind

    def _kind(self, token: Token) -> str:
        return self.terms.entities[token.key].kind if token.kind == "entity" else token.same_kind

    def _keeps_cells(self, text: str, row: str, header: str) -> bool:
        """Whether a row read aloud or copied keeps each value under its own column; other sentences do not come into it."""
        values = cells(row)
        if text.startswith("|"):
            told = cells(text)
            pairs = list(zip(told, values, strict=True)) if len(told) == len(values) else []
        else:
            label, dash, rest = text.partition(" — ")
            if not header or not dash:
                return True
            names = cells(header)
            pairs = []
            for item in rest.rstrip(".").split("; "):
                name, colon, value = item.partition(": ")
                column = next((i for i, n in enumerate(names) if i and _bare(n) == _bare(name)), None)
                if colon and column is not None:
                    pairs.append((value, values[column]))
            if not pairs:
                return True
            pairs.append((label, values[0]))
        return all(_bare(told) == _bare(value) or (_keys(told) and _keys(told) == _keys(value)) for told, value in pairs)

    # -- meaning ---------------------------------------------------------------------------------------------------

    def _borne(self, said: Reading, quoted: list[Reading], around: Reading | None, reasons: list[str]) -> tuple[float, list[int]]:
        """The share of the sentence that quotes bear, when each stretch of it rests on one quote, and which quote bears each word.

        The cheapest way through the sentence: a word costs what its quote lacks of it, a figure that the quote does not hold costs more
        than a word, and so does passing from one quote to another.
        """
        figures = {f.key: f for f in said.figures}
        tokens = [t for t in said.tokens if t.kind == "figure" or weight(t, self.polarity)]
        if not tokens:  # "You will get in": made of words that bear nothing, so no quote can bear it out
            return 0.0, []
        total = sum(weight(t, self.polarity) for t in tokens)
        costs = np.zeros((len(tokens), len(quoted)))
        for i, token in enumerate(tokens):
            if token.kind == "figure":
                figure = figures.get(token.key)
                holds = [figure is not None and any(same(figure, other) for other in reading.figures) for reading in quoted]
                if any(holds):
                    costs[i] = [0.0 if held else 3.0 for held in holds]
            else:
                costs[i] = [weight(token, self.polarity) * (1 - coverage(token, reading, self.polarity, around)) for reading in quoted]
        best, came = costs[0].copy(), []
        for cost in costs[1:]:
            cheapest = int(np.argmin(best))
            turned = best[cheapest] + TURN
            came.append(np.where(best <= turned, np.arange(len(quoted)), cheapest))
            best = np.minimum(best, turned) + cost
        at = int(np.argmin(best))
        share = 1.0 - float(best[at]) / total if total else 1.0
        bearers = [at]
        for back in reversed(came):
            at = int(back[at])
            bearers.append(at)
        bearers.reverse()
        if len(quoted) > 1:
            self._borrowed(tokens, costs, bearers, reasons)
        return max(0.0, share), bearers

    def _borrowed(self, tokens: list[Token], costs: np.ndarray, bearers: list[int], reasons: list[str]) -> None:
        """A figure may not be put into the words of another quote: the stretch that it stands in must have words of its own quote."""
        for i, token in enumerate(tokens):
            if token.kind != "figure" or not costs[i].any():
                continue
            first = last = i
            while first and bearers[first - 1] == bearers[i]:
                first -= 1
            while last + 1 < len(tokens) and bearers[last + 1] == bearers[i]:
                last += 1
            own = any(
                t.kind != "figure" and costs[j][bearers[i]] < 0.5 and weight(t, self.polarity) >= 1
                for j, t in enumerate(tokens)
                if first <= j <= last
            )
            if costs[i][bearers[i]] or not own:
                reasons.append("a figure belongs to another quote")
                return

    def _weakest(self, said: Reading, quoted: list[Reading], around: Reading | None, borne: float, reasons: list[str]) -> float:
        """`borne`, unless one part of the sentence is much worse off than the rest."""
        for clause in _clauses(said):
            words = [(weight(t, self.polarity), t) for t in clause if weight(t, self.polarity)]
            total = sum(w for w, _ in words)
            if total < 3:
                continue
            got = max(sum(w * coverage(t, r, self.polarity, around) for w, t in words) for r in quoted) / total
            if got < FOREIGN:
                reasons.append("a part of it is not in the quote")
            borne = min(borne, got + 0.25)
        return borne

    def _meaning(self, said: Reading, units: list[str], words: float, reasons: list[str]) -> float:
        if words >= ENOUGH_WORDS or reasons:
            return words
        if words < TOO_FEW_WORDS or self.embed is None:
            if words < (TOO_FEW_WORDS if self.embed else 0.6):
                reasons.append("meaning too far")
            return words
        vectors = self.embed([said.text, *units, " ".join(units)])
        cosine = float(np.max(vectors[1:] @ vectors[0]))
        needed = CLOSE - 0.06 * (words - TOO_FEW_WORDS) / (ENOUGH_WORDS - TOO_FEW_WORDS)
        if cosine < needed:
            reasons.append("meaning too far")
        return (words + cosine) / 2


_MUST = frozenset({"must", "has to", "have to", "had to", "mandatory", "compulsory", "obligatory"})
_WALL = Token("axis", "\0")  # between two quotes
_COMPARING = frozenset({"order", "than", "more", "rank"})
# What a sentence that nearly repeats its quote may not add, and what it may not leave out (one side of an axis, or both).
_TELLING: frozenset[str | tuple[str, int]] = frozenset(
    {"only", "bound", "than", "sure", "official", ("always", 1), ("plan", 1), ("claim", 1), ("condition", -1), ("many", 1)}
)
_BINDING: frozenset[str | tuple[str, int]] = frozenset(
    {
        "only",
        "bound",
        "than",
        "doubt",
        ("condition", -1),
        ("condition", 1),
        ("always", -1),
        ("permit", 1),
        ("plan", -1),
        ("claim", -1),
        "many",
        ("amount", -1),
    }
)
_INSTEAD = {
    "permit": frozenset({"permit", "possibl", "sometim", "perhap", "abl", "accept", "duty"}),
    "condition": frozenset({"only", "condition", "order", "need"}),
    "bound": frozenset({"than", "bound"}), "than": frozenset({"bound", "more", "than", "top"}), "only": frozenset({"alon", "just"}),
    "always": frozenset({"sever", "many", "certain", "always"}),
}  # fmt: skip
_LOW = frozenset(stem(w) for w in ("minimum", "least", "lowest", "pass", "required"))
_HIGH = frozenset(stem(w) for w in ("maximum", "within", "most", "expire", "long", "total", "longest"))


@dataclass(slots=True)
class _Change:
    """A sentence laid beside its quote."""

    said: Reading
    mine: list[Token]
    theirs: list[Token]

    def surplus(self, token: Token) -> int:
        """How much oftener the sentence has it than the quote."""
        return sum(t.mark == token.mark for t in self.mine) - sum(t.mark == token.mark for t in self.theirs)

    def moved_along(self, token: Token) -> bool:
        """Whether the token stands as often on both sides and took a neighbour along: "may only be taken" = "may be taken only"."""
        if self.surplus(token):
            return False
        here = [i for i, t in enumerate(self.mine) if t.mark == token.mark]
        there = [i for i, t in enumerate(self.theirs) if t.mark == token.mark]
        return self._beside(here, there)

    def denials_moved(self) -> bool:
        """Whether both sides deny as often, each time beside a word that is denied on the other side too."""
        here = [i for i, t in enumerate(self.mine) if t.denies]
        there = [i for i, t in enumerate(self.theirs) if t.denies]
        return len(here) == len(there) and self._beside(here, there)

    def _beside(self, here: list[int], there: list[int]) -> bool:
        return all(any(_neighbours(self.mine, i) & _neighbours(self.theirs, j) for j in there) for i in here)


def _neighbours(tokens: list[Token], i: int) -> set[str]:
    """The two content words before and after a token."""
    result = set()
    for side in (tokens[max(0, i - 6) : i][::-1], tokens[i + 1 : i + 7]):
        result |= {t.key for t in [t for t in side if t.kind != "axis"][:2]}
    return result


@dataclass(slots=True)
class _Marker:
    """An axis word with the words to its left and right."""

    token: Token
    left: tuple[str, ...]
    right: tuple[str, ...]

    @property
    def right_words(self) -> set[str]:
        return set(self.right[:3])

    def straight(self, other: _Marker) -> int:
        return len({*self.right[:3]} & {*other.right[:3]}) + len({*self.left[:3]} & {*other.left[:3]})

    def crossed(self, other: _Marker) -> int:
        wide = 5 if self.token.key == "than" else 3
        return len({*self.left[:wide]} & {*other.right[:wide]}) + len({*self.right[:wide]} & {*other.left[:wide]})


def _sides_swapped(mine: list[_Marker], theirs: list[_Marker], reasons: list[str]) -> bool:
    """Whether both sides compare with "than"; what is compared must keep its side, or the comparison be turned round as well."""

    def pivots(markers: list[_Marker]) -> list[tuple[_Marker, int]]:
        return [
            (m, next((x.token.sign for x in reversed(markers[:i]) if x.token.key in ("more", "high", "than")), 1))
            for i, m in enumerate(markers) if m.token.key == "pivot"
        ]  # fmt: skip

    here, there = pivots(mine), pivots(theirs)
    for marker, sign in here:
        rival, other = max(there, key=lambda item: marker.straight(item[0]) + marker.crossed(item[0]), default=(marker, sign))
        straight, crossed = marker.straight(rival), marker.crossed(rival)
        if straight + crossed >= 2:  # what stands right beside "than" counts most
            nearest = (marker.left[:1], marker.right[:1])
            straight += 5 * sum(a == b != () for a, b in zip(nearest, (rival.left[:1], rival.right[:1]), strict=True))
            crossed += 5 * sum(a == b != () for a, b in zip(nearest, (rival.right[:1], rival.left[:1]), strict=True))
        if straight + crossed >= 2 and ((crossed > straight) if sign == other else (straight > crossed)):
            reasons.append("what is compared has changed sides")
    return bool(here and there)


def _likeness(marker: _Marker, other: _Marker, comparing: bool) -> tuple[bool, int, bool]:
    shared = max(marker.straight(other), marker.crossed(other) if comparing else 0)
    return (marker.right[:1] == other.right[:1], shared, marker.token.sign == other.token.sign)


def _marked(tokens: Sequence[Token]) -> list[_Marker]:
    result = []
    for i, token in enumerate(tokens):
        if token.kind != "axis" or token is _WALL:
            continue
        left: list[str] = []
        right: list[str] = []
        for side, step in ((left, -1), (right, 1)):
            j = i + step
            while 0 <= j < len(tokens) and len(side) < 5 and tokens[j] is not _WALL and abs(j - i) < 11:
                if tokens[j].kind != "axis" and tokens[j].sign != 9:
                    side.append(tokens[j].key)
                j += step
        result.append(_Marker(token, tuple(left), tuple(right)))
    return result


def _anchors(tokens: Sequence[Token], i: int) -> list[str]:
    """The two words right after a denial: what is denied."""
    found: list[str] = []
    for token in tokens[i + 1 : i + 7]:
        if token is _WALL or len(found) == 2:
            break
        if token.kind != "axis" and token.sign != 9:
            found.append(token.key)
    return found


def _clauses(said: Reading) -> list[list[Token]]:
    """The sentence in parts; a part with few words of its own joins the one before."""
    parts: list[list[Token]] = []
    last = -1
    for token in said.tokens:
        if token.clause != last or not parts:
            parts.append([])
            last = token.clause
        parts[-1].append(token)
    result: list[list[Token]] = []
    for part in parts:
        if result and (sum(t.kind != "axis" for t in part) < 3 or sum(t.kind != "axis" for t in result[-1]) < 3):
            result[-1].extend(part)
        else:
            result.append(part)
    return result


def _around(tokens: list[Token], i: int, like: Callable[[Token, Token], bool]) -> dict[tuple[str, int], float]:
    """The neighbours of a token, with their side; nearer ones weigh more, those beyond a comma less.

    Its fellows in a list are passed over; another rival ends the look in that direction.
    """
    result: dict[tuple[str, int], float] = {}
    for step in (1, -1):
        j, nearness = i + step, 1.5
        while 0 <= j < len(tokens) and like(tokens[j], tokens[i]):
            j += step
        while 0 <= j < len(tokens) and nearness > 0.4:
            if like(tokens[j], tokens[i]):
                break
            if tokens[j].kind != "axis":
                near = nearness * (1 if tokens[j].clause == tokens[i].clause else 0.5)
                result[tokens[j].key, step] = max(near, result.get((tokens[j].key, step), 0))
                nearness -= 0.3
            j += step
    return result


def _touch(a: dict[tuple[str, int], float], b: dict[tuple[str, int], float]) -> float:
    """How much two neighbourhoods share; a word that stands on the other side counts half."""
    return sum(max(min(near, b.get((key, side), 0)), 0.5 * min(near, b.get((key, -side), 0))) for (key, side), near in a.items())


def _by_place(reading: Reading) -> dict[tuple[int, int], list[str]]:
    """Numbered names by where they stand: "Steps 1 to 3" are three at one place."""
    result: dict[tuple[int, int], list[str]] = {}
    for figure in reading.figures:
        if figure.kind == "name":
            result.setdefault((figure.start, figure.end), []).append({"step2": "step2ck"}.get(figure.value, figure.value))
    return result


def _numbered_names(reading: Reading) -> list[list[str]]:
    return list(_by_place(reading).values())


def _is_numbered(name: str) -> bool:
    return re.match(r"(?:step|pathway|conrad)\d", name) is not None


def _priced(figure: Figure, source: Iterable[Figure]) -> bool:
    """ "370 dollars for the one and 220 for the other": 220 dollars."""
    source = list(source)
    return any(o.kind == "count" and not o.unit and o.value == figure.value for o in source) and any(
        o.kind == "money" and o.unit == figure.unit for o in source
    )


def _keys(text: str) -> list[str]:
    return [f.key for f in find(text)]


def _ranges(said: Reading, quoted: list[Reading], reasons: list[str]) -> None:
    """ "From 194 to 196" is not "from 196 to 194"."""
    theirs = {pair for reading in quoted for pair in _stretches(reading)}
    for one, two in _stretches(said):
        if (two, one) in theirs and (one, two) not in theirs:
            reasons.append("the two ends of a range have changed places")


def _stretches(reading: Reading) -> Iterator[tuple[str, str]]:
    figures = [f for f in reading.figures if f.kind != "name"]
    for i, one in enumerate(figures):
        for two in figures[i + 1 : i + 3]:
            gap = reading.text[one.end : two.start]
            if (
                one.kind == two.kind
                and one.key != two.key
                and re.search(r"(?:^| )(?:to|through) (?:\w+ )?$|^ ?- ?$", gap)
                and len(gap) < 40
            ):
                yield one.key, two.key


def _header_of(row: str, headers: Sequence[str]) -> str:
    width = len(cells(row))
    return next((h for h in headers if h != row and len(cells(h)) == width), "")


def _aloud(unit: str, headers: Sequence[str]) -> str:
    return read_row(unit, _header_of(unit, headers)) if unit.startswith("|") else unit


_MARKS = re.compile(r"(?:\s*\[\^?[A-Za-z0-9-]{1,40}\])+(?=\s*[.!?]?\s*$)")  # citation marks at the end
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|_{1,3})(?=\S)([^*_]+?)(?<=\S)\1(?![\w*])")
_YES_OR_NO = re.compile(r"(yes|no)\s*[,.:;—–-]\s+(?=\w)", re.I)
_LINK = re.compile(r"https?:|www\.|\]\(|<[a-z/!]|javascript:|data:", re.I)


def _without_emphasis(text: str) -> str:
    return _EMPHASIS.sub(r"\2", text)


def _without_yes_or_no(text: str) -> tuple[str, str]:
    """The sentence without a "Yes," or "No," before it, and which of them it was."""
    match = _YES_OR_NO.match(text)
    if not match:
        return text, ""
    rest = text[match.end() :]
    return rest[:1].upper() + rest[1:], match[1].lower()


_CAPITAL = re.compile(r"(?<!\w)(?:[A-Z][\w'&.-]*\w|[A-Z]\b)")

# Capitals that name nothing a quote would have to hold.
_COMMON_NAMES = frozenset(
    "i us usa america american english january february march april may june july august september october "
    "november december jan feb mar apr jun jul aug sep "
    "sept oct nov dec monday tuesday wednesday thursday friday saturday sunday img imgs usmle md do dr faq ok q a "
    "note yes no internet match step steps form "
    "forms pathway pathways section ck cs program programs residency doctor doctors state states federal congress "
    "medicine united the".split()
)
_OPENERS = frozenset(
    "the a an if in on at for from to by since until before after when while as under with without both each every "
    "some many most all any no not only once "
    "there this that these those it they he she we you your i do does is are can may must should will what which "
    "who how why not never being having one two "
    "three people doctors applicants graduates physicians programs residents hospitals students schools examinees".split()
)
_INITIAL = re.compile(r"\b([A-Za-z])[a-z]+")


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z]+", " ", text.lower())


def _new_name(
    text: str, matches: list[re.Match[str]], i: int, match: re.Match[str], words: frozenset[str]
) -> tuple[str, re.Match[str]] | None:
    """The capitalised word, where it may be a name that the source does not have."""
    word = match.group().rstrip(".'-&").removesuffix("'s")
    low_word = word.lower().replace(".", "")
    if low_word in _COMMON_NAMES or stem(low_word) in words or any(c.isdigit() for c in word):
        return None
    opens = not text[: match.start()].strip(" \"'([") or re.search(r"[.!?:]['\")]?\s+$", text[: match.start()])
    if opens and not _abbreviates(word):
        follows = i + 1 < len(matches) and text[match.end() : matches[i + 1].start()] == " " and not _abbreviates(matches[i + 1].group())
        if not follows or low_word in _OPENERS:  # "Paying USCIS" is no name
            return None
    return word, match


def _abbreviates(word: str) -> bool:
    letters = word.replace(".", "").replace("-", "").rstrip("s")
    return len(letters) >= 2 and letters.isupper()


def _initials(text: str) -> frozenset[str]:
    """Initials of every run of two to six words, so that "AHA" is found in "the American Hospital Association"."""
    words = [w for w in re.findall(r"[A-Za-z]+", text)]
    result = set()
    for skip in (frozenset(), frozenset("of the for and on in to".split())):
        kept = [w for w in words if w.lower() not in skip]
        for size in range(2, 7):
            result |= {"".join(w[0] for w in kept[i : i + size]).lower() for i in range(len(kept) - size + 1)}
    return frozenset(result)


def _spelt_out(text: str, at: int, words: set[str]) -> bool:
    """Whether the capitalised run around `at` spells out an abbreviation that the quote has."""
    for run in re.finditer(r"[A-Z][\w-]*(?:(?: of| the| for| and| on| in)* [A-Z][\w-]*)+", text):
        if run.start() <= at < run.end():
            parts = run.group().split()
            capitals = "".join(p[0] for p in parts if p[0].isupper()).lower()
            everything = "".join(p[0] for p in parts).lower()
            return capitals in words or everything in words or capitals[1:] in words
    return False


def _rows_aloud(units: Sequence[str], context: Sequence[str]) -> Iterator[str]:
    """Cited table rows as they are read aloud, under a header that stands in the context or is cited with them."""
    headers = [c for c in (*context, *units) if c.lstrip().startswith("|")]
    for unit in units:
        if unit.startswith("|"):
            yield read_row(unit, _header_of(unit, headers))
            yield read_row(unit, "")


def _sentences(quote: str) -> tuple[str, ...]:
    return tuple(split(quote)) or (quote.strip(),)


def _bare(text: str) -> str:
    """For comparing but for case of the first letter, white space and the last full stop."""
    text = " ".join(text.split()).rstrip(".")
    return text[:1].lower() + text[1:]


_AS_OF = re.compile(
    r"(?:as (?:of|at)|last checked(?: in)?|checked(?: in)?|(?:last )?(?:updated|confirmed|reported|published)(?: in|"
    r" on)?|dated|read in|\() ?"
    r"(?:(?:january|february|march|april|may|june|july|august|september|october|november|december) )?(?:19|20)\d\d(?:-\d\d){0,2}",
    re.I,
)


def _as_of_figures(as_of: Sequence[str]) -> list[str]:
    """Normal forms of the months that may be told."""
    return [f"{date[:7]}-??" if len(date) >= 7 else f"{date}-??-??" for date in as_of if re.fullmatch(r"\d{4}(-\d\d){0,2}", date)]


def _is_as_of(figure: Figure, text: str, as_of: Sequence[str]) -> bool:
    return (
        figure.kind == "date"
        and figure.value in _as_of_figures(as_of)
        and any(m.start() <= figure.start < m.end() for m in _AS_OF.finditer(text))
    )


def _without_as_of(text: str, as_of: Sequence[str]) -> str:
    """ "As of July 2026, the fee is $780." -> "the fee is $780.", when July 2026 is the date of the fact."""
    match = re.match(r"as of ([A-Za-z]+ (?:19|20)\d\d|(?:19|20)\d\d), ", text, re.I)
    if match and all(f.value in _as_of_figures(as_of) for f in find(match[1])):
        return text[match.end() :]
    match = re.search(r" \(as of ([A-Za-z]+ (?:19|20)\d\d|(?:19|20)\d\d)\)(?=\.?$)", text, re.I)
    if match and all(f.value in _as_of_figures(as_of) for f in find(match[1])):
        return text[: match.start()] + text[match.end() :]
    return text


_NEEDED_JOINERS = {"\u200c", "\u200d"}  # Persian and Indic scripts need them


def _hidden(text: str, quotes: Sequence[str]) -> Iterator[str]:
    """What a reader would not see as a machine reads it: characters that hide, look like others or lead elsewhere, unless the
    quote has them too."""
    for match in _LINK.finditer(text):
        if not any(match.group() in quote for quote in quotes):
            yield "a link or markup"
            break
    if text.isascii():
        if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
            yield "control characters"
        return
    if _hides(text, " ".join(quotes)):
        yield "hidden or mixed characters"


def _hides(text: str, source: str) -> bool:
    """Invisible, bidirectional and control characters, strokes laid over letters, digits that are no 0-9, and words in
    letters that are not Latin."""
    for i, char in enumerate(text):
        kind = unicodedata.category(char)
        if kind in {"Cf", "Cc", "Co", "Cn", "Cs"} and char not in "\n\t\r":
            if char not in _NEEDED_JOINERS or (text[i - 1 : i] + text[i + 1 : i + 2]).isascii():
                return True
        if kind in {"No", "Nl", "Nd"} and not char.isascii() and char not in source:
            return True
    composed = " " + unicodedata.normalize("NFC", text)
    if any(unicodedata.category(c) in {"Mn", "Me"} and p.isascii() for p, c in zip(composed, composed[1:], strict=False)):
        return True
    for word in re.findall(r"[^\W_]+", text):
        if not word.isascii() and word not in source and {_script(c) for c in word} - {"DIGIT", "LATIN"}:
            return True
    return False


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    if char.isascii():
        return "DIGIT" if char.isdigit() else "LATIN"
    if char.isdigit() or unicodedata.numeric(char, None) is not None and unicodedata.category(char) in {"Nd", "No"}:
        return "FOREIGN DIGIT"
    return unicodedata.name(char, "UNKNOWN").split()[0]
