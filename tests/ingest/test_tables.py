from __future__ import annotations

from pathlib import Path

from bot.errors import DocumentError
from ingest.tables import read_tables


def test_rows_are_found_by_their_marks(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "states.csv").write_text("state,years,limit\nNew York,3,\nOhio,2,5,7\n")
    errors: list[DocumentError] = []
    rows = read_tables(tmp_path, errors)
    assert {mark: (row.line, row.text) for mark, row in rows.items()} == {"row-state-new-york": (2, "state: New York; years: 3")}
    assert [(error.file, error.line) for error in errors] == [("data/states.csv", 3)]


def test_no_tables_no_rows(tmp_path: Path) -> None:
    assert read_tables(tmp_path, []) == {}
