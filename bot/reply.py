"""What a human advisor writes, taken apart into sentences to be checked, and put together again with its citations.

An advisor writes plain text. A sentence may name what it rests on by evidence keys at its end ("… is 218. [e1a2b3c4]"); otherwise the
guides are searched for what bears it out. Numbers in brackets are ours to give: those that an advisor copied from an answer are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.answer import Sentence
from bot.errors import InputError
from bot.sentences import spans

LONGEST = 8000
MOST_SENTENCES = 60

_KEYS = re.compile(r"\s*\[(e[0-9a-f]{7})\]")
_LEADING = re.compile(r"((?:\s*\[e[0-9a-f]{7}\])+)\s*")
_OURS = re.compile(r"[ \t]*\[\d{1,3}\]|\r(?=\n)")
_BULLET = re.compile(r"^(?:[-*+]|\d{1,3}[.)])\s+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence of a reply. `before` is what stands between it and the one before: white space, bullets. It was written from `start`
    to `end`."""

    before: str
    text: str
    keys: tuple[str, ...]
    start: int = 0
    end: int = 0
    written: str = ""  # all of it, keys and our numbers included

    def places(self, part: str) -> list[tuple[int, int]]:
        """Where `part` stands in the text as it was written, as a word of its own."""
        found = re.finditer(rf"(?<![\w.,]){re.escape(part)}(?!\w|[.,]\d)", self.written)
        return [(self.start + match.start(), self.start + match.end()) for match in found]


def read_reply(text: str) -> list[Piece]:
    """
    Raises:
        InputError: nothing is written, or too much.
    """
    typed, (text, places) = text, _without_ours(text)
    if not text.strip():
        raise InputError("The reply is empty; write something.")
    if len(text) > LONGEST:
        raise InputError(f"The reply has {len(text)} characters; shorten it to {LONGEST}.")
    pieces: list[Piece] = []
    end = len(text) - len(text.lstrip())
    for start, stop in spans(text):
        led = _LEADING.match(text, start, stop)
        if led and pieces:  # keys that stand after the full stop belong to the sentence before
            last = places[led.end(1) - 1] + 1
            keys = pieces[-1].keys + tuple(_KEYS.findall(led.group()))
            pieces[-1] = replace(pieces[-1], keys=keys, end=last, written=typed[pieces[-1].start : last])
            start, end = led.end(), led.end(1)
        bullet = _BULLET.match(text[start:stop])
        start += bullet.end() if bullet else 0
        said = text[start:stop]
        plain = _KEYS.sub("", said).strip()
        if plain:
            first, last = places[start], places[stop - 1] + 1
            pieces.append(Piece(text[end:start], plain, tuple(_KEYS.findall(said)), first, last, typed[first:last]))
        end = stop
    if not pieces:
        raise InputError("The reply holds no sentence; write one.")
    if len(pieces) > MOST_SENTENCES:
        raise InputError(f"The reply has {len(pieces)} sentences; shorten it to {MOST_SENTENCES}.")
    return pieces


def _without_ours(text: str) -> tuple[str, list[int]]:
    """The text without our numbers, and where each of its characters was written."""
    kept: list[str] = []
    places: list[int] = []
    at = 0
    for match in (*_OURS.finditer(text), None):
        stop = match.start() if match else len(text)
        kept.append(text[at:stop])
        places.extend(range(at, stop))
        at = match.end() if match else stop
    return "".join(kept), places


def written(pieces: Sequence[Piece], sentences: Sequence[Sentence]) -> str:
    """The reply as it was laid out, with the marks of its citations."""
    parts = []
    for piece, sentence in zip(pieces, sentences, strict=True):
        marks = "".join(f"[{n}]" for n in sentence.citations)
        parts.append(piece.before + sentence.text + (f" {marks}" if marks else ""))
    return "".join(parts)
