"""Finding figures in text and saying when two of them are the same.

A figure is what a reader could act on and a writer could get wrong: a number (in digits or spelled out), an amount of money, a share,
a length of time, a date or a part of one, an ordinal, the number of a law, form or case. Each is returned as it stands in the text and in
a normal form: "$2,965" = "2,965 US dollars"; "1 July 2025" = "July 1, 2025" = "2025-07-01"; "36 months" = "three years".

"Step 2", "J-1", "Pathway 6" are names, not figures: they come out with kind "name", and whoever compares names decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Kind = Literal["count", "money", "percent", "span", "date", "ordinal", "clock", "ref", "name"]


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` is the number in lowest terms ("3/2"), "YYYY-MM-DD" with "?" for what is not said, or the squeezed identifier.

    `unit`: the currency, "year"/"month"/"day"…, "%", the group of the counted noun when it is known, or of a date the season of two
    years that it is part of ("2026-27"). `soft`: "a year", "single"; it
    supports a figure elsewhere but is not held to one itself.
    """

    shown: str
    kind: Kind
    value: str
    unit: str
    start: int
    end: int
    soft: bool = False

    @property
    def key(self) -> str:
        """Equal for equal figures: a normal form to compare and count by."""
        value, unit = _base(self) if self.kind == "span" else (self.value, "" if self.kind == "count" else self.unit)
        return f"{self.kind}:{value}:{unit}"


_ONES = {
    w: i
    for i, w in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
}
_TENS = {w: 10 * i for i, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "k": 1000, "bn": 10**9}
_ORDINALS = {
    w: i
    for i, w in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
        "seventeenth eighteenth nineteenth twentieth".split(),
        1,
    )
}
_TENTHS = {w: 10 * i for i, w in enumerate("twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth".split(), 2)}
_MONTHS = {
    name: i
    for i, names in enumerate(
        "january|jan february|feb march|mar april|apr may june|jun july|jul august|aug september|sept|sep october|oct "
        "november|nov december|dec".split(),
        1,
    )
    for name in names.split("|")
}
_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourths": 4, "fifth": 5, "fifths": 5, "tenths": 10}
_TIMES = {
    "year": "year", "years": "year", "yr": "year", "yrs": "year", "month": "month", "months": "month", "week": "week", "weeks": "week",
    "day": "day", "days": "day", "hour": "hour", "hours": "hour", "hrs": "hour", "minute": "minute", "minutes": "minute", "min": "minute",
    "seconds": "second",
}  # fmt: skip
# What is counted, where mixing it up would change the sense. Words of one group may stand for each other.
_COUNTED = {
    word: group
    for group, words in {
        "attempt": "attempt attempts try tries sitting sittings time times",
        "program": "program programs programme programmes residencies residency",
        "place": "position positions place places spot spots slot slots seat seats post posts",
        "person": "applicant applicants candidate candidates people persons person physician physicians doctor doctors graduate graduates "
        "img imgs "
        "resident residents examinee examinees taker takers fellow fellows member members student students",
        "letter": "letter letters lor lors",
        "block": "block blocks",
        "item": "question questions item items",
        "country": "country countries nationality nationalities",
        "state": "state states",
        "interview": "interview interviews",
        "hospital": "hospital hospitals",
        "waiver": "waiver waivers",
        "point": "point points",
        "percentile": "percentile",
    }.items()
    for word in words.split()
}
_CURRENCIES = {"canadian": "cad", "australian": "aud", "euro": "eur", "pound": "gbp", "rupee": "inr"}
_MULTIPLIERS = {
    "year": ("month", 12), "month": ("month", 1), "week": ("day", 7), "day": ("day", 1), "hour": ("minute", 60), "minute": ("minute", 1),
}  # fmt: skip

