"""Other ways to read a message that hides what it says: spelt with figures, letter by letter, backwards, or encoded.

The rules on what must not be overlooked (`scope.yaml`, `disguised: true`) look at these readings too; nothing else does.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

from bot.terms import fold

MOST_CHARACTERS = 2000
"""Of a message that is read in other ways: a disguise is a line, not an essay."""

_SPACED = re.compile(r"(?<![^\W_])(?:[^\W_][ ._*-]){3,}[^\W_](?![^\W_])")
_GAPS = re.compile(r"(?<=\w)[._*|-](?=\w)")
_FIGURES = str.maketrans("01345789@$!|", "oieastbgasil")
_ELLS = str.maketrans("01345789@$!|", "oleastbgasil")
_DRESSED = re.compile(r"\b\w*(?:[a-z][0134579@$!|]+[a-z]|[0134579@$!|][a-z]{2,})\w*", re.I)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-f]{2}[ :]?){8,}", re.I)


def readings(text: str) -> list[str]:
    """`text` as it may be meant, folded (`bot.terms.fold`); without what reads the same as `text`."""
    text = text[:MOST_CHARACTERS]
    plain = fold(text)
    found = dict.fromkeys(fold(other) for other in _meant(text, plain))
    return [other for other in found if other != plain]


def _meant(text: str, plain: str) -> Iterator[str]:
    if _SPACED.search(plain):
        yield _unspaced(plain)
    if _GAPS.search(plain):
        yield _GAPS.sub("", plain)
    if _DRESSED.search(plain):
        yield plain.translate(_FIGURES)
        yield plain.translate(_ELLS)
    yield plain[::-1]
    yield codecs.encode(plain, "rot13")
    if "&#" in text:
        yield html.unescape(text)
    if "%" in text and (decoded := unquote(text)) != text:
        yield decoded
    for match in _BASE64.finditer(text):
        yield from _decoded(match.group())
    for match in _HEX.finditer(text):
        try:
            yield bytes.fromhex(re.sub(r"[ :]", "", match.group())).decode()
        except (ValueError, UnicodeDecodeError):
            continue


def _unspaced(text: str) -> str:
    """ "i g n o r e" and "i.g.n.o.r.e a.l.l" as words: where another mark stands between letters, a space parts words."""
    return _SPACED.sub(lambda m: re.sub(r"[._*-]" if re.search(r"[._*-]", m.group()) else " ", "", m.group()), text)


def _decoded(blob: str) -> Iterator[str]:
    for decode in (base64.b64decode, base64.urlsafe_b64decode):
        try:
            decoded = decode(blob + "=" * (-len(blob) % 4)).decode()
        except (binascii.Error, ValueError):
            continue
        if sum(c.isprintable() or c.isspace() for c in decoded) == len(decoded):
            yield decoded
            return
