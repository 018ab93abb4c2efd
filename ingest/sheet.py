"""CSV and YAML tables -> Document: a row a statement, read aloud with the names of its columns."""

from __future__ import annotations

import csv
import io
from typing import Any

import yaml

from bot.errors import DocumentError
from ingest.document import MAX_TEXT, Document, Outline, file_source, table_rows, title_of

# Every scalar stays the text that was written: no "1_000" read as 1000, no "12:30" as 750, no "NO" as false.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
MAX_DEPTH = 4
"""Levels of lists and mappings inside a cell."""


def read_csv(text: str, name: str, url: str | None = None) -> Document:
    """
    Raises:
        DocumentError: not a table with a header and rows of the header's width.
    """
    dialect = _separator(text)
    try:
        table = [row for row in csv.reader(io.StringIO(text), delimiter=dialect, strict=True)]
    except csv.Error as error:
        raise DocumentError(f"is not a valid CSV table ({error})", file=name) from None
    if len([row for row in table if row]) < 2:
        raise DocumentError("needs a header line and at least one row", file=name)
    for number, row in enumerate(table[1:], 2):
        if row and len(row) != len(table[0]):
            raise DocumentError(f"has {len(row)} cells where the header has {len(table[0])}", file=name, line=number)
    outline = Outline(title_of(name), 1)
    outline.add("\n".join(table_rows([row for row in table if row])))
    return _document(outline, name, "csv", url)


def _separator(text: str) -> str:
    """What stands most often in the header: a comma, a semicolon (spreadsheets of many countries) or a tab."""
    head = text.lstrip().partition("\n")[0]
    return max(",;\t", key=head.count)


def read_yaml_table(text: str, name: str, url: str | None = None) -> Document:
    """A list of mappings is a table; a mapping of names to such lists is several, each a section.

    Raises:
        DocumentError: not YAML, or of another shape.
    """
    try:
        data = yaml.load(text, _LOADER)  # BaseLoader makes nothing but text, lists and mappings
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise DocumentError(f"is not valid YAML ({error.problem})", file=name, line=line) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise DocumentError("is not valid YAML", file=name) from None
    if not data:
        raise DocumentError("is empty; write a list of 'column: value' entries in it", file=name)
    tables = data if isinstance(data, dict) else {"": data}
    outline = Outline(title_of(name), 1)
    left = [MAX_TEXT]
    for label, rows in tables.items():
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
            where = f"'{label}'" if label else "the file"
            raise DocumentError(f"is not a table: {where} must be a list of 'column: value' entries", file=name, field=str(label) or None)
        columns = list(dict.fromkeys(str(column) for row in rows for column in row))
        cells = [[_cell(row.get(column, ""), name, left) for column in columns] for row in rows]
        if label:
            outline.head(1, str(label))
        outline.add("\n".join(table_rows([columns, *cells])))
    return _document(outline, name, "yaml", url)


def _cell(value: Any, name: str, left: list[int], depth: int = 0) -> str:
    """A value as text. `left` is how many characters the file may still give: aliases can make a small file endless."""
    if depth > MAX_DEPTH:
        raise DocumentError("holds lists within lists too deep for a table", file=name)
    if isinstance(value, list):
        text = ", ".join(_cell(item, name, left, depth + 1) for item in value)
    elif isinstance(value, dict):
        text = "; ".join(f"{_cell(key, name, left, depth + 1)}: {_cell(item, name, left, depth + 1)}" for key, item in value.items())
    else:
        text = "" if value in {"null", "~"} else str(value)
    left[0] -= len(text)
    if left[0] < 0:
        raise DocumentError("holds more text than can be read at once; split it", file=name)
    return text


def _document(outline: Outline, name: str, kind: Any, url: str | None) -> Document:
    sections = outline.sections()
    title = title_of(name)
    body = "\n\n".join("\n".join([*section.heading[1:], section.text]) for section in sections)
    return Document(name, title, kind, body, sections, file_source(name, title, url))
