"""What the rooms about knowledge work with: learning, numbers, the knowledge desk. Opened with the server, closed with it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Request

from bot.advisor import Advisor
from bot.approved import ApprovedAnswers
from bot.learning import Learning
from bot.numbers import Numbers
from bot.settings import Settings
from ingest.checked import Checks
from ingest.desk import Desk
from ingest.reingest import Reingest
from ingest.run import Workshop
from web.state import state_of

FIRST_S = 3.0
"""After a start questions of visitors come first."""


class Workroom:
    def __init__(self, settings: Settings, advisor: Advisor) -> None:
        self.learning = Learning(advisor)
        self.numbers = Numbers(advisor.engine)
        self.desk = Desk(settings.knowledge, settings.data / "desk.lock")
        self.checks = Checks(settings.knowledge)
        self.reingest = Reingest(Workshop(settings, advisor.engine, advisor.vectors, advisor.embedder))
        self.approved = ApprovedAnswers(advisor.engine, settings.golden_folder / "approved.yaml")
        self._learning: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._learning = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        await asyncio.sleep(FIRST_S)
        await asyncio.to_thread(self.desk.warm)
        await self.learning.run()

    async def close(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.wait([self._learning])
        await self.learning.close()
        await self.checks.close()
        await self.reingest.close()


def workroom_of(request: Request) -> Workroom:
    found = state_of(request).workroom
    assert found is not None, "requests come only after start-up"
    return found


WorkroomHere = Annotated[Workroom, Depends(workroom_of)]
