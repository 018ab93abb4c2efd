"""Whether a sentence says what its quotes say. Nothing reaches a person without passing here.

Every part of the check is a comparison of the sentence with single sentences of what it cites, never with a page as a whole:

1. figures      each number, amount, date, share, law or form number stands in a cited sentence, in the same role
2. names        each visa, exam, state, country, program … it names is named by the quote, or by the quote's heading
3. polarity     not / only / unless, must / may, before / after, at least / at most … point the same way (`polarity.yaml`)
4. roles        where the quote names two things of a kind, each keeps its own statement
5. meaning      its words are the quote's words or stand for them; where they are too few, the embedder decides

A sentence that stands in its quote word for word passes at once. When in doubt the answer is no: a dropped sentence costs less than a wrong one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from bot.errors import SettingsError
from bot.figures import Figure, clean, find, same, shown, spell_out_names
from bot.passage import read_row
from bot.sentences import split
from bot.settings import ROOT
from bot.terms import STOP, Terms, stem

Embed = Callable[[list[str]], np.ndarray]

# Measured on tests/golden/paraphrases.yaml against sentences cited with a neighbour's quote.
ENOUGH_WORDS = 0.80  # with so large a share of its words in the quote a sentence needs no embedder
TOO_FEW_WORDS = 0.34  # below, no cosine helps
CLOSE = 0.905  # cosine of gte-small at which TOO_FEW_WORDS is enough; the two trade off linearly in between
NEAR_COPY = 0.80  # token similarity from which every changed word is looked at


@dataclass(frozen=True, slots=True)
class Verdict:
    supported: bool
    support: float
    figures: tuple[str, ...] = ()
    missing_figures: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    name: str
    strict: bool = False
    negative: bool = False
    order: bool = False


@dataclass(slots=True)
class Polarity:
    """The words of `polarity.yaml`, ready to look up."""

    axes: dict[str, Axis]
    signs: dict[str, tuple[str, int]]  # phrase -> axis, +1 or -1; ("not", -1) for negators
    groups: dict[str, frozenset[int]]  # stem -> synonym lines it stands on
    light: frozenset[str]
    pattern: re.Pattern[str]
    synonyms: dict[str, frozenset[str]] = field(default_factory=dict)  # stem -> other stems on its lines


def read_polarity(path: Path) -> Polarity:
    """Reads `polarity.yaml`.

    Raises:
        SettingsError: when the file is missing or not of the expected shape.
    """
    try:
        data = yaml.safe_load(path.read_bytes())
        axes = {name: Axis(name, *(bool(item.get(k)) for k in ("strict", "negative", "order"))) for name, item in data["axes"].items()}
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
        alternatives = "|".join(re.escape(p).replace(r"\ ", r"[\s-]+").replace(r"\-", r"[\s-]?") for p in sorted(signs, key=len, reverse=True))
        pattern = re.compile(rf"(?<![a-z0-9])(?:{alternatives})(?![a-z0-9])|n't\b|[a-z0-9]+(?:[.'&-][a-z0-9]+)*|[^\W\d_]+|[,;:()]")
        others = [frozenset(stem(word) for word in words if " " not in word) for words in data["synonyms"]]
        synonyms = {word: frozenset().union(*(others[i] for i in at)) - {word} for word, at in lines.items()}
        return Polarity(axes, signs, {k: frozenset(v) for k, v in lines.items()}, frozenset(stem(w) for w in data["light"]), pattern, synonyms)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"The word list {path.name} cannot be read ({type(error).__name__}: {error}). Correct the file.") from None


def _spaced(phrase: str) -> str:
    return re.sub(r"[\s-]+", " ", str(phrase)).strip()


@dataclass(frozen=True, slots=True)
class Token:
    """One word that counts: a content word, a named thing, a figure, or a word that turns the sense ("axis" with its sign)."""

    kind: str  # "word", "entity", "figure", "axis"
    key: str  # stem, entity id, normal form of the figure, name of the axis
    sign: int = 0
    denied: bool = False  # an axis word under a negator: its sign is already turned
    clause: int = 0

    @property
    def same_kind(self) -> str:
        return self.key.partition(":")[0] if self.kind == "figure" else self.kind


@dataclass(slots=True)
class Reading:
    """A sentence taken apart."""

    text: str  # as a reader sees it
    canonical: str
    figures: tuple[Figure, ...]
    entities: dict[str, str]  # id -> kind
    tokens: tuple[Token, ...]
    stems: frozenset[str]
    axes: dict[str, Counter[int]] = field(default_factory=dict)


class Verifier:
    def __init__(self, terms: Terms, embed: Embed | None = None, polarity: Polarity | None = None) -> None:
        self.terms = terms
        self.embed = embed
        self.polarity = polarity or read_polarity(ROOT / "knowledge" / "data" / "polarity.yaml")
        self._read = lru_cache(maxsize=4096)(self._take_apart)
        self._units = lru_cache(maxsize=4096)(_sentences)

    def check(self, text: str, quotes: Sequence[str], *, context: Sequence[str] = (), as_of: Sequence[str] = ()) -> Verdict:
        """Whether `text` is said by `quotes`.

        `context` (title, headings, header row) may name what the quote is about, but supplies no figure. `as_of` are dates of the facts;
        their month may be told ("as of July 2026").
        """
        stripped = _MARKS.sub("", text).strip()
        figures = find(stripped)
        as_shown = shown(figures)
        if not stripped or not quotes:
            return Verdict(False, 0.0, as_shown, as_shown, ("nothing is cited" if stripped else "nothing is said",))
        units = [unit for quote in quotes for unit in self._units(quote)]
        if stripped in units or stripped in quotes:
            return Verdict(True, 1.0, as_shown)
        reasons: list[str] = []
        if _hides(stripped):
            reasons.append("hidden or mixed characters")
        text = _without_as_of(stripped, as_of)
        if not reasons and _bare(text) in {_bare(unit) for unit in units}:
            return Verdict(True, 1.0, as_shown)
        if not reasons and any(_bare(text) == _bare(row) for row in _rows_aloud(units, context)):
            return Verdict(True, 1.0, as_shown)
        return self._compare(text, units, context, as_of, as_shown, reasons)

    def _compare(
        self, text: str, units: list[str], context: Sequence[str], as_of: Sequence[str], as_shown: tuple[str, ...], reasons: list[str]
    ) -> Verdict:
        headers = [c for c in context if c.lstrip().startswith("|")]
        said = self._read(text)
        # A row of a table is read together with its header, but the header gives no figure.
        quoted = [self._read(f"{' '.join(headers)} {unit}" if headers and unit.startswith("|") else unit) for unit in units]
        sources = [find(unit) for unit in units]
        around = self._read(" . ".join(context)) if context else None
        clauses = self._clauses(said)
        best = [self._nearest(clause, quoted) for clause in clauses]
        missing = self._figures(said, clauses, quoted, sources, as_of, reasons)
        self._names(said, quoted, around, reasons)
        chosen = sorted({i for i in best if i is not None})
        merged = [quoted[i] for i in chosen] or quoted
        self._polarity(said, merged, reasons)
        self._roles(said, merged, reasons)
        words = self._coverage(said.tokens, quoted, around)
        support = words
        if not reasons:
            weakest = min(
                (self._coverage(clause, quoted, around) for clause in clauses if sum(t.kind == "word" for t in clause) >= 4), default=words
            )
            words = min(words, weakest + 0.25)
            support = self._meaning(said, units, words, reasons)
        if reasons:
            return Verdict(False, round(min(support, 0.49), 2), as_shown, tuple(missing), tuple(dict.fromkeys(reasons)))
        return Verdict(True, round(min(1.0, support), 2), as_shown)

    # -- reading ---------------------------------------------------------------------------------------------------

    def _take_apart(self, text: str) -> Reading:
        plain = clean(text)
        figures = find(plain)
        canonical = self.terms.canonical(_SINGULAR.sub(r"\1", spell_out_names(plain)))
        entities = {}
        for word in _WORDS.findall(canonical):
            if word in self.terms.entities:
                entities[word] = self.terms.entities[word].kind
        tokens = self._tokens(plain, figures)
        axes: dict[str, Counter[int]] = {}
        for token in tokens:
            if token.kind == "axis":
                axes.setdefault(token.key, Counter())[token.sign] += 1
        return Reading(plain, canonical, figures, entities, tokens, frozenset(t.key for t in tokens if t.kind in ("word", "entity")), axes)

    def _tokens(self, plain: str, figures: tuple[Figure, ...]) -> tuple[Token, ...]:
        """The words that count, in order. A figure is one token, whatever way it is written."""
        parts, at, keys = [], 0, []
        for figure in figures:
            if figure.kind == "name" or figure.start < at:
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
        clause = 0
        for match in self.polarity.pattern.finditer(canonical):
            word = match.group()
            if word in ",;:()":
                clause += 1
                continue
            if word.startswith("zfigure") and word.endswith("z"):
                figure = keys[_unletters(word[7:-1])]
                result.append(Token("figure", figure.key, clause=clause))
                if figure.shown.endswith("+"):
                    result.append(Token("axis", "bound", 1, clause=clause))
                continue
            sign = self.polarity.signs.get(_spaced(word))
            if sign and word not in self.terms.entities:
                result.append(Token("axis", *sign, clause=clause))
                for part in re.split(r"[\s-]+", word):
                    if sign[0] not in ("not", "condition", "order") and part not in _GLUE and part not in STOP:
                        result.append(Token("word", stem(part), sign=9, clause=clause))
            elif word in self.terms.entities:
                result.append(Token("entity", word, clause=clause))
            elif word not in STOP or word in _KEPT:
                for part in re.split(r"[-&]", word.replace("'s", "").replace(".", "")):
                    if len(part) > 1 and part not in STOP:
                        result.append(Token("word", stem(part), clause=clause))
        return tuple(self._deny(result))

    def _deny(self, tokens: list[Token]) -> list[Token]:
        """Turns the first axis word that a negator reaches: "not required" counts against, "does not have to" too."""
        result = list(tokens)
        gone: set[int] = set()
        for i, token in enumerate(tokens):
            if token.kind != "axis" or token.key != "not":
                continue
            reach = 0
            for j in range(i + 1, min(i + 6, len(tokens))):
                other = tokens[j]
                if other.clause != token.clause or reach > 1:
                    break
                if other.kind == "axis" and other.key in _TURNED:
                    result[j] = Token("axis", other.key, -other.sign, True, other.clause)
                    gone.add(i)
                    break
                if other.kind == "axis" and other.key == "not":
                    break
                if other.kind != "axis" and other.sign != 9:
                    reach += 1
            # "can not", "may not": the permission stands before the negator.
            if i not in gone and i and tokens[i - 1].kind == "axis" and tokens[i - 1].key == "permit" and tokens[i - 1].clause == token.clause:
                result[i - 1] = Token("axis", "permit", -tokens[i - 1].sign, True, token.clause)
                gone.add(i)
        return [t for i, t in enumerate(result) if i not in gone]

    def _clauses(self, said: Reading) -> list[tuple[Token, ...]]:
        """The sentence in parts that could each rest on another quote; a part without words of its own joins the one before."""
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
        return [tuple(part) for part in result]

    # -- comparing -------------------------------------------------------------------------------------------------

    def _nearest(self, clause: Sequence[Token], quoted: list[Reading]) -> int | None:
        scores = [self._coverage(clause, [reading], None) + 0.3 * _shared(clause, reading) for reading in quoted]
        return int(np.argmax(scores)) if scores else None

    def _figures(
        self, said: Reading, clauses: list[tuple[Token, ...]], quoted: list[Reading], sources: list[tuple[Figure, ...]], as_of: Sequence[str],
        reasons: list[str],
    ) -> list[str]:  # fmt: skip
        missing: list[str] = []
        for figure in said.figures:
            if figure.kind == "name":
                continue
            holders = [i for i, source in enumerate(sources) if any(same(figure, other) for other in source)]
            if not holders:
                if figure.soft and not self._rival(figure, sources):
                    continue
                if _is_as_of(figure, said.text, as_of):
                    continue
                if figure.kind == "span" and figure.soft:
                    reasons.append(f"'{figure.shown}' is not in the quote")
                    continue
                missing.append(figure.shown)
                reasons.append(f"figure {figure.shown} is not in the quote")
            elif len(quoted) > 1:
                # The part of the sentence that holds the figure must be about what the figure's quote is about.
                clause = next((c for c in clauses if any(t.kind == "figure" and t.key == figure.key for t in c)), said.tokens)
                rates = [self._coverage(clause, [reading], None) for reading in quoted]
                if max(rates[i] for i in holders) < 0.3 and max(rates) > max(rates[i] for i in holders) + 0.3:
                    missing.append(figure.shown)
                    reasons.append(f"figure {figure.shown} belongs to another quote")
        return missing

    def _rival(self, figure: Figure, sources: list[tuple[Figure, ...]]) -> bool:
        """ "A year" stands against "two years" in the quote; "80 hours a week" stands against nothing."""
        return figure.kind == "span" and not figure.shown.lower().startswith(("per", "each", "every")) and any(
            other.kind == "span" and other.unit == figure.unit and not other.soft for source in sources for other in source
        ) and not any(other.kind == "count" for source in sources for other in source)  # fmt: skip

    def _names(self, said: Reading, quoted: list[Reading], around: Reading | None, reasons: list[str]) -> None:
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
        quoted_text = " ".join(r.text for r in quoted)
        all_text = quoted_text + (" " + around.text if around else "")
        for figure in said.figures:
            if figure.kind != "name" or any(i in self.terms.entities for i in _WORDS.findall(self.terms.canonical(figure.shown))):
                continue
            names = {f.value.rstrip("s") for f in find(all_text)}
            if figure.value.rstrip("s") not in names:
                reasons.append(f"names {figure.shown}, the quote does not")
        for name in self._proper(said.text, all_text):
            reasons.append(f"names {name}, the quote does not")

    def _proper(self, text: str, source: str) -> list[str]:
        """Capitalised names and abbreviations of `text` that neither the quote nor its headings hold."""
        found = []
        low = clean(source).lower()
        words = set(re.findall(r"[^\W_]+", low))
        stems = {stem(w) for w in words}
        source_initials = _initials(clean(source))
        canon = set(_WORDS.findall(self.terms.canonical(spell_out_names(source))))
        matches = list(_CAPITAL.finditer(text))
        for i, match in enumerate(matches):
            word = match.group().rstrip(".'-&").removesuffix("'s")
            low_word = word.lower().replace(".", "")
            opens = not text[: match.start()].strip(" \"'([") or re.search(r"[.!?:]['\")]?\s+$", text[: match.start()])
            follows = i + 1 < len(matches) and text[match.end() : matches[i + 1].start()] == " "
            letters = word.replace(".", "").replace("-", "")
            is_abbreviation = len(letters) >= 2 and letters.rstrip("s").isupper()
            if opens and not is_abbreviation and not follows:
                continue
            if low_word in words or stem(low_word) in stems or low_word in _COMMON_NAMES or any(c.isdigit() for c in word):
                continue
            if all(part in words or stem(part) in stems or part in _COMMON_NAMES for part in re.findall(r"[^\W_]+", low_word)):
                continue
            ids = [w for w in _WORDS.findall(self.terms.canonical(word)) if w in self.terms.entities]
            if ids and all(w in canon for w in ids):
                continue
            if opens and not is_abbreviation and low_word in _OPENERS:
                continue
            # Part of a longer name that is a known thing ("Step Two", "West Virginia", "United States") was compared as such.
            tail = self.terms.canonical(text[max(0, match.start() - 24) : match.end() + 24])
            if any(_squeezed(self.terms.name(w)).find(low_word) >= 0 for w in _WORDS.findall(tail) if w in self.terms.entities and w in canon):
                continue
            if is_abbreviation and (letters.rstrip("s").lower() in source_initials or self._expands(low_word.rstrip("s"), stems)):
                continue
            if not is_abbreviation and _spelt_out(text, match.start(), words):
                continue
            found.append(word)
        return found

    def _expands(self, abbreviation: str, stems: set[str]) -> bool:
        """ "USCE" where the quote says "US clinical experience"."""
        plain = [w for w in self.terms.tokens(abbreviation, expand=True) if w != stem(abbreviation)]
        return bool(plain) and sum(w in stems or w in self.terms.entities for w in plain) * 3 >= len(plain) * 2

    def _polarity(self, said: Reading, quoted: list[Reading], reasons: list[str]) -> None:
        here: dict[str, Counter[int]] = {}
        for reading in quoted:
            for name, counter in reading.axes.items():
                here.setdefault(name, Counter()).update(counter)
        tokens = [t for reading in quoted for t in (*reading.tokens, Token("word", "\0", clause=-1))]
        self._negation(said, tokens, reasons)
        mine = _marked(said.tokens)
        theirs = _marked(tokens)
        for name, axis in self.polarity.axes.items():
            if name not in said.axes:
                continue
            for sign in said.axes[name]:
                if not said.axes[name][sign]:
                    continue
                have = here.get(name, Counter())
                if axis.order:
                    continue
                if have[sign]:
                    continue
                if have[-sign] and not (axis.negative and sign < 0 and here.get("not")):
                    reasons.append(f"{name} differs")
                elif axis.strict and not self._covers_strict(name, sign, said, here, tokens):
                    reasons.append(f"{name} is not in the quote")
            for marker in [m for m in mine if m.token.key == name]:
                rivals = [(m.overlap(marker), m.token.sign == marker.token.sign) for m in theirs if m.token.key == name]
                right = max((o for o, agrees in rivals if agrees), default=(0, 0))
                wrong = max((o for o, agrees in rivals if not agrees), default=(0, 0))
                crossed = max((m.crossed(marker) for m in theirs if m.token.key == name), default=0) if axis.order else 0
                if wrong[0] > max(right[0], crossed) and (wrong > right):
                    reasons.append(f"{name} differs")
        self._modals(mine, theirs, said, here, reasons)

    def _covers_strict(self, name: str, sign: int, said: Reading, here: dict[str, Counter[int]], tokens: list[Token]) -> bool:
        """What else a quote may say for a strict word: "except" and "but not" for "only", "over" for "at least"."""
        if name == "only":
            return bool(here.get("condition", Counter())[-1] or here.get("not")) or any(t.kind == "word" and t.key in ("alon", "just", "none") for t in tokens)
        if name == "bound":
            than = here.get("than", Counter())
            words = {t.key for t in tokens if t.kind == "word"}
            low = {stem(w) for w in ("minimum", "least", "lowest", "pass", "required")} & words
            high = {stem(w) for w in ("maximum", "within", "most", "expire", "long", "total", "longest")} & words
            return bool(than[sign] or (low if sign > 0 else high or here.get("not")))
        return False

    def _modals(self, mine: list[_Marker], theirs: list[_Marker], said: Reading, here: dict[str, Counter[int]], reasons: list[str]) -> None:
        """ "must" where the quote says "may", and the reverse."""
        for name, other in (("duty", "permit"), ("permit", "duty")):
            for marker in [m for m in mine if m.token.key == name and m.token.sign > 0]:
                have = here.get(name, Counter())
                against = here.get(other, Counter())
                if against[1] and not have[1] and not (said.axes.get(other, Counter())[1]):
                    # The quote knows only the other of the two, and the sentence does not say that one at all.
                    if name == "permit" or not here.get("only"):
                        reasons.append("must and may differ")
                        return
                right = max((m.right_overlap(marker) for m in theirs if m.token.key == name and m.token.sign > 0), default=0)
                wrong = max((m.right_overlap(marker) for m in theirs if m.token.key == other and m.token.sign > 0), default=0)
                if wrong > right and wrong >= 2:
                    reasons.append("must and may differ")
                    return

    def _negation(self, said: Reading, tokens: list[Token], reasons: list[str]) -> None:
        mine, theirs = self._denials(said.tokens), self._denials(tokens)
        if len(mine) > len(theirs) and (len(mine) - len(theirs)) % 2:
            reasons.append("negation differs")
            return
        free = list(theirs)
        for marker in mine:
            best = max(free, key=lambda m: m.overlap(marker), default=None)
            if best is not None:
                free.remove(best)
        words = {t.key for t in said.tokens if t.kind != "axis"}
        denied = {w for m in mine for w in m.right}
        for marker in free:
            # A denial of the quote that the sentence leaves out, though it speaks of what was denied.
            anchors = [w for w in marker.right[:2] if w]
            if anchors and all(w in words for w in anchors) and not all(w in denied for w in anchors) and len(mine) % 2 != len(theirs) % 2:
                reasons.append("negation differs")
                return
        # As many denials on both sides, but of something else.
        reach = {w for m in theirs for w in m.right} | {w for m in theirs for w in m.left}
        plain = {t.key for t in tokens if t.kind != "axis"}
        for marker in mine:
            anchors = [w for w in marker.right[:2] if w]
            if anchors and all(w in plain and w not in reach for w in anchors):
                reasons.append("negation differs")
                return

    def _denials(self, tokens: Sequence[Token]) -> list[_Marker]:
        negative = {name for name, axis in self.polarity.axes.items() if axis.negative}
        return [m for m in _marked(tokens) if m.token.key == "not" or m.token.denied or (m.token.key in negative and m.token.sign < 0)]

    def _roles(self, said: Reading, quoted: list[Reading], reasons: list[str]) -> None:
        """Two visas, two exams, two figures in the quote: each must keep its own neighbours."""
        for reading in quoted:
            mine = [t for t in said.tokens if t.kind != "word" or t.sign != 9]
            theirs = [t for t in reading.tokens if t.kind != "word" or t.sign != 9]
            matcher = SequenceMatcher(None, [(t.kind, t.key, t.sign) for t in mine], [(t.kind, t.key, t.sign) for t in theirs], autojunk=False)
            near_copy = matcher.ratio() >= NEAR_COPY
            if near_copy:
                for op, a, b, c, d in matcher.get_opcodes():
                    if op == "equal":
                        continue
                    if op == "replace":
                        for x in mine[a:b]:
                            rivals = [y for y in theirs[c:d] if y.same_kind == x.same_kind and x.kind in ("entity", "figure") and y.key != x.key]
                            if x.kind == "entity":
                                rivals = [y for y in rivals if self.terms.entities[y.key].kind == self.terms.entities[x.key].kind]
                            if rivals and not any(y.key == x.key for y in theirs[c:d]):
                                reasons.append("two names or figures have changed places")
                                return
            elif self._misplaced(mine, theirs):
                reasons.append("two names or figures have changed places")
                return

    def _misplaced(self, mine: list[Token], theirs: list[Token]) -> bool:
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
                if right is not None and wrong >= right + 2.5:
                    return True
        return False

    def _like(self, a: Token, b: Token) -> bool:
        if a.kind != b.kind:
            return False
        if a.kind == "entity":
            return self.terms.entities[a.key].kind == self.terms.entities[b.key].kind
        return a.same_kind == b.same_kind

    # -- meaning ---------------------------------------------------------------------------------------------------

    def _coverage(self, tokens: Sequence[Token], quoted: list[Reading], around: Reading | None) -> float:
        """Share of the words of `tokens` that the quotes hold or have a word for; words of the heading count for most of one."""
        stems = frozenset().union(*(r.stems for r in quoted))
        outer = around.stems if around else frozenset()
        groups = self._groups(stems)
        got = total = 0.0
        for token in tokens:
            if token.kind not in ("word", "entity"):
                continue
            if token.kind == "entity":
                total += 1
                got += 1 if token.key in stems else 0.9 if token.key in outer else 0
                continue
            weight = 0.25 if token.key in self.polarity.light or token.sign == 9 else 1.0
            total += weight
            if token.key in stems:
                got += weight
            elif self.polarity.groups.get(token.key, frozenset()) & groups:
                got += 0.9 * weight
            elif token.key in outer:
                got += 0.8 * weight
            elif len(token.key) >= 5 and any(s.startswith(token.key[:5]) for s in stems if len(s) >= 5):
                got += 0.8 * weight
        return got / total if total else 1.0

    @lru_cache(maxsize=4096)  # noqa: B019 - one verifier lives as long as the server
    def _groups(self, stems: frozenset[str]) -> frozenset[int]:
        return frozenset(i for s in stems for i in self.polarity.groups.get(s, ()))

    def _meaning(self, said: Reading, units: list[str], words: float, reasons: list[str]) -> float:
        if words >= ENOUGH_WORDS:
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


@dataclass(slots=True)
class _Marker:
    """An axis word with the words to its left and right."""

    token: Token
    left: tuple[str, ...]
    right: tuple[str, ...]

    def overlap(self, other: _Marker) -> tuple[int, int]:
        return self.right_overlap(other), len({w for w in self.left if w} & {w for w in other.left if w})

    def right_overlap(self, other: _Marker) -> int:
        return len({w for w in self.right if w} & {w for w in other.right if w})

    def crossed(self, other: _Marker) -> int:
        return max(len(set(self.left) & set(other.right)), len(set(self.right) & set(other.left)))


def _marked(tokens: Sequence[Token]) -> list[_Marker]:
    result = []
    for i, token in enumerate(tokens):
        if token.kind != "axis":
            continue
        right = [t.key for t in tokens[i + 1 : i + 9] if t.kind != "axis" and t.sign != 9][:3]
        left = [t.key for t in reversed(tokens[max(0, i - 8) : i]) if t.kind != "axis" and t.sign != 9][:3]
        if "\0" in right:
            right = right[: right.index("\0")]
        if "\0" in left:
            left = left[: left.index("\0")]
        result.append(_Marker(token, tuple(left), tuple(right)))
    return result


def _around(tokens: list[Token], i: int, like: Callable[[Token, Token], bool]) -> list[tuple[str, float]]:
    """The neighbours of a token, nearer ones weighing more; a rival of its own kind ends the look in that direction."""
    result = []
    for step in (1, -1):
        j, weight = i + step, 1.5
        while 0 <= j < len(tokens) and weight > 0.4:
            if like(tokens[j], tokens[i]):
                break
            if tokens[j].kind != "axis":
                result.append((tokens[j].key, weight))
            weight -= 0.3
            j += step
    return result


def _touch(a: list[tuple[str, float]], b: list[tuple[str, float]]) -> float:
    weights = dict(b)
    return sum(min(w, weights[key]) for key, w in a if key in weights)


def _shared(clause: Sequence[Token], reading: Reading) -> float:
    """Share of the figures and names of `clause` that `reading` holds."""
    wanted = {(t.kind, t.key) for t in clause if t.kind in ("figure", "entity")}
    return len(wanted & {(t.kind, t.key) for t in reading.tokens}) / len(wanted) if wanted else 0.0


_WORDS = re.compile(r"[a-z0-9]+")
_MARKS = re.compile(r"(?:\s*\[\^?[A-Za-z0-9-]{1,40}\])+(?=\s*[.!?]?\s*$)")  # citation marks at the end
_SINGULAR = re.compile(r"\b([A-Z]{1,2}-?\d[A-Z]?)s\b")
_CAPITAL = re.compile(r"[A-Z][\w'&.-]*\w|[A-Z]\b")
_GLUE = frozenset("of to for the a an or and than in on at".split())
_KEPT = frozenset("not no only most more few".split()) - STOP
_TURNED = frozenset("duty permit only scope outcome verdict bound than always chance official good sure match law win many span condition order".split()) - {
    "condition",
    "order",
    "than",
    "bound",
}
# Capitals that name nothing a quote would have to hold.
_COMMON_NAMES = frozenset(
    "i us usa america american english january february march april may june july august september october november december jan feb mar apr jun jul aug sep "
    "sept oct nov dec monday tuesday wednesday thursday friday saturday sunday img imgs usmle md do dr faq ok q a note yes no internet match step steps form "
    "forms pathway pathways section ck cs program programs residency doctor doctors state states federal congress medicine united the".split()
)
_OPENERS = frozenset(
    "the a an if in on at for from to by since until before after when while as under with without both each every some many most all any no not only once "
    "there this that these those it they he she we you your i do does is are can may must should will what which who how why not never being having one two "
    "three people doctors applicants graduates physicians programs residents hospitals students schools examinees".split()
)
_INITIAL = re.compile(r"\b([A-Za-z])[a-z]+")


def _letters(n: int) -> str:
    return chr(97 + n // 26) + chr(97 + n % 26)


def _unletters(code: str) -> int:
    return (ord(code[0]) - 97) * 26 + ord(code[1]) - 97


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z]+", " ", text.lower())


@lru_cache(maxsize=2048)
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
    """Cited table rows as they are read aloud, under a header that is cited with them or stands in the context."""
    headers = [c for c in (*units, *context) if c.lstrip().startswith("|")]
    for unit in units:
        if unit.startswith("|"):
            yield from (read_row(unit, header) for header in headers if header != unit)
            yield read_row(unit, "")


def _sentences(quote: str) -> tuple[str, ...]:
    return tuple(split(quote)) or (quote.strip(),)


def _bare(text: str) -> str:
    """For comparing but for case of the first letter, white space and the last full stop."""
    text = " ".join(text.split()).rstrip(".")
    return text[:1].lower() + text[1:]


_AS_OF = re.compile(
    r"(?:as (?:of|at)|last checked(?: in)?|checked(?: in)?|(?:last )?(?:updated|confirmed|reported|published)(?: in| on)?|dated|read in|\() ?"
    r"(?:(?:january|february|march|april|may|june|july|august|september|october|november|december) )?(?:19|20)\d\d(?:-\d\d){0,2}",
    re.I,
)


def _as_of_figures(as_of: Sequence[str]) -> list[str]:
    """Normal forms of the months that may be told."""
    return [f"{date[:7]}-??" if len(date) >= 7 else f"{date}-??-??" for date in as_of if re.fullmatch(r"\d{4}(-\d\d){0,2}", date)]


def _is_as_of(figure: Figure, text: str, as_of: Sequence[str]) -> bool:
    return figure.kind == "date" and figure.value in _as_of_figures(as_of) and any(m.start() <= figure.start < m.end() for m in _AS_OF.finditer(text))


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


def _hides(text: str) -> bool:
    """Invisible, bidirectional and control characters, and Latin words with letters or digits of another script among them."""
    if text.isascii():
        return bool(re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text))
    for i, char in enumerate(text):
        kind = unicodedata.category(char)
        if kind in {"Cf", "Cc", "Co", "Cn", "Cs"} and char not in "\n\t\r":
            if char not in _NEEDED_JOINERS or (text[i - 1 : i] + text[i + 1 : i + 2]).isascii():
                return True
    for word in re.findall(r"[^\W_]+", text):
        if word.isascii():
            continue
        scripts = {_script(c) for c in word}
        if len(scripts - {"DIGIT"}) > 1 or (scripts > {"DIGIT"} and scripts - {"DIGIT", "LATIN", "CJK", "HIRAGANA", "KATAKANA"}):
            return True
        if "FOREIGN DIGIT" in scripts and re.search(r"[A-Za-z]", text):
            return True
    return False


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    if char.isascii():
        return "DIGIT" if char.isdigit() else "LATIN"
    if char.isdigit() or unicodedata.numeric(char, None) is not None and unicodedata.category(char) in {"Nd", "No"}:
        return "FOREIGN DIGIT"
    return unicodedata.name(char, "UNKNOWN").split()[0]


def checks_out(verdicts: Iterable[Verdict]) -> bool:
    return all(v.supported for v in verdicts)
