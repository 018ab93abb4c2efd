"""The parts that Slack's blocks are made of, each held within its limit."""

from __future__ import annotations

from typing import Any

from web.slack.words import plain, shortened

Block = dict[str, Any]

MOST_TEXT = 3000
MOST_BUTTON, MOST_VALUE = 75, 2000
MOST_OPTION, MOST_OPTION_VALUE = 75, 150


def run(said: str, *, bold: bool = False, italic: bool = False) -> Block:
    """A stretch of rich text."""
    style = {name: True for name, on in (("bold", bold), ("italic", italic)) if on}
    return {"type": "text", "text": said or " ", **({"style": style} if style else {})}


def rich(elements: list[Block]) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}


def context(*texts: str) -> Block:
    """Small print; the texts are mrkdwn already."""
    return {"type": "context", "elements": [mrkdwn_object(said) for said in texts[:10]]}


def mrkdwn_object(said: str) -> Block:
    """`verbatim`: nothing in it becomes a link or a mention by itself."""
    return {"type": "mrkdwn", "text": said[:MOST_TEXT], "verbatim": True}


def section(said: str, **more: Any) -> Block:
    return {"type": "section", "text": mrkdwn_object(said), **more}


def button(action: str, said: str, value: str, style: str | None = None, **more: Any) -> Block:
    return {
        "type": "button", "action_id": action, "text": {"type": "plain_text", "text": shortened(plain(said).strip(), MOST_BUTTON) or "…"},
        "value": value, **({"style": style} if style else {}), **more,
    }  # fmt: skip


def plain_text(said: str, most: int = MOST_BUTTON) -> Block:
    return {"type": "plain_text", "text": shortened(plain(said).strip(), most) or "…"}


def option(said: str, value: str) -> Block:
    return {"text": plain_text(said, MOST_OPTION), "value": value[:MOST_OPTION_VALUE]}


def quote(said: str) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": [run(plain(said).strip() or "…")]}]}


def actions(*elements: Block) -> Block:
    return {"type": "actions", "elements": list(elements)}


def header(said: str) -> Block:
    return {"type": "header", "text": plain_text(said, 150)}


DIVIDER: Block = {"type": "divider"}


def text_input(
    name: str, label: str, *, value: str = "", multiline: bool = False, most: int = 3000, optional: bool = True, hint: str = "", **more: Any
) -> Block:
    filled = {"initial_value": value[:most]} if value else {}
    element = {"type": "plain_text_input", "action_id": name, "multiline": multiline, "max_length": most, **filled, **more}
    made = {"type": "input", "block_id": name, "optional": optional, "label": plain_text(label, 200), "element": element}
    return {**made, **({"hint": plain_text(hint, 300)} if hint else {})}
