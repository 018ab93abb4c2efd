"""Text -> sentences, as spans.

Rule-based, because nothing trained for it can be had offline and the field's abbreviations ("Step 2 CK.", "U.S.", "Ph.D.",
"No. 5", "e.g.") are few and known. A span never crosses a blank line; a list item or table row is at least one span of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# After these a full stop does not end a sentence, whatever follows.
_NEVER = frozenset(
    "dr mr mrs ms prof st mt ft vs cf eg ie e.g i.e no nos sec art approx est ca fig pp vol dept univ assoc inc ltd rev gen sen rep gov jr sr".split()
)
# After these it ends one only when the next word plainly starts a new sentence.
_MAYBE = frozenset(
    "u.s u.k u.n d.c u.s.c c.f.r f.r ph.d m.d d.o b.sc m.sc m.b.b.s mbbs a.m p.m etc al jan feb mar apr jun jul aug sep sept oct nov dec co corp".split()
)
_STARTERS = frozenset(
    "the a an in on at by for from if when while after before since until under this that these those it they he she we you your i there no not "
    "each every some many most all any one both such as to of with without what which who how why can do does is are was were has have had may must "
    "should will would step ecfmg nrmp uscis eras programs applicants however but and so or because".split()
)
_END = re.compile(r"[.!?。！？؟۔।]+[\"'”’)\]]*(?=\s|$)|[。！？]")
_BLOCK = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t])|\n(?=[ \t]*\|)|\n(?=#{1,6} )")
_LAST_WORD = re.compile(r"([A-Za-z][A-Za-z.&]*)$")


def _ends(text: str, start: int, match: re.Match[str], stop: int) -> bool:
    """Whether the punctuation at `match` ends the sentence that began at `start`."""
    mark = match.group()
    if mark[0] != ".":
        return True
    before = text[start : match.start()]
    after = text[match.end() : stop].lstrip()
    if not after:
        return True
    if re.fullmatch(r"\s*(?:\d{1,3}|[A-Za-z])", before):  # "1." or "A." at the start is a list number or an initial
        return False
    word_match = _LAST_WORD.search(before)
    word = word_match.group(1).lower() if word_match else ""
    if word in _NEVER:
        return False
    first = after[0]
    if not (first.isupper() or first.isdigit() or first in "\"'“‘([*_$#" or ord(first) > 0x2FF):
        return False
    if word in _MAYBE or re.fullmatch(r"(?:[a-z]\.)+[a-z]", word):
        next_word = re.match(r"[A-Za-z'-]+", after)
        return bool(next_word) and next_word.group().lower() in _STARTERS
    # "J. Smith": an initial before a name.
    # "J. Smith": an initial before a name; the B of "H-1B." is none.
    alone = len(word) == 1 and before[-1:].isupper() and not re.search(r"[\w-]$", before[:-1])
    return not (alone and word != "i" and re.match(r"[A-Z][a-z]", after))


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end offsets of each sentence, list item or table row, without surrounding white space, in order."""
    blocks = []
    at = 0
    for gap in _BLOCK.finditer(text):
        blocks.append((at, gap.start()))
        at = gap.end() if gap.group().strip() == "" and "\n" in gap.group()[1:] else gap.start() + 1
    blocks.append((at, len(text)))
    for begin, stop in blocks:
        start = begin
        if text[begin:stop].lstrip().startswith("|"):
            yield from _trim(text, begin, stop)
            continue
        for match in _END.finditer(text, begin, stop):
            if match.start() >= start and _ends(text, start, match, stop):
                yield from _trim(text, start, match.end())
                start = match.end()
        yield from _trim(text, start, stop)


def _trim(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    while start < stop and text[start].isspace():
        start += 1
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    if start < stop:
        yield start, stop


def split(text: str) -> list[str]:
    return [text[a:b] for a, b in spans(text)]
