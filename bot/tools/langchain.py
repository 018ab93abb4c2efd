"""The same tools for a chat model's agent. Imported only where a model is set: LangChain is slow to load."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bot.rows import Tables
from bot.tools import TOOLS, find
from bot.tools.result import Outcome
from bot.tools.tool import Tool

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

MOST_ROWS = 12

Seen = Callable[[str, dict[str, Any], Outcome], None]
"""(tool, arguments, what it found)"""


def as_langchain(tables: Tables, today: dt.date, seen: Seen) -> list[BaseTool]:
    """Each tool with its own schema. What one finds is handed to `seen`, as evidence for whoever writes; the model gets it as text.

    A wrong call raises InputError, whose sentence tells the model what there is.
    """
    from langchain_core.tools import StructuredTool

    def made(tool: Tool) -> BaseTool:
        def look_up(**arguments: Any) -> str:
            given = _plain(arguments)
            outcome = find(tool.name, given, tables, today)
            seen(tool.name, given, outcome)
            return as_text(outcome)

        return StructuredTool.from_function(look_up, name=tool.name, description=tool.description, args_schema=tool.arguments)

    return [made(tool) for tool in TOOLS.values()] if tables else []


def _plain(value: Any) -> Any:
    """Arguments as JSON holds them: LangChain hands over the models that it has read."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def as_text(outcome: Outcome) -> str:
    """What was found, in lines; the first rows of it."""
    lines = [outcome.title, *(f"- {item.quote}" for item in outcome.said)]
    for line in outcome.lines[:MOST_ROWS]:
        cells = "; ".join(f"{outcome.columns[key]}: {value.text}" for key, value in line.cells.items() if value.text)
        lines.append(f"- {cells}" + (f" ({line.reason})" if line.reason else ""))
    return "\n".join([*lines, *outcome.notes, *(f"Unknown: {gap}" for gap in outcome.unknown)])
