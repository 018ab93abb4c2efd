"""License rules of one state, or of several side by side."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from bot.rows import UNKNOWN, StateRow, TableRow, Tables
from bot.tools.result import Line, Outcome, plain, quoted
from bot.tools.tool import Arguments, Tool

COLUMNS = {
    "state": "State",
    "img_training_years": "US training an IMG needs",
    "us_graduate_training_years": "US training a US graduate needs",
    "usmle_attempt_limit": "USMLE attempts allowed",
    "usmle_limit_years": "Time for all Steps",
    "compact_member": "Licensure Compact",
    "pathway": "Pathway without a US residency",
    "pathway_law": "Its law or bill",
    "pathway_effective": "In effect from",
    "note": "What to know",
}
SAID = ("img_training_years", "usmle_attempt_limit", "usmle_limit_years")
"""What an answer says in its text unless it was asked for one thing."""


class LicensureArguments(Arguments):
    states: list[str] = Field(min_length=1, max_length=6, description="One to six US states or territories, by name or two-letter code")
    aspects: list[str] = Field(
        [], description=f"What is asked, to be said first: any of {', '.join(c for c in COLUMNS if c != 'state')}; empty: the main rules"
    )


def find(arguments: LicensureArguments, tables: Tables, today: dt.date) -> Outcome:
    rows = list({row.key: row for row in map(tables.state, arguments.states)}.values())
    asked = [column for column in arguments.aspects if column in COLUMNS]
    names = ", ".join(row.cells.state for row in rows)
    said = [[row.evidence(column) for column in asked or SAID if row.known(column)] for row in rows]
    most = 3 if len(rows) == 1 else 1
    return Outcome(
        title=f"License rules for IMGs: {names}",
        kind="cards" if len(rows) == 1 else "table",
        columns=COLUMNS,
        lines=[_line(row) for row in rows],
        notes=["State boards decide and change their rules. Check the board's own page before you plan with these."],
        unknown=[f"{row.cells.state}: {label}" for row in rows for c, label in COLUMNS.items() if c != "state" and row.raw(c) == UNKNOWN],
        said=[item for some in said for item in some[:most]],
    )


def _line(row: TableRow[StateRow]) -> Line:
    cells = {"state": plain(row.cells.state)} | {column: quoted(row, column) for column in COLUMNS if column != "state"}
    return Line(row.key, cells)


TOOL = Tool(
    "licensure_lookup",
    "License rules by state",
    "What a full medical license asks of an IMG in one US state or territory, or several compared: years of US training, limits on USMLE "
    "attempts and time, Licensure Compact, pathways without a US residency.",
    LicensureArguments,
    find,
)
