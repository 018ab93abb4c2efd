"""Dialogues with the last question written out by hand: how well a follow-up is understood, measured by what is found for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from bot.answer import Turn
from bot.golden import read_entries

if TYPE_CHECKING:
    from bot.advisor import Advisor

HELD_OUT = 3
"""Of so many one is held out: nothing is tuned on it."""


class Dialogue(BaseModel):
    """`asks` is the last of `says` as it stands alone; `at` are the sections ("slug#anchor") that answer it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    says: list[str] = Field(min_length=2, max_length=6)
    asks: str = Field(min_length=5)
    at: list[str] = Field(min_length=1)

    @property
    def history(self) -> list[Turn]:
        return [Turn(role="user", text=text) for text in self.says[:-1]]


def read_dialogues(folder: Path) -> list[Dialogue]:
    """
    Raises:
        DocumentError: a file is not of the expected shape.
    """
    result: list[Dialogue] = []
    for path in sorted(folder.glob("*.yaml")):
        result += read_entries(path, Dialogue)
    return result


async def measure_dialogues(advisor: Advisor, dialogues: list[Dialogue], k: int = 5) -> dict[str, Any]:
    """Recall@k of the last message in its dialogue and of the same question written by hand: over all, and over those held out.

    Returns: {"dialogues", "recall@5", "standalone recall@5", "held_out": {…}, "lost": [messages that only the written one found]}.
    """
    hits: list[tuple[bool, bool]] = []
    lost: list[str] = []
    for dialogue in dialogues:
        found = await advisor.search(dialogue.says[-1], history=dialogue.history, k=k)
        alone = await advisor.search(dialogue.asks, k=k)
        hit, best = (any(f"{p.document_id}#{p.chunk.anchor}" in dialogue.at for p in passages) for passages in (found, alone))
        hits.append((hit, best))
        if best and not hit:
            lost.append(" / ".join(dialogue.says))
    return {**_shares(hits), "held_out": _shares(hits[HELD_OUT - 1 :: HELD_OUT]), "lost": lost}


def _shares(hits: list[tuple[bool, bool]]) -> dict[str, Any]:
    count = max(len(hits), 1)
    return {
        "dialogues": len(hits), "recall@5": round(sum(h for h, _ in hits) / count, 4),
        "standalone recall@5": round(sum(b for _, b in hits) / count, 4),
    }  # fmt: skip
