"""A letter in other words: shorter, warmer, in another language. Figures, names, dates and quotes stay as they are, letter by letter.

A chat model proposes; each of its sentences is compared with the one it stands for. A sentence that lost or gained something that counts is
not taken: the old one stays, and is named with the reason. Without a model only "shorter" works, by leaving less important sentences out.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from bot.courtesy import Courtesy
from bot.errors import InputError, ModelFailed
from bot.figures import find, shown
from bot.net import todos
from bot.prompts import Prompts
from bot.reply import Piece, read_reply
from bot.terms import Terms
from bot.translate import Translator
from bot.verify import Verifier
from bot.writer import data, reason_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

Way = Literal["shorter", "warmer", "translate"]
WAYS: tuple[Way, ...] = get_args(Way)

_QUOTED = re.compile(r"“[^”]+”|«[^»]+»|\"[^\"]+\"")
_NAME = re.compile(r"(?<!^)(?<![.!?]\s)\b[A-Z][\w’'-]*(?:\s+(?:of|and|the|for)?\s*[A-Z][\w’'-]*)*|\b[A-Z]{2,}[\w-]*|\b[A-Z]-?\d\w*")
_OBJECT = re.compile(r"\{\s*\"sentences\"")
_I = frozenset({"I", "I’m", "I'm", "I’ve", "I've"})


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`said` is what was done, in a sentence; `refused` which sentences stayed as they were, and why."""

    text: str
    said: str
    refused: tuple[str, ...] = ()


class Rewriter:
    def __init__(self, model: BaseChatModel | None, prompts: Prompts, timeout_s: float, translator: Translator | None = None) -> None:
        self._model, self._prompts, self._timeout_s, self._translator = model, prompts, timeout_s, translator

    @property
    def has_model(self) -> bool:
        return self._model is not None

    async def rewrite(
        self, text: str, way: str, *, language: str, terms: Terms, verifier: Verifier, courtesy: Courtesy, kinds: Sequence[str]
    ) -> Rewritten:
        """
        Args:
            language: the code of the one to translate into. kinds: of the sentences, as the net has them.
        Raises:
            InputError: there is no such way, or it needs a model. ModelFailed.
        """
        if way not in WAYS:
            raise InputError(f"A draft can be made {', '.join(WAYS)}; not '{way[:20]}'.")
        pieces = read_reply(text)
        if self._model is None:
            if way != "shorter":
                raise InputError("This needs a chat model. The operator can name one with IMG_ADVISOR_MODEL.")
            return _shortened(text, pieces, kinds)
        left = todos(text)
        own = [piece for piece in pieces if not any(t.start < piece.end and piece.start < t.end for t in left)]
        if way == "translate":
            return await self._translated(text, pieces, own, language)
        proposed = await self._proposed([piece.text for piece in own], way)
        refused: list[str] = []
        taken: dict[int, str] = {}
        for number, piece in enumerate(own, 1):
            new = proposed.get(number)
            if new is None or new == piece.text:
                continue
            if not new and way == "shorter":
                taken[piece.start] = ""
                continue
            if why := _changed(piece.text, new, terms, verifier, courtesy, back=way == "warmer"):
                refused.append(f"“{_short(piece.text)}” stays as it was: {why}")
            else:
                taken[piece.start] = new
        made = _put(text, pieces, taken)
        count = len(taken)
        said = f"{count} of {len(own)} sentences are in other words now." if count else "Nothing was changed."
        return Rewritten(made, said, tuple(refused))

    async def _translated(self, text: str, pieces: Sequence[Piece], own: Sequence[Piece], language: str) -> Rewritten:
        if self._translator is None or language == "en":
            raise InputError("Choose the language to translate into; letters are written in English first.")
        done = await self._translator.translated([" ".join(piece.text.split()) for piece in own], language)
        if done.failed:
            raise ModelFailed(done.failed)
        taken = {piece.start: new for piece, new in zip(own, done.texts, strict=True) if new is not None}
        refused = tuple(f"“{_short(piece.text)}” stays as it was." for piece in own if piece.start not in taken)
        said = f"{len(taken)} of {len(own)} sentences are translated. The check reads English: what is translated goes as your own words."
        return Rewritten(_put(text, pieces, taken), said if taken else "Nothing was changed.", (*refused, *done.reasons))

    async def _proposed(self, sentences: Sequence[str], way: str) -> dict[int, str]:
        assert self._model is not None
        system = self._prompts.render("rewrite.system", way=way)
        user = self._prompts.render("rewrite.user", sentences=[data(" ".join(sentence.split())) for sentence in sentences])
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._model.ainvoke([("system", system), ("user", user)])
        except TimeoutError:
            raise ModelFailed("timeout") from None
        except Exception as error:  # each provider has its own tree of errors
            raise ModelFailed(reason_of(error)) from None
        return _read(str(reply.text))


