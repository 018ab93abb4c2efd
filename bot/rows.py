"""The rows of the tables (`data/*.csv` of the knowledge folder): what their cells may hold, and how a tool finds and quotes them.

A cell is never empty. `unknown` says that our sources do not tell, `none` that there is nothing to tell. Ingest makes a chunk of every row,
one statement a cell, so that a value is quoted like a sentence of a guide; tools read the rows from the index, never from the folder.
"""

from __future__ import annotations

import datetime as dt
import re
from calendar import month_name
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from rapidfuzz import fuzz, process

from bot.answer import SourceRef
from bot.errors import InputError
from bot.evidence import Evidence
from bot.passage import Chunk
from bot.settings import ROOT
from bot.terms import Terms, fold

DATE = re.compile(r"\d{4}(-\d{2}){0,2}|unknown")
NONE = "none"
UNKNOWN = "unknown"
STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX "
    "UT VT VA WA WV WI WY PR GU VI AS MP".split()
)
VISAS = ("J-1", "H-1B", "O-1", "F-1 OPT", "J-2", "H-4", "Green card")


def date_text(value: object) -> str:
    """YYYY, YYYY-MM or YYYY-MM-DD as text (YAML reads some of these as numbers or dates), or 'unknown'."""
    text = value.isoformat() if isinstance(value, dt.date) else str(value if value is not None else "unknown")
    if not DATE.fullmatch(text):
        raise ValueError(f"'{text}' is not a date; write YYYY, YYYY-MM, YYYY-MM-DD or unknown")
    return text


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


class RuleRow(Cells):
    """A rule of the exams and of certification; `value` and `unit` where it is a number to reckon with, else `none`."""

    rule: str
    value: Annotated[str, _shape(r"\d+|none", "a whole number, or none")]
    unit: Annotated[str, _one_of("attempts", "months", "years", "points", NONE)]
    says: str


class TaskRow(Cells):
    """A task on the way to residency. `after`: tasks that come first, `event`: the row of the calendar that dates it, or none."""

    task: str
    phase: Annotated[str, _one_of("before the exams", "exams", "certification", "application", "match", "visa", "start")]
    says: str
    after: str
    event: str
    applies: Annotated[str, _one_of("all", "step1", "step2ck", "certificate", "h1b", "j1")]


# Rows in the index ---------------------------------------------------------------------------------------------------------

Cell = TypeVar("Cell", bound=Cells)


def document_id(name: str) -> str:
    """The document that holds the rows of a table: `tables/states`."""
    return f"tables/{name}"


_COUNTS = frozenset("positions ranked_first matched_first step2ck_matched_n filled_by_us_img filled_by_non_us_img".split())


def shown(column: str, cell: str, currency: str = "USD") -> str:
    """A cell with its unit, as people read it: "2 years", "48.5%", "$2,430", "2 September 2026"."""
    if cell in (UNKNOWN, NONE) or not cell[:1].isdigit():
        return cell.replace(";", ", ") if column == "visas_listed" else cell
    if "_years" in column and cell.isdigit():
        return f"{cell} year" if cell == "1" else f"{cell} years"
    if column.endswith("_pct"):
        return f"{cell}%"
    if column == "amount":
        return re.sub(r"\d+(?:\.\d+)?", lambda match: money(match.group(), currency), cell)
    if column in _COUNTS:
        return f"{int(cell):,}"
    return day_in_words(cell) if column == "date" else cell


def day_in_words(date: str) -> str:
    """ "2026-09-02" as "2 September 2026", "2026-09" as "September 2026"."""
    year, *rest = date.split("-")
    return " ".join([*(str(int(day)) for day in rest[1:]), *(month_name[int(month)] for month in rest[:1]), year])


def money(amount: str, currency: str = "USD") -> str:
    whole, _, part = amount.partition(".")
    text = f"{int(whole):,}" + (f".{part:0<2}" if part.strip("0") else "")
    return f"${text}" if currency == "USD" else f"{text} {currency}"


@dataclass(frozen=True, slots=True)
class TableRow(Generic[Cell]):
    """A row as it lies in the index. `chunk.cells` are the cells as written, `chunk.spans` a statement of each, in the same order."""

    chunk: Chunk
    cells: Cell

    @property
    def key(self) -> str:
        return self.chunk.anchor

    @property
    def name(self) -> str:
        return self.chunk.heading[-1]

    @property
    def as_of(self) -> str:
        return self.chunk.as_of

    def raw(self, column: str) -> str:
        return self.chunk.cells[column]

    def known(self, column: str) -> bool:
        return self.raw(column) not in (UNKNOWN, NONE)

    def shown(self, column: str) -> str:
        return shown(column, self.raw(column), self.chunk.cells.get("currency", "USD"))

    def evidence(self, column: str) -> Evidence:
        """The statement of a cell, to be cited."""
        return Evidence(self.chunk, list(self.chunk.cells).index(column), 1.0)

    def says(self, column: str) -> str:
        return self.evidence(column).quote


