"""Which conversations hold what words: FTS5 on SQLite, a GIN index of tsvectors on PostgreSQL (see the migration of the inbox).

Both are asked in the same way. Each word must stand somewhere in the conversation, or begin a word there; "words in quotes" stand side by
side. A word of letters and digits is also found where its parts are joined in another way: h1b finds H-1B and "h 1b", H-1B finds h1b.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import sqlalchemy as sa

from bot.tables import mails

MOST_WORDS = 8
MOST_CHARACTERS = 200

_QUOTED = re.compile(r'"([^"]*)"|(\S+)')
_MARKS = re.compile("[\u0300-\u036f]")
_PLACE = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")


def plain(text: str) -> str:
    """Small letters without accents, as both databases read them."""
    return _MARKS.sub("", unicodedata.normalize("NFKD", text)).lower()


def wanted(text: str) -> list[list[list[str]]]:
    """What is looked for: for each word the ways in which it may be written, each as the words of a phrase."""
    found = []
    for quoted, single in _QUOTED.findall(plain(text[:MOST_CHARACTERS].replace("\x00", " "))):
        parts = [part for part in re.split(r"[\W_]+", quoted or single) if part]
        if parts:
            found.append(_ways(parts))
    return found[:MOST_WORDS]


def _ways(parts: list[str]) -> list[list[str]]:
    """`h-1b` as it is written, as one word, and broken where letters meet digits."""
    ways = [parts]
    whole = "".join(parts)
    if any(c.isdigit() for c in whole) and len(whole) <= 12:
        pieces = _PLACE.split(whole)
        if 1 < len(pieces) <= 4:
            for joints in product(("", " "), repeat=len(pieces) - 1):
                way = "".join(piece + joint for piece, joint in zip(pieces, (*joints, ""), strict=True)).split()
                if way not in ways:
                    ways.append(way)
    return ways


def holding(ways: list[list[str]], dialect: str) -> sa.Select[tuple[str]]:
    """Ids of the conversations that hold a word in one of its ways; a pasted mail also by its sender and subject."""
    if dialect == "sqlite":
        asked, holds = " OR ".join(f'"{" ".join(way)}"*' for way in ways), "message_words MATCH :asked"
    else:
        asked = " | ".join("(" + " <-> ".join(f"'{word}'" for word in way) + ":*)" for way in ways)
        holds = "words @@ CAST(:asked AS tsquery)"
    said = sa.select(sa.column("conversation_id", sa.String)).select_from(sa.table("message_words"))
    said = said.where(sa.text(holds).bindparams(sa.bindparam("asked", asked, unique=True)))
    like = sa.or_(*(mails.c.words.contains(" ".join(way), autoescape=True) for way in ways))
    return sa.union_all(said, sa.select(mails.c.conversation_id).where(like))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Where a word was found, and what stands around it."""

    role: str
    before: str
    word: str
    after: str


def excerpt(words: Sequence[list[list[str]]], said: Sequence[tuple[str, str]]) -> Excerpt | None:
    """Of what was said, as (role, text): the place that holds most of the words. None where accents or a sender's name were the match."""
    patterns = [
        re.compile("|".join(r"(?<![^\W_])" + r"[\W_]+".join(map(re.escape, way)) + r"\w*" for way in ways), re.I) for ways in words
    ]
    best: tuple[int, Excerpt] | None = None
    for role, text in said:
        hits = [hit for hit in (pattern.search(text) for pattern in patterns) if hit]
        if hits and (best is None or len(hits) > best[0]):
            first = min(hits, key=lambda hit: hit.start())
            best = (len(hits), Excerpt(role, *_around(text, first.start(), first.end())))
    return best[1] if best else None


def _around(text: str, start: int, end: int) -> tuple[str, str, str]:
    before, after = " ".join(text[max(0, start - 70) : start].split(" ")), text[end : end + 130]
    if start > 70:
        before = "…" + before.partition(" ")[2]
    if end + 130 < len(text):
        after = after.rpartition(" ")[0] + "…"
    return before, text[start:end], after
