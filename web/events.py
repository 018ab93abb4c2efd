"""A message's events as server-sent events.

Each message is a run of its own, which goes on to the end whether or not anybody listens, so that the answer is stored. Who comes
back with Last-Event-ID gets what they missed from the run's buffer.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from starlette.responses import StreamingResponse

from bot.answer import Answer, AnswerEvent, Event, SentenceEvent, StatusEvent
from web.problems import Problem, problem, problem_of

HEARTBEAT_S = 15.0
KEEP_S = 300.0
"""How long a finished run can be resumed from memory; afterwards its stored answer is sent."""
MAX_FINISHED = 300

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "keep-alive"}


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it goes out: its name and its data, JSON in one line."""

    name: str
    data: str

    def encode(self, ident: str) -> str:
        return f"id: {ident}\nevent: {self.name}\ndata: {self.data}\n\n"


@dataclass(slots=True, eq=False)
class Run:
    """The events of one message so far. `answer` or `failure` is set when it is over."""

    conversation_id: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    events: list[Sent] = field(default_factory=list)
    answer: Answer | None = None
    failure: Problem | None = None
    finished_at: float | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def finished(self) -> bool:
        return self.finished_at is not None

    def add(self, event: Sent) -> None:
        self.events.append(event)
        self._wake()

    def finish(self, at: float) -> None:
        self.finished_at = at
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Until the run is over."""
        while not self.finished:
            await self._changed.wait()

    async def lines(self, after: int = 0, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[str]:
        """The stream from event number `after` on (events count from 1), with a comment whenever nothing happened for `heartbeat_s`."""
        yield "retry: 2000\n\n"
        position = after
        while True:
            while position < len(self.events):
                position += 1
                yield self.events[position - 1].encode(f"{self.id}.{position}")
            if self.finished:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), heartbeat_s)
            except TimeoutError:
                yield ": still working\n\n"


class Runs:
    """The runs under way, and for a while those that are over."""

    def __init__(self, on_end: Callable[[Run, float], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._on_end, self._clock = on_end, clock
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, conversation_id: str, events: AsyncIterator[Event]) -> Run:
        self._forget_old()
        run = Run(conversation_id)
        self._runs[run.id] = run
        task = asyncio.create_task(self._follow(run, events))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    def find(self, conversation_id: str, last_event_id: str) -> tuple[Run, int] | None:
        """The run of an event id, and the number of its last event that was seen; None when the run is gone or another conversation's."""
        ident, _, number = last_event_id.rpartition(".")
        run = self._runs.get(ident)
        if run is None or run.conversation_id != conversation_id or not number.isascii() or not number.isdigit() or len(number) > 6:
            return None
        return run, min(int(number), len(run.events))

    def forget(self, conversation_id: str) -> None:
        """Drops what is kept of a conversation that was deleted."""
        for ident in [ident for ident, run in self._runs.items() if run.conversation_id == conversation_id]:
            del self._runs[ident]

    async def close(self, patience_s: float = 5.0) -> None:
        """Lets running messages come to their end for a moment, then stops them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _follow(self, run: Run, events: AsyncIterator[Event]) -> None:
        began = self._clock()
        try:
            async for event in events:
                if isinstance(event, AnswerEvent):
                    run.answer = event.answer
                run.add(sent(event))
            if run.answer is None:
                raise RuntimeError("a stream ends with an answer")
        except asyncio.CancelledError:
            _fail(run, problem("stopping", "The server was stopped before the answer was ready. Please send the message again."))
            raise
        except Exception as error:
            _fail(run, problem_of(error))
        finally:
            run.finish(self._clock())
            self._on_end(run, self._clock() - began)

    def _forget_old(self) -> None:
        limit = self._clock() - KEEP_S
        finished = [run for run in self._runs.values() if run.finished_at is not None]
        for number, run in enumerate(finished):
            if (run.finished_at or 0) < limit or len(finished) - number > MAX_FINISHED:
                del self._runs[run.id]


def sent(event: Event) -> Sent:
    match event:
        case AnswerEvent():
            return Sent("answer", event.answer.model_dump_json())
        case SentenceEvent() | StatusEvent():
            return Sent(event.type, event.model_dump_json(exclude={"type"}))


def _fail(run: Run, shown: Problem) -> None:
    run.failure = shown
    run.add(Sent("error", shown.model_dump_json(exclude_none=True)))


def stream_run(run: Run, after: int = 0) -> StreamingResponse:
    return StreamingResponse(run.lines(after), headers=HEADERS, media_type="text/event-stream")


def stream_stored(answer_json: str) -> StreamingResponse:
    """The one event that a run which is gone still owes. JSON as stored holds no line break, so it is one data line."""

    async def lines() -> AsyncIterator[str]:
        yield Sent("answer", answer_json).encode("stored.1")

    return StreamingResponse(lines(), headers=HEADERS, media_type="text/event-stream")


DOCUMENTED = {
    "description": (
        'JSON, or with `Accept: text/event-stream` server-sent events in this order: `status` (`{"text"}`: what is happening, '
        'for people), `sentence` (`{"sentence", "citations"}`: one verified sentence and the citations it needs, as soon as it is '
        "verified), then `answer` (the whole Answer) or `error` (a problem document). Each event has an `id`. Send the same request "
        "again with the header `Last-Event-ID` to get what was missed; nothing is asked twice. A comment line is sent every 15 seconds "
        "while nothing happens."
    ),
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": "id: Qm3k.1\nevent: status\ndata: "
            + json.dumps({"text": "Reading 3 guides"})
            + "\n\nid: Qm3k.2\nevent: sentence\ndata: "
            + json.dumps({"sentence": {"text": "…", "citations": [1]}, "citations": [{"n": 1, "quote": "…"}]})
            + "\n\nid: Qm3k.3\nevent: answer\ndata: {…}\n\n",
        }
    },
}
