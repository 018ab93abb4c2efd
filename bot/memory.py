"""What stays of a long conversation besides its last utterances: the question it is about, and what is still open. Bounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MOST_OPEN = 10
MOST_CHARACTERS = 300
UTTERANCES = 20
"""The last so many are read word by word."""


@dataclass(frozen=True, slots=True)
class Memory:
    """`standing`: the last question that stands by itself. `open`: questions that got no answer, or one that waits for a detail."""

    standing: str = ""
    open: tuple[str, ...] = ()

    def after(self, standing: str, answered: Iterable[str], still_open: Iterable[str]) -> Memory:
        """With one more message; the oldest open questions go first."""
        done, more = {q[:MOST_CHARACTERS] for q in answered}, [q[:MOST_CHARACTERS] for q in still_open]
        kept = [q for q in self.open if q not in done and q not in more]
        return Memory(standing[:MOST_CHARACTERS] or self.standing, tuple([*kept, *dict.fromkeys(more)][-MOST_OPEN:]))
