"""The tables of the knowledge folder: the shipped ones are in order, and each kind of wrong cell is named with file, line and column."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.errors import DocumentError
from bot.rows import FeeRow, ProgramRow, SpecialtyRow, StateRow, VisaRow
from bot.settings import ROOT
from ingest.check import check
from ingest.registry import read_registry
from ingest.tables import TABLES, read_tables

# A good row of each table, by column
GOOD: dict[str, dict[str, str]] = {
    "states.csv": {
        "state": "New York", "usps": "NY", "img_training_years": "3", "us_graduate_training_years": "1", "usmle_limit_years": "none stated",
        "usmle_attempt_limit": "3 per Step", "compact_member": "no", "pathway": "none found", "pathway_law": "none",
        "pathway_effective": "none", "note": "none", "source": "board", "as_of": "2025-12",
    },
    "specialties.csv": {
        "specialty": "Neurology", "year": "2026", "positions": "1260", "applicants_per_position": "1.34", "ranked_first": "513",
        "matched_first": "215", "match_rate_pct": "41.9", "match_rate_definition": "of those who ranked it first",
        "step2ck_mean_matched": "250", "step2ck_median_matched": "252", "step2ck_mean_unmatched": "243", "step2ck_median_unmatched": "244",
        "step2ck_matched_n": "166", "ranks_median_matched": "6", "ranks_median_unmatched": "2", "publications_median_matched": "5",
        "publications_median_unmatched": "3", "us_md_step2ck_median_matched": "252", "fill_year": "2025", "filled_pct": "unknown",
        "filled_by_us_img": "46", "filled_by_non_us_img": "223", "img_share_pct": "29.1", "signals_2025": "8",
        "signals_2027_unofficial": "8", "application_service": "ERAS", "note": "none", "source": "board", "as_of": "2026-08",
    },
    "programs.csv": {
        "program": "Example Neurology", "institution": "Example University", "city": "Albany", "state": "NY", "specialty": "Neurology",
        "visas_listed": "J-1;F-1 OPT", "step2ck_figure": "220", "graduation_years_limit": "5", "us_experience": "yes - 3 months",
        "img_share_pct": "3-6", "note": "none", "source": "board", "as_of": "unknown",
    },
    "fees.csv": {
        "item": "Example license", "amount": "400", "currency": "USD", "payer": "applicant", "season": "2026", "condition": "none",
        "source": "board", "as_of": "2026",
    },
    "calendar.csv": {
        "season": "2027", "event": "Match Day", "date": "2027-03-19", "rule": "unknown", "source": "board", "as_of": "2026",
    },
    "visas.csv": {"visa": "J-1", "aspect": "length", "says": "seven years", "source": "board", "as_of": "unknown"},
}  # fmt: skip

BAD = [
    ("states.csv", "usps", "New York"),
    ("states.csv", "img_training_years", "three"),
    ("states.csv", "img_training_years", "36"),
    ("states.csv", "img_training_years", "2.5"),
    ("states.csv", "usmle_limit_years", "no limit"),
    ("states.csv", "compact_member", "maybe"),
    ("states.csv", "pathway", "passed"),
    ("states.csv", "pathway_effective", "January 2026"),
    ("states.csv", "as_of", "last year"),
    ("states.csv", "source", "The Board"),
    ("specialties.csv", "year", "26"),
    ("specialties.csv", "positions", "1,260"),
    ("specialties.csv", "match_rate_pct", "419"),
    ("specialties.csv", "match_rate_pct", "42%"),
    ("specialties.csv", "step2ck_mean_matched", "25"),
    ("specialties.csv", "match_rate_definition", "unknown"),
    ("programs.csv", "state", "XX"),
    ("programs.csv", "visas_listed", "J1"),
    ("programs.csv", "visas_listed", "J-1;J-1"),
    ("programs.csv", "step2ck_figure", "about 220"),
    ("programs.csv", "us_experience", "perhaps"),
    ("programs.csv", "img_share_pct", "few"),
    ("fees.csv", "amount", "$400"),
    ("fees.csv", "currency", "dollars"),
    ("fees.csv", "payer", "hospital"),
    ("calendar.csv", "season", "2026-27"),
    ("calendar.csv", "date", "19 March 2027"),
    ("visas.csv", "visa", "B-1"),
    ("visas.csv", "source", "unknown"),
]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "data").mkdir()

    def write(name: str, *rows: dict[str, str], columns: list[str] | None = None) -> Path:
        text = io.StringIO()
        table = csv.DictWriter(text, columns or list(GOOD[name]), extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        (tmp_path / "data" / name).write_text(text.getvalue(), encoding="utf-8")
        return tmp_path

    return write


def wrong(folder: Path) -> list[tuple[str, int | None, str]]:
    errors: list[DocumentError] = []
    assert read_tables(folder, errors) == []
    return [(error.file, error.line, error.reason) for error in errors]


def test_the_shipped_tables_are_in_order() -> None:
    errors: list[DocumentError] = []
    rows = read_tables(ROOT / "knowledge", errors)
    assert errors == []
    counts = Counter(row.file.removeprefix("data/") for row in rows)
    assert (counts["states.csv"], counts["specialties.csv"], counts["programs.csv"]) == (53, 29, 135)
    assert all(counts[name] >= 30 for name in ("fees.csv", "calendar.csv", "visas.csv"))


def test_every_shipped_row_has_a_source_that_can_be_shown() -> None:
    registry = read_registry(ROOT / "knowledge")
    for row in read_tables(ROOT / "knowledge", []):
        fact = registry.fact(row.cells.source)
        if fact is None:
            assert isinstance(row.cells, VisaRow) and row.cells.says == "unknown", row.place
        else:
            assert fact.source.publisher and fact.as_of == row.cells.as_of, row.place


def test_all_visas_are_compared_in_the_same_aspects() -> None:
    aspects: dict[str, set[str]] = {}
    for row in read_tables(ROOT / "knowledge", []):
        if isinstance(row.cells, VisaRow):
            aspects.setdefault(row.cells.visa, set()).add(row.cells.aspect)
    assert len(aspects) == 7
    assert len(set(map(frozenset, aspects.values()))) == 1


@pytest.mark.parametrize("name", GOOD)
def test_a_good_row_is_read(name: str, write: Callable[..., Path]) -> None:
    errors: list[DocumentError] = []
    (row,) = read_tables(write(name, GOOD[name]), errors)
    assert errors == []
    assert (row.file, row.line) == (f"data/{name}", 2)
    assert isinstance(row.cells, TABLES[name].model)


def test_cells_are_read_as_what_they_are(write: Callable[..., Path]) -> None:
    for name in GOOD:
        write(name, GOOD[name])
    (state, specialty, program, fee, _, _) = (row.cells for row in read_tables(write("states.csv", GOOD["states.csv"]), []))
    assert isinstance(state, StateRow) and (state.img_training_years, state.usmle_limit_years) == (3, "none stated")
    assert isinstance(specialty, SpecialtyRow) and (specialty.match_rate_pct, specialty.filled_pct) == (41.9, None)
    assert isinstance(program, ProgramRow) and program.visas_listed == ("J-1", "F-1 OPT")
    assert isinstance(fee, FeeRow) and fee.amount == "400"


def test_rows_are_found_by_their_marks(write: Callable[..., Path]) -> None:
    for name in GOOD:
        write(name, GOOD[name])
    rows = read_tables(write("states.csv", {**GOOD["states.csv"], "img_training_years": "unknown"}), [])
    assert [row.mark for row in rows] == ["row-state-new-york", "row-spec-neurology", "listing-example-neurology", None, None, None]
    assert "us_graduate_training_years: 1" in rows[0].text
    assert "img_training_years" not in rows[0].text


@pytest.mark.parametrize(("name", "column", "cell"), BAD)
def test_a_bad_cell_is_named_with_line_and_column(name: str, column: str, cell: str, write: Callable[..., Path]) -> None:
    ((file, line, reason),) = wrong(write(name, {**GOOD[name], column: cell}))
    assert (file, line) == (f"data/{name}", 2)
    assert f"'{column}'" in reason or column == "as_of" and cell in reason
    assert "Error" not in reason


@pytest.mark.parametrize("name", GOOD)
def test_no_cell_may_be_empty(name: str, write: Callable[..., Path]) -> None:
    for column in GOOD[name]:
        for cell in ("", " "):
            ((_, line, reason),) = wrong(write(name, {**GOOD[name], column: cell}))
            assert line == 2
            assert f"'{column}'" in reason and "unknown" in reason


@pytest.mark.parametrize("name", GOOD)
def test_a_row_is_named_once(name: str, write: Callable[..., Path]) -> None:
    errors: list[DocumentError] = []
    assert len(read_tables(write(name, GOOD[name], GOOD[name]), errors)) == 1
    assert [(error.line, "line 2" in error.reason) for error in errors] == [(3, True)]


def test_each_wrong_cell_of_a_row_is_named(write: Callable[..., Path]) -> None:
    found = wrong(write("states.csv", {**GOOD["states.csv"], "usps": "N.Y.", "compact_member": "?"}))
    assert [next(c for c in ("usps", "compact_member") if f"'{c}'" in reason) for _, _, reason in found] == ["usps", "compact_member"]


def test_the_header_is_held_to_the_columns(write: Callable[..., Path]) -> None:
    columns = [column for column in GOOD["fees.csv"] if column != "payer"] + ["who"]
    ((file, line, reason),) = wrong(write("fees.csv", GOOD["fees.csv"], columns=columns))
    assert (file, line) == ("data/fees.csv", 1)
    assert "payer" in reason and "who" in reason


def test_rows_of_another_length_are_named_by_their_line(write: Callable[..., Path]) -> None:
    folder = write("visas.csv", GOOD["visas.csv"])
    with (folder / "data" / "visas.csv").open("a", encoding="utf-8") as file:
        file.write("J-1,sponsor,ECFMG\n")
    errors: list[DocumentError] = []
    assert len(read_tables(folder, errors)) == 1
    assert [error.line for error in errors] == [3]


def test_what_is_no_table_is_said(write: Callable[..., Path]) -> None:
    folder = write("fees.csv", GOOD["fees.csv"])
    (folder / "data" / "fees.csv").write_bytes(b"\xff\xfe\x00")
    assert [(file, line) for file, line, _ in wrong(folder)] == [("data/fees.csv", None)]


def test_no_tables_no_rows(tmp_path: Path) -> None:
    assert wrong(tmp_path) == []


def test_the_check_names_bad_tables_and_unknown_sources(write: Callable[..., Path]) -> None:
    write("fees.csv", {**GOOD["fees.csv"], "amount": "much"})
    folder = write("calendar.csv", {**GOOD["calendar.csv"], "source": "nothing-like-it"})
    (folder / "guides").mkdir()
    found = [(f.severity, f.code, f.file, f.line) for f in check(folder).findings if f.file.startswith("data/")]
    assert found == [("error", "file", "data/fees.csv", 2), ("error", "no-source", "data/calendar.csv", 2)]
