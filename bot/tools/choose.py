"""Which look-ups a question needs: by what it names, by how it is put (`tools.yaml` of the knowledge folder), and by the profile."""

from __future__ import annotations

import datetime as dt
import re
from calendar import month_name
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from rapidfuzz import fuzz

from bot.answer import Profile
from bot.errors import SettingsError
from bot.rows import Tables
from bot.settings import ROOT
from bot.terms import Read, Terms, fold, read_yaml

VISAS = {"j1": "J-1", "h1b": "H-1B", "o1": "O-1", "f1": "F-1 OPT", "j2": "J-2", "h4": "H-4", "greencard": "Green card"}
"""Ids of the word list, and the names in the table of visas."""
ALIKE = 80
"""How alike a word must be to a name, of 100, to be asked about as a slip of the pen."""
_BESIDE = re.compile(r"\b(?:compar\w+|side by side)\b")
SCORE = re.compile(r"(?<![\d.,$/-])(1[89]\d|2\d\d)(?![\d%.,/-]*\d|%)\b")


@dataclass(frozen=True, slots=True)
class Call:
    """A look-up. `parts`: numbers of the questions it answers; `covers`: there is nothing to say besides. Its main values are said
    before the prose if it `leads`, which a table does where it has one short answer."""

    tool: str
    arguments: dict[str, Any]
    parts: tuple[int, ...] = ()
    covers: bool = False
    leads: bool = True


