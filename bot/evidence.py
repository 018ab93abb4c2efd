"""Evidence: one sentence, list item or table row offered to a writer, under a short key that the writer cites."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bot.passage import Chunk, FactRef, Span

MAX_SOURCES = 3
"""Sources named for one sentence; a guide sentence that rests on more of them names the first ones."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A span of a retrieved chunk. `score` is in 0..1, higher is better."""

    chunk: Chunk
    number: int  # of the span within its chunk
    score: float = 0.0

    @property
    def span(self) -> Span:
        return self.chunk.spans[self.number]

    @property
    def key(self) -> str:
        """Short, stable and without meaning, so that a writer cannot guess one: "e" and seven hex digits."""
        return "e" + hashlib.sha256(f"{self.chunk.chunk_id}.{self.number}".encode()).hexdigest()[:7]

    @property
    def quote(self) -> str:
        """Exact substring of the chunk's text."""
        return self.chunk.text[self.span.start : self.span.end]

    @property
    def facts(self) -> list[FactRef]:
        return [self.chunk.facts[f] for f in self.span.facts if f in self.chunk.facts]

    @property
    def cited(self) -> list[FactRef]:
        """The facts that an answer names as its sources: the first few."""
        return self.facts[:MAX_SOURCES]

    @property
    def context(self) -> tuple[str, ...]:
        """Title, headings and, for a table row, its header: they may name what the quote is about."""
        if self.span.kind != "row":
            return self.chunk.heading
        header = next((line for line in self.chunk.text.split("\n") if line.startswith("|")), "")
        return (*self.chunk.heading, header)
