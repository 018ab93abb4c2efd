"""Two versions of a text, line by line, with what differs within a line marked."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from markupsafe import Markup

AROUND = 2
"""Lines that are shown around a change."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a comparison. `kind`: same, out, in, or gap for lines that are left out."""

    kind: str
    before: int | None
    after: int | None
    text: Markup


def compared(before: str, after: str) -> list[Line]:
    old, new = before.rstrip().split("\n"), after.rstrip().split("\n")
    lines: list[Line] = []
    for group in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_grouped_opcodes(AROUND):
        if lines:
            lines.append(Line("gap", None, None, Markup("…")))
        for tag, a, b, c, d in group:
            if tag == "equal":
                lines += [Line("same", a + i + 1, c + i + 1, Markup("{}").format(old[a + i])) for i in range(b - a)]
                continue
            marked_old, marked_new = _within(old[a:b], new[c:d])
            lines += [Line("out", a + i + 1, None, row) for i, row in enumerate(marked_old)]
            lines += [Line("in", None, c + i + 1, row) for i, row in enumerate(marked_new)]
    return lines


def _within(old: list[str], new: list[str]) -> tuple[list[Markup], list[Markup]]:
    """Both sides with what differs within a line marked, where lines stand against each other."""
    if len(old) != len(new):
        return [Markup("{}").format(row) for row in old], [Markup("{}").format(row) for row in new]
    left, right = [], []
    for a, b in zip(old, new, strict=True):
        words_a, words_b = a.split(" "), b.split(" ")
        one, two = Markup(""), Markup("")
        for tag, i, j, k, m in difflib.SequenceMatcher(a=words_a, b=words_b, autojunk=False).get_opcodes():
            gone, come = " ".join(words_a[i:j]), " ".join(words_b[k:m])
            if tag == "equal":
                one, two = one + gone + " ", two + come + " "
            else:
                one += Markup("<del>{}</del> ").format(gone) if gone else ""
                two += Markup("<ins>{}</ins> ").format(come) if come else ""
        left.append(one)
        right.append(two)
    return left, right
