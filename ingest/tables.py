"""The tables of a knowledge folder (`data/*.csv`) as read: checked row by row, named as the marks of guides name them, and as documents.

A cell is never empty. `unknown` says that our sources do not tell, `none` that there is nothing to tell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import ValidationError

from bot.answer import GuideRef, SourceRef
from bot.errors import DocumentError
from bot.figures import find
from bot.passage import Chunk, FactRef, Span
from bot.rows import UNKNOWN, CalendarRow, Cells, FeeRow, ProgramRow, RuleRow, SpecialtyRow, StateRow, TaskRow, VisaRow, document_id, shown
from bot.settings import ROOT
from bot.terms import Terms
from ingest.chunk import entities_of
from ingest.document import Document, Section
from ingest.load import slugify
from ingest.registry import Record, Registry, read_yaml

OF_THE_SOURCE = ("source", "as_of")

# Tables -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """`key`: the columns that name a row, once in the table. `mark`: how the mark of a row begins; the slug of the key follows.
    `told`: the columns whose figures and visas the guides have to tell where they tell the row's source.
    """

    model: type[Cells]
    key: tuple[str, ...]
    mark: str | None = None
    told: tuple[str, ...] = ()


TABLES = {
    "states.csv": Table(StateRow, ("state",), mark="row-state-"),
    "specialties.csv": Table(SpecialtyRow, ("specialty",), mark="row-spec-"),
    "programs.csv": Table(ProgramRow, ("program",), mark="listing-", told=("visas_listed", "step2ck_figure", "graduation_years_limit")),
    "fees.csv": Table(FeeRow, ("item", "season"), told=("amount",)),
    "calendar.csv": Table(CalendarRow, ("season", "event"), told=("date",)),
    "visas.csv": Table(VisaRow, ("visa", "aspect"), told=("says",)),
    "rules.csv": Table(RuleRow, ("rule",), told=("says",)),
    "tasks.csv": Table(TaskRow, ("task",), told=("says",)),
}


@dataclass(frozen=True, slots=True)
class Row:
    file: str  # relative to the knowledge folder
    line: int
    mark: str | None
    cells: Cells
    raw: dict[str, str]  # the cells as written
    text: str  # "column: value; column: value" with units, without what is unknown
    told: str  # the cells whose figures guides have to tell

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def read_tables(folder: Path, errors: list[DocumentError]) -> list[Row]:
    """The rows in order. A table that is not there has none; what is wrong is added to `errors`, with file, line and column."""
    return [row for name, table in TABLES.items() for row in _read(folder / "data" / name, table, errors.append)]


def _read(path: Path, table: Table, report: Callable[[DocumentError], None]) -> Iterator[Row]:
    file = f"data/{path.name}"
    if not path.is_file():
        return
    try:
        reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True)
        head = next(reader, [])
        wrong_head = _wrong_head(head, table)
        if wrong_head:
            report(DocumentError(wrong_head, file=file, line=1))
            return
        seen: dict[tuple[str, ...], int] = {}
        for cells in reader:
            line = reader.line_num
            if len(cells) != len(head):
                report(DocumentError(f"has {len(cells)} cells where the header has {len(head)} columns", file=file, line=line))
                continue
            named = dict(zip(head, cells, strict=True))
            key = tuple(named[column] for column in table.key)
            if key in seen:
                report(DocumentError(f"column '{table.key[0]}': {_shown(key)} is already on line {seen[key]}", file=file, line=line))
                continue
            seen[key] = line
            try:
                model = table.model.model_validate(named)
            except ValidationError as error:
                for problem in error.errors():
                    report(DocumentError(_reason(problem), file=file, line=line))
                continue
            text = "; ".join(f"{column}: {_with_unit(column, cell)}" for column, cell in named.items() if cell != UNKNOWN)
            mark = table.mark + slugify(key[0]) if table.mark else None
            yield Row(file, line, mark, model, named, text, " ; ".join(_with_unit(column, named[column]) for column in table.told))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        report(DocumentError(f"is not a valid CSV table ({error})", file=file))


def _with_unit(column: str, cell: str) -> str:
    """The cell as a sentence would say it, so that "three years" is held against years and "7 percent" against percent."""
    if "_years" in column:
        return re.sub(r"^\d+$", r"\g<0> years", cell)
    return cell + "%" if column.endswith("_pct") and cell[-1].isdigit() else cell


def _wrong_head(head: list[str], table: Table) -> str | None:
    wanted = list(table.model.model_fields)
    missing = [column for column in wanted if column not in head]
    other = [column for column in head if column not in wanted]
    if missing or other or len(set(head)) < len(head):
        parts = ["lacks " + ", ".join(missing)] * bool(missing) + ["has unknown columns " + ", ".join(other)] * bool(other)
        return "the header " + (" and ".join(parts) or "names a column twice")
    return None


def _shown(key: tuple[str, ...]) -> str:
    return " / ".join(f"'{part}'" for part in key)


def _reason(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    column = ".".join(map(str, problem["loc"]))
    return f"column '{column}': {message}" if column else message


# Documents ----------------------------------------------------------------------------------------------------------------


class ColumnWords(Record):
    """What a column means. `says`: the statement of a cell, with {value} and the names of other columns in braces."""

    label: str
    says: str = ""


class TableWords(Record):
    title: str
    about: str
    subject: str
    columns: dict[str, ColumnWords]


def read_words(folder: Path) -> dict[str, TableWords]:
    """`data/tables.yaml` of a knowledge folder, or the one that comes with the program.

    Raises:
        DocumentError: it does not describe each column of each table, or a statement names a column that is not there.
    """
    name = "data/tables.yaml"
    path = folder / name
    data = read_yaml(path if path.is_file() else ROOT / "knowledge" / name, name)
    try:
        words = {key: TableWords.model_validate(value) for key, value in data.items()}
    except (AttributeError, ValidationError) as error:
        reason = _reason(error.errors()[0]) if isinstance(error, ValidationError) else "must map tables to their columns"
        raise DocumentError(reason, file=name) from None
    for file, table in TABLES.items():
        key = file.removesuffix(".csv")
        columns = [column for column in table.model.model_fields if column not in OF_THE_SOURCE]
        if key not in words or set(words[key].columns) != set(columns):
            raise DocumentError(f"must describe the columns of {file}: {', '.join(columns)}", file=name, field=key)
        for column, said in words[key].columns.items():
            for template in (words[key].subject, said.says):
                wrong = [part[1] for part in Formatter().parse(template) if part[1] is not None and part[1] not in (*columns, "value")]
                if wrong:
                    raise DocumentError(f"a statement names '{wrong[0]}', which is no column", file=name, field=f"{key}.{column}")
    return words


def table_documents(folder: Path, registry: Registry, errors: list[DocumentError]) -> Iterator[Document]:
    """The tables as documents, a section for each row: its statements, a line for each cell. What is wrong is added to `errors`."""
    try:
        words = read_words(folder)
    except DocumentError as error:
        errors.append(error)
        return
    rows = read_tables(folder, errors)
    for file, table in TABLES.items():
        own = [row for row in rows if row.file == f"data/{file}"]
        if own:
            yield _document(file.removesuffix(".csv"), table, own, words[file.removesuffix(".csv")], registry, errors)


def _document(
    name: str, table: Table, rows: list[Row], words: TableWords, registry: Registry, errors: list[DocumentError]
) -> Document:
    facts: dict[str, FactRef] = {}
    sections: list[Section] = []
    body: list[dict[str, Any]] = []
    for row in rows:
        source = row.cells.source
        fact = registry.fact(source)
        if fact is not None:
            facts[source] = replace(fact, as_of=row.cells.as_of)
        elif source != UNKNOWN:
            reason = f"column 'source': '{source}' is neither in facts.yaml nor in sources.yaml"
            errors.append(DocumentError(reason, file=row.file, line=row.line))
        subject = " / ".join(row.raw[column] for column in table.key)
        statements = _statements(row, words, sure=fact is None or fact.confidence != "low")
        sections.append(Section((words.title, subject), slugify(subject), "\n".join(statements), row.line))
        body.append({"cells": {column: row.raw[column] for column in (*words.columns, *OF_THE_SOURCE)}, "statements": statements})
    return Document(
        id=document_id(name),
        title=words.title,
        kind="table",
        body=json.dumps(body, ensure_ascii=False),
        sections=tuple(sections),
        source=SourceRef(title=words.title, publisher="", tier="document"),
        summary=words.about,
        columns={column: said.label for column, said in words.columns.items()},
        facts=facts,
    )


def _statements(row: Row, words: TableWords, sure: bool) -> list[str]:
    """Each cell in a sentence of its own, which says as much as the source does: what could not be confirmed is told as such."""
    subject = words.subject.format(**row.raw)
    result = []
    for column, said in words.columns.items():
        cell = row.raw[column]
        value = shown(column, cell, row.raw.get("currency", "USD"))
        silent = cell in (UNKNOWN, "none")
        text = said.says.format(**row.raw | {"value": value}) if said.says and not silent else f"{subject}: {said.label}: {value}"
        if not sure and not silent and any(figure.kind != "name" for figure in find(value)):
            text = text.removesuffix(".") + " (could not be confirmed)"
        result.append(" ".join(text.split()) + "." * (text[-1] not in ".!?"))
    return result


def table_chunks(document: Document, terms: Terms, *, pages: bool = True) -> list[Chunk]:
    """A chunk for each row, its cells beside it. They are looked up, not searched: they have no vectors and no keywords."""
    result = []
    for position, (section, row) in enumerate(zip(document.sections, json.loads(document.body), strict=True)):
        cells, lines = row["cells"], row["statements"]
        fact = document.facts.get(cells["source"])
        marks = (fact.id,) if fact else ()
        spans, at = [], 0
        for line in lines:
            spans.append(Span(at, at + len(line), "item", line, marks, entities_of(terms, line)))
            at += len(line) + 1
        identity = f"{document.id}\0{section.anchor}\0{section.text}"
        url = f"/guides/{document.id}#{section.anchor}"
        result.append(
            Chunk(
                chunk_id=hashlib.sha256(identity.encode()).hexdigest()[:20],
                document_id=document.id,
                position=position,
                text=section.text,
                heading=section.heading,
                anchor=section.anchor,
                guide=GuideRef(slug=document.id, title=document.title, section=section.heading[-1], url=url) if pages else None,
                source=fact.source if fact else document.source,
                as_of=cells["as_of"],
                volatile=fact.volatile if fact else False,
                review_by="unknown",
                topics=(),
                spans=tuple(spans),
                questions=(),
                facts={fact.id: fact} if fact else {},
                entities=entities_of(terms, " \n ".join([*section.heading, section.text])),
                cells=cells,
            )
        )
    return result
