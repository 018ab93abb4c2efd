"""The charts of the guides: which there are, and the numbers of the tables that they draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bot import charts
from bot.answer import SourceRef
from ingest.registry import Registry
from ingest.tables import Row, SpecialtyRow, StateRow


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart with everything that says the same in words. `columns` and `rows` are the table beside it."""

    name: str
    title: str
    about: str
    """Who is counted, of whom, when, and what a gap means"""
    svg: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    sources: list[SourceRef]
    dates: tuple[str, ...]
    """The oldest and the newest date of what is drawn; one where they are the same, none where no date is known"""
    undated: bool
    """Some of what is drawn has no date"""

    @property
    def width(self) -> int:
        return charts.size(self.svg)[0]

    @property
    def height(self) -> int:
        return charts.size(self.svg)[1]


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    table: str
    draw: Callable[[list[Row], Registry, str], Drawn | None]


def draw(name: str, rows: Iterable[Row], registry: Registry) -> Drawn | None:
    """A chart of `CHARTS` from the rows of all tables; None when its table holds nothing for it."""
    chart = CHARTS[name]
    own = [row for row in rows if row.file == f"data/{chart.table}"]
    return chart.draw(own, registry, chart.title) if own else None


def _sources(rows: Iterable[Row], registry: Registry) -> list[SourceRef]:
    """The sources of the rows, one for each publisher and address, official ones first."""
    found: dict[tuple[str, str | None], SourceRef] = {}
    for row in rows:
        fact = registry.fact(row.cells.source)
        if fact is not None:
            found.setdefault((fact.source.publisher or fact.source.title, fact.source.url), fact.source)
    return sorted(found.values(), key=lambda source: (source.tier != "primary", source.publisher or source.title, source.title))


def _dates(rows: Iterable[Row]) -> tuple[tuple[str, ...], bool]:
    dates = {row.cells.as_of for row in rows}
    known = sorted(dates - {"unknown"})
    return tuple(dict.fromkeys((known[0], known[-1]))) if known else (), "unknown" in dates


# Specialties --------------------------------------------------------------------------------------------------------------


def _match_rates(rows: list[Row], registry: Registry, title: str) -> Drawn | None:
    cells = [(row, row.cells) for row in rows if isinstance(row.cells, SpecialtyRow)]
    known = sorted([pair for pair in cells if pair[1].match_rate_pct is not None], key=lambda pair: -(pair[1].match_rate_pct or 0))
    unknown = sorted([pair for pair in cells if pair[1].match_rate_pct is None], key=lambda pair: pair[1].specialty)
    if not known:
        return None
    about = _definitions(f"{cell.match_rate_definition}" for _, cell in known)
    about += f" Not known for: {', '.join(cell.specialty for _, cell in unknown)}." if unknown else ""
    svg = charts.bars(
        [(cell.specialty, cell.match_rate_pct) for _, cell in known + unknown], title=title, description=about, unit="%"
    )
    table = [
        (cell.specialty, _cell(cell.match_rate_pct, "%"), _cell(cell.matched_first), _cell(cell.ranked_first), _cell(cell.year))
        if cell.match_rate_pct is not None
        else (cell.specialty, "unknown", "unknown", "unknown", "unknown")
        for _, cell in known + unknown
    ]
    used = [row for row, _ in known]
    columns = ("Specialty", "Match rate", "Matched", "Ranked it first", "Match year")
    return Drawn("match-rates", title, about, svg, columns, table, _sources(used, registry), *_dates(used))