@dataclass(frozen=True, slots=True)
class Unsure:
    """A name that is in no table, and the names most like it."""

    kind: str
    name: str
    nearest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    when: tuple[re.Pattern[str], ...]
    unless: tuple[re.Pattern[str], ...] = ()
    aspects: dict[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)

    def fits(self, text: str) -> bool:
        return any(p.search(text) for p in self.when) and not any(p.search(text) for p in self.unless)

    def asked(self, text: str) -> list[str]:
        return [name for name, patterns in self.aspects.items() if any(p.search(text) for p in patterns)]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, as the chooser reads it."""

    text: str  # folded
    found: dict[str, set[str]]
    profile: Profile
    tables: Tables
    today: dt.date

    def names(self, kind: str) -> list[str]:
        """The things of a kind that it names, in their order."""
        canonical = self.tables.terms.canonical(self.text)
        return [self.tables.terms.name(i) for i in sorted(self.found.get(kind, ()), key=canonical.find)]

    def visas(self) -> list[str]:
        """The visas of the table that it names, in their order."""
        canonical = self.tables.terms.canonical(self.text)
        found = {i: VISAS[i] for i in self.found.get("visa", ()) if i in VISAS}
        return [found[i] for i in sorted(found, key=canonical.find)]

    def score(self) -> int | None:
        found = SCORE.search(self.text)
        return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Chooser:
    terms: Terms
    rules: dict[str, Rule]

    def choose(self, questions: Sequence[str], profile: Profile | None, tables: Tables, today: dt.date) -> tuple[list[Call], Unsure | None]:
        """The look-ups for the questions of a message, those of one tool taken together; or the name that is in no table."""
        calls: dict[str, Call] = {}
        unsure: Unsure | None = None
        for number, text in enumerate(questions):
            asked = Asked(fold(text), self.terms.found(text), profile or Profile(), tables, today)
            for tool, rule in self.rules.items():
                if not rule.fits(asked.text):
                    continue
                call = _CALLS[tool](asked, rule)
                if isinstance(call, Unsure):
                    unsure = unsure or call
                elif call is not None:
                    calls[tool] = _joined(calls.get(tool), replace(call, parts=(number,)))
        whole = " ".join(fold(text) for text in questions)
        return [replace(c, covers=True) if _side_by_side(c, whole) else c for c in calls.values()], unsure if not calls else None


def _side_by_side(call: Call, text: str) -> bool:
    """Several rows compared: the table says it better than prose about each."""
    return any(len(call.arguments.get(key, ())) > 1 for key in ("states", "specialties", "visas")) and bool(_BESIDE.search(text))


def _joined(one: Call | None, other: Call) -> Call:
    if one is None:
        return other
    arguments, parts = _merged(one.arguments, other.arguments), (*one.parts, *other.parts)
    return replace(one, arguments=arguments, parts=parts, covers=one.covers and other.covers)


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Lists end to end, each value once; of two single values the first."""
    result = dict(one)
    for key, value in other.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merged(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            result[key] = [*old, *(item for item in value if item not in old)]
        else:
            result[key] = value if old is None else old
    return result


# One tool each ------------------------------------------------------------------------------------------------------------


def _licensure(asked: Asked, rule: Rule) -> Call | Unsure | None:
    states = asked.names("state")
    if not states:
        return _unsure(asked, "state", [row.cells.state for row in asked.tables.states])
    arguments: dict[str, Any] = {"states": states[:6]}
    if aspects := rule.asked(asked.text):
        arguments["aspects"] = aspects
    return Call("licensure_lookup", arguments)


def _outcomes(asked: Asked, rule: Rule) -> Call | Unsure | None:
    specialties = asked.names("specialty")
    if not specialties:
        return _unsure(asked, "specialty", [row.cells.specialty for row in asked.tables.specialties])
    arguments: dict[str, Any] = {"specialties": specialties[:6]}
    if asked.found.get("institution"):
        return None  # a program's own figures are prose
    if aspects := rule.asked(asked.text):
        arguments["aspects"] = aspects
    score = asked.score() or asked.profile.step2ck
    if score:
        arguments["step2ck"] = score
    return Call("specialty_outcomes", arguments, covers=score is not None, leads=False)


def _usmle(asked: Asked, rule: Rule) -> Call | None:
    step = next((name for name, pattern in _STEPS.items() if pattern.search(asked.text)), None)
    used = _attempts(asked, step)
    days = [_day(match) for match in _DAY.finditer(asked.text) if "pass" in asked.text[max(0, match.start() - 40) : match.start()]]
    if used is None and not days:
        return None  # without anything to reckon with, prose tells the rules
    arguments: dict[str, Any] = {}
    if step and used is not None:
        arguments |= {"step": step, "attempts_used": used}
    elif used is not None:
        arguments["attempts_used"] = used
    if days and days[0]:
        arguments["first_pass"] = days[0]
    if states := asked.names("state") or (asked.profile.states or [])[:1]:
        arguments["state"] = states[0]
    return Call("usmle_rules", arguments, covers=True)


_STEPS = {
    "Step 1": re.compile(r"\bstep ?(?:1|one)\b"),
    "Step 2 CK": re.compile(r"\bstep ?(?:2|two)\b|\bck\b"),
    "Step 3": re.compile(r"\bstep ?(?:3|three)\b"),
}
_TIMES = {"once": 1, "twice": 2, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_FAILED = re.compile(
    r"\b(?:fail\w*|took|taken|sat|tried|used|attempted)\b[^.?!]{0,30}?"
    r"\b(once|twice|(?:one|two|three|four|five|six|\d) (?:times?|attempts?|tries))\b"
)
_DAY = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b|\b(\d{1,2}) ([a-z]{3,9}) (\d{4})\b")


def _attempts(asked: Asked, step: str | None) -> int | None:
    if found := _FAILED.search(asked.text):
        word = found[1].split()[0]
        return int(word) if word.isdigit() else _TIMES[word]
    told = asked.profile.attempts
    if isinstance(told, dict):
        key = (step or "").lower().replace(" ", "")
        return next((count for name, count in told.items() if key and fold(name).replace(" ", "").startswith(key[:5])), None)
    return told if isinstance(told, int) and step is not None else None


def _day(match: re.Match[str]) -> str | None:
    try:
        if match[1]:
            return dt.date(int(match[1]), int(match[2]), int(match[3])).isoformat()
        month = next((i for i, name in enumerate(month_name) if name and name.lower().startswith(match[5][:3])), 0)
        return dt.date(int(match[6]), month, int(match[4])).isoformat()
    except ValueError:
        return None


_MATCH_YEAR = re.compile(r"\b(?:match(?: of)?|season|cycle) (20[2-4]\d)\b|\b(20[2-4]\d)(?:.20\d\d)? (?:match|season|cycle)\b")


def _season(asked: Asked, rule: Rule) -> Call | None:
    arguments: dict[str, Any] = {}
    if found := _MATCH_YEAR.search(asked.text):
        arguments["match_year"] = int(found[1] or found[2])
    visas = [visa for visa in asked.visas() if visa in ("J-1", "H-1B")]
    if visas:
        arguments["visa"] = visas[0]
    elif asked.profile.visa_needed is False or asked.profile.us_work_authorization:
        arguments["visa"] = "none"
    told = {"step1": asked.profile.step1, "step2ck": asked.profile.step2ck, "step3": asked.profile.step3}
    done = [name for name, value in told.items() if value]
    done += [
        name for name, step in (("step1", "Step 1"), ("step2ck", "Step 2 CK"), ("step3", "Step 3"))
        if name not in done and re.search(rf"\b(?:passed|done|finished|cleared)\b[^.?!]{{0,30}}{_STEPS[step].pattern}", asked.text)
    ]  # fmt: skip
    if re.search(r"\becfmg.certified\b|\b(?:have|got|hold)\b[^.?!]{0,20}\becfmg certificat", asked.text):
        done.append("certificate")
    if done:
        arguments["done"] = done
    return Call("season_calendar", arguments, covers=True)


def _cost(asked: Asked, rule: Rule) -> Call | None:
    counts = [int(n) for n in re.findall(r"\b(\d{1,3}) (?:\w+ ){0,3}?programs?\b", asked.text)]
    if not counts:
        return None
    exams = [name for name, pattern in _STEPS.items() if pattern.search(asked.text)]
    arguments: dict[str, Any] = {"programs": counts}
    if exams:
        arguments["exams"] = exams
    if re.search(r"\b(?:everything|from scratch|whole road|all in all|ecfmg|pathway|oet)\b", asked.text):
        arguments["certification"] = True
    if "J-1" in asked.visas():
        arguments["visa"] = "J-1"
    return Call("cost_estimate", arguments, covers=True)


def _visa(asked: Asked, rule: Rule) -> Call | None:
    visas, aspects = asked.visas(), rule.asked(asked.text)
    if len(visas) > 1:
        return Call("visa_routes", {"visas": visas} | ({"aspects": aspects} if aspects else {}), leads=False)
    profile = asked.profile
    if visas or not re.search(r"\b(?:which|what) visas?\b|\bvisa (?:options?|routes?|choices?)\b", asked.text):
        return None
    arguments: dict[str, Any] = {}
    if profile.us_work_authorization:
        arguments["us_work_authorization"] = True
    elif profile.visa_needed is not None:
        arguments["visa_needed"] = profile.visa_needed
    if profile.citizenship:
        arguments["citizenship"] = profile.citizenship
    if profile.step3:
        arguments["step3_passed"] = True
    return Call("visa_routes", arguments, leads=False)


_GRADUATED = re.compile(
    r"\b(?:graduat\w*|yog|class of|degree in)\b[^.?!\d]{0,20}\b(19[5-9]\d|20[0-3]\d)\b|\b(19[5-9]\d|20[0-3]\d) (?:grad|yog)\w*\b"
)


def _programs(asked: Asked, rule: Rule) -> Call | Unsure | None:
    """What the question names is required; what only the profile tells orders the list."""
    profile, must, prefer = asked.profile, dict[str, Any](), dict[str, Any]()
    year = _GRADUATED.search(asked.text)
    visas = [visa for visa in asked.visas() if visa in ("J-1", "H-1B")]
    listed = {row.cells.specialty for row in asked.tables.programs}
    named = asked.names("specialty")
    specialties = [name for name in named if any(asked.tables.same(name, other) for other in listed)]
    if named and not specialties:
        return None  # no program of it is in the table: prose says what is held
    facts: tuple[tuple[str, Any, Any], ...] = (
        ("specialties", specialties, profile.specialties),
        ("states", asked.names("state"), profile.states),
        ("visa", visas[0] if visas else None, None),
        ("step2ck", asked.score(), profile.step2ck),
        ("graduation_year", int(year[1] or year[2]) if year else None, profile.graduation_year),
    )
    for key, value, told in facts:
        if value:
            must[key] = value
        elif told and not (key == "specialties" and not any(asked.tables.same(n, o) for n in told for o in listed)):
            prefer[key] = told
    if profile.usce_months is not None:
        prefer["us_experience"] = profile.usce_months > 0
    if not set(must) & {"specialties", "states", "visa"} or len(must) + len(prefer) < 2:
        return None
    return Call("program_finder", {"must": must} | ({"prefer": prefer} if prefer else {}), covers=True)


_CALLS = {
    "licensure_lookup": _licensure,
    "specialty_outcomes": _outcomes,
    "usmle_rules": _usmle,
    "season_calendar": _season,
    "cost_estimate": _cost,
    "visa_routes": _visa,
    "program_finder": _programs,
}


def _unsure(asked: Asked, kind: str, names: Sequence[str]) -> Unsure | None:
    """A word that is nearly a name of the table, and is no other word we know."""
    for word in _runs(asked.text):
        if any(asked.tables.terms.found(word).values()):
            continue
        near = [(fuzz.ratio(word, fold(name)), name) for name in names]
        best = sorted((pair for pair in near if pair[0] >= ALIKE - 14), key=lambda pair: (-pair[0], pair[1]))[:3]
        if best and best[0][0] >= ALIKE and word[0] == fold(best[0][1])[0] and word not in _WORDS:
            return Unsure(kind, word, tuple(name for _, name in best))
    return None


_WORDS = frozenset("main".split())


def _runs(text: str) -> Iterator[str]:
    words = re.findall(r"[a-z]+", text)
    for size in (3, 2, 1):
        for i in range(len(words) - size + 1):
            run = " ".join(words[i : i + size])
            if len(run) >= 5:
                yield run


def read_chooser(folder: Path, terms: Terms, read: Read = read_yaml) -> Chooser:
    """From `data/tools.yaml` of a knowledge folder, or the one that comes with the program.

    Raises:
        SettingsError: the file is not of the expected shape.
    """
    path = folder / "data" / "tools.yaml"
    path = path if path.is_file() else ROOT / "knowledge" / "data" / "tools.yaml"
    try:
        data = read(path.read_bytes()) or {}
        rules = {
            str(name): Rule(
                _patterns(entry["when"]),
                _patterns(entry.get("unless", [])),
                {key: _patterns(some) for key, some in entry.get("aspects", {}).items()},
            )
            for name, entry in data.items()
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, re.error) as error:
        raise SettingsError(f"The file tools.yaml cannot be read ({type(error).__name__}: {str(error)[:120]}). Correct it.") from None
    wrong = [name for name in rules if name not in _CALLS]
    if wrong:
        raise SettingsError(f"The file tools.yaml names '{wrong[0]}', which is no tool. There are: {', '.join(_CALLS)}.")
    return Chooser(terms, rules)


def _patterns(values: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(value) for value in values)
