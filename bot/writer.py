"""Evidence in, draft sentences out, written by a chat model and named by evidence keys. The advisor verifies each before anyone sees it.

What the model returns is untrusted: it never sees an address, it cannot cite what it was not given, and what it says is limited in length
and time. What comes from outside reaches it between marks that no text can contain (`prompts/answer.j2`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import unicodedata
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bot.answer import Profile, Turn
from bot.errors import ModelFailed
from bot.evidence import Evidence
from bot.orders import gives_orders
from bot.prompts import Prompts
from bot.sentences import split
from bot.spent import tokens_of

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import Runnable

log = logging.getLogger(__name__)

MAX_SENTENCES = 12
MAX_WORDS = 400
MAX_KEYS = 4  # of one sentence: who cites everything cites nothing
MAX_TURNS = 6  # of the history, the latest
MAX_TURN_CHARS = 600
MAX_QUESTION_CHARS = 4000
MAX_OBJECT_CHARS = 4000  # of one sentence as JSON
MAX_TALK_CHARS = 20_000  # before the JSON: some models think aloud
RETRY_S = 0.5  # wait before the second try when the server names none



def schema(keys: Sequence[str]) -> dict[str, Any]:
    """JSON schema of a reply. Only keys that were offered are valid: a server that enforces schemas cannot let a model invent one."""
    evidence = {"type": "array", "items": {"type": "string", "enum": list(keys)}, "minItems": 1, "maxItems": MAX_KEYS}
    sentence = {
        "type": "object", "properties": {"text": {"type": "string"}, "evidence": evidence}, "required": ["text", "evidence"],
        "additionalProperties": False,
    }  # fmt: skip
    return {
        "title": "answer",
        "description": "The sentences of the answer, each with the keys of the evidence that says it.",
        "type": "object",
        "properties": {"sentences": {"type": "array", "items": sentence, "maxItems": MAX_SENTENCES}},
        "required": ["sentences"],
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class DraftSentence:
    """Not verified yet. Without keys it must not be shown."""

    text: str
    keys: tuple[str, ...]
    kind: Literal["fact", "advice", "frame"] = "fact"


@dataclass(frozen=True, slots=True)
class FailedSentence:
    """What the verifier did not let through, and why."""

    text: str
    keys: tuple[str, ...]
    reasons: tuple[str, ...]


Count = Callable[[int, int], None]  # tokens in, tokens out
Drafts = asyncio.Queue[DraftSentence | None]  # None: no more to come
Messages = list[tuple[str, str]]  # role and text


class ModelWriter:
    def __init__(self, model: BaseChatModel, prompts: Prompts, timeout_s: float) -> None:
        self._model = model
        self._in_words = False  # the server does not know structured output: the prompt asks for the same JSON in words
        self._prompts = prompts
        self._timeout_s = timeout_s

    async def write(
        self,
        question: str,
        evidence: Sequence[Evidence],
        *,
        history: Sequence[Turn] = (),
        profile: Profile | None = None,
        language: str = "en",
        failed: Sequence[FailedSentence] = (),
        count: Count = lambda *_: None,
    ) -> AsyncGenerator[DraftSentence, None]:
        """Each sentence as soon as the model has finished it; none at all when there is no answer in the evidence.

        Args:
            failed: what it wrote before and could not be verified, to be mended or left out.
            count: told the tokens of each request, in and out, as the provider counted them, else estimated.

        Closing the iterator, or cancelling the task that reads it, closes the connection to the model.

        Raises:
            ModelFailed: see its reasons; also after sentences were yielded, when the rest did not come.
        """
        # A whole chunk is withheld: the order may stand in one of its sentences and what it dictates in the next.
        offered = {item.key: item for item in evidence if not gives_orders(item.chunk.text)}
        if not offered:
            return
        messages = self._messages(question, offered, history, profile, language, failed)
        drafts: Drafts = asyncio.Queue()
        # A task of its own: the time limit must not strike while the reader of this iterator works on a sentence.
        task = asyncio.create_task(self._fill(drafts, messages, offered, count))
        try:
            while (draft := await drafts.get()) is not None:
                yield draft
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _messages(
        self, question: str, offered: dict[str, Evidence], history: Sequence[Turn], profile: Profile | None, language: str,
        failed: Sequence[FailedSentence],
    ) -> Messages:  # fmt: skip
        user = self._prompts.render(
            "answer.user",
            question=data(question[:MAX_QUESTION_CHARS]),
            evidence=[shown(item) for item in offered.values()],
            history=[{"role": turn.role, "text": data(turn.text[:MAX_TURN_CHARS])} for turn in history[-MAX_TURNS:]],
            profile={k: data(str(v)) for k, v in profile.model_dump(exclude_none=True).items()} if profile else {},
            language=language if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})?", language) else "en",
            failed=[{"text": data(item.text), "keys": ", ".join(item.keys), "reasons": data("; ".join(item.reasons))} for item in failed],
        )
        return [("system", self._prompts.render("answer.system")), ("user", user)]

    async def _fill(self, drafts: Drafts, messages: Messages, offered: dict[str, Evidence], count: Count) -> None:
        """Puts the draft sentences, then None, within the time limit."""
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        work = asyncio.create_task(self._try_twice(drafts, messages, offered, deadline, count))
        try:
            done, _ = await asyncio.wait([work], timeout=self._timeout_s)
            if not done:
                log.warning("The chat model took longer than %s s.", self._timeout_s)
                raise ModelFailed("timeout")
            work.result()
        finally:
            await _stop(work)
            drafts.put_nowait(None)

    async def _try_twice(
        self, drafts: Drafts, messages: Messages, offered: dict[str, Evidence], deadline: float, count: Count
    ) -> None:  # fmt: skip
        structured = None if self._in_words else _structured(self._model, list(offered))
        model = structured or self._model
        for last in (False, True):
            reading = Reading(offered)
            try:
                try:
                    await self._read(model, messages, reading, drafts)
                finally:
                    if reading.begun:
                        count(*tokens_of(reading.usage, sum(len(text) for _, text in messages), reading.characters))
                self._in_words = model is self._model
                return
            except ModelFailed as error:
                log.warning("The chat model gave no usable reply: %s.", error.reason)
                raise
            except Exception as error:  # each provider has its own tree of errors
                status = _status(error)
                reason = _reason(error, status, begun=reading.begun)
                # Kind and status only: the text of an error may quote the request, the key or the question.
                log.warning("The chat model failed: %s (%s, status %s).", reason, type(error).__name__, status)
                if last or reading.begun:
                    raise ModelFailed(reason) from None
                if status in (400, 422) and model is not self._model:
                    model = self._model  # perhaps it does not know structured output
                    continue
                wait = _wait(error, status, reason)
                if wait is None or asyncio.get_running_loop().time() + wait >= deadline:
                    raise ModelFailed(reason) from None
                await asyncio.sleep(wait)

    async def _read(self, model: Runnable[Any, Any], messages: Messages, reading: Reading, drafts: Drafts) -> None:
        stream: Any = model.astream(messages)
        async with contextlib.aclosing(stream):
            async for chunk in stream:
                for draft in reading.take(chunk):
                    drafts.put_nowait(draft)
                if reading.done:
                    return
        reading.finish()


class Reading:
    """A reply as it arrives: the sentences that are complete, and why it ended.

    The reply is a JSON object, `{"sentences": [{"text", "evidence"}, …]}`: as text, also in a code fence, or as arguments of a tool call.
    """

    def __init__(self, offered: dict[str, Evidence]) -> None:
        self._offered = offered
        self._by_quote = {_said(item.quote): key for key, item in offered.items()}  # small models repeat a quote in the place of its key
        self._buffer = ""
        self._inside = False  # the list of sentences is open
        self._closed = False  # it was closed
        self._ended = ""  # why the model stopped, in the provider's word
        self._looked = 0  # so far the buffer holds no beginning of the list
        self._from_tool = False
        self._call: int | str | None = None  # index of the tool call that is read
        self._sentences = self._words = 0
        self.begun = False  # something of the reply has arrived
        self.characters = 0
        self.usage: dict[str, Any] | None = None  # tokens as the provider counted them

    @property
    def done(self) -> bool:
        return self._closed or self._full

    @property
    def _full(self) -> bool:
        return self._sentences >= MAX_SENTENCES or self._words >= MAX_WORDS

    def take(self, chunk: Any) -> Iterator[DraftSentence]:
        """Reads one message chunk of LangChain.

        Raises:
            ModelFailed: refused or garbage.
        """
        if chunk.additional_kwargs.get("refusal"):
            raise ModelFailed("refused")
        meta = chunk.response_metadata
        self._ended = str(meta.get("finish_reason") or meta.get("stop_reason") or meta.get("done_reason") or self._ended)
        if meta.get("status") == "incomplete":
            self._ended = "length"
        if self._ended in _REFUSED:
            raise ModelFailed("refused")
        self.usage = getattr(chunk, "usage_metadata", None) or self.usage
        piece = self._piece(chunk)
        self.characters += len(piece)
        self._buffer += piece
        self.begun = self.begun or bool(self._buffer)
        yield from self._complete()

    def _piece(self, chunk: Any) -> str:
        """Arguments of the first tool call, where the provider answers by tool call; else text."""
        pieces = getattr(chunk, "tool_call_chunks", None) or []
        if not pieces:  # a provider that does not stream calls hands them over whole
            pieces = [{"args": json.dumps(c["args"])} for c in getattr(chunk, "tool_calls", [])]
        if pieces and not self._from_tool:
            self._from_tool, self._call, self._buffer, self._looked = True, pieces[0].get("index"), "", 0  # what was said before is talk
        if self._from_tool:
            return "".join(piece["args"] or "" for piece in pieces if piece.get("index") == self._call)
        return str(chunk.text)

    def _complete(self) -> Iterator[DraftSentence]:
        if not self._inside and not self._closed:
            start = _OBJECT.search(self._buffer, self._looked) or _ARRAY.match(self._buffer)
            if not start:
                if len(self._buffer) > MAX_TALK_CHARS:
                    raise ModelFailed("garbage")
                self._looked = max(0, len(self._buffer) - 40)
                return
            self._inside, self._buffer = True, self._buffer[start.end() :]
        while self._inside and not self._full:
            self._buffer = self._buffer.lstrip(" \t\r\n,")
            if self._buffer.startswith("]"):
                self._inside, self._closed = False, True
            elif self._buffer and not self._buffer.startswith("{"):
                raise ModelFailed("garbage")
            else:
                try:
                    item, end = _DECODER.raw_decode(self._buffer)
                except ValueError:  # not complete yet, or never will be
                    if len(self._buffer) > MAX_OBJECT_CHARS:
                        raise ModelFailed("garbage") from None
                    return
                self._buffer = self._buffer[end:]
                yield from self._drafts(item)

    def _drafts(self, item: dict[str, Any]) -> Iterator[DraftSentence]:
        text, keys = item.get("text"), item.get("evidence", [])
        if not isinstance(text, str) or not isinstance(keys, list):
            raise ModelFailed("garbage")
        named = dict.fromkeys(self._by_quote.get(_said(str(key))) or str(key).strip(" []()⟦⟧").lower() for key in keys)
        valid = tuple(key for key in named if key in self._offered)[:MAX_KEYS]
        text = _said(text)
        if _ADDRESS.search(text):
            log.info("A sentence with an address in it was dropped.")
            return
        # The check is made sentence by sentence; a model that puts two into one must not hide the second behind the first.
        for sentence in split(text):
            words = len(sentence.split())
            if self._full or self._words + words > MAX_WORDS:
                self._words = MAX_WORDS
                return
            self._sentences, self._words = self._sentences + 1, self._words + words
            yield DraftSentence(sentence, valid, self._kind(valid))

    def _kind(self, keys: tuple[str, ...]) -> Literal["fact", "advice"]:
        """Decided by the evidence, never by the model: advice is what rests on advice alone."""
        facts = [fact for key in keys for fact in self._offered[key].facts]
        return "advice" if facts and all(fact.source.tier == "advice" for fact in facts) else "fact"

    def finish(self) -> None:
        """The reply is over.

        Raises:
            ModelFailed: truncated, empty or garbage, when the list of sentences was not closed.
        """
        if self.done:
            return
        if self._ended in _TRUNCATED:
            raise ModelFailed("truncated")
        if not self._buffer.strip() and not self._inside:
            raise ModelFailed("empty")
        raise ModelFailed("garbage" if self._ended else "truncated")


_OBJECT = re.compile(r'"sentences"\s*:\s*\[')
_ARRAY = re.compile(r"\s*(?:```(?:json)?\s*)?\[")
_DECODER = json.JSONDecoder(strict=False)  # models put raw line breaks into strings
_REFUSED = frozenset({"content_filter", "refusal", "SAFETY", "safety"})
_TRUNCATED = frozenset({"length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded"})
_MARKS = str.maketrans(dict.fromkeys("⟦⟧〚〛", " "))
_ADDRESS = re.compile(
    r"(?i)\b[a-z][a-z0-9+.-]{1,11}://|\bwww\.|\]\(|\bmailto:|[\w.+-]+@[\w-]+\.\w|\b(?:[a-z0-9-]+\.)+(?:com|org|gov|edu|net|io|info|biz|us|uk|co|app|dev|ly|me)\b"
)
_INLINE_KEY = re.compile(r"\s*(?:[\[(⟦]\s*(?:evidence\s+)?e[0-9a-f]{7}(?:\s*[,;]\s*e[0-9a-f]{7})*\s*[\])⟧]|\[\d{1,2}(?:\s*,\s*\d{1,2})*\])")
_BULLET = re.compile(r"^\s*(?:[-*•#>]+|\d{1,2}[.)])\s+")
_MONTHS = "January February March April May June July August September October November December".split()


def _structured(model: BaseChatModel, keys: Sequence[str]) -> Runnable[Any, Any] | None:
    """The model bound to the schema in the way its provider prefers (JSON schema, tool call), without LangChain's parser behind it.

    The parser is left out because it repairs a cut reply in silence, so a truncated one could not be told from a whole one.
    """
    try:
        chain: Any = model.with_structured_output(schema(keys))
    except (NotImplementedError, ValueError, TypeError):
        return None
    first = getattr(chain, "first", None)
    # RunnableBinding has `bound`; anything else is no plain "model | parser" and cannot be taken apart.
    return first if getattr(first, "bound", None) is not None else None


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancels the task until it is over. It unwinds the client's nested generators from the inside, which closes the connection.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, which clients use, swallows a cancellation that meets a result.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
    if not task.cancelled():
        task.exception()  # seen


def data(text: str) -> str:
    """Text from outside, without the marks that delimit blocks and without characters nobody sees."""
    text = text.translate(_MARKS)
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs"))


def shown(item: Evidence) -> dict[str, object]:
    dates = [fact.as_of for fact in item.facts] or [item.chunk.as_of]
    header = next((line for line in item.context if line.lstrip().startswith("|")), "")
    return {
        "key": item.key,
        "place": data(" > ".join(part for part in item.chunk.heading if part)).replace("\n", " "),
        "as_of": _month(min(dates)) if "unknown" not in dates else "",
        "volatile": any(fact.volatile for fact in item.facts) or (not item.facts and item.chunk.volatile),
        "header": data(header),
        "quote": data(item.quote),
    }


def _month(date: str) -> str:
    """ "2026-07" and "2026-07-31" are "July 2026"; a year stays a year."""
    match = re.fullmatch(r"(\d{4})-(\d{2})(?:-\d{2})?", date)
    return f"{_MONTHS[int(match[2]) - 1]} {match[1]}" if match and 1 <= int(match[2]) <= 12 else data(date)


def _said(text: str) -> str:
    """One line, without list marks and without the keys and numbers that models put behind a sentence."""
    return _BULLET.sub("", " ".join(_INLINE_KEY.sub("", text).split()))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _status(error: BaseException) -> int | None:
    """HTTP status, where the error or its cause carries one; all clients in use have one of these attributes."""
    for cause in _chain(error):
        for holder in (cause, getattr(cause, "response", None)):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int) and status >= 400:
                return status
    return None


def _reason(error: BaseException, status: int | None, *, begun: bool) -> str:
    """One word for an error of any provider, told by status and class name: importing their errors would import every provider."""
    if status in (401, 403):
        return "auth"
    if status == 408 or status == 504:
        return "timeout"
    if status == 429 or (status or 0) >= 500:
        return "overloaded"
    if status is not None:
        return "rejected"
    names = {cls.__name__ for cause in _chain(error) for cls in type(cause).__mro__}
    if names & {"LengthFinishReasonError"}:
        return "truncated"
    if names & {"ContentFilterFinishReasonError", "ModelRefusalError"}:
        return "refused"
    if any("Timeout" in name for name in names):
        return "timeout"
    if names & {"APIConnectionError", "TransportError", "ConnectionError"}:
        return "truncated" if begun else "unreachable"
    return "garbage"


def reason_of(error: BaseException) -> str:
    """Why a model failed, in one word of `ModelFailed`."""
    return _reason(error, _status(error), begun=False)


def _wait(error: BaseException, status: int | None, reason: str) -> float | None:
    """Seconds before a second try, or None where a second try would not help."""
    if reason != "unreachable" and status not in (429, 503):
        return None
    for cause in _chain(error):
        named = getattr(getattr(cause, "response", None), "headers", {}).get("retry-after")
        if named is not None:
            with contextlib.suppress(ValueError):
                return max(0.0, float(named))
            return None  # a date, or nonsense: not worth waiting for
    return RETRY_S
