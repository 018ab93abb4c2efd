"""Document: a file as loaded, whatever its format, and the outline its sections are collected in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from bot.answer import SourceRef
from bot.passage import FactRef

MAX_TEXT = 64 * 1024 * 1024
"""Bytes of a file, and characters of the text that is made of one: a compressed file must not grow without end."""

Kind = Literal["guide", "jsonl", "text", "html", "csv", "yaml", "pdf", "docx", "table"]


@dataclass(frozen=True, slots=True)
class Section:
    heading: tuple[str, ...]  # headings from the document's title down; never empty
    anchor: str
    text: str  # of the section's own paragraphs; of a guide Markdown, marks included
    line: int = 0  # 1-based line of the heading in the file
    fragment: str = ""  # what leads to the section behind '#' in the document's web address


@dataclass(frozen=True, slots=True)
class Document:
    """A file (or a line of a JSON Lines file) as loaded."""

    id: str
    title: str
    kind: Kind
    body: str
    sections: tuple[Section, ...]
    source: SourceRef
    as_of: str = "unknown"
    volatile: bool = False
    review_by: str = "unknown"
    summary: str = ""
    audience: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    questions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)  # of a table: what each is called
    charts: dict[str, str] = field(default_factory=dict)  # anchor of a section -> name of the chart it shows
    facts: dict[str, FactRef] = field(default_factory=dict)
    root: str = ""

    @property
    def content_hash(self) -> str:
        """Over everything that ends up in the index, resolved marks included: changing a source's date changes its guides."""
        parts = [
            self.id,
            self.title,
            self.kind,
            self.body,
            self.source.model_dump_json(),
            self.as_of,
            str(self.volatile),
            self.review_by,
            self.summary,
            repr(self.audience),
            repr(self.topics),
            repr(sorted(self.questions.items())),
            repr(sorted(self.facts.items())),
            # Two PDFs may hold the same words under other bookmarks.
            "" if self.kind == "guide" else repr([(section.heading, section.anchor) for section in self.sections]),
        ]
        if self.charts:
            parts.append(repr(sorted(self.charts.items())))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()

    def describe(self) -> dict[str, Any]:
        """The document's own description, for the guide pages."""
        return {
            "kind": self.kind,
            "summary": self.summary,
            "audience": self.audience,
            "topics": self.topics,
            "as_of": self.as_of,
            "review_by": self.review_by,
            "charts": self.charts,
        } | ({"columns": self.columns} if self.columns else {})


class Outline:
    """Collects blocks of text below headings of levels 1 to 6; `sections` gives those that hold text."""

    def __init__(self, title: str, line: int = 0) -> None:
        self._title = title
        self._path: list[tuple[int, str]] = []
        self._anchor, self._line, self._fragment = "", line, ""
        self._rows: list[str] = []
        self._done: list[Section] = []
        self._seen: set[str] = set()

    def has(self, anchor: str) -> bool:
        return anchor in self._seen

    def head(self, level: int, text: str, anchor: str = "", *, line: int = 0, unique: str = "", fragment: str = "") -> None:
        """Begins a section. An anchor that is taken gets `unique`, or a number, behind it."""
        self._close()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, text))
        base = anchor or slugify(text)
        found, number = base, 1
        while found in self._seen:
            found = f"{base}-{unique}" if unique and number == 1 else f"{base}-{number + 1}"
            number += 1
        self._seen.add(found)
        self._anchor, self._line, self._fragment = found, line, fragment

    def add(self, block: str) -> None:
        self._rows.append(block)

    def sections(self) -> tuple[Section, ...]:
        self._close()
        return tuple(self._done)

    def _close(self) -> None:
        if any(row.strip() for row in self._rows):
            heading = (self._title, *(text for _, text in self._path))
            self._done.append(Section(heading, self._anchor, "\n".join(self._rows), self._line, self._fragment))
        self._rows = []


def slugify(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def title_of(name: str) -> str:
    """A title for a file that names none."""
    return " ".join(re.split(r"[-_\s]+", PurePosixPath(name).stem)).strip() or name


def clean_title(text: str | None) -> str:
    """A title as a file states it, on one line, without what is not printed; empty when there is none worth showing."""
    title = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())[:200]
    return "" if title.lower() in {"", "untitled", "document", "document1", "word document", "powerpoint presentation"} else title


def file_source(name: str, title: str, url: str | None = None) -> SourceRef:
    """A document that has no source marks is its own source."""
    safe = url if url and re.fullmatch(r"https?://[^\s/<>\"]+\S*", url) else None
    return SourceRef(title=title or name, publisher="", url=safe, tier="document", link="source")


def table_rows(rows: list[list[str]]) -> Iterator[str]:
    """A table as Markdown lines, its first row the header; every row as wide as the header."""
    width = max((len(row) for row in rows), default=0)
    for number, row in enumerate(rows):
        cells = [" ".join(cell.replace("|", "/").split()) for cell in row]
        yield "| " + " | ".join(cells + [""] * (width - len(cells))) + " |"
        if number == 0:
            yield "|" + "---|" * width
