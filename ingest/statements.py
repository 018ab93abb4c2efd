"""The guides of a knowledge folder, sentence by sentence, each with its place in its file.

For checking, not for the index: a guide with a wrong mark is still read to its end, so that one run names all that is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bot.errors import DocumentError
from bot.passage import SpanKind
from ingest.chunk import units_of
from ingest.load import FrontMatter, Section, cut_sections, find_files, read_front_matter


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence, list item or table row. `said` is a row read aloud with its header."""

    file: str
    line: int
    kind: SpanKind
    said: str
    facts: tuple[str, ...]
    anchor: str
    headings: tuple[str, ...]  # title of the guide, then the headings down to the section
    head: str = ""  # of a row: the header row of its table

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Page:
    """A guide as written. `keys` are the lines on which the fields of its front matter stand."""

    file: str
    front: FrontMatter
    keys: dict[str, int]
    sections: tuple[Section, ...]
    statements: tuple[Statement, ...]


def read_pages(folder: Path, errors: list[DocumentError]) -> list[Page]:
    """The Markdown guides below `folder`/guides, by name. What cannot be read is added to `errors`; names are relative to `folder`."""
    root = folder / "guides"
    pages = []
    for path in find_files(root) if root.is_dir() else []:
        if path.suffix.lower() not in {".md", ".markdown"}:
            continue
        name = path.relative_to(folder).as_posix()
        try:
            pages.append(read_page(path.read_text(encoding="utf-8-sig").replace("\r\n", "\n"), name))
        except DocumentError as error:
            errors.append(error)
        except (OSError, UnicodeDecodeError) as error:
            errors.append(DocumentError(f"cannot be read ({type(error).__name__}); save it as UTF-8 text", file=name))
    return pages


def read_page(text: str, name: str) -> Page:
    """
    Raises:
        DocumentError: its front matter cannot be read.
    """
    front, body, offset = read_front_matter(text, name)
    keys = {}
    for number, row in enumerate(text.split("\n")[:offset], 1):
        match = re.match(r"([a-z_]+):", row)
        if match:
            keys[match[1]] = number
    sections = tuple(cut_sections(body, front.title, name, offset))
    return Page(name, front, keys, sections, tuple(s for section in sections for s in _statements(section, name)))


def _statements(section: Section, name: str) -> list[Statement]:
    text, units = units_of(section)
    return [
        Statement(
            name,
            section.line + 1 + text.count("\n", 0, unit.start),
            unit.kind,
            unit.said,
            unit.facts,
            section.anchor,
            section.heading,
            text[slice(*unit.head)] if unit.head else "",
        )
        for unit in units
    ]
