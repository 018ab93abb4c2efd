"""What a tool finds, before it is numbered, and the check that stands between a result and a reader.

A cell is quoted (its figures stand in the statement of a table's row that it cites), given (the applicant's own words, or today's date) or
computed (worked out from quoted and given values by one of a few rules, and shown with them). `problems` holds a finished result to that;
a row that fails is not shown. So a figure that nobody can look up or repeat reaches nobody, as with sentences and the verifier.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.answer import Citation, Column, Computed, Given, ResultRow, ToolResult
from bot.cite import Citations
from bot.evidence import Evidence
from bot.figures import Figure, find, same
from bot.rows import NONE, UNKNOWN, TableRow
from bot.tools.computed import Rule, formula, recomputed


@dataclass(frozen=True, slots=True)
class Input:
    """A value that a computed cell rests on. Without evidence it was given."""

    name: str
    value: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A cell. `rule` and `inputs` where it is computed."""

    text: str
    evidence: tuple[Evidence, ...] = ()
    rule: Rule | None = None
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A row in the making. `because` is what the reason rests on."""

    key: str
    cells: dict[str, Value]
    reason: str = ""
    because: tuple[Evidence, ...] = ()
    after: tuple[str, ...] = ()
    date: str | None = None


@dataclass(slots=True)
class Outcome:
    """What a tool found. `said` are statements of cells that an answer may say in its text; `covers`: nothing else needs to be said."""

    title: str
    kind: Literal["table", "checklist", "cards", "numbers"]
    columns: dict[str, str]
    lines: list[Line]
    notes: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    said: list[Evidence] = field(default_factory=list)
    exports: list[Literal["md", "ics", "html"]] = field(default_factory=lambda: ["md", "html"])
    given: list[str] = field(default_factory=list)  # besides the arguments: weights that an operator set


def quoted(row: TableRow[Any], column: str) -> Value:
    """A cell as the row states it. What is unknown has nothing to cite."""
    if column == "note":
        # Notes for those who keep the table name its columns; readers see none of these.
        parts = [part.strip() for part in row.raw(column).split(";") if "_" not in part]
        return Value("; ".join(parts) or NONE, (row.evidence(column),) if parts else ())
    return Value(row.shown(column), (row.evidence(column),) if row.raw(column) != UNKNOWN else ())


def plain(text: str) -> Value:
    """A cell without a fact: a label, or what was given."""
    return Value(text)


def computed(rule: Rule, *inputs: Input) -> Value:
    text = recomputed(rule, [(item.name, item.value) for item in inputs])
    return Value(text, tuple(item.evidence for item in inputs if item.evidence is not None), rule, inputs)


def numbered(tool: str, outcome: Outcome, ref: str, citations: Citations, given: Iterable[str]) -> tuple[ToolResult, list[str]]:
    """The result with numbered citations, without the rows that fail their check; and what was wrong with those."""
    places = _cited([item for line in outcome.lines for item in _evidence(line)], citations)
    rows = [_row(line, places, citations) for line in outcome.lines]
    result = ToolResult(
        ref=ref,
        tool=tool,
        title=outcome.title,
        kind=outcome.kind,
        columns=[Column(key=key, label=label) for key, label in outcome.columns.items()],
        rows=rows,
        notes=outcome.notes,
        unknown=outcome.unknown,
        exports=outcome.exports,
    )
    wrong = problems(result, citations.all, [*given, *outcome.given])
    result.rows = [row for row in rows if row.key not in wrong]
    return result, [f"{key}: {reason}" for key, reasons in wrong.items() for reason in reasons]


def _evidence(line: Line) -> list[Evidence]:
    return [*(item for value in line.cells.values() for item in value.evidence), *line.because]


def _row(line: Line, places: dict[str, int], citations: Citations) -> ResultRow:
    numbers = list(dict.fromkeys(places[item.key] for item in _evidence(line)))
    dates = sorted(c.as_of for c in citations.get(numbers) if c.as_of != UNKNOWN)
    return ResultRow(
        key=line.key,
        cells={key: value.text for key, value in line.cells.items()},
        reason=line.reason or None,
        citations=numbers,
        as_of=dates[0] if dates else UNKNOWN,
        computed=[_computed(key, value, value.rule, places) for key, value in line.cells.items() if value.rule],
        after=list(line.after),
        date=line.date,
    )


def _cited(evidence: Sequence[Evidence], citations: Citations) -> dict[str, int]:
    """The citation of each piece of evidence, by its key. Cells that stand near each other in a row of a table are one citation."""
    result: dict[str, int] = {}
    chunks = {item.chunk.chunk_id: item.chunk for item in evidence}
    for ident, chunk in chunks.items():
        numbers = sorted({item.number for item in evidence if item.chunk.chunk_id == ident})
        cells = list(chunk.cells.values())
        starts = [n for i, n in enumerate(numbers) if i == 0 or _apart(cells[numbers[i - 1] + 1 : n])]
        for first, after in zip(starts, [*starts[1:], len(chunk.spans) + 1], strict=True):
            run = [n for n in numbers if first <= n < after]
            result |= dict.fromkeys((Evidence(chunk, n).key for n in run), citations.stretch(chunk, run[0], run[-1]))
    return result


def _apart(between: Sequence[str]) -> bool:
    return sum(cell != UNKNOWN for cell in between) > 2


def _computed(key: str, value: Value, rule: Rule, places: dict[str, int]) -> Computed:
    inputs = [
        Given(name=item.name, value=item.value, citation=places[item.evidence.key] if item.evidence else None) for item in value.inputs
    ]
    return Computed(key=key, rule=rule, formula=formula(rule, [(i.name, i.value) for i in value.inputs]), inputs=inputs)


def problems(result: ToolResult, citations: Sequence[Citation], given: Iterable[str]) -> dict[str, list[str]]:
    """By key of the row, each figure that nothing bears out. Under "" those of title, notes and gaps, which cite nothing."""
    own = [figure for text in given for figure in find(text)]
    quotes = {c.n: c.quote for c in citations}
    found = {
        row.key: [*_unquoted(row, quotes, own), *(text for c in row.computed for text in _wrong(c, row, quotes, own))]
        for row in result.rows
    }
    loose = [text for text in (result.title, *result.notes, *result.unknown, *(c.label for c in result.columns))]
    found[""] = [f"'{figure.shown}' in '{text[:60]}'" for text in loose for figure in _missing(text, own)]
    return {key: reasons for key, reasons in found.items() if reasons}


def _unquoted(row: ResultRow, quotes: dict[int, str], own: list[Figure]) -> list[str]:
    there = [*own, *(figure for n in row.citations for figure in find(quotes[n]))]
    worked_out = {c.key for c in row.computed}
    texts = {key: text for key, text in row.cells.items() if key not in worked_out} | {"reason": row.reason or "", "date": row.date or ""}
    return [f"'{figure.shown}' in {key} is in no quote" for key, text in texts.items() for figure in _missing(text, there)]


def _wrong(computed_: Computed, row: ResultRow, quotes: dict[int, str], own: list[Figure]) -> list[str]:
    pairs = [(item.name, item.value) for item in computed_.inputs]
    reasons = []
    if recomputed(computed_.rule, pairs) != row.cells[computed_.key] or formula(computed_.rule, pairs) != computed_.formula:
        reasons.append(f"{computed_.key} is not what its inputs give")
    for item in computed_.inputs:
        there = [*own, *(find(quotes[item.citation]) if item.citation in row.citations else ())]
        reasons += [f"'{figure.shown}' ({item.name}) is neither given nor quoted" for figure in _missing(item.value, there)]
    return reasons


def _missing(text: str, there: Iterable[Figure]) -> list[Figure]:
    there = list(there)
    return [f for f in find(text) if f.kind != "name" and not f.soft and not any(same(f, other) for other in there)]


def given_texts(arguments: dict[str, Any], today: str) -> list[str]:
    """What was given: each value of the arguments, and today's date."""
    return [today, today[:4], *(json.dumps(value, ensure_ascii=False).replace('"', " ") for value in _leaves(arguments))]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]
