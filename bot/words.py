"""What the data files of a knowledge folder tell the bot: word lists, scope, premises. Read together, and anew when one changes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bot.bearing import Bearing, read_bearing
from bot.language import Languages
from bot.plan import Planner, read_planner
from bot.settings import ROOT
from bot.terms import Read, Terms, read_terms, read_yaml
from bot.tools.choose import Chooser, read_chooser
from bot.verify import Polarity, read_polarity


def word_lists(knowledge: Path, read: Read = read_yaml) -> tuple[Terms, Polarity]:
    """The word lists of a knowledge folder; those that it lacks are the ones that come with the program.

    Raises:
        SettingsError: one cannot be read.
    """
    return read_terms(_file(knowledge, "terms.yaml"), read), read_polarity(_file(knowledge, "polarity.yaml"), read)


def _file(knowledge: Path, name: str) -> Path:
    own = knowledge / "data" / name
    return own if own.is_file() else ROOT / "knowledge" / "data" / name


@dataclass(frozen=True, slots=True)
class Words:
    """What the data files of a knowledge folder tell the bot. `digest` changes when one of them does."""

    terms: Terms
    polarity: Polarity
    planner: Planner
    chooser: Chooser
    bearing: Bearing
    languages: Languages
    weights: Path
    digest: str


def _languages(knowledge: Path) -> Path:
    """The folder of languages; where a knowledge folder has none, the one that comes with the program."""
    own = knowledge / "data" / "languages"
    return own if own.is_dir() else ROOT / "knowledge" / "data" / "languages"


def read_words(knowledge: Path, read: Read = read_yaml) -> Words:
    """
    Args:
        read: how files are parsed.
    Raises:
        SettingsError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted((knowledge / "data").rglob("*.yaml")):
        digest.update(path.relative_to(knowledge).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    terms, polarity = word_lists(knowledge, read)
    return Words(
        terms, polarity, read_planner(knowledge, terms, read), read_chooser(knowledge, terms, read), read_bearing(knowledge, terms, read),
        Languages(_languages(knowledge), terms, read), _file(knowledge, "weights.yaml"),
        digest.hexdigest()[:12],
    )  # fmt: skip