@dataclass(slots=True)
class Tables:
    """All rows of an index version."""

    chunks: Sequence[Chunk]
    terms: Terms
    weights: Path = ROOT / "knowledge" / "data" / "weights.yaml"  # how much each wish counts in the program finder
    _read: dict[str, list[TableRow[Any]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.chunks)

    def rows(self, name: str, model: type[Cell]) -> list[TableRow[Cell]]:
        """The rows of a table, in its order; none where the index lacks it."""
        if name not in self._read:
            ident = document_id(name)
            own = sorted((c for c in self.chunks if c.document_id == ident), key=lambda c: c.position)
            self._read[name] = [TableRow(c, model.model_validate(c.cells)) for c in own]
        return self._read[name]

    @property
    def states(self) -> list[TableRow[StateRow]]:
        return self.rows("states", StateRow)

    @property
    def specialties(self) -> list[TableRow[SpecialtyRow]]:
        return self.rows("specialties", SpecialtyRow)

    @property
    def programs(self) -> list[TableRow[ProgramRow]]:
        return self.rows("programs", ProgramRow)

    @property
    def fees(self) -> list[TableRow[FeeRow]]:
        return self.rows("fees", FeeRow)

    @property
    def calendar(self) -> list[TableRow[CalendarRow]]:
        return self.rows("calendar", CalendarRow)

    @property
    def visas(self) -> list[TableRow[VisaRow]]:
        return self.rows("visas", VisaRow)

    @property
    def rules(self) -> list[TableRow[RuleRow]]:
        return self.rows("rules", RuleRow)

    @property
    def tasks(self) -> list[TableRow[TaskRow]]:
        return self.rows("tasks", TaskRow)

    def rule(self, name: str) -> TableRow[RuleRow] | None:
        return next((row for row in self.rules if row.cells.rule == name), None)

    def state(self, name: str) -> TableRow[StateRow]:
        """
        Raises:
            InputError: there is none of this name or code; tells the nearest.
        """
        wanted = _plain(name)
        for row in self.states:
            if wanted in (_plain(row.cells.state), row.cells.usps.lower()) or self.same(wanted, row.cells.state):
                return row
        raise InputError(_no_such("state", name, [row.cells.state for row in self.states]))

    def specialty(self, name: str) -> TableRow[SpecialtyRow]:
        """
        Raises:
            InputError: there is none of this name; tells the nearest.
        """
        wanted = _plain(name)
        for row in self.specialties:
            if wanted == _plain(row.cells.specialty) or self.same(wanted, row.cells.specialty):
                return row
        raise InputError(_no_such("specialty", name, [row.cells.specialty for row in self.specialties]))

    def same(self, one: str, other: str) -> bool:
        """Whether two names mean the same thing of the field: "IM" and "Internal Medicine"."""
        if _plain(one) == _plain(other):
            return True
        ids = self._entity(one)
        return bool(ids) and ids == self._entity(other)

    def _entity(self, name: str) -> frozenset[str]:
        found = self.terms.found(name) or self.terms.found(f"{name} residency")  # "IM" alone may be "I am"
        return frozenset(found.get("specialty", set()) | found.get("state", set()))


def _plain(name: str) -> str:
    return " ".join(fold(name).split())


def nearest(name: str, names: Iterable[str], most: int = 3) -> list[str]:
    """The names spelled most like `name`, best first; none where nothing is near."""
    found = process.extract(_plain(name), {other: _plain(other) for other in names}, scorer=fuzz.WRatio, limit=most, score_cutoff=60)
    return [other for _, _, other in found]


def _no_such(kind: str, name: str, names: Sequence[str]) -> str:
    near = nearest(name, names)
    hint = f"Nearest: {', '.join(near)}." if near else f"There are, for example: {', '.join(names[:3])}."
    return f"There is no {kind} '{name[:60]}' in our table. {hint}"


# Pages --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PageRow:
    """A row as its page shows it. `source` is None where nothing is known."""

    anchor: str
    text: str
    cells: dict[str, str]
    source: SourceRef | None
    as_of: str
    unsure: bool


@dataclass(frozen=True, slots=True)
class TablePage:
    name: str
    title: str
    about: str
    columns: dict[str, str]
    rows: list[PageRow]


def table_page(ident: str, title: str, meta: dict[str, Any], chunks: Iterable[Chunk]) -> TablePage:
    """A table as indexed, for its page."""
    rows = []
    for chunk in sorted((c for c in chunks if c.document_id == ident), key=lambda c: c.position):
        fact = next(iter(chunk.facts.values()), None)
        currency = chunk.cells.get("currency", "USD")
        cells = {column: shown(column, cell, currency) for column, cell in chunk.cells.items()}
        unsure = fact is not None and fact.confidence == "low"
        rows.append(PageRow(chunk.anchor, chunk.text, cells, fact.source if fact else None, chunk.as_of, unsure))
    return TablePage(ident.removeprefix(document_id("")), title, meta["summary"], meta["columns"], rows)
