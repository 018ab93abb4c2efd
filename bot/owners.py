"""Who has what the guides do not hold (`owners.yaml`): the official page of an office that a message names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot.errors import SettingsError
from bot.scope import entries
from bot.terms import Read, Terms, read_yaml


@dataclass(frozen=True, slots=True)
class Owner:
    of: frozenset[str]  # ids of things in terms.yaml
    name: str
    url: str
    source: str


def read_owners(folder: Path, read: Read = read_yaml) -> list[Owner]:
    """
    Raises:
        SettingsError: the file is not of the expected shape.
    """
    try:
        return [Owner(frozenset(d["of"]), str(d["name"]), str(d["url"]), str(d["source"])) for d in entries(folder, "owners.yaml", read)]
    except (KeyError, TypeError) as error:
        raise SettingsError(f"The file owners.yaml cannot be read ({type(error).__name__}: {str(error)[:120]}). Correct it.") from None


def owner_of(owners: list[Owner], terms: Terms, text: str) -> Owner | None:
    """The owner of the first thing in the list that `text` names."""
    named = frozenset().union(*terms.found(text).values())
    return next((owner for owner in owners if owner.of & named), None)
