"""One bounded worker for CPU work, so that the event loop never waits for a model.

Questions that arrive while it is busy are searched together: one embedding call and one Chroma call for all of them. Nothing waits for a
batch to fill, so a lone question loses no time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from bot.errors import AdvisorError

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_WAITING = 512


class Worker:
    """A single thread. Work runs in the order in which it came."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="worker")

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Batch(Generic[Item, Result]):
    """Calls of `one` that pile up while the worker is busy become one call of `many`, of up to `size` items."""

    def __init__(self, worker: Worker, many: Callable[[Sequence[Item]], Sequence[Result]], size: int = 32) -> None:
        self._worker = worker
        self._many = many
        self._size = size
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
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
            part, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            part = [(item, future) for item, future in part if not future.done()]
            if not part:
                continue
            try:
                results = await self._worker.run(self._many, [item for item, _ in part])
                for (_, future), result in zip(part, results, strict=True):
                    if not future.done():
                        future.set_result(result)
            except Exception as error:
                for _, future in part:
                    if not future.done():
                        future.set_exception(error)
