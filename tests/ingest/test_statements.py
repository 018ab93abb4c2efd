from __future__ import annotations

from pathlib import Path

from bot.errors import DocumentError
from ingest.statements import read_pages

GUIDE = """---
title: Example
as_of: 2024
---

## First {#one}

One sentence.[^a] Another
one over two lines.[^b]

- An item.[^a][^b]

| Name | Fee |
|---|---|
| License | 400 dollars[^a] |
"""


def read(folder: Path, text: str, errors: list[DocumentError] | None = None):  # type: ignore[no-untyped-def]
    (folder / "guides").mkdir(exist_ok=True)
    (folder / "guides" / "example.md").write_text(text)
    return read_pages(folder, [] if errors is None else errors)


def test_statements_know_their_line_and_marks(tmp_path: Path) -> None:
    (page,) = read(tmp_path, GUIDE)
    assert [(s.line, s.kind, s.said, s.facts) for s in page.statements] == [
        (8, "sentence", "One sentence.", ("a",)),
        (8, "sentence", "Another one over two lines.", ("b",)),
        (11, "item", "An item.", ("a", "b")),
        (15, "row", "License — Fee: 400 dollars.", ("a",)),
    ]
    assert page.keys == {"title": 2, "as_of": 3}
    assert page.statements[-1].head == "| Name | Fee |"
    assert page.statements[0].headings == ("Example", "First")


def test_unknown_marks_do_not_stop_the_reading(tmp_path: Path) -> None:
    errors: list[DocumentError] = []
    assert len(read(tmp_path, GUIDE, errors)) == 1
    assert errors == []


def test_broken_guides_are_reported(tmp_path: Path) -> None:
    errors: list[DocumentError] = []
    assert read(tmp_path, "no front matter", errors) == []
    assert [error.file for error in errors] == ["guides/example.md"]
