"""One entry of a YAML file that maps ids to entries, as text: taken out, and put back where it stood. The rest of the file, comments
included, stays byte for byte."""

from __future__ import annotations

import re

import yaml

from bot.errors import InputError

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


def entry_of(text: str, ident: str) -> str | None:
    """The lines of an entry; None: there is none."""
    found = _span(text.split("\n"), ident)
    return None if found is None else "\n".join(text.split("\n")[slice(*found)]).rstrip() + "\n"


def with_entry(text: str, ident: str, entry: str) -> str:
    """The file with the entry in its place: where it stood, or else behind the last one that sorts before it.

    Raises:
        InputError: `entry` is not one entry of this id.
    """
    entry = entry.rstrip() + "\n"
    if not _ID.fullmatch(ident):
        raise InputError("An id has letters, digits, '-', '_', '.' and ':' only.")
    try:
        value = yaml.safe_load(entry)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise InputError(f"This is not valid YAML{where} ({getattr(error, 'problem', None) or 'unreadable'}).") from None
    if not isinstance(value, dict) or list(map(str, value)) != [ident] or _span(entry.split("\n"), ident) is None:
        raise InputError(f"This must be one entry that begins with '{ident}:' at the start of a line.")
    if not text.strip():
        return entry
    rows = text.rstrip("\n").split("\n")
    found = _span(rows, ident)
    if found is None:
        place = _place(rows, ident)
        found = (place, place)
    return "\n".join([*rows[: found[0]], entry.rstrip("\n"), *rows[found[1] :]]) + "\n"


def ids_of(text: str) -> list[str]:
    return [match for row in text.split("\n") if (match := _key(row))]


def _span(rows: list[str], ident: str) -> tuple[int, int] | None:
    start = next((i for i, row in enumerate(rows) if _key(row) == ident), None)
    if start is None:
        return None
    end = start + 1
    while end < len(rows) and not re.match(r"[^\s#-]", rows[end]):
        end += 1
    while end > start + 1 and (not rows[end - 1].strip() or rows[end - 1].startswith("#")):
        end -= 1  # what stands above the next entry belongs to that
    return start, end


def _place(rows: list[str], ident: str) -> int:
    before = [i for i, row in enumerate(rows) if (key := _key(row)) and key < ident]
    if not before:
        first = next((i for i, row in enumerate(rows) if _key(row)), len(rows))
        return first
    found = _span(rows, _key(rows[before[-1]]))
    return found[1] if found else len(rows)


def _key(row: str) -> str:
    match = re.match(r"""(['"]?)([A-Za-z0-9_.:-]+?)\1:(?:\s|$)""", row)
    return match[2] if match else ""
