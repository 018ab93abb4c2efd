"""Verified English sentences said in the language of whoever asks, by a chat model that is not trusted.

Figures, dates, names, abbreviations and quotes go to the model between ⟨ and ⟩ and have to come back unchanged, each once. What comes back
is read with the word list of its language: it must speak that language, deny what is denied and nothing else, and name nothing of the field
that the English does not name. A sentence that fails stays English.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.figures import Figure, find
from bot.glossary import folded, plain, tokens
from bot.language import SCRIPTS, Languages
from bot.prompts import Prompts
from bot.spelling import english
from bot.spent import tokens_of
from bot.terms import Terms
from bot.writer import Count, data, reason_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = logging.getLogger(__name__)

MOST_CHARS = 60_000  # of a reply
SHORTEST, LONGEST = 0.15, 4.0
"""Length of a translation beside the English one, in characters."""
SHARED = 0.3
"""Least share of a translation's words, read back into English, that the English sentence has."""

_QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"")
_CODED = re.compile(
    r"(?<![\w-])(?=[\w/&-]*[A-Z\d])(?:[A-Za-z]*[A-Z][A-Z\d][\w/&-]*|[A-Z]+-\d\w*|[A-Za-z]+\d[\w-]*|[a-z]+[A-Z]\w*)(?:'s)?(?!\w)"
)
_NAMED = re.compile(r"(?<=[a-z,;:)\d] )[A-Z][\w'-]+(?: (?:of |and |for |the )?[A-Z\d][\w'-]*)*")
_OPENS = re.compile(
    r"(?:(?:The|A|An|In|On|For|At|From|By|Of|All|Each|Every|No|Some|Most|Both|If|When|As|To|With|Under) )*"
    r"([A-Z][\w'-]+(?: [A-Z\d][\w'-]*)*)"
)
_HELD = re.compile(r"⟨([^⟨⟩]*)⟩")
_DENIES = re.compile(r"\b(?:not|no|never|cannot|without|nor|none|neither|nobody|nothing|no one)\b|n['’]t\b", re.I)
_NUMBER = re.compile(r"[\d.,]*\d|^[A-Za-z-]+(?: [a-z]+)*")
_OBJECT = re.compile(r"\{.*\}", re.S)


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence with what must not change between ⟨ and ⟩."""

    english: str
    marked: str

    @property
    def held(self) -> Counter[str]:
        return Counter(_HELD.findall(self.marked))


class Translator:
    def __init__(self, model: BaseChatModel, prompts: Prompts, languages: Languages, terms: Terms, timeout_s: float) -> None:
        self._model = model
        self._prompts = prompts
        self._timeout_s = timeout_s
        self.reread(languages, terms)

    def reread(self, languages: Languages, terms: Terms) -> None:
        self._languages, self._terms = languages, terms

    async def translated(self, sentences: Sequence[str], language: str, count: Count = lambda *_: None) -> Translated:
        """Each sentence in the language, or None where what came back is no faithful translation. Never raises on the model's account."""
        marked = [self.marked(sentence) for sentence in sentences]
        try:
            async with asyncio.timeout(self._timeout_s):
                replies = await self._asked([m.marked for m in marked], language, count)
        except TimeoutError:
            return Translated((None,) * len(marked), (), "timeout")
        except ValueError:
            return Translated((None,) * len(marked), (), "garbage")
        except Exception as error:  # each provider has its own tree of errors; their texts may quote the request or the key
            reason = reason_of(error)
            log.warning("The chat model could not translate: %s (%s).", reason, type(error).__name__)
            return Translated((None,) * len(marked), (), reason)
        texts: list[str | None] = []
        reasons = []
        for number, item in enumerate(marked, 1):
            text = replies.get(number, "")
            why = self.wrong(item, text, language)
            texts.append(None if why else _HELD.sub(r"\1", text))
            if why:
                reasons.append(f"sentence {number}: {why}")
        return Translated(tuple(texts), tuple(reasons), None)

    async def _asked(self, sentences: Sequence[str], language: str, count: Count) -> dict[int, str]:
        system = self._prompts.render("translate.system")
        name = self._languages.name(language)
        user = self._prompts.render("translate.user", sentences=list(map(data, sentences)), name=name, code=language)
        reply: Any = await self._model.ainvoke([("system", system), ("user", user)])
        text = str(reply.text)[:MOST_CHARS]
        count(*tokens_of(getattr(reply, "usage_metadata", None), len(system) + len(user), len(text)))
        found = _OBJECT.search(text)
        items = json.loads(found[0], strict=False).get("sentences") if found else None
        if not isinstance(items, list):
            raise ValueError("no list of sentences")
        pairs = [(item.get("n"), item.get("text")) for item in items if isinstance(item, dict)]
        return {n: " ".join(text.split()) for n, text in pairs if isinstance(n, int) and isinstance(text, str)}

    # -- what must not change --------------------------------------------------------------------------------------

    def marked(self, sentence: str) -> Marked:
        """The sentence with figures, dates, names and quotes between ⟨ and ⟩; spelled numbers in digits, so that they cannot be misread."""
        sentence = sentence.replace("⟨", "(").replace("⟩", ")")
        holds: list[tuple[int, int, str]] = []
        for start, end, text in sorted((*self._names(sentence), *_figures(sentence)), key=lambda hold: (hold[0], -hold[1])):
            if not holds or start >= holds[-1][1]:
                holds.append((start, end, text))
            elif end > holds[-1][1]:  # "INA 212" and "212(e)"
                holds[-1] = (holds[-1][0], end, sentence[holds[-1][0] : end])
        parts, at = [], 0
        for start, end, text in holds:
            parts += [sentence[at:start], f"⟨{text}⟩"]
            at = end
        return Marked(sentence, "".join([*parts, sentence[at:]]))

    def _names(self, sentence: str) -> Iterator[tuple[int, int, str]]:
        for pattern in (_QUOTED, _CODED, _NAMED):
            for match in pattern.finditer(sentence):
                yield match.start(), match.end(), match.group()
        opens = _OPENS.match(sentence)  # at the beginning every word has a capital
        words = opens[1].split() if opens else []
        while words and self._is_plain(words):
            words.pop(0)
        if opens and words:
            yield opens.end(1) - len(" ".join(words)), opens.end(1), " ".join(words)

    def _is_plain(self, words: Sequence[str]) -> bool:
        """Whether the first of the words is no name, and begins none."""
        if any(self._terms.canonical(" ".join(words[:n])) in self._terms.entities for n in range(len(words), 0, -1)):
            return False
        return words[0].lower() in english()

    # -- whether it is one and the same ----------------------------------------------------------------------------

    def wrong(self, item: Marked, text: str, language: str) -> str:
        """Why a text is no faithful translation; empty where nothing speaks against it."""
        if not text:
            return "it did not come back"
        if Counter(_HELD.findall(text)) != item.held:
            return "a figure, date, name or quote is changed, missing or added"
        said = _HELD.sub(" ", text)
        if "⟨" in said or "⟩" in said or any(c.isdecimal() for c in said):
            return "a figure stands outside the marks"
        if added := self._added(said, item.english):
            return f"it adds the name {added}"
        if not SHORTEST * len(item.english) <= len(_HELD.sub(r"\1", text)) <= LONGEST * len(item.english) + 20:
            return "it is much longer or shorter"
        if self._languages.detect(said) != language:
            return f"it is not {self._languages.name(language)}"
        if bool(_DENIES.search(item.english)) != self._denies(said, language):
            return "it denies what is said, or the other way round"
        read = self._languages.get(language).glossary.read(said, lambda _: False, lambda *_: False).english
        return self._other(read, item.english)

    def _added(self, said: str, english: str) -> str:
        """A name that stands outside the marks and not in the English sentence."""
        words = re.findall(r"[A-Za-z][\w'-]+", said)
        latin = len(SCRIPTS["Latin"].findall(said)) > len(said) / 3
        for word in words:
            inside = not re.search(rf"(?:^|[.!?:¿¡«“(]\s*){re.escape(word)}", said)
            named = any(c.isupper() for c in word[1:]) or (word[0].isupper() and (inside or not latin))
            if named and word.lower() not in english.lower():
                return word
        return ""

    def _denies(self, said: str, language: str) -> bool:
        words = [folded(word) for word in tokens(plain(said))]
        whole = folded(plain(said))
        for denial in self._languages.get(language).negations:
            form = folded(denial.rstrip("*"))
            if SCRIPTS["Han"].search(form) and form in whole:
                return True
            if any(word == form or (denial.endswith("*") and word.startswith(form)) for word in words):
                return True
        return False

    def _other(self, read: str, english: str) -> str:
        """Whether what was read back names other things, or is about something else altogether."""
        own = self._terms.found(english)
        for kind, named in self._terms.found(read).items():
            if strange := named - own.get(kind, set()):
                return f"it names {', '.join(self._terms.name(i) for i in sorted(strange))}"
        numbers = {f.value for f in find(read) if f.kind in ("count", "span", "ord") and not f.soft}
        if numbers - {f.value for f in find(english)} - {"1"}:
            return "a figure is said in words"
        back, said = set(self._terms.tokens(read)), set(self._terms.tokens(english))
        if len(back) >= 3 and len(back & said) < SHARED * min(len(back), len(said)):
            return "it is about something else"
        return ""


@dataclass(frozen=True, slots=True)
class Translated:
    texts: tuple[str | None, ...]
    reasons: tuple[str, ...]  # why sentences stay English
    failed: str | None  # why the model gave nothing


def _figures(sentence: str) -> Iterator[tuple[int, int, str]]:
    for figure in find(sentence):
        if not figure.soft:
            yield _held(figure)


def _held(figure: Figure) -> tuple[int, int, str]:
    """Of "seven years" and "7 years" the number, in digits: the word beside it is to be translated."""
    if figure.kind not in ("count", "span"):
        return figure.start, figure.end, figure.shown
    number = _NUMBER.match(figure.shown)
    if figure.shown[0].isalpha() and figure.value.isdecimal():
        words = figure.shown.split(" ")
        size = len(words) if figure.kind == "count" else max(1, len(words) - 1)
        spelled = " ".join(words[:size])
        return figure.start, figure.start + len(spelled), figure.value
    if number and figure.shown[0].isdecimal():
        return figure.start, figure.start + len(number[0]), number[0]
    return figure.start, figure.end, figure.shown
