"""The tables of a knowledge folder (`data/*.csv`): what their cells may hold, and the rows as the marks of guides name them.

A cell is never empty. `unknown` says that our sources do not tell, `none` that there is nothing to tell.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from bot.errors import DocumentError
from ingest.load import slugify
from ingest.registry import date_text

UNKNOWN = "unknown"
STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX "
    "UT VT VA WA WV WI WY PR GU VI AS MP".split()
)
VISAS = ("J-1", "H-1B", "O-1", "F-1 OPT", "J-2", "H-4", "Green card")


# Cells --------------------------------------------------------------------------------------------------------------------


def _number(least: float, most: float, *, whole: bool = False, words: tuple[str, ...] = ()) -> BeforeValidator:
    """A number within limits, as int or float; `unknown` becomes None; `words` stand for themselves."""
    kind = "a whole number" if whole else "a number"
    allowed = " or ".join((f"{kind} from {least:g} to {most:g}", *(f"'{word}'" for word in (UNKNOWN, *words))))

    def read(cell: str) -> float | str | None:
        if cell == UNKNOWN:
            return None
        if cell in words:
            return cell
        if not re.fullmatch(r"\d+" if whole else r"\d+(?:\.\d+)?", cell) or not least <= float(cell) <= most:
            raise ValueError(f"'{cell}' must be {allowed}")
        return int(cell) if whole else float(cell)

    return BeforeValidator(read)


def _shape(pattern: str, what: str) -> BeforeValidator:
    def read(cell: str) -> str:
        if not re.fullmatch(pattern, cell):
            raise ValueError(f"'{cell}' must be {what}")
        return cell

    return BeforeValidator(read)


def _one_of(*words: str) -> BeforeValidator:
    return _shape("|".join(map(re.escape, words)), "one of: " + ", ".join(words))


def _listed(cell: str) -> tuple[str, ...] | None:
    """`J-1;H-1B`: each visa once; `none` becomes an empty tuple, `unknown` None."""
    if cell in (UNKNOWN, "none"):
        return None if cell == UNKNOWN else ()
    names = cell.split(";")
    wrong = [name for name in names if name not in VISAS]
    if wrong or len(set(names)) < len(names):
        raise ValueError(f"'{cell}' must be 'none', 'unknown' or visas with ';' between them, each once: " + ", ".join(VISAS))
    return tuple(names)


_SPAN = r"\d+(?:\.\d+)?(?:(?:-| or )\d+(?:\.\d+)?)?"
Date = Annotated[str, BeforeValidator(date_text)]
Year = Annotated[int | None, _number(1990, 2100, whole=True)]
Count = Annotated[int | None, _number(0, 1_000_000, whole=True)]
Years = Annotated[int | None, _number(0, 15, whole=True)]
Percent = Annotated[float | None, _number(0, 100)]
Average = Annotated[float | None, _number(0, 1000)]
Score = Annotated[int | None, _number(180, 300, whole=True)]
State = Annotated[str, _one_of(*sorted(STATES))]


class Cells(BaseModel):
    """A row. `source` is an id of facts.yaml or sources.yaml, `as_of` the date of what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, _shape(r"[a-z0-9][\w.-]*", "the id of a fact or a source, in small letters with hyphens")]
    as_of: Date

    @model_validator(mode="before")
    @classmethod
    def _never_empty(cls, cells: Any) -> Any:
        empty = [column for column, cell in cells.items() if not cell.strip()]
        if empty:
            raise ValueError(f"column '{empty[0]}' is empty; write '{UNKNOWN}' if our sources do not tell, or 'none'")
        return cells


