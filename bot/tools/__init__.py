"""Tools: look-ups in the tables, typed and cited, the same for the command line, the API, the planner and a chat model."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bot.answer import Citation, Part, ToolResult
from bot.cite import Citations
from bot.errors import IndexMissing, InputError
from bot.rows import Tables, nearest
from bot.tools import cost, finder, licensure, outcomes, season, usmle, visa
from bot.tools.result import Outcome, given_texts, numbered
from bot.tools.tool import Tool

TOOLS = {module.TOOL.name: module.TOOL for module in (licensure, outcomes, visa, usmle, season, cost, finder)}


def tool_of(name: str) -> Tool:
    """
    Raises:
        InputError: there is no such tool.
    """
    if name not in TOOLS:
        near = nearest(name, TOOLS)
        there = f"Nearest: {', '.join(near)}." if near else f"There are: {', '.join(TOOLS)}."
        raise InputError(f"There is no tool '{name[:60]}'. {there}")
    return TOOLS[name]


def find(name: str, arguments: dict[str, Any], tables: Tables, today: dt.date) -> Outcome:
    """What a tool finds, not yet numbered.

    Raises:
        InputError: no such tool, or an argument is wrong; says what it may be. IndexMissing: the index holds no tables.
    """
    tool = tool_of(name)
    read = tool.read(arguments)
    if not tables:
        raise IndexMissing("The index holds no tables. Run: img-advisor ingest")
    return tool.find(read, tables, today)


class ToolRun(Part):
    """A result by itself, with the citations that its rows name."""

    result: ToolResult
    citations: list[Citation]
    knowledge_version: str = ""


def run(name: str, arguments: dict[str, Any], tables: Tables, today: dt.date) -> ToolRun:
    """A look-up outside an answer.

    Raises:
        as `find`.
    """
    outcome = find(name, arguments, tables, today)
    citations = Citations(today)
    result, _ = numbered(name, outcome, "r1", citations, given_texts(arguments, today.isoformat()))
    return ToolRun(result=result, citations=citations.all)