def _read(said: str) -> dict[int, str]:
    """
    Raises:
        ModelFailed: it is not what was asked for.
    """
    start = _OBJECT.search(said)
    try:
        found: Any = json.JSONDecoder(strict=False).raw_decode(said[start.start() :])[0]["sentences"] if start else None
        return {int(item["n"]): " ".join(str(item["text"]).split()) for item in found}
    except (ValueError, TypeError, KeyError):
        raise ModelFailed("garbage") from None


def _changed(old: str, new: str, terms: Terms, verifier: Verifier, courtesy: Courtesy, *, back: bool) -> str:
    """What the new sentence lost, gained or turned; empty when nothing. `back`: the old one must say no more than the new one."""
    if len(new) > 3 * len(old) + 120 or re.search(r"\w+://|\bwww\.|[⟦⟧<>]", new):
        return "it came back with something that does not belong there."
    for part in dict.fromkeys(_frozen(old, terms)):
        if new.count(part) < old.count(part):
            return f"“{part}” was lost."
    gained = Counter(shown(find(new))) - Counter(shown(find(old)))
    if gained:
        return f"“{next(iter(gained))}” was added."
    quotes = set(_QUOTED.findall(new)) - set(_QUOTED.findall(old))
    if quotes:
        return f"{next(iter(quotes))} was added."
    named = {each for kind in terms.found(new).values() for each in kind} - {each for kind in terms.found(old).values() for each in kind}
    if named:
        return f"“{terms.name(sorted(named)[0])}” was added."
    if courtesy.says_nothing(old):
        return "" if courtesy.says_nothing(new) else "the courtesy became a claim."
    same = verifier.check(new, [old]).supported and (not back or verifier.check(old, [new]).supported)
    return "" if same else "it does not say the same any more."


def _frozen(text: str, terms: Terms) -> list[str]:
    """What must stand in the new sentence as it stands in the old one."""
    kept = [figure.shown for figure in find(text) if not figure.soft]
    kept += _QUOTED.findall(text)
    kept += [name for name in _NAME.findall(text) if name not in _I]
    first = re.match(r"[A-Z][\w’'-]*", text)
    if first and any(terms.found(first.group()).values()):
        kept.append(first.group())
    return kept


def _put(text: str, pieces: Sequence[Piece], taken: dict[int, str]) -> str:
    """The letter with some sentences replaced, each with the keys it had; one that is taken out takes its line along."""
    parts: list[str] = []
    at = 0
    for piece in pieces:
        parts.append(text[at : piece.start])
        new = taken.get(piece.start)
        if new is None:
            parts.append(text[piece.start : piece.end])
        elif new:
            parts.append(new + "".join(f" [{key}]" for key in piece.keys))
        at = piece.end
    made = "".join([*parts, text[at:]])
    made = re.sub(r"(?m)^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]*\n", "", made + "\n")
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<=\S) {2,}", " ", re.sub(r"[ \t]+\n", "\n", made))).strip()


def _shortened(text: str, pieces: Sequence[Piece], kinds: Sequence[str]) -> Rewritten:
    """Without a model: of each paragraph the sentence it opens with; advice goes first. Frames and own words stay."""
    goes: dict[int, str] = {}
    led = False
    for piece, kind in zip(pieces, kinds, strict=True):
        if "\n\n" in piece.before:
            led = False
        if kind == "advice" or kind == "fact" and led:
            goes[piece.start] = ""
        led = led or kind == "fact"
    if not goes:
        return Rewritten(text, "There is no sentence that could be left out.")
    return Rewritten(_put(text, pieces, goes), f"{len(goes)} of {len(pieces)} sentences were left out; the first of each paragraph stays.")


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
