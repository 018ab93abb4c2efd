"""The net under whoever writes: what is wrong with each sentence, where it stands, and why, in words for people.

What a mark does when the reply is to be sent:

figure, unsupported, source   no guide bears the sentence out: it goes only as somebody's own words
todo                          a place that was left to be filled: it does not go at all
stale, conflict, unverified   borne out, but the fact is old, disputed or could not be confirmed: read it again
volatile                      borne out; changes often
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bot.answer import Citation, Reply, Sentence
from bot.reply import Piece
from bot.verify import Verdict

MarkKind = Literal["figure", "unsupported", "source", "todo", "stale", "conflict", "unverified", "volatile"]
UNBORNE: tuple[MarkKind, ...] = ("figure", "unsupported", "source")
_TODO = re.compile(r"\[TO DO:[^\]]*\]?", re.I)
NEAR = 0.3
"""A quote that bears so large a share of a sentence is shown beside it as the nearest one."""

_WORDING = (
    (re.compile(r"^figure (.+) is not in the quote$"), "The figure {} is not in its source."),
    (re.compile(r"^'(.+)' is not in the quote$"), "“{}” is not in its source."),
    (re.compile(r"^names (.+), the quote is about (.+)$"), "It speaks of {}, its source of {}."),
    (re.compile(r"^names (.+), the quote does not$"), "It names {}, its source does not."),
    (re.compile(r"^names one thing twice: (.+)$"), "It names {} twice, where its source names two things."),
    (re.compile(r"^leaves out '(.+)'$"), "It leaves out “{}”, which its source says."),
    (re.compile(r"^negation differs$"), "One of the two says “not”, the other does not."),
    (re.compile(r"^must and may differ$"), "It says “must” where its source says “may”, or the other way round."),
    (re.compile(r"^must is not in the quote$"), "It says “must”, its source does not."),
    (re.compile(r"^tense differs$"), "It tells as past what its source tells as present, or the other way round."),
    (re.compile(r"^leaves out of whom the quote speaks$"), "It leaves out for whom its source says this."),
    (re.compile(r"^meaning too far$"), "Its source does not say this."),
    (re.compile(r"^a part of it is not in the quote$"), "A part of it is not in its source."),
    (re.compile(r"^(.+) differs$"), "It differs from its source in “{}”."),
    (re.compile(r"^(.+) is not in the quote$"), "“{}” is not in its source."),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """`start` and `end` are places in the text as it was written. `quote` is what the source says, where one comes near."""

    kind: MarkKind
    start: int
    end: int
    reason: str
    quote: str = ""
    key: str = ""  # of the evidence that the quote is
    url: str = ""  # of the section it stands in


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence of a reply, as it was written, and what became of it."""

    start: int
    end: int
    sentence: Sentence
    keys: tuple[str, ...]  # of the evidence that bears it out
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Net:
    """`reply` is what would be sent if the sentences of kind "own" were somebody's own words."""

    reply: Reply
    sentences: tuple[Marked, ...] = field(default=())

    @property
    def marks(self) -> list[Mark]:
        return [mark for sentence in self.sentences for mark in sentence.marks]

    @property
    def own(self) -> list[str]:
        """The sentences that somebody has to stand for."""
        return [marked.sentence.text for marked in self.sentences if marked.sentence.kind == "own"]

    @property
    def todo(self) -> list[str]:
        """What stands in the places that were left to be filled."""
        return [mark.quote for mark in self.marks if mark.kind == "todo"]


def todos(text: str) -> list[Mark]:
    """What was left to be filled."""
    reason = "This place was left to be filled. Write what belongs here, or take it out."
    return [Mark("todo", match.start(), match.end(), reason, match.group()) for match in _TODO.finditer(text)]


def said_plainly(reason: str) -> str:
    """A reason of the verifier for people."""
    for pattern, words in _WORDING:
        if match := pattern.match(reason):
            return words.format(*match.groups())
    return reason[:1].upper() + reason[1:] + "."


def unborne(piece: Piece, verdict: Verdict | None, quote: str, key: str, url: str) -> list[Mark]:
    """Why no source bears a sentence out: each figure in its place, else the sentence as a whole.

    Args:
        verdict: of the evidence that comes nearest; None: there is none.
    """
    if verdict is None:
        where = "The source it names is not in the guides (any more)." if piece.keys else "No guide says this."
        return [Mark("source" if piece.keys else "unsupported", piece.start, piece.end, where)]
    if not piece.keys and verdict.support < NEAR and not verdict.missing_figures:
        return [Mark("unsupported", piece.start, piece.end, "No guide says this.")]
    result: list[Mark] = []
    for figure in verdict.missing_figures:
        reason = f"The figure {figure} is not in its source."
        places = piece.places(figure) or [(piece.start, piece.end)]
        result += [Mark("figure", start, end, reason, quote, key, url) for start, end in places]
    told = ("figure ", "two names or figures") if result else ("figure ",)  # by the figure's own mark
    others = [said_plainly(reason) for reason in verdict.reasons if not reason.startswith(told)]
    if others or not result:
        reason = " ".join(dict.fromkeys(others)) or "Its source does not say this."
        result.append(Mark("unsupported", piece.start, piece.end, reason, quote, key, url))
    return result


def doubts(piece: Piece, citations: Sequence[Citation], conflicts: Sequence[str]) -> list[Mark]:
    """What a reader has to know of the facts that a sentence rests on."""
    result: list[Mark] = []

    def add(kind: MarkKind, reason: str, cited: Sequence[Citation]) -> None:
        if cited:
            quote, url = cited[0].quote, cited[0].guide.url if cited[0].guide else ""
            result.append(Mark(kind, piece.start, piece.end, reason, quote, url=url))

    stale = [c for c in citations if c.stale]
    if stale:
        add("stale", f"The fact is of {stale[0].as_of} and past its review date, or too old for what changes often.", stale)
    disputed = [c for c in citations if c.conflict]
    add("conflict", " ".join(conflicts) or "Sources disagree on this.", disputed)
    add("unverified", "This could not be confirmed with the owner of the rule.", [c for c in citations if c.confidence == "low"])
    changing = [c for c in citations if c.volatile and not c.stale]
    if changing:
        add("volatile", f"This changes often; the source is of {changing[0].as_of}.", changing)
    return result
