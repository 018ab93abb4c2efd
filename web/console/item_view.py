"""What the page of an item shows, as plain values: nothing here asks or changes anything."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.answer import Answer, Citation, Profile, Reply
from bot.evidence import Evidence
from bot.net import Mark, Marked, Net
from bot.profile import NAMES, shown
from bot.store import StoredMessage, StoredQuestion, StoredReply
from web.pages import say_date

LABELS = {
    "todo": "To do", "figure": "Figure", "unsupported": "No source", "source": "Source is gone", "stale": "Old",
    "conflict": "Sources differ", "unverified": "Not confirmed", "volatile": "Changes often",
}  # fmt: skip
LEVELS = {
    "todo": "bad", "figure": "bad", "unsupported": "bad", "source": "bad", "stale": "warn", "conflict": "warn", "unverified": "warn",
    "volatile": "info",
}  # fmt: skip
_RANK = ("info", "warn", "bad")
_KEY = re.compile(r"\[e[0-9a-f]{7}\]")
_WORDS = re.compile(r"\s+|[^\s]+")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation. `who`: applicant, bot or advisor."""

    who: str
    name: str
    at: dt.datetime
    text: str
    status: str = ""
    citations: Sequence[Citation] = ()


def turns(messages: Sequence[StoredMessage], names: Mapping[str, str]) -> list[Turn]:
    result = []
    for message in messages:
        if isinstance(message, StoredQuestion):
            result.append(Turn("applicant", "Applicant", message.created_at, message.text))
        elif isinstance(message, StoredReply):
            reply = Reply.model_validate_json(message.json)
            result.append(Turn("advisor", names.get(message.advisor, message.advisor), reply.created_at, reply.text, "", reply.citations))
        else:
            answer = Answer.model_validate_json(message.json)
            result.append(Turn("bot", "IMG Advisor", answer.created_at, answer.text, answer.status, answer.citations))
    return result


def told(profile: Profile | None) -> list[tuple[str, str]]:
    """What the applicant said about themselves."""
    given = profile.model_dump(exclude_none=True) if profile else {}
    return [(NAMES.get(name, name), shown(value)) for name, value in given.items()]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the text under one set of marks."""

    text: str
    level: str = ""
    anchor: str = ""  # of the finding that begins here


def finding(number: int, mark: Mark, text: str) -> dict[str, Any]:
    return {
        "id": f"f{number}", "kind": mark.kind, "label": LABELS[mark.kind], "level": LEVELS[mark.kind], "reason": mark.reason,
        "quote": mark.quote if mark.kind != "todo" else "", "key": mark.key, "url": mark.url,
        "said": _short(text[mark.start : mark.end]), "start": mark.start, "end": mark.end,
    }  # fmt: skip


def findings(net: Net, text: str) -> list[dict[str, Any]]:
    """The marks, the worst first, then by place."""
    found = [finding(number, mark, text) for number, mark in enumerate(net.marks)]
    return sorted(found, key=lambda each: (-_RANK.index(each["level"]), each["start"]))


def sources(net: Net, text: str) -> list[dict[str, Any]]:
    """Each sentence with what it rests on."""
    return [_sourced(net, each, text) for each in net.sentences]


def _sourced(net: Net, each: Marked, text: str) -> dict[str, Any]:
    kind = each.sentence.kind
    todo = any(mark.kind == "todo" and mark.start < each.end and each.start < mark.end for mark in net.marks)
    cited = [net.reply.citations[n - 1] for n in each.sentence.citations]
    return {
        "start": each.start, "end": each.end, "said": _short(text[each.start : each.end], 110), "kind": "todo" if todo else kind,
        "level": _worst(each.marks), "chips": [chip(citation) for citation in cited], "keys": list(each.keys),
    }  # fmt: skip


def chip(citation: Citation) -> dict[str, Any]:
    return {
        "n": citation.n, "name": citation.source.publisher or citation.source.title, "title": citation.source.title,
        "as_of": say_date(citation.as_of),
        "url": citation.guide.url if citation.guide else citation.source.url or "", "quote": citation.quote, "stale": citation.stale,
        "tier": citation.source.tier,
    }  # fmt: skip


def segments(net: Net, text: str) -> list[Segment]:
    """The text cut where marks begin and end; of marks over one another the worst shows."""
    marks = list(enumerate(net.marks))
    keys = [match.span() for match in _KEY.finditer(text)]
    cuts = sorted({0, len(text), *(m.start for _, m in marks), *(m.end for _, m in marks), *(at for span in keys for at in span)})
    result: list[Segment] = []
    placed: set[int] = set()
    for start, end in zip(cuts, cuts[1:], strict=False):
        over = [(number, mark) for number, mark in marks if mark.start <= start and end <= mark.end]
        level = _worst([mark for _, mark in over])
        if any(first <= start and end <= last for first, last in keys):
            level = f"{level} key".strip()
        fresh = next((number for number, mark in over if number not in placed and mark.start == start), None)
        if fresh is not None:
            placed.add(fresh)
        result.append(Segment(text[start:end], level, f"f{fresh}" if fresh is not None else ""))
    return result


def _worst(marks: Sequence[Mark]) -> str:
    return max((LEVELS[mark.kind] for mark in marks), key=_RANK.index, default="")


def in_utf16(text: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with `start` and `end` as a browser counts them."""
    places = [0]
    for character in text:
        places.append(places[-1] + (2 if ord(character) > 0xFFFF else 1))
    return [{**each, "start": places[each["start"]], "end": places[each["end"]]} for each in found]


def evidence(item: Evidence) -> dict[str, Any]:
    fact = item.cited[0] if item.cited else None
    source = fact.source if fact else item.chunk.source
    return {
        "key": item.key, "said": item.span.said, "insert": f"{item.span.said} [{item.key}]", "source": source.publisher or source.title,
        "as_of": say_date(fact.as_of if fact else item.chunk.as_of), "volatile": bool(fact and fact.volatile),
        "advice": item.span.facts == ("advice",), "conflict": bool(fact and fact.conflicts),
    }  # fmt: skip


def section(items: Sequence[Evidence]) -> dict[str, Any]:
    """A section of a guide, or a row of a table, with the sentences that can be inserted."""
    chunk = items[0].chunk
    return {
        "title": " › ".join(chunk.heading), "url": chunk.guide.url if chunk.guide else "", "sentences": [evidence(item) for item in items],
        "whole": " ".join(f"{item.span.said} [{item.key}]" for item in items) if chunk.cells else "",
    }  # fmt: skip


def differences(old: str, new: str) -> list[tuple[str, str]]:
    """("same", "out" or "in", words), in order."""
    a, b = _WORDS.findall(old), _WORDS.findall(new)
    result: list[tuple[str, str]] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            result.append(("same", "".join(a[i:j])))
            continue
        if i < j:
            result.append(("out", "".join(a[i:j])))
        if k < m:
            result.append(("in", "".join(b[k:m])))
    return result


def _short(text: str, most: int = 90) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
