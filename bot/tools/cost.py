"""What an application plan costs, line by line, each from the table of fees; and what is missing from the sum."""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal

from pydantic import Field

from bot.errors import InputError
from bot.evidence import Evidence
from bot.rows import UNKNOWN, FeeRow, TableRow, Tables
from bot.tools.computed import ONCE
from bot.tools.result import Input, Line, Outcome, Value, computed, plain, quoted
from bot.tools.tool import Arguments, Tool

FIRST_PROGRAMS, MORE_PROGRAMS = "ERAS: each of the first 30 programs in a specialty", "ERAS: each further program in a specialty"
FIRST, INCLUDED = 30, 20
"""Programs at the first price, and program codes that NRMP's registration includes, as the items of the table say."""
NRMP, NRMP_MORE = "NRMP standard registration", "NRMP: each program code beyond 20"
Exam = Literal["Step 1", "Step 2 CK", "Step 3"]


class CostArguments(Arguments):
    programs: list[int] = Field(
        [], max_length=10, description="Number of programs applied to, one number for each specialty: the price steps start anew in each"
    )
    exams: list[Exam] = Field([], max_length=6, description="Exams still to be paid")
    exams_abroad: bool = Field(True, description="Step 1 and Step 2 CK are taken outside the US and Canada")
    certification: bool = Field(False, description="ECFMG account, application, verification, Pathway and OET are still to be paid")
    token: bool = Field(True, description="The ERAS token for IMGs and the USMLE transcript are paid")
    ranked: int | None = Field(None, ge=0, le=300, description="Program codes on the rank list; NRMP charges for those beyond 20")
    visa: Literal["none", "J-1"] = Field("none", description="Visa whose fees the applicant pays")

    def counts(self) -> list[int]:
        return [count for count in self.programs if count > 0]


def find(arguments: CostArguments, tables: Tables, today: dt.date) -> Outcome:
    if any(not 0 <= count <= 1000 for count in arguments.programs):
        raise InputError("cost_estimate: 'programs' holds a number that cannot be; give 0 to 1000 programs for each specialty.")
    plan = _Plan(tables)
    _applications(plan, arguments)
    for exam in dict.fromkeys(arguments.exams):
        abroad = arguments.exams_abroad and exam != "Step 3"
        times = arguments.exams.count(exam)
        plan.add(f"USMLE {exam}" + " outside the US and Canada" * abroad, str(times) if times > 1 else ONCE)
    if arguments.certification:
        for item in (
            "MyIntealth account with online notarization", "Application for ECFMG Certification",
            "ECFMG credential verification: diploma and final transcript", "ECFMG Pathways application",
            "OET Medicine outside the US" if arguments.exams_abroad else "OET Medicine in the US",
        ):  # fmt: skip
            plan.add(item)
    if arguments.token:
        plan.add("ERAS token for IMGs")
        plan.add("ERAS: USMLE transcript")
    if arguments.counts() or arguments.ranked is not None:
        plan.add(NRMP)
        if (arguments.ranked or 0) > INCLUDED:
            plan.add(NRMP_MORE, f"{arguments.ranked} − {INCLUDED}")
    if arguments.visa == "J-1":
        for item in ("J-1 sponsorship application at ECFMG", "SEVIS (I-901) for a J-1", "Consular application for a J-1 visa"):
            plan.add(item)
    outcome = plan.outcome()
    if len(arguments.counts()) == 1 and (whole := plan.newest(f"ERAS: {arguments.counts()[0]} programs in one specialty")):
        outcome.said.insert(0, whole.evidence("amount"))
    outcome.given = [str(arguments.exams.count(exam)) for exam in dict.fromkeys(arguments.exams)]  # as often as it is named
    return outcome


def _applications(plan: _Plan, arguments: CostArguments) -> None:
    counts = arguments.counts()
    for number, count in enumerate(counts, 1):
        which = f"-{number}" if len(counts) > 1 else ""
        plan.add(FIRST_PROGRAMS, str(min(count, FIRST)), key=f"first{which}")
        if count > FIRST:
            plan.add(MORE_PROGRAMS, f"{count} − {FIRST}", key=f"further{which}", counted_by="condition")


class _Plan:
    """The lines of an estimate, and what it lacks."""

    def __init__(self, tables: Tables) -> None:
        self._rows: dict[str, list[TableRow[FeeRow]]] = {}
        for row in tables.fees:
            self._rows.setdefault(row.cells.item, []).append(row)
        self.lines: list[Line] = []
        self.summed: list[Input] = []
        self.missing: list[str] = []
        self.said: list[Evidence] = []

    def newest(self, item: str) -> TableRow[FeeRow] | None:
        return newest(self._rows.get(item, []))

    def add(self, item: str, times: str = ONCE, key: str = "", counted_by: str = "item") -> None:
        row = self.newest(item)
        if row is None or not re.fullmatch(r"\d+(?:\.\d+)?", row.raw("amount")):
            self.missing.append(f"{item}: no amount is held")
            return
        counted = Input("number", times, row.evidence(counted_by))
        cells = {
            "item": plain(item),
            "number": plain("") if times == ONCE else Value(times, (row.evidence(counted_by),)),
            "price": quoted(row, "amount"),
            "season": quoted(row, "season"),
            "condition": quoted(row, "condition"),
        }
        if row.raw("currency") != "USD":
            cells["cost"] = quoted(row, "amount")
            self.missing.append(f"{item}: it is not in US dollars, and not in the sum")
        else:
            price = Input(item, row.shown("amount"), row.evidence("amount"))
            cells["cost"] = computed("sum of products", price, counted)
            self.summed += [price, counted]
        self.said.append(row.evidence("amount"))
        self.lines.append(Line(key or row.key, {column: cells[column] for column in COLUMNS}))

    def outcome(self) -> Outcome:
        lines = list(self.lines)
        if self.summed:
            total = computed("sum of products", *self.summed)
            empty = plain("")
            cells = {"item": plain("Sum of the lines in US dollars"), "number": empty, "price": empty, "cost": total, "season": empty}
            lines.append(Line("total", cells | {"condition": empty}))
        return Outcome(
            title="What this plan costs",
            kind="table",
            columns=COLUMNS,
            lines=lines,
            notes=[
                "The sum holds only the lines shown. Lines of different seasons stand beside each other: look at the season of each.",
                "Fees change every season. Confirm each on its owner's page before you pay.",
            ],
            unknown=[*self.missing, "Travel, living and US clinical experience", "Translations, postage and practice material"],
            said=self.said[:2],
        )


COLUMNS = {
    "item": "What is paid for",
    "number": "How many",
    "price": "Price of each",
    "cost": "Cost",
    "season": "Season",
    "condition": "Condition",
}


def newest(rows: list[TableRow[FeeRow]]) -> TableRow[FeeRow] | None:
    """The row of the latest season; one without a season only where there is no other."""

    def season(row: TableRow[FeeRow]) -> str:
        years = re.findall(r"\d{4}", row.raw("season"))
        return max(years) if years else ""

    known = [row for row in rows if row.raw("amount") != UNKNOWN]
    return max(known, key=lambda row: (season(row), row.as_of), default=None)


TOOL = Tool(
    "cost_estimate",
    "Cost of an application plan",
    "Adds up what a plan costs from the table of fees: ERAS applications by number of programs, exams, certification, token, NRMP, J-1. "
    "Each line has its source, date and season; what is not held is named and not guessed.",
    CostArguments,
    find,
)
