"""What the tools found, as Slack's table blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from bot.answer import ToolResult
from web.slack.parts import Block, context
from web.slack.words import mrkdwn, plain, say, shortened

MOST_COLUMNS, MOST_ROWS, MOST_TABLE = 20, 100, 10_000
FOLD_ROWS = 8
"""Rows of a table shown in an answer; the others are a click away."""
_CELL = 300


def tables(result: ToolResult, language: str, rows: int, most_size: int) -> Iterator[Block]:
    """The result's rows as table blocks, each within Slack's limits."""
    reasons = any(row.reason for row in result.rows)
    columns = result.columns[: MOST_COLUMNS - 1 - reasons]
    head = [*(column.label for column in columns), *(["Why"] if reasons else []), say("sourcesColumn", language)]
    lines = []
    for row in result.rows[:rows]:
        cells = [say("unknown", language) if (cell := row.cells.get(c.key, "")) == "unknown" else cell for c in columns]
        lines.append([*cells, *([row.reason or ""] if reasons else []), " ".join(f"[{n}]" for n in row.citations[:8])])
    if not lines or not columns:
        return
    most_cell = max(12, min(_CELL, most_size // (2 * len(head)) - 40))
    top = [_cell(text, most_cell) for text in head]
    page = [top]
    for line in lines:
        made = [_cell(text, most_cell) for text in line]
        if len(page) > 1 and (len(page) == MOST_ROWS or _bytes([*page, made]) > most_size or _letters([*page, made]) > MOST_TABLE):
            yield _as_table(page)
            page = [top]
        page.append(made)
    yield _as_table(page)


def _cell(text: str, most: int) -> Block:
    return {"type": "raw_text", "text": shortened(plain(text).strip(), most) or "–"}


def _bytes(rows: list[list[Block]]) -> int:
    return len(json.dumps(rows, ensure_ascii=False).encode(errors="replace"))


def _letters(rows: Iterable[Iterable[Block]]) -> int:
    return sum(len(cell["text"]) for row in rows for cell in row)


def _as_table(rows: list[list[Block]]) -> Block:
    return {"type": "table", "rows": rows, "column_settings": [{"is_wrapped": True} for _ in rows[0]]}


def notes(result: ToolResult, language: str) -> list[Block]:
    said = [f"= {row.cells[item.key]}: {item.formula}" for row in result.rows[:FOLD_ROWS] for item in row.computed][:3]
    said += result.notes[:3]
    if result.unknown:
        said.append(f"{say('unknown', language)}: {'; '.join(result.unknown)}")
    return [context("\n".join(mrkdwn(shortened(plain(text), 300)) for text in said))] if said else []
