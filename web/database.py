"""The database alone, for commands that need neither index nor embedder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from bot.settings import Settings, read_settings

Value = TypeVar("Value")


def with_database(work: Callable[[AsyncEngine, Settings], Coroutine[Any, Any, Value]]) -> Value:
    """Opens it, brings it to the newest schema, does the work, and closes it."""

    async def run() -> Value:
        from bot.database import open_engine
        from bot.migrations import upgrade

        settings = read_settings()
        settings.data.mkdir(parents=True, exist_ok=True)
        engine = await open_engine(settings.database)
        try:
            await upgrade(engine)
            return await work(engine, settings)
        finally:
            await engine.dispose()

    return asyncio.run(run())
