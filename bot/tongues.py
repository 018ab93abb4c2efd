"""Questions in other languages with their English twins: how well the bridge reads them, measured by what is found and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from bot.answer import Question
from bot.golden import GoldenQuestion, read_entries

if TYPE_CHECKING:
    from bot.advisor import Advisor


class Twin(BaseModel):
    """`asks` in the language, `english` the same; the sections that answer are those of the golden questions whose ids `like` names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    asks: str = Field(min_length=3)
    english: str = Field(min_length=3)
    like: list[str] = Field(min_length=1)
    held: bool = False


def read_twins(folder: Path) -> dict[str, list[Twin]]:
    """By language; a language is a file.

    Raises:
        DocumentError: a file is not of the expected shape.
    """
    result = {}
    for path in sorted(folder.glob("*.yaml")):
        result[path.stem] = read_entries(path, Twin)
    return result


async def measure_twins(
    advisor: Advisor, twins: Mapping[str, Sequence[Twin]], golden: Mapping[str, GoldenQuestion], declined: frozenset[str], k: int = 5,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> dict[str, Any]:  # fmt: skip
    """Recall@k of each question and of its twin, and the share of questions that are answered, in the language they were asked in.

    Returns: {"all": measures, "held_out": measures, "languages": {code: {**measures, "held_out": measures}}, "lost": [questions whose twin
    found the section and they did not]}, measures being {"questions", "recall@5", "twin recall@5", "answered", "told"}.
    """
    rows: list[tuple[str, bool, bool, bool, bool, bool]] = []
    lost: list[str] = []
    asked = [(code, twin) for code, members in twins.items() for twin in members]
    for number, (code, twin) in enumerate(asked, 1):
        places = {place for ident in twin.like for place in golden[ident].places}
        found, best = [
            any(f"{p.document_id}#{p.chunk.anchor}" in places for p in await advisor.search(text, k=k))
            for text in (twin.asks, twin.english)
        ]
        answer = await advisor.answer(Question(text=twin.asks))
        rows.append((code, twin.held, found, best, answer.status not in declined, answer.language == code))
        if best and not found:
            lost.append(f"{code}: {twin.asks}")
        progress("Languages", number, len(asked))
    return {
        "all": _shares(rows), "held_out": _shares([row for row in rows if row[1]]),
        "languages": {
            code: {**_shares([r for r in rows if r[0] == code]), "held_out": _shares([r for r in rows if r[0] == code and r[1]])}
            for code in twins
        },
        "lost": lost,
    }  # fmt: skip


def _shares(rows: Sequence[tuple[str, bool, bool, bool, bool, bool]]) -> dict[str, Any]:
    count = max(len(rows), 1)
    names = ("recall@5", "twin recall@5", "answered", "told")
    return {"questions": len(rows), **{name: round(sum(bool(row[i]) for row in rows) / count, 4) for i, name in enumerate(names, 2)}}


def twins_table(found: Mapping[str, Any]) -> list[str]:
    """Lines of text: one a language, with what was held out in brackets."""
    lines = [f"Languages: {found['all']['questions']} questions, of them held out {found['held_out']['questions']} (in brackets)"]
    lines.append("  " + "".ljust(10) + "questions   recall@5          English twin      answered          language told")
    for code, some in (*found["languages"].items(), ("all", {**found["all"], "held_out": found["held_out"]})):
        held = some["held_out"]
        cells = "".join(f"{some[n]:.3f} ({held[n]:.3f})".ljust(18) for n in ("recall@5", "twin recall@5", "answered", "told"))
        lines.append(f"  {code.ljust(10)}{str(some['questions']).ljust(12)}{cells}".rstrip())
    return lines
