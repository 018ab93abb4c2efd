"""What Slack refuses: the limits of Block Kit, by its reference. The twin refuses the same, so no demo shows more than Slack would.

`mentions` and `links` read text as Slack does: they say whom a text would notify, and where its links lead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

Surface = Literal["message", "modal", "home"]
Block = dict[str, Any]

BLOCKS: dict[Surface, int] = {"message": 50, "modal": 100, "home": 100}
MESSAGE_SIZE = 13_000
"""Not documented; messages a little above it are refused as msg_blocks_too_long."""
VIEW_SIZE = 250_000
ONLY_IN_MESSAGES = {"table", "markdown", "context_actions", "task_card", "plan"}
_ACTION_ELEMENTS = {
    "button", "static_select", "users_select", "conversations_select", "channels_select", "overflow", "checkboxes", "radio_buttons",
    "datepicker", "multi_static_select", "multi_users_select",
}  # fmt: skip
_INPUTS = {
    "plain_text_input", "static_select", "multi_static_select", "checkboxes", "radio_buttons", "number_input", "users_select",
    "conversations_select", "channels_select", "multi_conversations_select", "url_text_input", "email_text_input", "datepicker",
}  # fmt: skip


def problems(blocks: Any, surface: Surface) -> list[str]:
    """What Slack would refuse, each with its place; empty when it takes them."""
    if not isinstance(blocks, list):
        return ["blocks is no list"]
    found: list[str] = []
    if len(blocks) > BLOCKS[surface]:
        found.append(f"{len(blocks)} blocks, at most {BLOCKS[surface]}")
    most = MESSAGE_SIZE if surface == "message" else VIEW_SIZE
    if (length := len(json.dumps(blocks, ensure_ascii=False))) > most:
        found.append(f"blocks hold {length} characters, at most {most}")
    tables = [block for block in blocks if isinstance(block, dict) and block.get("type") == "table"]
    if len(tables) > 1:
        found.append("more than one table")
    markdown = sum(len(str(b.get("text", ""))) for b in blocks if isinstance(b, dict) and b.get("type") == "markdown")
    if markdown > 12_000:
        found.append(f"markdown holds {markdown} characters, at most 12000")
    ids = [block["block_id"] for block in blocks if isinstance(block, dict) and block.get("block_id")]
    if len(ids) != len(set(ids)):
        found.append("a block_id is used twice")
    for at, block in enumerate(blocks):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            found.append(f"[{at}] is no block")
            continue
        place = f"[{at}] {block['type']}"
        if surface != "message" and block["type"] in ONLY_IN_MESSAGES:
            found.append(f"{place} is for messages only")
        found += [f"{place}: {problem}" for problem in _block(block, surface)]
    return found


def view_problems(view: Any) -> list[str]:
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        return ["a view is a modal or a home"]
    found = problems(view.get("blocks"), view["type"])
    found += _long(view, "private_metadata", 3000) + _long(view, "callback_id", 255) + _long(view, "external_id", 255)
    if view["type"] == "modal":
        for name in ("title", "submit", "close"):
            if name in view or name == "title":
                found += [f"{name}: {problem}" for problem in _plain(view.get(name), 24)]
        inputs = [block for block in view.get("blocks") or [] if isinstance(block, dict) and block.get("type") == "input"]
        if inputs and "submit" not in view:
            found.append("a modal with inputs needs a submit")
    return found


def _block(block: Block, surface: Surface) -> Iterator[str]:
    yield from _long(block, "block_id", 255)
    elements = block.get("elements")
    match block["type"]:
        case "divider":
            pass
        case "header":
            yield from _plain(block.get("text"), 150)
        case "section":
            if not block.get("text") and not block.get("fields"):
                yield "needs text or fields"
            if block.get("text"):
                yield from _any_text(block["text"], 3000)
            fields = block.get("fields") or []
            if len(fields) > 10:
                yield "more than 10 fields"
            for field in fields:
                yield from _any_text(field, 2000)
            if block.get("accessory"):
                yield from _element(block["accessory"])
        case "context":
            if not _between(elements, 1, 10):
                yield "1 to 10 elements"
            for element in elements or []:
                if element.get("type") != "image":
                    yield from _any_text(element, 3000)
        case "actions":
            if not _between(elements, 1, 25):
                yield "1 to 25 elements"
            ids = [element.get("action_id") for element in elements or []]
            if len(ids) != len(set(ids)):
                yield "an action_id is used twice"
            for element in elements or []:
                if element.get("type") not in _ACTION_ELEMENTS:
                    yield f"{element.get('type')} does not belong here"
                yield from _element(element)
        case "context_actions":
            if not _between(elements, 1, 5):
                yield "1 to 5 elements"
            for element in elements or []:
                if element.get("type") not in ("feedback_buttons", "icon_button"):
                    yield f"{element.get('type')} does not belong here"
                yield from _element(element)
        case "input":
            yield from _plain(block.get("label"), 2000)
            if block.get("hint"):
                yield from _plain(block["hint"], 2000)
            element = block.get("element") or {}
            if element.get("type") not in _INPUTS:
                yield f"{element.get('type')} is no input"
            yield from _element(element)
        case "rich_text":
            if not _between(elements, 1, 1000):
                yield "needs elements"
            for part in elements or []:
                yield from _rich(part)
        case "markdown":
            if not block.get("text"):
                yield "needs text"
        case "table":
            yield from _table(block)
        case "task_card":
            yield from _task(block)
        case "plan":
            if not block.get("title"):
                yield "needs a title"
            for task in block.get("tasks") or []:
                yield from _task(task)
        case other:
            yield f"there is no block '{other}'"


def _between(elements: Any, least: int, most: int) -> bool:
    return isinstance(elements, list) and least <= len(elements) <= most


def _task(task: Block) -> Iterator[str]:
    if not task.get("task_id") or not task.get("title"):
        yield "a task needs task_id and title"
    if task.get("status") not in ("pending", "in_progress", "complete", "error"):
        yield f"a task is not '{task.get('status')}'"


def _table(block: Block) -> Iterator[str]:
    rows = block.get("rows")
    if not _between(rows, 1, 100):
        yield "1 to 100 rows"
        return
    assert isinstance(rows, list)
    if any(not _between(row, 1, 20) for row in rows) or len({len(row) for row in rows}) > 1:
        yield "each row has the same 1 to 20 cells"
    if len(block.get("column_settings") or []) > 20:
        yield "more than 20 column settings"
    letters = 0
    for row in rows:
        for cell in row:
            if cell.get("type") == "raw_text":
                letters += len(cell.get("text", ""))
                if not cell.get("text"):
                    yield "an empty cell"
            elif cell.get("type") == "rich_text":
                letters += sum(len(text) for text in texts_of(cell))
                for part in cell.get("elements", []):
                    yield from _rich(part)
            else:
                yield "a cell is raw_text or rich_text"
    if letters > 10_000:
        yield f"{letters} characters, at most 10000"


def _rich(part: Block) -> Iterator[str]:
    match part.get("type"):
        case "rich_text_section" | "rich_text_quote" | "rich_text_preformatted":
            if not part.get("elements"):
                yield f"{part['type']} is empty"
            for element in part.get("elements") or []:
                kind = element.get("type")
                if kind == "text" and not element.get("text"):
                    yield "an empty text"
                if kind == "link" and not re.match(r"https?://", str(element.get("url", ""))):
                    yield "a link without an address"
                if kind not in ("text", "link", "emoji", "user", "usergroup", "channel", "broadcast", "date", "color"):
                    yield f"there is no element '{kind}'"
        case "rich_text_list":
            if part.get("style") not in ("bullet", "ordered") or not part.get("elements"):
                yield "a list has a style and elements"
            for element in part.get("elements") or []:
                yield from _rich(element)
        case other:
            yield f"there is no rich text '{other}'"


def _element(element: Block) -> Iterator[str]:
    yield from _long(element, "action_id", 255)
    match element.get("type"):
        case "button":
            yield from _plain(element.get("text"), 75)
            yield from _long(element, "value", 2000)
            yield from _long(element, "url", 3000)
            yield from _long(element, "accessibility_label", 75)
            if element.get("style") not in (None, "primary", "danger"):
                yield "a button's style is primary or danger"
        case "feedback_buttons":
            for name in ("positive_button", "negative_button"):
                half = element.get(name) or {}
                yield from _plain(half.get("text"), 75)
                yield from _long(half, "value", 2000)
                yield from _long(half, "accessibility_label", 75)
                if not half.get("value"):
                    yield f"{name} needs a value"
        case "static_select" | "multi_static_select" | "radio_buttons" | "checkboxes" | "overflow":
            kind = element["type"]
            most = {"radio_buttons": 10, "checkboxes": 10, "overflow": 5}.get(kind, 100)
            options = element.get("options") or []
            if not 1 <= len(options) <= most:
                yield f"1 to {most} options"
            for option in options:
                yield from _any_text(option.get("text"), 75)
                yield from _long(option, "value", 150)
                if option.get("description"):
                    yield from _any_text(option["description"], 75)
            values = [option.get("value") for option in options]
            initial = element.get("initial_options") or ([element["initial_option"]] if element.get("initial_option") else [])
            if any(option not in options for option in initial):
                yield "the initial option is none of the options"
            if len(values) != len(set(values)):
                yield "two options have one value"
            if element.get("placeholder"):
                yield from _plain(element["placeholder"], 150)
        case "plain_text_input":
            if element.get("placeholder"):
                yield from _plain(element["placeholder"], 150)
            yield from _long(element, "initial_value", min(3000, element.get("max_length") or 3000))
            if (element.get("max_length") or 1) > 3000:
                yield "max_length is at most 3000"
        case None:
            yield "an element without a type"


def _long(item: Block, name: str, most: int) -> list[str]:
    value = item.get(name)
    return [f"{name} has {len(value)} characters, at most {most}"] if isinstance(value, str) and len(value) > most else []


def _plain(text: Any, most: int) -> list[str]:
    if not isinstance(text, dict) or text.get("type") != "plain_text":
        return ["wants plain_text"]
    return _any_text(text, most)


def _any_text(text: Any, most: int) -> list[str]:
    if not isinstance(text, dict) or text.get("type") not in ("plain_text", "mrkdwn") or not isinstance(text.get("text"), str):
        return ["wants a text object"]
    length = len(text["text"])
    return [] if 1 <= length <= most else [f"a text has {length} characters, 1 to {most} allowed"]


# What a text does


def parts_of(blocks: Any) -> Iterator[Block]:
    """Each object inside, at any depth."""
    if isinstance(blocks, list):
        for item in blocks:
            yield from parts_of(item)
    elif isinstance(blocks, dict):
        yield blocks
        for item in blocks.values():
            yield from parts_of(item)


def texts_of(blocks: Any) -> list[str]:
    """Every text that is shown."""
    return [part["text"] for part in parts_of(blocks) if isinstance(part.get("text"), str)]


_SPECIAL = re.compile(r"<([^<>]*)>")
_MARKDOWN_LINK = re.compile(r"(?<!\\)\[(?:[^\]\\]|\\.)*\]\(([^)\s]*)\)")
_NAMED = re.compile(r"(?<![\w.\u2060])@(?:channel|here|everyone)\b", re.I)


def mentions(blocks: Any, text: str = "", markdown: str = "") -> list[str]:
    """Whom a message notifies."""
    found = [str(part) for part in parts_of(blocks) if part.get("type") in ("user", "usergroup", "channel", "broadcast")]
    marked = [text, markdown, *(part["text"] for part in parts_of(blocks) if part.get("type") in ("mrkdwn", "markdown"))]
    for said in marked:
        found += [inner for inner in _SPECIAL.findall(said) if inner[:1] in "@#!" and not inner.startswith("!date^")]
        found += _NAMED.findall(said)
    return found


def links(blocks: Any, text: str = "", markdown: str = "") -> list[str]:
    """Where its links lead."""
    found = [part["url"] for part in parts_of(blocks) if part.get("type") in ("link", "button", "url") and part.get("url")]
    marked = [text, *(part["text"] for part in parts_of(blocks) if part.get("type") == "mrkdwn")]
    for said in marked:
        found += [_unescaped(inner.split("|")[0]) for inner in _SPECIAL.findall(said) if inner[:1] not in "@#!"]
    for said in [markdown, *(part["text"] for part in parts_of(blocks) if part.get("type") == "markdown")]:
        found += [*_MARKDOWN_LINK.findall(said), *(inner for inner in _SPECIAL.findall(said) if inner[:1] not in "@#!")]
    return found


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
