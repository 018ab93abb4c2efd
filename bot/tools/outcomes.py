"""How non-US IMGs fared in a specialty, and where a score lies beside theirs. Never anyone's chance of matching."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from bot.rows import UNKNOWN, SpecialtyRow, TableRow, Tables
from bot.tools.result import Input, Line, Outcome, Value, computed, plain, quoted
from bot.tools.tool import Arguments, Score, Tool

MARKS = {
    "step2ck_mean_matched": "mean of the matched",
    "step2ck_median_matched": "median of the matched",
    "step2ck_mean_unmatched": "mean of those not matched",
    "step2ck_median_unmatched": "median of those not matched",
}
NO_CHANCE = "Where a score lies beside those of other people decides nothing about yours. No chance of matching is estimated."
DEFINED = "Matched means matched to the specialty that was ranked first. Only people who let their scores be used are counted."


class OutcomesArguments(Arguments):
    specialties: list[str] = Field(min_length=1, max_length=6, description="One to six specialties, for example Internal Medicine")
    step2ck: Score | None = Field(None, description="The applicant's Step 2 CK score, up to 300")
    aspects: list[str] = Field([], max_length=6, description="Columns of the table to say first, for example publications_median_matched")
    population: Literal["non-US IMG", "US IMG"] = Field("non-US IMG", description="Citizenship group; figures are held for non-US IMGs")


def find(arguments: OutcomesArguments, tables: Tables, today: dt.date) -> Outcome:
    rows = list({row.key: row for row in map(tables.specialty, arguments.specialties)}.values())
    score = arguments.step2ck
    columns = {"specialty": "Specialty", "year": "Match", "population": "Who is counted"}
    if score is not None:
        columns["position"] = "Where the score lies"
    columns |= {
        "step2ck_mean_matched": "Mean Step 2 CK, matched",
        "step2ck_median_matched": "Median Step 2 CK, matched",
        "step2ck_mean_unmatched": "Mean Step 2 CK, not matched",
        "step2ck_median_unmatched": "Median Step 2 CK, not matched",
        "step2ck_matched_n": "Matched people counted",
    }
    if score is None:
        columns |= {
            "ranked_first": "Ranked it first",
            "matched_first": "Of them matched to it",
            "match_rate_pct": "Share",
            "ranks_median_matched": "Median programs ranked, matched",
            "publications_median_matched": "Median publications, matched",
            "publications_median_unmatched": "Median publications, not matched",
            "filled_by_non_us_img": "Positions filled by non-US IMGs",
            "fill_year": "Year of the fill counts",
        }
    columns["note"] = "What to know"
    unknown = [f"{row.cells.specialty}: Step 2 CK scores of non-US IMGs" for row in rows if not any(row.known(c) for c in MARKS)]
    notes = [DEFINED, NO_CHANCE]
    if arguments.population == "US IMG":
        unknown.append("Step 2 CK scores of US IMGs by specialty")
        notes.insert(0, "These figures are of non-US IMGs; figures of US IMGs are not held.")
    said = [c for c in arguments.aspects if rows and c in rows[0].chunk.cells] or ["step2ck_mean_matched", "step2ck_mean_unmatched"]
    return Outcome(
        title=_title(rows, score),
        kind="numbers" if len(rows) == 1 else "table",
        columns=columns,
        lines=[_line(row, columns, score) for row in rows],
        notes=notes,
        unknown=unknown,
        said=[row.evidence(c) for row in rows for c in said if row.known(c)],
    )


def _title(rows: list[TableRow[SpecialtyRow]], score: int | None) -> str:
    names = ", ".join(row.cells.specialty for row in rows)
    return f"Step 2 CK {score} beside non-US IMGs: {names}" if score is not None else f"Non-US IMGs in the Match: {names}"


def _line(row: TableRow[SpecialtyRow], columns: dict[str, str], score: int | None) -> Line:
    cells = {"specialty": plain(row.cells.specialty), "year": plain(row.shown("year")), "population": plain("non-US IMGs")}
    if score is not None:
        cells["position"] = _position(row, score)
    for column in columns:
        if column not in cells:
            cells[column] = quoted(row, column)
    return Line(row.key, {column: cells[column] for column in columns})


def _position(row: TableRow[SpecialtyRow], score: int) -> Value:
    marks = [Input(name, row.raw(column), row.evidence(column)) for column, name in MARKS.items() if row.known(column)]
    return computed("position", Input("score", str(score)), *marks) if marks else plain(UNKNOWN)


TOOL = Tool(
    "specialty_outcomes",
    "Specialties in the Match",
    "For one or several specialties: Step 2 CK means and medians of matched and unmatched non-US IMGs, and, given a score, where it lies "
    "between them. Says the population, the year and the definition; never a chance of matching.",
    OutcomesArguments,
    find,
)