class StateRow(Cells):
    """License rules of a state for IMGs. Training years are graduate medical education for a full license."""

    state: str
    usps: State
    img_training_years: Years
    us_graduate_training_years: Years
    usmle_limit_years: Annotated[int | str | None, _number(1, 15, whole=True, words=("none stated",))]
    usmle_attempt_limit: str
    compact_member: Annotated[str, _one_of("yes", "no", UNKNOWN)]
    pathway: Annotated[str, _one_of("enacted", "rules-pending", "pending-bill", "other", "none found", UNKNOWN)]
    pathway_law: str
    pathway_effective: Annotated[str, _shape(r"\d{4}(?:-\d{2}){0,2}|none|unknown", "YYYY, YYYY-MM, YYYY-MM-DD, none or unknown")]
    note: str


class SpecialtyRow(Cells):
    """A specialty in the Match. Figures without "us" in their name are of non-US IMGs; medians and means are of those who shared data."""

    specialty: str
    year: Year
    positions: Count
    applicants_per_position: Average
    ranked_first: Count
    matched_first: Count
    match_rate_pct: Percent
    match_rate_definition: str
    step2ck_mean_matched: Score
    step2ck_median_matched: Score
    step2ck_mean_unmatched: Score
    step2ck_median_unmatched: Score
    step2ck_matched_n: Count
    ranks_median_matched: Average
    ranks_median_unmatched: Average
    publications_median_matched: Average
    publications_median_unmatched: Average
    us_md_step2ck_median_matched: Score
    fill_year: Year
    filled_pct: Percent
    filled_by_us_img: Count
    filled_by_non_us_img: Count
    img_share_pct: Percent
    signals_2025: str
    signals_2027_unofficial: str
    application_service: str
    note: str

    @model_validator(mode="after")
    def _rate_has_a_definition(self) -> SpecialtyRow:
        if self.match_rate_pct is not None and UNKNOWN in (self.match_rate_definition, str(self.year or UNKNOWN)):
            raise ValueError("column 'match_rate_definition': a rate needs a year and says who is counted, of whom")
        return self


class ProgramRow(Cells):
    """What a program's page, as last seen, lists for IMGs: `visas_listed` is no promise, `step2ck_figure` not always a minimum."""

    program: str
    institution: str
    city: str
    state: State
    specialty: str
    visas_listed: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)]
    step2ck_figure: Score
    graduation_years_limit: Years
    us_experience: Annotated[str, _shape(r"(?:yes|no|preferred)(?:[ ,].*)?|unknown", "yes, no, preferred (details may follow) or unknown")]
    img_share_pct: Annotated[str, _shape(rf"{_SPAN}|unknown", "a number, two with '-' between them, or unknown")]
    note: str


class FeeRow(Cells):
    item: str
    amount: Annotated[str, _shape(rf"{_SPAN}|unknown", "a number without separators, two with '-' or ' or ' between them, or unknown")]
    currency: Annotated[str, _one_of("USD", "AUD", "GBP", "EUR", UNKNOWN)]
    payer: Annotated[str, _one_of("applicant", "employer", UNKNOWN)]
    season: str
    condition: str


class CalendarRow(Cells):
    """An event of a season (the year of its Match, or `every`): the date, or the rule by which people say when it is, or both."""

    season: Annotated[str, _shape(r"\d{4}|every", "the year of the Match, or 'every'")]
    event: str
    date: Date
    rule: str


class VisaRow(Cells):
    """One thing about one visa, so that visas can be compared and each cell has its own source. The source of an unknown is unknown."""

    visa: Annotated[str, _one_of(*VISAS)]
    aspect: str
    says: str

    @model_validator(mode="after")
    def _known_has_a_source(self) -> VisaRow:
        if (self.says == UNKNOWN) != (self.source == UNKNOWN):
            raise ValueError("column 'source': what is known needs a source, and what is unknown has none")
        return self


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
}


@dataclass(frozen=True, slots=True)
class Row:
    file: str  # relative to the knowledge folder
    line: int
    mark: str | None
    cells: Cells
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
            yield Row(file, line, mark, model, text, " ; ".join(_with_unit(column, named[column]) for column in table.told))
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
