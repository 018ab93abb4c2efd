"""One bounded worker for CPU work, so that the event loop never waits for a model.

Questions that arrive while it is busy are searched together: one embedding call and one Chroma call for several of them. Nothing waits for
a batch to fill, so a lone question loses no time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bot.errors import AdvisorError

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_WAITING = 512

More = Callable[[int], Sequence[tuple[int, Item]]]
"""Up to so many items that wait by now, numbered. None: there are no more."""
Done = Callable[[int, Result], None]


class Worker:
    """A single thread. Work runs in the order in which it came."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._wanted = 0

    @property
    def has_more(self) -> bool:
        """Whether other work waits for what runs now."""
        return self._wanted > 1

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        self._wanted += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._wanted -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Batch(Generic[Item, Result]):
    """Calls of `one` that pile up while the worker is busy are worked on together, and those that come meanwhile join them."""

    def __init__(self, worker: Worker, work: Callable[[More[Item], Done[Result]], None], size: int = 32) -> None:
        """
        Args:
            work: takes items until there are no more, and tells the result of each, in any order, before it returns.
            size: as many are taken while other work waits for the worker; else there is no end while items come.
        """
        self._worker = worker
        self._work = work
        self._size = size
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def one(self, item: Item) -> Result:
        """
        Raises:
            AdvisorError: too much work is waiting.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise AdvisorError("Too many questions are waiting. Please try again in a minute.")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            taken = _Taken[Result]()
            try:
                await self._worker.run(self._run, taken, asyncio.get_running_loop())
            except Exception as error:
                failed = [*taken.open.values()]
                if not taken.count:  # the worker is closed, or nothing can be worked on: the next run would end like this one
                    failed += [self._waiting.popleft()[1] for _ in range(len(self._waiting))]
                for future in failed:
                    if not future.done():
                        future.set_exception(error)

    def _run(self, taken: _Taken[Result], loop: asyncio.AbstractEventLoop) -> None:
        def more(most: int) -> list[tuple[int, Item]]:
            some: list[tuple[int, Item]] = []
            while self._waiting and len(some) < most and (taken.count < self._size or not self._worker.has_more):
                item, future = self._waiting.popleft()
                if not future.done():  # nobody waits for it any more
                    taken.open[taken.count] = future
                    some.append((taken.count, item))
                    taken.count += 1
            return some

        def done(number: int, result: Result) -> None:
            loop.call_soon_threadsafe(_tell, taken.open.pop(number), result)

        self._work(more, done)


@dataclass(slots=True)
class _Taken(Generic[Result]):
    """What a run of the worker has taken on: how many, and who still waits for a result, by number."""

    count: int = 0
    open: dict[int, asyncio.Future[Result]] = field(default_factory=dict)


def _tell(future: asyncio.Future[Result], result: Result) -> None:
    if not future.done():
        future.set_result(result)
