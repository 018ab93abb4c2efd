"""Text -> sentences, as spans.

Rule-based, because nothing trained for it can be had offline and the field's abbreviations ("Step 2 CK.", "U.S.", "Ph.D.",
"No. 5", "G.L. c. 112", "e.g.") are few and known. A span never crosses a blank line; a list item or table row is at least one
span of its own. `tests/bot/test_sentences.py` measures it against boundaries set by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# After these a full stop does not end a sentence, whatever follows.
_NEVER = _words("dr mr mrs ms messrs prof vs v cf eg ie e.g i.e dept univ assoc hosp viz")
# Nor after these where a number follows: "No. 5", "G.L. c. 112". Where a word follows, "The answer is no." ends there.
_NUMBERED = _words("no nos sec secs art arts fig figs p pp vol vols c ch chap para paras subsec subd subch cl pt approx est ca ed rev §")
# After these it ends one only where the next word plainly starts a new sentence.
_MAYBE = _words("u.s u.k u.n u.a.e d.c u.s.c c.f.r f.r ph.d m.d d.o b.sc m.sc m.b.b.s mbbs etc al inc ltd llc co corp jr sr st mt ft")
# The same, but only written with a capital: "Ill." is a state and "ill." is not, "Sat." is a day.
_NAMES = _words(
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun gen sen rep gov rev hon ala ariz "
    "ark cal calif colo conn fla ga ill ind kan ky la mass md mich minn miss mo mont neb nev okla ore pa tenn tex va vt wash wis wyo "
    "occ bus prof admin stat ann pub fed reg gov't educ health com comm l h ins welf"
)
_TIME = _words("a.m p.m")
# What may follow a time of day within its sentence.
_AFTER_TIME = _words(
    "eastern central mountain pacific atlantic alaska hawaii local et est edt ct cst cdt mt mst mdt pt pst pdt utc gmt ist new monday "
    "tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november "
    "december"
)
_STARTERS = _words(
    "the a an in on at by for from if when while after before since until under during through within without this that these those "
    "it they he she we you your i there here no not each every some many most all any none one two three both either neither such as "
    "to of with what which who whose where how why can could do does did is are was were has have had may might must should will "
    "would be being their his her its our my another other others only also then once thus however but and so or nor yet because "
    "although though unless until whether instead apply ask bring check read see take use keep write send start plan step ecfmg nrmp "
    "uscis eras programs applicants graduates residents states it's they're he's she's you're there's that's don't"
)
_SEEN = 200
"""Characters looked at on each side of a full stop: keeps the time linear, whatever the text."""
_MARKS = r"(?:[ \t]?\[\^[\w.:-]+\]|\[\d{1,3}\])*"
_END = re.compile(r"(?:(?<![.!?…。！？؟۔।])[.!?…。！？؟۔।]++[\"'”’»)\]*_]*" + _MARKS + r"(?=\s|$)|[。！？][”’」』）]*)")
_LAST_WORD = re.compile(r"(§|[A-Za-z][A-Za-z.&']*)$")
_LIST_NUMBER = re.compile(r"(?:^|[:;]\s+)\(?(?:\d{1,3}|[A-Za-z])$")
_INITIAL = re.compile(r"(?:^|[^\w-])[A-Z]$")
_QUOTED = re.compile(r"[\"'”’»)\]]")
_BULLET = re.compile(r"[ \t]*(?:[-*+•]|(\d{1,3})[.)])[ \t]")
_HEADING = re.compile(r"#{1,6} ")


def _ends(text: str, start: int, match: re.Match[str], stop: int) -> bool:
    """Whether the punctuation at `match` ends the sentence that began at `start`."""
    mark = match.group()
    after = text[match.end() : min(stop, match.end() + _SEEN)].lstrip()
    if not after or mark[0] in "。！？؟۔।":
        return True
    if mark[0] in "!?":  # "Do I need it?" is asked; a question typed all in small letters still ends
        return not (after[0].islower() and _QUOTED.search(mark))
    if not _opens(after):
        return False
    if mark[0] == "…" or mark.startswith(".."):
        return True
    before = text[max(start, match.start() - _SEEN) : match.start()]
    if _LIST_NUMBER.search(before.lstrip()):  # "1." or "A." in front of an item, or an initial
        return False
    found = _LAST_WORD.search(before)
    word = found.group(1) if found else ""
    follows = re.match(r"[^\W\d_][\w'’-]*", after)
    next_word = follows.group().lower().replace("’", "'") if follows else ""
    return not _abbreviates(word, before, after, next_word) or next_word in _STARTERS and word.lower() not in _NEVER


def _opens(after: str) -> bool:
    """Whether a sentence may begin like this."""
    first = after[0]
    if first.islower():
        return re.match(r"[a-z]{1,2}[A-Z]", after) is not None  # eConsent
    return first.isupper() or first.isdigit() or first in "\"'“‘([*_$#¿¡«" or ord(first) > 0x2FF


def _abbreviates(word: str, before: str, after: str, next_word: str) -> bool:
    """Whether the full stop after `word` belongs to it."""
    low = word.lower()
    if low in _NEVER:
        return True
    if low in _NUMBERED and re.match(r"[(#]?(?:\d|[IVXLC]+\b|§)", after) and next_word not in _STARTERS:
        return True
    if low in _TIME:
        return not next_word or next_word in _AFTER_TIME
    if low in _MAYBE or (low in _NAMES and word[0].isupper()) or re.fullmatch(r"(?:[A-Za-z]\.)+[A-Za-z]{1,2}", word):
        return True
    # "J. Smith", "A. B. Jones"; the B of "H-1B." is no initial, nor is the I of "Am I."
    return bool(_INITIAL.search(before)) and word != "I" and re.match(r"[A-Z](?:[a-z]|\.)", after) is not None


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Start and end of each paragraph, list item, heading and table row, and whether it is a row."""
    at = begin = 0
    open_, kind = False, "text"
    for line in text.splitlines(keepends=True):
        stop = at + len(line)
        bullet = _BULLET.match(line)
        if not line.strip():
            new = "blank"
        elif line.lstrip().startswith("|"):
            new = "row"
        elif _HEADING.match(line):
            new = "heading"
        elif bullet and not (kind == "text" and open_ and _wrapped(text[max(begin, at - _SEEN) : at], bullet)):
            new = "item"
        else:
            new = kind if open_ and kind in {"text", "item"} else "text"
        if open_ and (new in {"blank", "row", "heading"} or kind in {"row", "heading"} or (new == "item" and bullet)):
            yield begin, at, kind == "row"
            open_ = False
        if new != "blank" and not open_:
            begin, open_ = at, True
        kind = new
        at = stop
    if open_:
        yield begin, len(text), kind == "row"


def _wrapped(paragraph: str, bullet: re.Match[str]) -> bool:
    """A line that begins with a number because a sentence was broken there: "it takes\\n12. Then"."""
    return bullet.group(1) not in {None, "1"} and paragraph.rstrip()[-1:] not in {".", ":", ";", "!", "?", ")"}


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end offsets of each sentence, list item or table row, without surrounding white space, in order."""
    for begin, stop, row in _blocks(text):
        start = begin
        if not row:
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
