"""Results of tools in the terminal: read from the command line, printed as tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot.answer import Citation, ToolResult
from bot.errors import InputError


def read_arguments(schema: dict[str, Any], words: Sequence[str], text: str | None) -> dict[str, Any]:
    """`--states Texas --states Ohio --must.visa H-1B`, or the JSON of `--arguments`, as a tool's arguments.

    Raises:
        InputError: neither, or both.
    """
    if text is not None:
        if words:
            raise InputError("Give the arguments either as --arguments JSON or one by one, not both.")
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"--arguments is not valid JSON ({error.msg}, character {error.pos + 1}).") from None
        if not isinstance(found, dict):
            raise InputError("--arguments must be a JSON object, for example '{\"states\": [\"Texas\"]}'.")
        return found
    result: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise InputError(f"'{word[:40]}' is no argument of a tool. Write --NAME VALUE; see: img-advisor tool --list")
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not rest:
                raise InputError(f"'{word[:40]}' needs a value after it.")
            value = rest.pop(0)
        _put(result, schema, schema, name.replace("-", "_").split("."), value)
    return result


def _put(result: dict[str, Any], schema: dict[str, Any], whole: dict[str, Any], path: list[str], value: str) -> None:
    field = _resolved(schema.get("properties", {}).get(path[0], {}), whole)
    if len(path) > 1:
        inner = result.setdefault(path[0], {})
        _put(inner if isinstance(inner, dict) else {}, field, whole, path[1:], value)
    elif field.get("type") == "array":
        result.setdefault(path[0], []).append(_value(value, _resolved(field.get("items", {}), whole)))
    else:
        result[path[0]] = _value(value, field)


def _resolved(field: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """A field of a JSON schema behind its reference, or the one that is not null."""
    for option in field.get("anyOf", []):
        if option.get("type") != "null":
            field = {**field, **option}
    found: dict[str, Any] = field
    for name in str(field.get("$ref", "")).split("/")[-1:]:
        found = whole.get("$defs", {}).get(name, field) if name else field
    return found


def _value(text: str, field: dict[str, Any]) -> Any:
    if field.get("type") in ("integer", "number", "boolean", "object"):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text  # the tool says what is wrong with it
    return text


def print_tools(out: Console, tools: Sequence[Any]) -> None:
    for tool in tools:
        out.print(f"[bold]{escape(tool.name)}[/bold]  {escape(tool.title)}")
        out.print(f"  {escape(tool.description)}")
        schema = tool.schema()
        for name, field in schema["properties"].items():
            needed = " (needed)" if name in schema.get("required", []) else ""
            out.print(f"  --{escape(name.replace('_', '-'))}{needed}  {escape(field.get('description', ''))}")
            inner = _resolved(field, schema)
            for part, told in inner.get("properties", {}).items():
                out.print(f"    --{escape(name)}.{escape(part.replace('_', '-'))}  {escape(told.get('description', ''))}")
        out.print()


def print_result(out: Console, result: ToolResult) -> None:
    """A table on a wide terminal, one block a row where the columns would not fit."""
    out.print(f"[bold]{escape(result.title)}[/bold]")
    if len(result.columns) <= 6 or out.width >= 24 * len(result.columns):
        out.print(_table(result), soft_wrap=False)
    else:
        _blocks(out, result)
    for row in result.rows:
        for item in row.computed:
            out.print(f"= {row.cells[item.key]}: {item.formula}", markup=False)
    for note in result.notes:
        out.print(f"* {note}", markup=False)
    if result.unknown:
        out.print(f"Not known to our sources: {'; '.join(result.unknown)}", markup=False)


def _table(result: ToolResult) -> Table:
    reasons = any(row.reason for row in result.rows)
    table = Table(show_lines=True)
    for label in [*(column.label for column in result.columns), *["Why"] * reasons, "Sources"]:
        table.add_column(escape(label), overflow="fold")
    for row in result.rows:
        cells = [row.cells[column.key] for column in result.columns]
        table.add_row(*map(escape, [*cells, *[row.reason or ""] * reasons, _marks(row.citations)]))
    return table


def _blocks(out: Console, result: ToolResult) -> None:
    for row in result.rows:
        first, *others = result.columns
        out.print(f"\n[bold]{escape(row.cells[first.key])}[/bold]  {escape(_marks(row.citations))}")
        for column in others:
            if row.cells[column.key]:
                out.print(f"  {column.label}: {row.cells[column.key]}", markup=False)
        if row.reason:
            out.print(f"  {row.reason}", markup=False)


def _marks(numbers: Sequence[int]) -> str:
    return "".join(f"[{n}]" for n in numbers)


def print_citations(out: Console, citations: Sequence[Citation]) -> None:
    for citation in citations:
        source = citation.source
        date = f"as of {citation.as_of}" if citation.as_of != "unknown" else "undated"
        badges = "".join(
            f" [{badge}]" for badge, on in (("may be out of date", citation.stale), ("sources differ", citation.conflict)) if on
        )
        out.print(f"[{citation.n}] {source.publisher or 'Document'}: {source.title} ({date}){badges}", markup=False)
        if source.url:
            out.print(f"    {source.url}" if source.link == "source" else f"    To check: {source.url}", markup=False)
        if citation.guide:
            out.print(f"    Guide: {citation.guide.title} > {citation.guide.section} ({citation.guide.url})", markup=False)
