"""What of the applicant bears on a question, and what is missing to answer it. The rules are data: `profile.yaml`, `clarify.yaml`."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from bot.answer import Profile
from bot.errors import SettingsError
from bot.plan import MAX_PARTS, Part
from bot.profile import free_of_visa
from bot.terms import Read, Terms, fold, read_yaml

ANY = "any"


@dataclass(frozen=True, slots=True)
class Asks:
    when: tuple[re.Pattern[str], ...]
    unless: re.Pattern[str] | None

    def fits(self, text: str) -> bool:
        return any(p.search(text) for p in self.when) and not (self.unless and self.unless.search(text))


@dataclass(frozen=True, slots=True)
class Bears:
    """A section that answers a question otherwise for applicants of a kind."""

    id: str
    asks: Asks
    has: dict[str, Any]
    section: str
    say: str
    sentences: int = 1
    naming: str = ""


@dataclass(frozen=True, slots=True)
class Puts:
    """A question that leaves open which state or specialty is asked for the one that was told."""

    id: str
    asks: Asks
    kind: str
    field: str
    say: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A question whose answer depends on something that nobody said."""

    id: str
    asks: Asks
    kind: str
    field: str
    say: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bearing:
    terms: Terms
    bears: tuple[Bears, ...] = ()
    puts: tuple[Puts, ...] = ()
    missing: tuple[Missing, ...] = ()

    def sections(self, text: str, profile: Profile | None, today: dt.date) -> list[Bears]:
        """What the answer is to open with."""
        if profile is None:
            return []
        folded = fold(text)
        return [rule for rule in self.bears if rule.asks.fits(folded) and _holds(rule.has, profile, today)]

    def put(self, parts: Sequence[Part], profile: Profile | None) -> tuple[tuple[Part, ...], list[Puts]]:
        """The questions with what was told put into them, and the rules that did so."""
        used: list[Puts] = []
        result: list[Part] = []
        for part in parts:
            made = [part]
            for rule in self.puts:
                told = getattr(profile, rule.field, None) if profile is not None else None
                if told and len(told) <= 2 and rule.asks.fits(fold(part.text)) and not self._names(f"{part.text} {part.about}", rule.kind):
                    made = [replace(part, text=f"{part.text.rstrip('?. ')} in {value}?") for value in told]
                    used.append(rule)
                    break
            result += made
        return tuple(result[:MAX_PARTS]), used

    def lacks(self, text: str, about: str, profile: Profile | None) -> Missing | None:
        """What must be asked back. `about`: the earlier question it leans on."""
        folded = fold(text)
        for rule in self.missing:
            if rule.asks.fits(folded) and not self._names(f"{text} {about}", rule.kind) and not _told(rule.field, profile):
                return rule
        return None

    def _names(self, text: str, kind: str) -> bool:
        return bool(self.terms.found(text).get(kind))


def _told(field: str, profile: Profile | None) -> bool:
    if not field or profile is None:
        return False
    if field == "visa":
        return free_of_visa(profile) is not None
    return bool(getattr(profile, field))


def value_of(name: str, profile: Profile, today: dt.date) -> Any:
    """A field of the profile, or what follows from one: `years_since` graduation, `attempts_most` at one exam."""
    if name == "years_since":
        return today.year - profile.graduation_year if profile.graduation_year else None
    if name == "attempts_most":
        attempts = profile.attempts
        return max(attempts.values(), default=None) if isinstance(attempts, dict) else attempts
    return getattr(profile, name)


def _holds(has: dict[str, Any], profile: Profile, today: dt.date) -> bool:
    return all(_fits(value_of(name, profile, today), wanted) for name, wanted in has.items())


def _fits(value: Any, wanted: Any) -> bool:
    if value is None:
        return False
    match wanted:
        case dict():
            return bool(wanted.get("least", value) <= value <= wanted.get("most", value))
        case list():
            return value in wanted
    return wanted == ANY or bool(value == wanted)


_FIELDS = frozenset({*Profile.model_fields, "years_since", "attempts_most"})


def read_bearing(folder: Path, terms: Terms, read: Read = read_yaml) -> Bearing:
    """From `data/profile.yaml` and `data/clarify.yaml` of a knowledge folder; files that are not there count as empty.

    Raises:
        SettingsError: a file is not of the expected shape.
    """
    data, missing = _read(folder, "profile.yaml", read), _read(folder, "clarify.yaml", read)
    try:
        bears = tuple(Bears(**{**entry, "asks": _asks(entry)}) for entry in map(_bare, (data or {}).get("bears", [])))
        puts = tuple(Puts(**{**entry, "asks": _asks(entry)}) for entry in map(_bare, (data or {}).get("puts", [])))
        unknown = [name for rule in bears for name in (*rule.has, *([rule.naming] if rule.naming else [])) if name not in _FIELDS]
        if unknown:
            raise ValueError(f"there is no field '{unknown[0]}'")
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise _wrong("profile.yaml", error) from None
    try:
        asked = tuple(Missing(**{**e, "asks": _asks(e), "options": tuple(map(str, e["options"]))}) for e in map(_bare, missing or []))
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise _wrong("clarify.yaml", error) from None
    return Bearing(terms, bears, puts, asked)


def _bare(entry: dict[str, Any]) -> dict[str, Any]:
    """`unless` goes with the patterns."""
    return {**{k: v for k, v in entry.items() if k != "unless"}, "asks": (entry["asks"], entry.get("unless"))}


def _asks(entry: dict[str, Any]) -> Asks:
    when, unless = entry["asks"]
    return Asks(tuple(re.compile(p, re.I) for p in when), re.compile(unless, re.I) if unless else None)


def _read(folder: Path, name: str, read: Read) -> Any:
    path = folder / "data" / name
    try:
        return read(path.read_bytes()) if path.is_file() else None
    except (OSError, yaml.YAMLError) as error:
        raise _wrong(name, error) from None


def _wrong(name: str, error: Exception) -> SettingsError:
    return SettingsError(f"The file {name} cannot be read ({type(error).__name__}: {str(error)[:120]}). Correct it.")
