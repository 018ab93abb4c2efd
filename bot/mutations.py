"""Sentences made wrong on purpose, and sentences said otherwise but still true: what the verifier is measured on.

Everything is drawn with a seed from the guides themselves, so the measure follows the knowledge base.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from bot.figures import Figure, clean, find, same
from bot.passage import cells, read_row
from bot.terms import Terms
from bot.verify import Verifier


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of a guide with what a citation of it would bring along."""

    text: str
    context: tuple[str, ...]
    guide: str


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence to check, and what should come out. `kind` says how it was made."""

    kind: str
    text: str
    quotes: tuple[str, ...]
    supported: bool
    context: tuple[str, ...] = ()
    guide: str = ""
    as_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paraphrase:
    sentence: str
    paraphrase: str


_MARK = re.compile(r"\[\^[^\]\s]+\]")
_SPLIT = re.compile(r"(?<=\])\s+(?=[^\s\[])")  # each sentence of a guide ends with its marks


def statements(guides: Path) -> list[Statement]:
    """The sentences and list items of the guides that rest on a source, without their marks; tables and mere advice are left out."""
    result: list[Statement] = []
    for path in sorted(guides.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        match = re.match(r"---\n(.*?)\n---\n(.*)", text, re.S)
        if not match:
            continue
        title = str((yaml.safe_load(match[1]) or {}).get("title", ""))
        heading = ""
        for line in match[2].splitlines():
            if line.startswith("#"):
                heading = re.sub(r"\s*\{#.*\}\s*$", "", line.lstrip("# "))
            elif line.strip() and not line.startswith(("|", "```", ">")):
                for part in _SPLIT.split(re.sub(r"^\s*(?:[-*+]|\d+\.)\s+", "", line)):
                    marks = _MARK.findall(part)
                    sentence = _MARK.sub("", part).strip()
                    if sentence and marks and marks != ["[^advice]"] and sentence[-1] in ".!?":
                        result.append(Statement(sentence, (title, heading), str(path.relative_to(guides).with_suffix(""))))
    return result


def rows(guides: Path) -> list[Statement]:
    """The table rows of the guides that rest on a source; the header of each stands last in its context."""
    result: list[Statement] = []
    for path in sorted(guides.rglob("*.md")):
        match = re.match(r"---\n(.*?)\n---\n(.*)", path.read_text(encoding="utf-8"), re.S)
        if not match:
            continue
        title, heading, header = str((yaml.safe_load(match[1]) or {}).get("title", "")), "", ""
        for line in match[2].splitlines():
            if line.startswith("#"):
                heading = re.sub(r"\s*\{#.*\}\s*$", "", line.lstrip("# "))
            if not line.startswith("|"):
                header = ""
            elif not header:
                header = line
            elif not set(line) <= set("|-: "):
                row = re.sub(r"\s+(?=\|)", " ", _MARK.sub("", line))
                if len(cells(row)) == len(cells(header)) and _MARK.search(line):
                    result.append(Statement(row.strip(), (title, heading, header), str(path.relative_to(guides).with_suffix(""))))
    return result


def read_paraphrases(path: Path) -> list[Paraphrase]:
    return [Paraphrase(item["sentence"], item["paraphrase"]) for item in yaml.safe_load(path.read_text(encoding="utf-8"))]


Mutator = Callable[[str, Terms, random.Random], Iterator[str]]


def _put(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _other_digit(digits: str, rng: random.Random) -> str:
    places = [i for i, c in enumerate(digits) if c.isdigit()]
    at = rng.choice(places)
    choice = rng.choice([d for d in "0123456789" if d != digits[at] and not (d == "0" and at == places[0])])
    return digits[:at] + choice + digits[at + 1 :]


def _figures(text: str, *kinds: str) -> list[Figure]:
    return [f for f in find(text) if f.kind in kinds and not f.soft]


def _digit(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    """One digit of a number, day, score, law or form number."""
    for figure in _figures(text, "count", "span", "date", "ref", "ordinal"):
        if re.search(r"\d", figure.shown) and not (figure.kind == "date" and figure.value.endswith("??-??")):
            yield _put(text, figure.start, figure.end, _other_digit(figure.shown, rng))


def _year(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    for match in re.finditer(r"\b(?:19|20)\d\d\b", text):
        if any(f.kind == "date" and f.start <= match.start() < f.end for f in find(text)):
            yield _put(text, match.start(), match.end(), str(int(match.group()) + rng.choice([-3, -2, -1, 1, 2, 3])))


def _month(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    names = "January February March April May June July August September October November December".split()
    for figure in _figures(text, "date"):
        match = re.search("|".join(names), figure.shown)
        if match:
            new = rng.choice([n for n in names if n != match.group()])
            yield _put(text, figure.start + match.start(), figure.start + match.end(), new)


def _amount(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    for figure in _figures(text, "money"):
        if re.search(r"\d", figure.shown):
            yield _put(text, figure.start, figure.end, _other_digit(figure.shown, rng))


def _percent(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    for figure in _figures(text, "percent"):
        if re.search(r"\d", figure.shown):
            yield _put(text, figure.start, figure.end, _other_digit(figure.shown, rng))


def _unit(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    """ "two years" -> "two months"."""
    for figure in _figures(text, "span"):
        match = re.search(r"(year|month|week|day|hour|minute)(s?)$", figure.shown)
        if match:
            new = rng.choice([u for u in ("year", "month", "week", "day") if u != match[1]]) + match[2]
            yield _put(text, figure.start + match.start(), figure.end, new)


def _spelled(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    words = "two three four five six seven eight nine ten eleven twelve".split()
    for figure in _figures(text, "count", "span"):
        match = re.match(r"(?:" + "|".join(words) + r")\b", figure.shown)
        if match:
            yield _put(text, figure.start, figure.start + match.end(), rng.choice([w for w in words if w != match.group()]))


def _name_number(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    """ "Step 2 CK" -> "Step 3 CK", "Pathways 1 to 5" -> "Pathways 2 to 5"."""
    for place in dict.fromkeys((f.start, f.end) for f in find(text) if f.kind == "name" and re.match(r"(?i)step|pathway|conrad", f.shown)):
        for match in re.finditer(r"\d+", text[place[0] : place[1]]):
            other = rng.choice([n for n in range(1, 8) if str(n) != match.group()]) if len(match.group()) == 1 else int(match.group()) + 1
            yield _put(text, place[0] + match.start(), place[0] + match.end(), str(other))


def _season(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    """ "2026-27" -> "2027-27", "2026-28", "2027-28"."""
    for match in re.finditer(r"\b(20\d\d)-(\d\d)\b(?!-)", text):
        if int(match[2]) > 12:
            first, second = int(match[1]), int(match[2])
            yield _put(
                text,
                match.start(),
                match.end(),
                rng.choice([f"{first + 1}-{second}", f"{first}-{second + 1}", f"{first + 1}-{second + 1}"]),
            )


def _turned(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    """Two digits change places, in digits, apart or in words: "218" -> "281", "2 18", "two hundred eighty-one"."""
    for figure in _figures(text, "count"):
        digits = figure.shown
        if re.fullmatch(r"\d{3}", digits) and digits[1] != digits[2]:
            other = digits[0] + digits[2] + digits[1]
            yield _put(text, figure.start, figure.end, rng.choice([other, f"{digits[0]} {digits[1:]}", in_words(int(other))]))


_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()


def in_words(number: int) -> str:
    """0 to 999."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    return f"{_ONES[number // 100]} hundred" + (f" {in_words(number % 100)}" if number % 100 else "")


def _currency(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    for figure in _figures(text, "money"):
        made = (
            re.sub(r"\$", rng.choice("€£"), figure.shown)
            if "$" in figure.shown
            else re.sub(r"(?:US )?dollars?", rng.choice(["euros", "pounds"]), figure.shown)
        )
        yield _put(text, figure.start, figure.end, made)


def _range(text: str, _: Terms, __: random.Random) -> Iterator[str]:
    """ "from 194 to 196" -> "from 196 to 194"."""
    for match in re.finditer(r"\bfrom ([$\d][\d,.]*)((?: [a-z]+){0,3}) to ([$\d][\d,.]*\d)", text):
        yield _put(text, match.start(), match.end(), f"from {match[3]}{match[2]} to {match[1]}")


_SWAPS: dict[str, list[list[str]]] = {
    "visa": [["J-1", "H-1B", "O-1", "F-1"], ["J-2", "H-4"]],
    "exam": [["Step 1", "Step 2 CK", "Step 3"]],
    "state": [["California", "Texas", "New York", "Florida", "Ohio", "Nevada", "Michigan", "Illinois", "Tennessee", "Virginia",
               "New Jersey", "Pennsylvania"]],
    "country": [["India", "Pakistan", "Nigeria", "Nepal", "Canada", "Egypt", "Mexico", "Iran", "United Kingdom"]],
    "pathway": [[f"Pathway {n}" for n in range(1, 7)]],
    "specialty": [["internal medicine", "family medicine", "pediatrics", "psychiatry", "neurology", "pathology", "anesthesiology",
                   "general surgery"]],
    "body": [["ECFMG", "NRMP", "FSMB", "AAMC", "USCIS", "ACGME"]],
    "system": [["ERAS", "SOAP"]],
}  # fmt: skip


def _swap(kind: str) -> Mutator:
    def swapped(text: str, terms: Terms, rng: random.Random) -> Iterator[str]:
        """Every mention of one name becomes another of its kind that the sentence does not have."""
        for names in _SWAPS[kind]:
            alternatives = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
            present = list(dict.fromkeys(re.findall(rf"(?<![\w-])(?:{alternatives})(?![\w-])", text)))
            found = {i for ids in terms.found(text).values() for i in ids} if present else set()
            for old in present:
                free = [n for n in names if not {i for ids in terms.found(n).values() for i in ids} & found]
                if free:
                    yield re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", rng.choice(free), text)

    return swapped


def _trade(text: str, _: Terms, __: random.Random) -> Iterator[str]:
    """Two names of a kind change places, unless they stand in one list ("J-1 or H-1B"), where nothing would change."""
    for groups in _SWAPS.values():
        for names in groups:
            alternatives = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
            found = list(re.finditer(rf"(?<![\w-])(?:{alternatives})(?![\w-])", text))
            if len(found) == 2 and found[0].group() != found[1].group():
                between = text[found[0].end() : found[1].start()]
                if (
                    len(between.split()) >= 4
                    and not re.match(r"[\s,]*(?:and|or|/)", between)
                    and not re.search(r"\b(?:both|same|median)\b", text)
                ):
                    a, b = found
                    yield text[: a.start()] + b.group() + between + a.group() + text[b.end() :]


_GROUPS = [
    ("non-US IMGs", "US IMGs"),
    ("non-US IMG", "US IMG"),
    ("US IMGs", "non-US IMGs"),
    ("US-citizen IMGs", "non-US IMGs"),
    ("US MD seniors", "non-US IMGs"),
]


def _group(text: str, terms: Terms, _: random.Random) -> Iterator[str]:
    for old, new in _GROUPS:
        pattern = rf"(?<![\w-]){re.escape(old)}(?![\w-])"
        if re.search(pattern, text, re.I) and not set(terms.found(new).get("group", ())) & set(terms.found(text).get("group", ())):
            yield re.sub(pattern, new, text, flags=re.I)


_PAIRS: dict[str, list[tuple[str, str]]] = {
    "negation added": [
        (r"\bis (?!not\b|no\b|only\b|at\b|then\b)", "is not "), (r"\bare (?!not\b|no\b|only\b|at\b)", "are not "),
        (r"\bmust (?!not\b|be\b)", "need not "),
        (r"\bcan (?!not\b|only\b|be\b)", "cannot "), (r"\bmay (?!not\b|be\b|\d|20)", "may not "),
        (r"\bwas (?!not\b|no\b|only\b)", "was not "),
        (r"\brequires ", "does not require "), (r"\bcounts ", "does not count "), (r"\bneeds ", "does not need "),
        (r"\baccepts ", "does not accept "),
        (r"\bwere (?!not\b|no\b|only\b)", "were not "), (r"\bhas (?=\w+ed\b)", "has not "),
    ],
    "negation removed": [
        (r"\bis not ", "is "), (r"\bare not ", "are "), (r"\bcannot ", "can "), (r"\bmay not ", "may "),
        (r"\bdoes not count\b", "counts"), (r"\bdoes not ", "does "),
        (r"\bdo not ", "do "), (r"\bmust not ", "must "), (r"\bwas not ", "was "), (r"\bhad not ", "had "), (r"\bNo (?=\w+)", "Every "),
        (r"\bwithout ", "with "), (r"\bnever ", "always "), (r"\bno longer ", "still "), (r"\bdid not ", "did "),
        (r"\bneither of\b", "both of"),
        (r"\bcould not be ", "could be "), (r"\bhas no ", "has a "), (r"\bwere not ", "were "), (r"\bwith no ", "with a "),
    ],
    "must or may": [
        (r"\bmust (?!not\b|never\b)", "may "), (r"\bmay (?!not\b|be (?:an|old|work|out)\b|\d|20)", "must "),
        (r"\bis required\b", "is optional"),
        (r"\bare required\b", "are optional"), (r"\brequired\b(?! to\b)", "optional"), (r"\bcan (?!not\b)", "must "),
        (r"\boptional\b", "required"),
    ],
    "before or after": [
        (r"\bbefore\b", "after"), (r"\bBefore\b", "After"), (r"\bafter\b", "before"), (r"\bAfter\b", "Before"), (r"\bSince\b", "Until"),
        (r"\bUntil\b", "After"),
        (r"\bon or after\b", "before"), (r"\buntil\b", "after"), (r"\bsince\b", "until"),
    ],
    "bounds": [
        (r"\bat least\b", "at most"), (r"\bat most\b", "at least"), (r"\bup to\b", "at least"), (r"\bmore than\b", "less than"),
        (r"\bless than\b", "more than"),
        (r"\bno more than\b", "no less than"), (r"\bfewer than\b", "more than"), (r"\bminimum\b", "maximum"), (r"\bmaximum\b", "minimum"),
        (r"\bunder (?=\d|\$)", "over "), (r"\bover (?=\d|\$)", "under "), (r"\bor more\b", "or fewer"), (r"\bAt least\b", "At most"),
        (r"\bUp to\b", "At least"),
    ],
    "only or except": [
        (r"\bunless\b", "if"), (r"\bonly if\b", "even if"), (r"\bexcept\b", "including"), (r"\bonly for\b", "not only for"),
        (r"\bOnly\b", "Not only"),
        (r"\bnot only\b", "only"), (r"\bcan be (?=\w+ed)", "can only be "), (r"\bis open to\b", "is open only to"),
        (r"\bapplies to\b", "applies only to"),
    ],
    "opposite": [
        (r"\bincreased\b", "decreased"), (r"\braised\b", "lowered"), (r"\brose\b", "fell"), (r"\bfell\b", "rose"),
        (r"\bhigher\b", "lower"), (r"\blower\b", "higher"),
        (r"\bpassed\b", "failed"), (r"\bfailed\b", "passed"), (r"\bincludes\b", "excludes"), (r"\ballowed\b", "forbidden"),
        (r"\beligible\b", "ineligible"),
        (r"\bexempt\b", "not exempt"), (r"\bfree\b(?! to\b)", "paid"), (r"\binside the United States\b", "outside the United States"),
        (r"\boutside the (?=US|United)", "inside the "), (r"\bin person\b", "online"), (r"\bunpaid\b", "paid"),
        (r"\btemporary\b", "permanent"),
        (r"\baccepts\b", "refuses"), (r"\brefused\b", "approved"), (r"\bunmatched\b", "matched"), (r"\bends\b", "starts"),
        (r"\bstarts\b", "ends"),
    ],
}  # fmt: skip


_PAIRS |= {
    "limit dropped": [
        (r"\b(?:at least|at most|up to(?! [A-Z])|no more than|no fewer than|more than|less than|fewer than|no later than) (?=\S)", ""),
        (r"\bonly (?=\S)", ""), (r" or (?:more|less|fewer|later|older)\b", ""),
    ],
    "some to all": [
        (r"\b(?:[Ss]ome|[Mm]any|[Mm]ost|[Ss]everal|[Aa] few) (?=\w+s\b)", "all "), (r"\busually\b", "always"), (r"\boften\b", "always"),
        (r"\bsometimes\b", "always"),
    ],
    "doubt dropped": [
        (r" \((?:[^()]*, )?undated[^()]*\)", ""), (r",? (?:that|which) we could not confirm,?", ""), (r"\bunconfirmed ", ""),
        (r"\ban undated\b", "a"),
        (r"\bmay (?=[a-z]+ )(?!not\b|be (?:an|old|work|out)\b)", "will "), (r"\bmight\b", "will"),
    ],
    "plan to law": [
        (r"\bproposed\b", "enacted"), (r"\bwould (?!be\b|have\b|not\b)", "will "), (r"\bwould be\b", "is"), (r"\bpending\b", "enacted"),
        (r"\b[Aa] draft\b", "The final"), (r"\bintroduced\b", "signed into law"),
    ],
    "listed to done": [(r"\blisted (?=J-1|H-1B|both)", "sponsors "), (r"\bclaims that (?=\w)", "proves that "),
                       (r"\bis listed (?=at)", "is fixed ")],
    "past to present": [(r"\bwas (?!not\b|no\b)", "is "), (r"\bwere (?!not\b|no\b)", "are "), (r"\bhad (?!not\b|no\b|been\b)", "has ")],
    "population widened": [
        (r"\b[Nn]on-US(?:-citizen)? IMGs?\b", "all IMGs"), (r"(?<!non-)(?<!Non-)\bUS(?:-citizen)? IMGs?\b", "IMGs"),
        (r"\bUS MD seniors\b", "all applicants"),
    ],
}  # fmt: skip


def _far_denial(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    first = text.split(" ", 1)[0]
    rest = _lower(text) if first.isalpha() else text
    yield (
        rng.choice(
            [
                "It is not the case that ",
                "It is a myth that ",
                "Nobody should believe that ",
                "It is wrong that ",
                "It is no longer true that ",
            ]
        )
        + rest
    )


def _comparison(text: str, _: Terms, __: random.Random) -> Iterator[str]:
    """The sides of a comparison change places: "higher for A than for B"."""
    match = re.search(
        r"\b(higher|lower|more|fewer|larger|smaller|better|worse)( (?:for|in|among|at|on) )([^,.;()]+?) than\2([^,.;()]+)", text
    )
    if match and match[3] != match[4]:
        yield _put(text, match.start(), match.end(), f"{match[1]}{match[2]}{match[4]} than{match[2]}{match[3]}")


def _pair(kind: str) -> Mutator:
    def paired(text: str, _: Terms, __: random.Random) -> Iterator[str]:
        for pattern, new in _PAIRS[kind]:
            match = re.search(pattern, text)
            if match:
                made = _put(text, match.start(), match.end(), new)
                yield made[:1].upper() + made[1:]

    return paired


def _invented(text: str, _: Terms, rng: random.Random) -> Iterator[str]:
    """A true sentence with a tail that nobody said."""
    yield text[:-1] + rng.choice(
        [
            ", and the hospital always pays the whole cost.", ", which Mayo Clinic and Harvard also confirm.",
            ", so a lawyer is never needed.",
            ", and applicants over 40 are turned away.", ", though embassies in Lagos waive this on request.",
            ", and nobody has ever been refused.",
        ]
    )  # fmt: skip


MUTATORS: dict[str, Mutator] = {
    "digit": _digit, "year": _year, "month": _month, "amount": _amount, "percent": _percent, "unit": _unit, "spelled": _spelled,
    **{f"{kind} swap": _swap(kind) for kind in _SWAPS},
    "name number": _name_number, "season": _season, "digits turned": _turned, "currency": _currency, "range turned": _range,
    "places traded": _trade, "group swap": _group,
    **{kind: _pair(kind) for kind in _PAIRS},
    "invented tail": _invented, "denied from afar": _far_denial, "comparison turned": _comparison,
}  # fmt: skip
FIGURE_KINDS = frozenset(
    "digit,year,month,amount,percent,unit,spelled,name number,season,digits turned,currency,range turned,"
    "cells traded,cell of the next row".split(
        ","
    )
)


_TRADES = frozenset({"range turned", "name number", "season"})
"""Kinds whose wrong sentences may have no figure that the true one lacks."""


def mutate(
    statement: Statement, terms: Terms, rng: random.Random, told: frozenset[str] = frozenset(), kinds: Iterable[str] = tuple(MUTATORS)
) -> list[Case]:
    """All wrong versions of one sentence. Left out: versions that are still true, because another figure or sentence says them (`told`)."""
    text = clean(statement.text)
    cases: list[Case] = []
    for kind in kinds:
        for made in MUTATORS[kind](text, terms, rng):
            if made == text or made in told or (kind in FIGURE_KINDS - _TRADES and _still_said(made, text)):
                continue
            cases.append(Case(kind, made, (statement.text,), False, statement.context, statement.guide))
    return cases


def _still_said(made: str, text: str) -> bool:
    """Whether every figure of `made` stands in `text`: "2025" turned into a "2026" that the sentence has as well."""
    there = find(text)
    return all(f.kind == "name" or any(same(f, g) for g in there) for f in find(made))


def mutated(sentences: Sequence[Statement], terms: Terms, *, seed: int = 7, per_kind: int = 60) -> list[Case]:
    """Up to `per_kind` wrong sentences of each kind, from as many guides as possible."""
    rng = random.Random(seed)
    told = frozenset(clean(s.text) for s in sentences)
    pools: dict[str, list[Case]] = defaultdict(list)
    for statement in rng.sample(sentences, len(sentences)):
        wanted = [kind for kind in MUTATORS if len(pools[kind]) < 3 * per_kind]  # enough to choose from
        for case in mutate(statement, terms, rng, told, wanted):
            pools[case.kind].append(case)
    result: list[Case] = []
    for kind in MUTATORS:
        pool = pools[kind]
        rng.shuffle(pool)
        result += _spread(pool, per_kind)
    return result


def _spread(pool: list[Case], wanted: int) -> list[Case]:
    """Takes from all guides in turn."""
    by_guide: dict[str, list[Case]] = defaultdict(list)
    for case in pool:
        by_guide[case.guide].append(case)
    result: list[Case] = []
    while len(result) < wanted and any(by_guide.values()):
        for cases in by_guide.values():
            if cases and len(result) < wanted:
                result.append(cases.pop())
    return result


_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_REWRITES: list[tuple[str, str]] = [
    (rf"(?<!to )(?<!or )(?<!and )(?<![-\d])\b(\d{{1,2}}) ({_MONTHS}) (\d{{4}})\b", r"\2 \1, \3"),
    (r"\$(\d[\d,]*\d|\d)(?![\d.]|,\d| ?(?:k|m|b|thousand|million)\b|-)", r"\1 US dollars"),
    (r"\b(\d+(?:\.\d+)?)%", r"\1 percent"),
    (r"\bmust (?!not\b)", "has to "),
    (r"\bcannot\b", "is not able to"),
    (r"\bphysicians\b", "doctors"),
    (r"\bphysician\b", "doctor"),
    (r"\bapplicants\b", "candidates"),
    (r"\bH-1B\b", "H1B"),
    (r"\bJ-1\b", "J1"),
    (r"\bneeds\b", "requires"),
    (r"\bbefore\b", "prior to"),
    (r"\bat least\b", "no fewer than"),
    (r"\bdoes not\b", "doesn't"),
    (r"\bare not\b", "aren't"),
]


def rewritten(text: str, rng: random.Random) -> str | None:
    """`text` with one to three harmless changes made by rule; None when none applies."""
    rules = _REWRITES[:]
    rng.shuffle(rules)
    made = clean(text)
    done = 0
    for pattern, new in rules:
        changed = re.sub(pattern, new, made, count=1)
        if changed != made:
            made, done = changed, done + 1
            if done == 3:
                break
    number = re.search(r"(?<![\d$.,-])\b([1-9]\d?)\b (?=[a-z]+s\b)(?!percent)", made)
    if (
        number
        and rng.random() < 0.5
        and not re.search(r"\d ?(?:to|or|-|and) ?$", made[: number.start()])
        and find(number.group(1))[0].kind == "count"
    ):
        if not any(f.kind in ("date", "name", "ref", "clock") and f.start <= number.start() < f.end for f in find(made)):
            made, done = _put(made, number.start(1), number.end(1), in_words(int(number[1]))), done + 1
    figure = next(iter(_figures(made, "money", "percent")), None)
    if figure and rng.random() < 0.3:
        made, done = _put(made, figure.start, figure.end, f"**{figure.shown}**"), done + 1
    return made if done else None


def faithful(sentences: Sequence[Statement], *, seed: int = 7, verbatim: int = 200, joined: int = 150, rules: int = 250) -> list[Case]:
    """True sentences: as they stand, two of a section joined in either order, and light rewrites."""
    rng = random.Random(seed)
    pool = list(sentences)
    rng.shuffle(pool)
    result = [Case("verbatim", s.text, (s.text,), True, s.context, s.guide) for s in pool[:verbatim]]
    by_section: dict[tuple[str, ...], list[Statement]] = defaultdict(list)
    for s in sentences:
        by_section[(s.guide, *s.context)].append(s)
    pairs = [(a, b) for group in by_section.values() for a, b in zip(group, group[1:], strict=False)]
    rng.shuffle(pairs)
    for a, b in pairs[:joined]:
        first, second = (a, b) if rng.random() < 0.5 else (b, a)
        joiner = rng.choice(["; ", ", and "])
        text = first.text.rstrip(".") + joiner + _lower(second.text)
        result.append(Case("two facts joined", text, (a.text, b.text), True, a.context, a.guide))
    for s in pool[:60]:
        result.append(Case("dated", s.text.rstrip(".") + " (as of March 2026).", (s.text,), True, s.context, s.guide, ("2026-03",)))
    for s in pool:
        if sum(c.kind == "rewritten by rule" for c in result) >= rules:
            break
        made = rewritten(s.text, rng)
        if made:
            result.append(Case("rewritten by rule", made, (s.text,), True, s.context, s.guide))
    return result


def _lower(text: str) -> str:
    first = text.split(" ", 1)[0]
    return text[:1].lower() + text[1:] if first.isalpha() and first[1:].islower() and first in _PLAIN_STARTS else text


_PLAIN_STARTS = frozenset(
    "The A An In On At For From To Since Until Before After When While If Each Every Some Many Most All Only Under With Without".split()
)


def paraphrased(paraphrases: Iterable[Paraphrase], sentences: Sequence[Statement]) -> list[Case]:
    """Those whose sentence still stands in the guides."""
    known = {_core(s.text): s for s in sentences}
    result = []
    for item in paraphrases:
        statement = known.get(_core(item.sentence))
        if statement:
            result.append(Case("paraphrase by hand", item.paraphrase, (statement.text,), True, statement.context, statement.guide))
    return result


def orphans(paraphrases: Iterable[Paraphrase], sentences: Sequence[Statement]) -> list[str]:
    """Sentences of the paraphrase file that no longer stand in any guide."""
    known = {_core(s.text) for s in sentences}
    return [item.sentence for item in paraphrases if _core(item.sentence) not in known]


def _core(text: str) -> str:
    """Without what stands in brackets: a date or the long form of a name that a guide gains later does not orphan its paraphrase."""
    return re.sub(r" \([^()]*\)", "", clean(text))


def misquoted(sentences: Sequence[Statement], paraphrases: Iterable[Paraphrase], *, seed: int = 7, wanted: int = 150) -> list[Case]:
    """True sentences that cite a neighbour: the next sentence of the same guide."""
    rng = random.Random(seed)
    result: list[Case] = []
    pairs = [(a, b) for a, b in zip(sentences, sentences[1:], strict=False) if a.guide == b.guide and a.text != b.text]
    rng.shuffle(pairs)
    for a, b in pairs[:wanted]:
        result.append(Case("cites a neighbour", a.text, (b.text,), False, b.context, b.guide))
    return result


def crossed(sentences: Sequence[Statement], *, seed: int = 7, wanted: int = 100) -> list[Case]:
    """A sentence with a figure of its neighbour, citing both."""
    rng = random.Random(seed)
    pairs = [(a, b) for a, b in zip(sentences, sentences[1:], strict=False) if a.guide == b.guide and a.text != b.text]
    rng.shuffle(pairs)
    result: list[Case] = []
    for a, b in pairs:
        text, other = clean(a.text), clean(b.text)
        mine, theirs = _figures(text, "count", "money", "percent", "span"), _figures(other, "count", "money", "percent", "span")
        for figure in mine:
            free = [f for f in theirs if f.kind == figure.kind and f.unit == figure.unit and not any(same(f, g) for g in mine)]
            if free:
                made = _put(text, figure.start, figure.end, rng.choice(free).shown)
                result.append(Case("figure of another quote", made, (a.text, b.text), False, a.context, a.guide))
                break
        if len(result) == wanted:
            break
    return result


def tabled(found: Sequence[Statement], *, seed: int = 7, wanted: int = 100) -> list[Case]:
    """Rows read aloud: right, with two values traded, and with a value of the next row."""
    rng = random.Random(seed)
    at = list(range(len(found)))
    rng.shuffle(at)
    pools: dict[str, list[Case]] = defaultdict(list)
    for i in at:
        row, header = found[i], found[i].context[-1]
        values = cells(row.text)
        context, quotes, guide = row.context, (row.text,), row.guide

        def made(kind: str, changed: list[str], supported: bool = False) -> None:
            text = read_row("| " + " | ".join(changed) + " |", header)  # noqa: B023 - used in this round only
            pools[kind].append(Case(kind, text, quotes, supported, context, guide))  # noqa: B023

        made("row aloud", values, True)
        figured = [n for n in range(1, len(values)) if any(f.kind != "name" for f in find(values[n]))]
        pairs = [(n, m) for n in figured for m in figured if n < m and not _alike(values[n], values[m])]
        if pairs:
            n, m = rng.choice(pairs)
            made("cells traded", [*values[:n], values[m], *values[n + 1 : m], values[n], *values[m + 1 :]])
        after = found[i + 1] if i + 1 < len(found) else row
        if after.context == row.context:
            others = cells(after.text)
            columns = [n for n in figured if not _alike(values[n], others[n]) and find(others[n])]
            if columns:
                n = rng.choice(columns)
                changed = [*values[:n], others[n], *values[n + 1 :]]
                text = read_row("| " + " | ".join(changed) + " |", header)
                pools["cell of the next row"].append(
                    Case("cell of the next row", text, (row.text, after.text), False, context, guide)
                )  # fmt: skip
    return [case for pool in pools.values() for case in _spread(pool, wanted)]


def _alike(value: str, other: str) -> bool:
    return [f.key for f in find(value)] == [f.key for f in find(other)]


def spoiled(
    paraphrases: Iterable[Paraphrase], sentences: Sequence[Statement], terms: Terms, *, seed: int = 7, wanted: int = 300
) -> list[Case]:
    """Paraphrases written by hand, then made wrong: nothing in them is a copy that a comparison word by word could hold on to."""
    rng = random.Random(seed)
    pools: dict[str, list[Case]] = defaultdict(list)
    for case in paraphrased(paraphrases, sentences):
        quote = clean(case.quotes[0])
        for made in mutate(Statement(case.text, case.context, case.guide), terms, rng):
            if made.kind in _UNSURE or (made.kind in FIGURE_KINDS - _TRADES and _still_said(made.text, quote)):
                continue
            pools[made.kind].append(Case("paraphrase made wrong", made.text, case.quotes, False, case.context, case.guide))
    result: list[Case] = []
    while len(result) < wanted and any(pools.values()):
        for pool in pools.values():
            if pool:
                result.append(pool.pop(rng.randrange(len(pool))))
    return result[:wanted]


_UNSURE = frozenset(
    {"before or after", "only or except", "opposite", "places traded", "limit dropped", "past to present", "doubt dropped", "some to all"}
)
"""Kinds that may leave a paraphrase true: what it says in the other order, or adds in its own words."""


def verifier_cases(guides: Path, paraphrases: Path, terms: Terms, *, seed: int = 7) -> list[Case]:
    """The whole set, wrong and right."""
    found = statements(guides)
    by_hand = read_paraphrases(paraphrases) if paraphrases.is_file() else []
    return [
        *mutated(found, terms, seed=seed), *misquoted(found, by_hand, seed=seed), *crossed(found, seed=seed),
        *spoiled(by_hand, found, terms, seed=seed),
        *tabled(rows(guides), seed=seed), *faithful(found, seed=seed), *paraphrased(by_hand, found),
    ]  # fmt: skip


@dataclass(slots=True)
class _Tally:
    right: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)

    def share(self, kinds: Iterable[str]) -> float | None:
        kinds = list(kinds)
        total = sum(self.total[k] for k in kinds)
        return round(sum(self.right[k] for k in kinds) / total, 4) if total else None


def measure_verifier(verifier: Verifier, cases: Iterable[Case]) -> dict[str, Any]:
    """The numbers `img-advisor eval` prints.

    `figure_mutations_caught`, `other_mutations_caught`: shares of wrong sentences refused. `false_alarms`: share of true sentences refused,
    `false_alarms_paraphrases` those written by hand. `kinds`: per kind {"expected": "refuse" | "pass", "cases", "right"}.
    `errors`: what went wrong.
    """
    tally = _Tally()
    expected: dict[str, Literal["refuse", "pass"]] = {}
    errors: list[dict[str, str]] = []
    for case in cases:
        verdict = verifier.check(case.text, case.quotes, context=case.context, as_of=case.as_of)
        right = verdict.supported == case.supported
        tally.total[case.kind] += 1
        tally.right[case.kind] += right
        expected[case.kind] = "pass" if case.supported else "refuse"
        if not right:
            errors.append(
                {
                    "kind": case.kind,
                    "guide": case.guide,
                    "text": case.text,
                    "quote": " ".join(case.quotes),
                    "why": "; ".join(verdict.reasons),
                }
            )
    wrong = [k for k, e in expected.items() if e == "refuse"]
    true = [k for k, e in expected.items() if e == "pass"]
    others = [k for k in wrong if k not in FIGURE_KINDS]
    passed, by_hand = tally.share(true), tally.share([k for k in true if k == "paraphrase by hand"])
    return {
        "mutated": sum(tally.total[k] for k in wrong),
        "faithful": sum(tally.total[k] for k in true),
        "figure_mutations_caught": tally.share([k for k in wrong if k in FIGURE_KINDS]),
        "other_mutations_caught": tally.share(others),
        "false_alarms": None if passed is None else round(1 - passed, 4),
        "false_alarms_paraphrases": None if by_hand is None else round(1 - by_hand, 4),
        "kinds": {k: {"expected": expected[k], "cases": tally.total[k], "right": tally.right[k]} for k in expected},
        "errors": errors,
    }