_DASHES = str.maketrans(
    {c: "-" for c in "‐‑‒–—―−﹣－"} | {"’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " ", "\u202f": " ", "\u2009": " "}
)


@lru_cache(maxsize=4096)
def clean(text: str) -> str:
    """`text` as a reader sees it, in plain characters.

    Full-width and foreign digits become 0-9, there is one kind of dash, quote and space, and nothing invisible. Case and accents stay.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_DASHES)).translate(_DASHES)
        text = "".join(_plain(c) for c in text)
    return re.sub(r"\s+", " ", text.replace("`", "").replace("**", "")).strip()


def _plain(char: str) -> str:
    if char.isascii():
        return char
    if unicodedata.category(char) in {"Cf", "Cc", "Co", "Cn", "Cs"}:
        return ""
    digit = unicodedata.decimal(char, None)
    return char if digit is None else str(int(digit))


_NUM = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_WORDNUM = (
    r"(?:(?:a|an)[ -](?=hundred|thousand|million|dozen))?"
    r"(?:{w})(?:[ -]+(?:and[ -](?=(?:{w})))?(?:{w}))*"
).format(w="|".join([*sorted([*_ONES, *_TENS], key=len, reverse=True), "hundred", "thousand", "million", "billion", "dozen"]))
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_MONTH = rf"(?:{_MONTH})\b\.?"
_SUFFIX = r"(?:st|nd|rd|th)"
_DAY = rf"(?:the )?(\d{{1,2}}){_SUFFIX}?"
_AMOUNT = rf"({_NUM})(?![\d,]*[^\W\dkKmMbB_])(?:[ -]?(k|thousand|million|billion|bn)\b)?"
_ADJ = (
    r"(?:full|more|additional|extra|consecutive|calendar|business|working|academic|whole|complete|completed|further|"
    r"accredited|approved|us|u\.s\.|straight|"
    r"continuous|successive|first|last|previous|past|next|clinical|federal|fiscal|training|different|separate|total|"
    r"other|or more|or fewer|or less)"
)
_OTHER_MONEY = (
    r"(?:canadian|australian|hong\ kong|singapore)\ dollars?|(?:euro|pound|rupee|franc|peso|dirham|riyal|yen|"
    r"naira)s?(?:\ sterling)?|cents?|eur|gbp|cad|aud|inr|chf"
)
_LAW = (
    r"(?:sections?|sec\.?|§{1,2}|acts?|chapters?|ch\.|articles?|art\.|proclamations?|executive order|public law|"
    r"p\.l\.|bill|h\.?b\.?|s\.?b\.?|h\.r\.|a\.b\.|"
    r"ab|lb|ld|cfr|c\.f\.r\.|fr|usc|u\.s\.c\.|ina|nos?\.|forms?|docket|title|rule|regulation|statute|code)"
)
_PATTERN = re.compile(
    rf"""
    (?P<iso>\b(?P<iso_y>(?:19|20)\d\d)-(?P<iso_m>0[1-9]|1[0-2])(?:-(?P<iso_d>[0-3]\d))?\b)
  | (?P<slash>\b(?P<sl_m>\d{{1,2}})/(?P<sl_d>\d{{1,2}})/(?P<sl_y>(?:19|20)\d\d)\b)
  | (?P<dmy>\b{_DAY.replace("(", "(?P<d1>", 2).replace("(?P<d1>?:the )", "(?:the )", 1)}
        (?:(?:\ ?-\ ?|\ (?:to|and|or|through|until)\ (?:the\ )?)(?P<d2>\d{{1,2}}){_SUFFIX}?)?
        \ (?:of\ )?(?P<dmy_m>{_MONTH})(?:,?\ (?P<dmy_y>(?:19|20)\d\d)\b)?)
  | (?P<mdy>\b(?P<mdy_m>{_MONTH})\ (?:the\ )?(?P<d3>\d{{1,2}}){_SUFFIX}?(?![\d:%]|[.,]\d{{3}})
        (?:(?:\ ?-\ ?|\ (?:to|and|or|through|until)\ (?:the\ )?)(?P<d4>\d{{1,2}}){_SUFFIX}?(?![\d:%]))?
        (?:,?\ (?P<mdy_y>(?:19|20)\d\d)\b)?)
  | (?P<my>\b(?P<my_m>{_MONTH}),?\ (?:of\ )?(?P<my_y>(?:19|20)\d\d)\b)
  | (?P<season>\b(?P<se_a>(?:19|20)\d\d)\ ?[-/]\ ?(?P<se_b>(?:(?:19|20)\d\d|\d\d))\b(?![-/.]?\d))
  | (?P<money>(?:(?P<cur>us\$|usd\ ?|[a-z]{{0,2}}\$|£|€|₹|eur\ |gbp\ |cad\ |aud\ |inr\ ))\ ?{_AMOUNT}(?:\ (?:us\ )?dollars\b)?)
  | (?P<percent>(?P<pct>{_NUM})\ ?(?:%|percent\b|per\ cent\b|pct\b|percentage\ points?\b)
        |(?P<pctw>\b{_WORDNUM})[ -](?:percent\b|per\ cent\b|percentage\ points?\b))
  | (?P<clock>\b\d{{1,2}}(?::\d\d)?\ ?(?:a\.?m\b\.?|p\.?m\b\.?)|\b(?:noon|midnight)\b|(?<![\d:])\d{{1,2}}:\d\d(?![\d:-]))
  | (?P<names>\b(?P<label>steps?|pathways?|conrad)[ -]?(?P<first>\d+|one|two|three|four|five|six)\b(?:[ -]?(?:ck|cs)\b)?
        (?:(?:,\ ?(?:and\ |or\ )?|\ (?:and|or|to|through|&)\ |\ ?[/&-]\ ?)(?:\d|one|two|three)\b
            (?![\d,.:%]*\d|%|\ ?(?:percent|years?|months?|weeks?|days?|hours?|attempts?|tries))(?:[ -]?(?:ck|cs)\b)?)*)
  | (?P<stepof>\b(?:day|phase|level|tier|grade|category
            |(?:program\ |training\ |pgy\ ?|academic\ |residency\ )year)[ -](?P<so>\d{{1,2}})\b(?![\d,.-]*\d|%))
  | (?P<law>(?<![\w$]){_LAW}\ ?(?=[(\d])(?P<law_n>\d[\w.:()/-]*\w\)?|\d\)?))
  | (?P<cite>(?<![\w.])\d+\ (?:fr|f\.r\.|cfr|c\.f\.r\.|usc|u\.s\.c\.|stat\.)\ \d[\w.()-]*[\w)])
  | (?P<ord>\b(?P<ord_n>\d{{1,3}}){_SUFFIX}\b)
  | (?P<ref>(?<![\w$.-])(?=[\w:/.()-]*\d)(?=[\w:/.()-]*[^\W\d_])
        (?!\d[\d,.]*(?:k|\+|\+)?(?![\w(]))(?!\d[\d,.]*-(?:[a-z]{{3,}}))[\w]+(?:[-.:/]?\(?\w+\)?)*)
  | (?P<ordw>\b(?:(?P<ow_t>{"|".join(_TENS)})[ -])?(?P<ow>{"|".join([*_ORDINALS, *_TENTHS])})\b)
  | (?P<part>\b(?:(?P<pn>one|two|three|four|a|an)[ -])?(?P<pd>half|halves|thirds?|quarters?|fourths|fifths?|tenths)\b)
  | (?P<dollars>{_AMOUNT.replace("(", "(?P<do_n>", 1).replace("(k|", "(?P<do_s>k|", 1)}
            [ -](?:us[ -]|u\.s\.[ -])?(?:dollars?|usd|bucks|(?P<do_o>{_OTHER_MONEY}))\b
        |(?P<do_w>\b{_WORDNUM})[ -](?:us[ -]|u\.s\.[ -])?(?:dollars?|(?P<do_p>{_OTHER_MONEY}))\b)
  | (?P<num>(?<![\w.])-?{_AMOUNT.replace("(", "(?P<n>", 1).replace("(k|", "(?P<n_s>k|", 1)}\+?)
  | (?P<word>\b{_WORDNUM}\b)
  | (?P<monthonly>\b(?P<mo>{_MONTH}))
  | (?P<times>\b(?:once|twice|single)\b)
  | (?P<aunit>\b(?:an?|per|each|every)\ (?P<au>year|month|week|day|hour)\b)
    """,
    re.X | re.I,
)
_UNIT = re.compile(rf"(?:[ -]+|\) ?)(?:{_ADJ}[ -]+){{0,2}}(?P<unit>[a-z]+)", re.I)
_JOIN = re.compile(r"(?:,? ?(?:and|or|to|through|until|versus|from)|,|/|-| ?\() ?(?:about |nearly |roughly |the |another )?$", re.I)
_ORDINAL_NOUNS = re.compile(
    r"[ -](?:\w+[ -])?(?:years?|months?|weeks?|days?|attempts?|try|tries|time|times|percentile|place|places|choice|"
    r"choices|application|failure|fail|party|"
    r"post|posts|term|round|step|visa|season|seasons|letter|edition|circuit|century|quarter|hundred|case|exam|"
    r"sitting|interview|birthday|stage|"
    r"postgraduate|pgy|class|level|degree|half|fiscal)\b",
    re.I,
)
_ONE_NOUNS = re.compile(
    rf"[ -](?:{_ADJ}[ -]|\w+[ -])?(?:{'|'.join(sorted([*_TIMES, *_COUNTED], key=len, reverse=True))}|"
    r"hundred|thousand|million|page|exam|score|failure|third|in|"
    r"or|to|and)\b",
    re.I,
)


@lru_cache(maxsize=4096)
def find(text: str) -> tuple[Figure, ...]:
    """The figures and numbered names of `text`, in order. Offsets are in `clean(text)`."""
    text = clean(text)
    found: list[Figure] = []
    for match in _PATTERN.finditer(text):
        kind = match.lastgroup and next(name for name in _READERS if match.group(name) is not None)
        if kind:
            found.extend(_READERS[kind](match, text))
    return tuple(_spread(_units(found, text), text))


def shown(figures: Iterable[Figure]) -> tuple[str, ...]:
    """What `Sentence.figures` lists: each figure once, as it stands; names and soft ones left out."""
    return tuple(dict.fromkeys(f.shown for f in figures if f.kind != "name" and not f.soft))


def same(figure: Figure, other: Figure) -> bool:
    """Whether `other` (in the source) says `figure` (in the text).

    A date supports its own parts ("July 2025" by "1 July 2025", "2026" by "2026-27"), never the other way round; a bare number is
    not a share, an amount or a length of time, nor the reverse.
    """
    a, b = figure, other
    if a.kind == "date" and b.kind == "date":
        if a.unit and a.unit != b.unit:
            return False
        return all(x in ("?", y) or set(x) == {"?"} for x, y in zip(a.value.split("-"), b.value.split("-"), strict=True))
    if a.kind == "span" and b.kind == "span":
        return _base(a) == _base(b)
    if {a.kind, b.kind} <= {"count", "ref"}:
        if a.value != b.value:
            return False
        return not (a.unit and b.unit and a.unit != b.unit)
    if {a.kind, b.kind} == {"ordinal", "ref"}:
        return a.value == b.value
    if a.kind == "date" and b.kind == "count" or a.kind == "count" and b.kind == "date":  # "2,026" is no year, "2026 applicants" no date
        return False
    return a.kind == b.kind and a.value == b.value and a.unit == b.unit


def _base(figure: Figure) -> tuple[str, str]:
    unit, times = _MULTIPLIERS.get(figure.unit, (figure.unit, 1))
    return str(Fraction(figure.value) * times), unit


def _number(digits: str, scale: str | None = None) -> str:
    return str(Fraction(digits.replace(",", "")) * _SCALES.get((scale or "").lower(), 1))


def _spelled(words: str) -> str:
    total = current = 0
    for word in re.split(r"[ -]+", words.lower()):
        if word in ("a", "an"):
            current = 1
        elif word == "dozen":
            current = (current or 1) * 12
        elif word in _ONES:
            current += _ONES[word]
        elif word in _TENS:
            current += _TENS[word]
        elif word == "hundred":
            current = (current or 1) * 100
        elif word in _SCALES:
            total += (current or 1) * _SCALES[word]
            current = 0
    return str(total + current)


def _date(year: str | int | None, month: int | None, day: str | int | None = None) -> str:
    return f"{year or '????'}-{f'{month:02d}' if month else '??'}-{f'{int(day):02d}' if day else '??'}"


def _month(name: str) -> int:
    return _MONTHS[name.lower().rstrip(".")]


def _figure(match: re.Match[str], kind: Kind, value: str, unit: str = "", soft: bool = False) -> Figure:
    return Figure(match.group(), kind, value, unit, match.start(), match.end(), soft)


def _read_iso(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "date", _date(m["iso_y"], int(m["iso_m"]), m["iso_d"]))]


def _read_slash(m: re.Match[str], _: str) -> list[Figure]:
    if int(m["sl_m"]) > 12:
        return [_figure(m, "ref", m.group())]
    return [_figure(m, "date", _date(m["sl_y"], int(m["sl_m"]), m["sl_d"]))]


def _read_dmy(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "date", _date(m["dmy_y"], _month(m["dmy_m"]), day)) for day in (m["d1"], m["d2"]) if day]


def _read_mdy(m: re.Match[str], text: str) -> list[Figure]:
    if m["mdy_m"] == "may":  # the verb: "may 3 attempts"
        return []
    return [_figure(m, "date", _date(m["mdy_y"], _month(m["mdy_m"]), day)) for day in (m["d3"], m["d4"]) if day]


def _read_my(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "date", _date(m["my_y"], _month(m["my_m"])))]


def _read_season(m: re.Match[str], _: str) -> list[Figure]:
    last = m["se_b"] if len(m["se_b"]) == 4 else m["se_a"][:2] + m["se_b"]
    if int(last) <= int(m["se_a"]):
        return [_figure(m, "ref", _squeeze(m.group()))]
    # Years that follow one another are one season; others ("2016-2024") are the ends of a stretch of time.
    season = f"{m['se_a']}-{last[2:]}" if int(last) == int(m["se_a"]) + 1 else ""
    return [_figure(m, "date", _date(year, None), season) for year in (m["se_a"], last)]


def _read_money(m: re.Match[str], _: str) -> list[Figure]:
    sign = m["cur"].strip().lower()
    currency = {"us$": "usd", "$": "usd", "£": "gbp", "€": "eur", "₹": "inr"}.get(sign, sign)
    amount = re.search(_AMOUNT, m.group()[len(m["cur"]) :], re.I)
    assert amount
    return [_figure(m, "money", _number(amount[1], amount[2]), currency)]


def _read_dollars(m: re.Match[str], _: str) -> list[Figure]:
    other = (m["do_o"] or m["do_p"] or "").lower()
    currency = next((code for name, code in _CURRENCIES.items() if other.startswith(name)), other.rstrip("s") or "usd")
    return [_figure(m, "money", _spelled(m["do_w"]) if m["do_w"] else _number(m["do_n"], m["do_s"]), currency)]


def _read_percent(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "percent", _spelled(m["pctw"]) if m["pctw"] else _number(m["pct"]), "%")]


def _read_clock(m: re.Match[str], _: str) -> list[Figure]:
    value = m.group().lower().replace(".", "").replace(" ", "").replace(":00", "")
    return [_figure(m, "clock", {"noon": "12pm", "midnight": "12am"}.get(value, value))]


def _read_names(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "name", name) for name in _listed(m)]


def _listed(m: re.Match[str]) -> list[str]:
    """ "Steps 1, 2 CK and 3" -> step1, step2ck, step3; "Pathways 3 to 5" -> all three."""
    label = m["label"].lower().rstrip("s")
    items = re.findall(r"(\d+|one|two|three|four|five|six)\b(?:[ -]?(ck|cs)\b)?", m.group()[len(m["label"]) :], re.I)
    numbers = [str(_ONES.get(n.lower(), n)) for n, _ in items]
    names = [label + n + exam.lower() for n, (_, exam) in zip(numbers, items, strict=True)]
    stretch = re.search(r"\d ?(?:-| to | through ) ?\d", m.group())
    if stretch and len(items) == 2 and not any(e for _, e in items) and numbers[0] < numbers[1]:
        names = [f"{label}{n}" for n in range(int(numbers[0]), min(int(numbers[1]), 9) + 1)]
    return names


def spell_out_names(text: str) -> str:
    """ "Steps 1 and 2 CK" -> "Step 1, Step 2ck", so that each name is found by itself."""

    def each(m: re.Match[str]) -> str:
        if m.group("names") is None:
            return m.group()
        label = m["label"].lower().rstrip("s")
        return ", ".join(f"{label} {name[len(label) :]}" for name in _listed(m))

    return _PATTERN.sub(each, clean(text))


def _read_stepof(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "ordinal", m["so"])]


def _read_law(m: re.Match[str], text: str) -> list[Figure]:
    number = m["law_n"]
    start = m.start("law_n")
    return [Figure(text[start : start + len(number)], "ref", _squeeze(number), "", start, start + len(number))]


def _read_cite(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "ref", _squeeze(m.group()))]


def _read_ord(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "ordinal", m["ord_n"])]


def _read_ordw(m: re.Match[str], text: str) -> list[Figure]:
    word = m["ow"].lower()
    value = _ORDINALS.get(word) or _TENTHS[word]
    if m["ow_t"]:
        value += _TENS[m["ow_t"].lower()]
    elif re.search(r"\b(?:one|two|three|four|a|an) $", text[: m.start()], re.I) and word in _PARTS and re.match(r" of\b", text[m.end() :]):
        return [_figure(m, "percent", str(Fraction(100, _PARTS[word])), "%")]
    elif word in ("first", "second") and not _ORDINAL_NOUNS.match(text[m.end() :]):
        return []
    return [_figure(m, "ordinal", str(value), "", word == "first")]


def _read_part(m: re.Match[str], text: str) -> list[Figure]:
    if m["pd"].lower() in ("third", "fifth", "quarter") and not m["pn"]:
        return []
    share = Fraction(100 * _ONES.get((m["pn"] or "").lower(), 1), _PARTS[m["pd"].lower()])
    return [_figure(m, "percent", str(share), "%")]


def _read_ref(m: re.Match[str], _: str) -> list[Figure]:
    value = _squeeze(m.group())
    kind: Kind = "name" if re.fullmatch(r"(?:[a-z]\d[a-z]?(?:\d|s)?(?:/[a-z]\d[a-z]?)?|pgy\d|step\dc[ks]|covid19)", value) else "ref"
    return [_figure(m, kind, value)]


def _squeeze(text: str) -> str:
    return re.sub(r"[\s-]+", "", text.lower()).rstrip(".")


def _read_num(m: re.Match[str], text: str) -> list[Figure]:
    digits = m["n"]
    counted = re.match(r"\+|[ -](?:dollars|people|hours|minutes|days|applicants|items)\b", text[m.end("n") :])
    if re.fullmatch(r"(?:19|20)\d\d", digits) and not m["n_s"] and not counted:
        return [_figure(m, "date", _date(digits, None))]
    return [_figure(m, "count", _number(digits, m["n_s"]))]


def _read_word(m: re.Match[str], text: str) -> list[Figure]:
    word = m.group().lower()
    if word == "one" and not _ONE_NOUNS.match(text[m.end() :]):
        return []
    soft = word == "one"  # "one page", "one of": whether it is a figure shows only by its unit
    return [_figure(m, "count", _spelled(word), "", soft)]


_BEFORE_MAY = re.compile(r"\b(?:in|by|of|until|since|from|to|through|before|after|late|early|mid|and|or|each|every|during|-|,) ?$", re.I)


def _read_monthonly(m: re.Match[str], text: str) -> list[Figure]:
    name = m["mo"].rstrip(".").lower()
    if not m["mo"][0].isupper() or name in ("mar", "jan", "dec", "sep", "jun") and len(m["mo"]) < 4:
        return []
    if name == "may" and not _BEFORE_MAY.search(text[: m.start()]):
        return []
    if name in ("may", "march") and m.start() == 0:
        return []
    return [_figure(m, "date", _date(None, _month(m["mo"])))]


def _read_times(m: re.Match[str], text: str) -> list[Figure]:
    word = m.group().lower()
    if word == "once" and not re.match(r"(?: (?:a|per|every|in|only|more|during|for)\b|[.,;)]|$)", text[m.end() :]):
        return []  # "once the certificate is issued"
    return [_figure(m, "count", "2" if word == "twice" else "1", "attempt" if word != "single" else "", word != "twice")]


def _read_aunit(m: re.Match[str], _: str) -> list[Figure]:
    return [_figure(m, "span", "1", m["au"].lower(), soft=True)]


_READERS = {
    name.removeprefix("_read_"): reader
    for name, reader in list(globals().items())
    if name.startswith("_read_")
}  # fmt: skip


_FRACTIONS = frozenset({"half", "quarter", "a half", "a quarter", "one half", "a third", "one third"})


def _units(found: list[Figure], text: str) -> list[Figure]:
    """Counts followed by their unit: "36 months" becomes a length of time, "45 programs" a count of programs."""
    result: list[Figure] = []
    for i, figure in enumerate(found):
        if figure.kind == "count" and not figure.unit:
            stop = found[i + 1].start if i + 1 < len(found) else len(text)
            unit = _UNIT.match(text, figure.end, stop if stop > figure.end else len(text))
            word = unit["unit"].lower() if unit else ""
            if unit and word in _TIMES:
                end = unit.end()
                figure = replace(figure, kind="span", unit=_TIMES[word], soft=False, end=end, shown=text[figure.start : end])
            elif word in _COUNTED:
                figure = replace(figure, unit=_COUNTED[word], soft=False)
        elif figure.kind == "percent" and figure.shown.lower() in _FRACTIONS:
            # "half a year" is a length of time; "one and a half years" is not attempted.
            if re.match(r" an? (?:year|hour|day|month)", text[figure.end :]):
                figure = replace(figure, soft=True)
        result.append(figure)
    return result


def _spread(found: list[Figure], text: str) -> list[Figure]:
    """Units and years said once for several: "2 to 3 years", "18 and 25 June 2026", "20 or 30 percent"."""
    for i in range(len(found) - 2, -1, -1):
        this, after = found[i], found[i + 1]
        gap = text[this.end : after.start]
        if len(gap) > 24 or not _JOIN.fullmatch(gap) or (gap.endswith("(") and this.value != after.value):
            continue
        if this.kind == "date" and after.kind == "date" and this.value.startswith("????") and not after.value.startswith("????"):
            if this.value[5:7] != "??" and after.value[5:7] != "??":
                found[i] = replace(this, value=after.value[:4] + this.value[4:])
        elif this.kind == "count" and not this.unit and after.kind in ("span", "percent", "money", "count") and after.unit:
            if after.kind != "money" or after.shown.lower().endswith(("dollars", "usd")):
                found[i] = replace(this, kind=after.kind, unit=after.unit, soft=False)
        elif after.kind == "count" and not after.unit and this.kind == "money" and "$" in this.shown and re.fullmatch(r" ?-", gap):
            found[i + 1] = replace(after, kind="money", unit=this.unit)
    return found
