"""What people write in Slack, as plain text."""

from __future__ import annotations

import html
import re

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
_CHANNEL = re.compile(r"<#[CG][A-Z0-9]+\|([^>]*)>")
_SPECIAL = re.compile(r"<!(?:here|channel|everyone|subteam\^[A-Z0-9]+)(?:\|[^>]*)?>")
_DATE = re.compile(r"<!date\^[^>|]*\|([^>]*)>")
_LINK = re.compile(r"<((?:https?|mailto|tel):[^|>]+)(?:\|([^>]*))?>")


def mentions(text: str, user: str) -> bool:
    return any(found[1] == user for found in _MENTION.finditer(text))


def meant_for_others(text: str, user: str) -> bool:
    """It begins by speaking to somebody else."""
    first = _MENTION.match(text.lstrip())
    return first is not None and first[1] != user


def asks(text: str) -> bool:
    """It may be a question, as far as one can tell without understanding it."""
    return any(mark in text for mark in "?？؟") or len(text.split()) >= 4


def written(text: str) -> str:
    """Without mentions; links as they read, and where they have no words of their own, their address."""
    text = _SPECIAL.sub(" ", _MENTION.sub(" ", text))
    text = _CHANNEL.sub(r"#\1", _DATE.sub(r"\1", text))
    text = _LINK.sub(lambda found: found[2] or found[1].removeprefix("mailto:").removeprefix("tel:"), text)
    return re.sub(r"[ \t]+", " ", html.unescape(text)).strip()
