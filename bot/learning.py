"""What the console learns from the conversations: notes of answers, knowledge tasks, changed facts. Done bit by bit, beside the answering.

Whatever is learned is in the database and can be learned again; several replicas may do it at once.
"""

from __future__ import annotations

import asyncio
import logging

from bot.advisor import Advisor
from bot.asked import Asked
from bot.changes import Changes
from bot.edited import note_edits
from bot.errors import AdvisorError
from bot.gaps import gather
from bot.tasks import Tasks

log = logging.getLogger(__name__)

EVERY_S = 20.0
PAUSE_S = 0.02
"""Between two batches, so that questions of visitors come first."""


class Learning:
    def __init__(self, advisor: Advisor) -> None:
        self._advisor = advisor
        self._task: asyncio.Task[int] | None = None
        self.asked = Asked(advisor.engine)
        self.tasks = Tasks(advisor.engine)
        self.changes = Changes(advisor.engine, advisor.prompts)

    async def catch_up(self) -> int:
        """Looks at all that is new; returns how many answers there were.

        Raises:
            IndexMissing, IndexMismatch.
        """
        advisor = self._advisor
        index = await advisor.index()
        count, more = 0, True
        while more:
            noted = await self.asked.note(index)
            count, more = count + noted.count, noted.more
            await asyncio.sleep(PAUSE_S if more else 0)
        await self.changes.notice(index)
        while await note_edits(advisor.engine, self.tasks, index, advisor.terms):
            await asyncio.sleep(PAUSE_S)
        while await gather(advisor.engine, index, advisor.terms, advisor.embedded):
            await asyncio.sleep(PAUSE_S)
        return count

    async def freshen(self, within_s: float = 0.05) -> bool:
        """Begins to catch up, and waits a moment for it: what happened just now is in, and a page does not wait for what is long.
        False: it goes on behind."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._quietly())
        done, _ = await asyncio.wait([self._task], timeout=within_s)
        return bool(done)

    async def run(self, first_s: float = 0.0) -> None:
        """Catches up now and then, until it is cancelled."""
        await asyncio.sleep(first_s)
        while True:
            await self.freshen(EVERY_S)
            await asyncio.sleep(EVERY_S)

    async def close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _quietly(self) -> int:
        try:
            return await self.catch_up()
        except AdvisorError:  # nothing is indexed yet: readiness says so
            return 0
        except Exception as error:  # the database is away: next time
            log.warning("Learning paused (%s); it goes on in a moment.", type(error).__name__)
            return 0
