"""Passwords: argon2id, what a good one is, and the first one, which its owner must change."""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bot.errors import InputError

LEAST, MOST = 12, 200
_hasher = PasswordHasher()  # RFC 9106's second recommendation: 64 MiB, 3 passes
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that are taken for one another
_COMMON = ("password", "passwort", "qwerty", "asdfgh", "letmein", "welcome", "iloveyou", "abc123", "admin", "changeme", "imgadvisor")


async def hashed(password: str) -> str:
    return await asyncio.to_thread(_hasher.hash, _bytes(password))


async def fits(password: str, stored: str | None) -> bool:
    """Takes the same time whether there is a hash or not, so that nobody learns who has an account."""
    return await asyncio.to_thread(lambda: _fits(_bytes(password), stored or _nobodys_hash())) and stored is not None


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_hex())


def _bytes(password: str) -> bytes:
    """The same for all ways in which a keyboard may write a letter with an accent."""
    return unicodedata.normalize("NFKC", password[: MOST * 4]).encode(errors="replace")


def _fits(password: bytes, stored: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def outdated(stored: str) -> bool:
    """Made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def first_password() -> str:
    """Random, 79 bits, easy to read out: "k7mp-w3xr-…"."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def check_password(password: str, *known: str) -> None:
    """`known` are words others know about its owner: name, e-mail.

    Raises:
        InputError: says what to choose instead.
    """
    if len(password) < LEAST:
        raise InputError(f"The password has fewer than {LEAST} characters. Choose a longer one; three or four unrelated words are good.")
    if len(password) > MOST:
        raise InputError(f"The password has more than {MOST} characters. Choose a shorter one.")
    plain = re.sub(r"[\W_]", "", password.lower())
    rest = plain
    for word in (*_COMMON, *(part for text in known for part in re.split(r"[\W_]+", text.lower()) if len(part) > 2)):
        rest = rest.replace(word, "")
    if len(set(plain)) < 5 or len(rest) < 8 or _is_a_run(plain):
        raise InputError("The password is easy to guess. Do not build it on a name, an e-mail address or a row of keys.")


def _is_a_run(text: str) -> bool:
    """ "abcdefghijkl", "987654321098": most characters follow the one before."""
    steps = [ord(b) - ord(a) for a, b in zip(text, text[1:], strict=False)]
    return bool(steps) and max(steps.count(1), steps.count(-1), steps.count(0)) > 0.6 * len(steps)
