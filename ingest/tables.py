"""The tables of a knowledge folder (`data/states.csv`, `data/specialties.csv`), row by row, as the marks of guides name them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from bot.errors import DocumentError
from ingest.load import slugify

# file -> how the marks of its rows begin; the rest is the slug of the first cell
TABLES = {"states.csv": "row-state-", "specialties.csv": "row-spec-", "programs.csv": "row-program-"}


@dataclass(frozen=True, slots=True)
class Row:
    file: str  # relative to the knowledge folder
    line: int
    text: str  # "column: value; column: value", empty cells left out


def read_tables(folder: Path, errors: list[DocumentError]) -> dict[str, Row]:
    """Rows by mark. A table that is not there has no rows; what is wrong with one is added to `errors`."""
    rows: dict[str, Row] = {}
    for name, prefix in TABLES.items():
        path = folder / "data" / name
        if not path.is_file():
            continue
        try:
            table = csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
            head = next(table, [])
            for cells in table:
                if len(cells) != len(head):
                    errors.append(
                        DocumentError(f"has {len(cells)} cells where the header has {len(head)}", file=f"data/{name}", line=table.line_num)
                    )
                    continue
                text = "; ".join(f"{column}: {cell}" for column, cell in zip(head, cells, strict=True) if cell)
                rows[prefix + slugify(cells[0])] = Row(f"data/{name}", table.line_num, text)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            errors.append(DocumentError(f"is not a valid CSV table ({error})", file=f"data/{name}"))
    return rows
