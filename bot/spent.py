"""What a chat model costs: tokens, time and money of a conversation, and the limits set to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHARACTERS_A_TOKEN = 4
"""Rule of thumb of English text for the usual tokenizers; used where a provider does not say what it counted."""


@dataclass(frozen=True, slots=True)
class Spent:
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    usd: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, self.seconds + other.seconds, self.usd + other.usd
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one conversation; 0 means none. Prices are US dollars a million tokens."""

    tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    usd_per_million_in: float = 0.0
    usd_per_million_out: float = 0.0

    def spent(self, tokens_in: int, tokens_out: int, seconds: float = 0.0) -> Spent:
        usd = (tokens_in * self.usd_per_million_in + tokens_out * self.usd_per_million_out) / 1_000_000
        return Spent(tokens_in, tokens_out, seconds, usd)

    def used_up(self, spent: Spent) -> str:
        """Which limit is reached, in a word; "" when none is."""
        if self.tokens and spent.tokens_in + spent.tokens_out >= self.tokens:
            return "tokens"
        if self.seconds and spent.seconds >= self.seconds:
            return "seconds"
        return "money" if self.usd and spent.usd >= self.usd else ""


def tokens_of(usage: Mapping[str, Any] | None, asked: int, said: int) -> tuple[int, int]:
    """(in, out) as the provider counted them, else estimated from the characters `asked` and `said`."""
    if usage and usage.get("input_tokens"):
        return int(usage["input_tokens"]), int(usage.get("output_tokens") or 0)
    return asked // CHARACTERS_A_TOKEN, said // CHARACTERS_A_TOKEN
