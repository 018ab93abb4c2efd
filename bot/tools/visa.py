"""The visa routes of a training physician side by side, for what a profile says."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field, model_validator

from bot.evidence import Evidence
from bot.rows import UNKNOWN, TableRow, Tables, VisaRow
from bot.tools.result import Line, Outcome, Value, plain, quoted
from bot.tools.tool import Arguments, Tool

Visa = Literal["J-1", "H-1B", "O-1", "F-1 OPT", "J-2", "H-4", "Green card"]
TRAINING = ("J-1", "H-1B")


class VisaArguments(Arguments):
    visas: list[Visa] = Field([], max_length=7, description="The visas to compare; empty: those that fit what is given")
    aspects: list[str] = Field([], max_length=9, description="Aspects to say first, for example family, moonlighting, length, fees")
    visa_needed: bool | None = Field(None, description="Whether the applicant needs a visa to train")
    us_work_authorization: bool | None = Field(None, description="Whether the applicant may work in the US already")
    citizenship: str | None = Field(None, max_length=80, description="Country of citizenship")
    step3_passed: bool | None = Field(None, description="Whether Step 3 is passed")
    us_student: bool | None = Field(None, description="Whether the applicant studied in the US on an F-1")

    @model_validator(mode="after")
    def _agree(self) -> VisaArguments:
        if self.visa_needed and self.us_work_authorization:
            raise ValueError("visa_needed and us_work_authorization are both true; a person who may work in the US needs no training visa")
        return self


def find(arguments: VisaArguments, tables: Tables, today: dt.date) -> Outcome:
    visas = arguments.visas or _fitting(arguments)
    by_visa = {visa: [row for row in tables.visas if row.cells.visa == visa] for visa in dict.fromkeys(visas)}
    aspects = dict.fromkeys(row.cells.aspect for rows in by_visa.values() for row in rows)
    said = tuple(arguments.aspects) or (("exams", "two-year rule") if set(by_visa) <= set(TRAINING) else ("sponsor",))
    notes = ["This compares general rules. For your own case ask an immigration attorney or the GME office of the hospital."]
    unknown = [f"{row.cells.visa}: {row.cells.aspect}" for rows in by_visa.values() for row in rows if row.raw("says") == UNKNOWN]
    if arguments.citizenship:
        notes.append(
            f"Whether a travel or visa limit names {arguments.citizenship} is not in this table; the guides on visas tell what is held."
        )
    return Outcome(
        title="Visa routes for residency: " + ", ".join(by_visa),
        kind="table",
        columns={"visa": "Visa"} | {_key(aspect): aspect[:1].upper() + aspect[1:] for aspect in aspects},
        lines=[_line(visa, rows, list(aspects), arguments) for visa, rows in by_visa.items()],
        notes=notes,
        unknown=unknown,
        said=[row.evidence("says") for rows in by_visa.values() for row in rows if row.known("says") and row.cells.aspect in said],
        given=list(aspects),
    )


def _fitting(arguments: VisaArguments) -> list[str]:
    if arguments.us_work_authorization or arguments.visa_needed is False:
        return ["Green card"]
    return [*TRAINING, *(["F-1 OPT"] if arguments.us_student else [])]


def _key(aspect: str) -> str:
    return aspect.replace(" ", "_").replace("-", "_")


def _line(visa: str, rows: list[TableRow[VisaRow]], aspects: list[str], arguments: VisaArguments) -> Line:
    there = {row.cells.aspect: row for row in rows}
    cells: dict[str, Value] = {"visa": plain(visa)}
    cells |= {_key(aspect): quoted(there[aspect], "says") if aspect in there else plain(UNKNOWN) for aspect in aspects}
    reason = ""
    because: tuple[Evidence, ...] = ()
    if visa == "H-1B" and "exams" in there and arguments.step3_passed is not None:
        have = arguments.step3_passed
        reason = "You have passed Step 3, which it asks for." if have else "It asks for Step 3, which you have not passed."
        because = (there["exams"].evidence("says"),)
    elif visa == "Green card" and "sponsor" in there:
        reason, because = "You need no training visa, as you said.", (there["sponsor"].evidence("says"),)
    return Line(_key(visa).lower(), cells, reason, because)


TOOL = Tool(
    "visa_routes",
    "Visa routes compared",
    "Compares the visas of residents (sponsor, exams, length, moonlighting, two-year rule, family, fees, travel limits) for what an "
    "applicant has said about themselves.",
    VisaArguments,
    find,
)
