"""Programs whose listings fit: hard requirements decide who is shown, wishes decide the order, published weights say how much each counts.

The same arguments give the same order, always. What a listing does not tell is shown as unknown: it shuts nobody out and earns no points.
Nobody's odds are worked out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, model_validator

from bot.errors import InputError, SettingsError
from bot.evidence import Evidence
from bot.rows import UNKNOWN, ProgramRow, TableRow, Tables, nearest
from bot.terms import read_yaml
from bot.tools.result import Input, Line, Outcome, Value, computed, plain, quoted
from bot.tools.tool import Arguments, Score, Tool

COLUMNS = {
    "program": "Program",
    "specialty": "Specialty",
    "state": "State",
    "visas_listed": "Visas listed",
    "step2ck_figure": "Step 2 CK figure named",
    "graduation_years_limit": "Years since graduation allowed",
    "us_experience": "US experience asked",
    "img_share_pct": "Share of IMGs",
    "points": "Points",
    "note": "What to know",
}
SHOWN = 15


class Wishes(Arguments):
    """What a program should offer. Each is compared with what its page, as last seen, lists."""

    specialties: list[str] = Field([], max_length=10, description="Specialties")
    states: list[str] = Field([], max_length=60, description="US states, by name or two-letter code")
    visa: Literal["J-1", "H-1B"] | None = Field(None, description="A visa that the program lists")
    step2ck: Score | None = Field(None, description="The applicant's Step 2 CK score: programs that name a higher figure do not fit")
    graduation_year: int | None = Field(None, description="Year of graduation: programs with a shorter limit do not fit")
    us_experience: bool | None = Field(None, description="Whether the applicant has US clinical experience, for programs that ask for it")


class FinderArguments(Arguments):
    must: Wishes = Field(Wishes(), description="Hard requirements: a program that is known to fail one is not shown")
    prefer: Wishes = Field(Wishes(), description="Wishes: they order what is shown")
    many_imgs: bool = Field(False, description="Prefer programs that state a share of IMGs")
    most: int = Field(SHOWN, ge=1, le=40, description="How many programs to show")

    @model_validator(mode="after")
    def _possible(self) -> FinderArguments:
        for wishes in (self.must, self.prefer):
            year = wishes.graduation_year
            if year is not None and not 1950 <= year <= 2040:
                raise ValueError(f"{year} is no possible year of graduation; give one from 1950 to 2040")
        if self.must == Wishes() and self.prefer == Wishes() and not self.many_imgs:
            raise ValueError("nothing is asked; give at least one requirement or wish, for example a specialty")
        return self


@dataclass(frozen=True, slots=True)
class Test:
    """One wish held against one program: fits, does not, or None where the listing does not tell."""

    name: str
    label: str
    fits: bool | None
    column: str


def find(arguments: FinderArguments, tables: Tables, today: dt.date) -> Outcome:
    must, prefer = _read(arguments.must, tables), _read(arguments.prefer, tables)
    weights = read_weights(tables.weights)
    judged = [(row, _tests(row, must, tables, today), _tests(row, prefer, tables, today)) for row in tables.programs]
    kept = [item for item in judged if all(test.fits is not False for test in item[1])]
    ranked = sorted(kept, key=lambda item: (-_points(item, weights, arguments), _gaps(item), item[0].cells.program.lower()))
    lines = [_line(row, must_tests, wish_tests, weights, arguments) for row, must_tests, wish_tests in ranked[: arguments.most]]
    notes = [
        "A listing is no promise: programs change their rules without notice. Ask the program before you apply. No odds are worked out.",
        "Requirements decide who is shown, wishes the order; equal points stand by name. Points: "
        + ", ".join(f"{name.replace('_', ' ')} {weight}" for name, weight in weights.items()) + ".",
        *_changes(judged),
    ]  # fmt: skip
    if len(ranked) > arguments.most:
        notes.append("There are more programs than are shown; ask for more or add a requirement.")
    return Outcome(
        title="Programs whose listings fit" if lines else "No listing fits",
        kind="table",
        columns=COLUMNS,
        lines=lines,
        notes=notes,
        unknown=_unknown([row for row, _, _ in ranked[: arguments.most]], must, prefer),
        said=[row.evidence("visas_listed") for row, _, _ in ranked[:2] if must.visa and row.known("visas_listed")],
        given=[*(str(weight) for weight in weights.values()), str(today.year), str(today.year + 1)],
    )


@lru_cache(maxsize=4)
def _weights(path: Path, changed: float) -> dict[str, int]:
    wanted = ("specialty", "state", "visa", "step2ck", "graduation_year", "us_experience", "img_share")
    try:
        data = read_yaml(path.read_bytes())
        weights = {name: data[name] for name in wanted}
        if set(data) != set(wanted) or not all(isinstance(w, int) and not isinstance(w, bool) and 0 <= w <= 100 for w in weights.values()):
            raise TypeError("each wish needs a whole number from 0 to 100")
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise SettingsError(f"The file weights.yaml cannot be read ({str(error)[:120]}). Name: {', '.join(wanted)}.") from None
    return weights


def read_weights(path: Path) -> dict[str, int]:
    """The points of each wish, read anew when the file changes.

    Raises:
        SettingsError: the file is not of the expected shape.
    """
    return _weights(path, path.stat().st_mtime if path.is_file() else 0.0)


def _read(wishes: Wishes, tables: Tables) -> Wishes:
    """With states as codes and specialties as the listings name them.

    Raises:
        InputError: there is no such state or specialty; tells the nearest.
    """
    names = sorted({row.cells.specialty for row in tables.programs})
    specialties = []
    for wanted in wishes.specialties:
        same = [name for name in names if tables.same(wanted, name)]
        if not same:
            near = nearest(wanted, names)
            hint = f"Nearest: {', '.join(near)}." if near else f"There are: {', '.join(names)}."
            raise InputError(f"No program of the specialty '{wanted[:60]}' is in our table. {hint}")
        specialties += same
    states = [tables.state(state).cells.usps for state in wishes.states]
    return wishes.model_copy(update={"specialties": specialties, "states": states})


def _tests(row: TableRow[ProgramRow], wishes: Wishes, tables: Tables, today: dt.date) -> list[Test]:
    cells, tests = row.cells, []
    if wishes.specialties:
        tests.append(Test("specialty", cells.specialty, cells.specialty in wishes.specialties, "specialty"))
    if wishes.states:
        tests.append(Test("state", cells.state, cells.state in wishes.states, "state"))
    if wishes.visa:
        listed = cells.visas_listed
        tests.append(Test("visa", wishes.visa, None if listed is None else wishes.visa in listed, "visas_listed"))
    if wishes.step2ck:
        figure = cells.step2ck_figure
        tests.append(Test("step2ck", f"Step 2 CK {wishes.step2ck}", None if figure is None else wishes.step2ck >= figure, "step2ck_figure"))
    if wishes.graduation_year:
        limit, years = cells.graduation_years_limit, _years_since(wishes.graduation_year, today)
        fits = None if limit is None else years <= limit
        tests.append(Test("graduation_year", f"graduation in {wishes.graduation_year}", fits, "graduation_years_limit"))
    if wishes.us_experience is not None:
        asks = None if cells.us_experience == UNKNOWN else cells.us_experience.startswith("yes")
        tests.append(Test("us_experience", "US experience", None if asks is None else wishes.us_experience or not asks, "us_experience"))
    return tests


def _years_since(graduation: int, today: dt.date) -> int:
    """Counted to the start of residency that can be applied for now: July of the next year from July on, else of this year."""
    return today.year + (today.month >= 7) - graduation


Judged = tuple[TableRow[ProgramRow], list[Test], list[Test]]


def _counted(item: Judged, weights: dict[str, int], arguments: FinderArguments) -> list[tuple[str, int]]:
    """The wishes met, with their points. A requirement that the listing confirms counts like a wish; one it leaves open does not."""
    row, must_tests, wish_tests = item
    met = {test.name: weights[test.name] for test in (*must_tests, *wish_tests) if test.fits}
    if arguments.many_imgs and row.known("img_share_pct"):
        met["img_share"] = weights["img_share"]
    return [(name.replace("_", " "), points) for name, points in met.items() if points]


def _points(item: Judged, weights: dict[str, int], arguments: FinderArguments) -> int:
    return sum(points for _, points in _counted(item, weights, arguments))


def _gaps(item: Judged) -> int:
    return sum(test.fits is None for test in (*item[1], *item[2]))


def _line(
    row: TableRow[ProgramRow], must_tests: list[Test], wish_tests: list[Test], weights: dict[str, int], arguments: FinderArguments
) -> Line:
    counted = _counted((row, must_tests, wish_tests), weights, arguments)
    points = computed("points", *(Input(name, str(value)) for name, value in counted)) if counted else plain("none")
    cells: dict[str, Value] = {"program": plain(row.cells.program), "points": points}
    cells |= {column: quoted(row, column) for column in COLUMNS if column not in cells}
    tests = list({test.name: test for test in (*wish_tests, *must_tests)}.values())
    parts = []
    for word, wanted in (("Fits", True), ("Does not fit", False), ("Not told", None)):
        if names := [test.label for test in tests if test.fits is wanted]:
            parts.append(f"{word}: {', '.join(names)}.")
    return Line(row.key, {column: cells[column] for column in COLUMNS}, " ".join(parts), _because(row, tests))


def _because(row: TableRow[ProgramRow], tests: list[Test]) -> tuple[Evidence, ...]:
    return tuple(row.evidence(test.column) for test in tests if row.raw(test.column) not in (UNKNOWN,))


def _changes(judged: list[Judged]) -> list[str]:
    """What would change the result: for each hard requirement, programs that fail it alone."""
    notes = []
    labels = {test.name: test.label for _, tests, _ in judged for test in tests}
    for name in labels:
        alone = [row.cells.program for row, tests, _ in judged if [test.name for test in tests if test.fits is False] == [name]]
        if alone:
            more = " and others" if len(alone) > 3 else ""
            what = name.replace("_", " ").replace("step2ck", "Step 2 CK score")
            notes.append(f"Without the requirement on {what} these would be added: {', '.join(sorted(alone)[:3])}{more}.")
    return notes


def _unknown(rows: list[TableRow[ProgramRow]], must: Wishes, prefer: Wishes) -> list[str]:
    asked: dict[str, Callable[[Wishes], object]] = {
        "visas_listed": lambda w: w.visa, "step2ck_figure": lambda w: w.step2ck, "graduation_years_limit": lambda w: w.graduation_year,
        "us_experience": lambda w: w.us_experience is not None,
    }  # fmt: skip
    return [
        f"{row.cells.program}: {COLUMNS[column]}"
        for column, wanted in asked.items() if wanted(must) or wanted(prefer)
        for row in rows if row.raw(column) == UNKNOWN
    ][:20]  # fmt: skip


TOOL = Tool(
    "program_finder",
    "Programs whose listings fit",
    "Finds residency programs by what their pages list for IMGs: specialty, state, visa, Step 2 CK figure, years since graduation, US "
    "experience. Hard requirements and wishes are kept apart; the order is the same for the same input; unknown is shown as unknown.",
    FinderArguments,
    find,
)