def _scores(rows: list[Row], registry: Registry, title: str) -> Drawn | None:
    cells = [(row, row.cells) for row in rows if isinstance(row.cells, SpecialtyRow)]
    some = [pair for pair in cells if pair[1].step2ck_median_matched or pair[1].step2ck_median_unmatched]
    some.sort(key=lambda pair: (pair[1].step2ck_median_matched is None, pair[1].step2ck_median_matched or 0, pair[1].specialty))
    if not some:
        return None
    years = sorted({str(cell.year) for _, cell in some if cell.year})
    without = sorted(cell.specialty for _, cell in cells if not (cell.step2ck_median_matched or cell.step2ck_median_unmatched))
    about = (
        "Median Step 2 CK score of non-US IMGs who matched to the specialty that they ranked first, and of those who did not, in the "
        f"Match of {', '.join(years)}; only applicants who shared their score are counted. Half of each group scored above its median and "
        "half below."
    )
    about += f" No median is known for: {', '.join(without)}." if without else ""
    values = [value for _, cell in some for value in (cell.step2ck_median_matched, cell.step2ck_median_unmatched) if value]
    svg = charts.dots(
        [cell.specialty for _, cell in some],
        {"Matched": [cell.step2ck_median_matched for _, cell in some], "Not matched": [cell.step2ck_median_unmatched for _, cell in some]},
        title=title, description=about, span=(min(values) // 5 * 5 - 5, max(values) // 5 * 5 + 5),
    )  # fmt: skip
    table = [
        (cell.specialty, _cell(cell.step2ck_median_matched), _cell(cell.step2ck_median_unmatched), _cell(cell.step2ck_matched_n))
        for _, cell in some
    ]
    used = [row for row, _ in some]
    columns = ("Specialty", "Median, matched", "Median, not matched", "Matched with a score")
    return Drawn("step2ck-scores", title, about, svg, columns, table, _sources(used, registry), *_dates(used))


def _definitions(texts: Iterable[str]) -> str:
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in dict.fromkeys(texts))


def _cell(value: float | str | None, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:g}{unit}" if isinstance(value, float) else f"{value}{unit}"


# States -------------------------------------------------------------------------------------------------------------------

_GRID = """
AK .. .. .. .. .. .. .. .. .. ME
.. .. .. .. .. .. .. .. .. VT NH
WA ID MT ND MN IL WI MI NY RI MA
OR NV WY SD IA IN OH PA NJ CT ..
CA UT CO NE MO KY WV VA MD DE ..
.. AZ NM KS AR TN NC SC DC .. ..
.. .. .. OK LA MS AL GA .. .. ..
HI .. .. TX .. .. .. .. FL .. PR
GU AS MP .. .. .. .. .. .. .. VI
"""
PLACES = {
    code: (column, row) for row, line in enumerate(_GRID.split("\n")[1:-1]) for column, code in enumerate(line.split()) if code != ".."
}
"""Column and row of each state and territory on a map of equal squares, roughly where it lies."""
PATHWAYS = {
    "enacted": ("Law enacted", "✓"),
    "rules-pending": ("Law enacted, rules pending", "…"),
    "pending-bill": ("Bill proposed", "bill"),
    "other": ("Other or older route", "other"),
    "none found": ("None found", "–"),
}
"""What the table says, how a chart says it, and the sign beside the color."""


def _pathways(rows: list[Row], registry: Registry, title: str) -> Drawn | None:
    cells = [(row, row.cells) for row in rows if isinstance(row.cells, StateRow)]
    about = (
        "What our sources say about a route to a license without a residency in the US, for each state, the District of Columbia and the "
        "territories that we hold. A law that is enacted may not be open yet. “None found” means that the lists we read did not name the "
        "state, not that there is no route. Ask the medical board."
    )
    squares = [charts.Tile(cell.usps, cell.state, *PLACES[cell.usps], _pathway(cell.pathway)) for _, cell in cells if cell.usps in PLACES]
    if not squares:
        return None
    svg = charts.tiles(squares, dict(PATHWAYS.values()), title=title, description=about)
    table = [
        (cell.state, _pathway(cell.pathway) or "Unknown", cell.pathway_law, cell.pathway_effective, cell.as_of)
        for _, cell in sorted(cells, key=lambda pair: pair[1].state)
    ]
    used = [row for row, _ in cells]
    columns = ("State or territory", "Route", "Law or bill", "In effect", "As of")
    return Drawn("pathway-states", title, about, svg, columns, table, _sources(used, registry), *_dates(used))


def _pathway(word: str) -> str | None:
    return PATHWAYS[word][0] if word in PATHWAYS else None


CHARTS = {
    "match-rates": Chart("Match rate of non-US IMGs by specialty", "specialties.csv", _match_rates),
    "step2ck-scores": Chart("Step 2 CK: IMGs who matched and who did not", "specialties.csv", _scores),
    "pathway-states": Chart("States with a route to a license without US residency", "states.csv", _pathways),
}
"""By the name that a guide uses for it."""
