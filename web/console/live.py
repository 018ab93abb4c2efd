"""What is waiting, told to every open page as it changes, in all windows and whichever server process they talk to.

Each process looks at the database once a second while anybody listens, never once for each listener, and tells all its pages. What is
told is a mark; a page whose mark differs fetches itself anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.exc import SQLAlchemyError

from bot.advisor import Advisor
from bot.errors import AdvisorError
from bot.items import Pulse
from web.console.frame import Me, require
from web.events import HEADERS, HEARTBEAT_S
from web.state import advisor_of

log = logging.getLogger("img_advisor.web")

LOOK_S = 1.0
REST_S = 5.0
"""Between looks while the database does not answer."""
STREAM_S = 120.0
"""After so long a page has to connect, and show its session, again."""


class Live:
    """One a process. `pulse` is the last one that was seen."""

    def __init__(self, advisor: Advisor) -> None:
        self._advisor = advisor
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self.pulse: Pulse | None = None
        self.names: dict[str, str] = {}

    async def look(self) -> Pulse:
        """What is so now; items that came in are weighed first."""
        await self._advisor.weigh_items()
        pulse = await self._advisor.inbox.pulse()
        unknown = {who for people in pulse.here.values() for who in people} - self.names.keys()
        if unknown:
            self.names |= {**{who: who for who in unknown}, **await self._advisor.accounts.names(unknown)}
        if self.pulse is None or self.pulse.mark != pulse.mark:
            self.pulse = pulse
            self._wake()
        return pulse

    def close(self) -> None:
        """Ends all streams: the server stops."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def pulses(self, heartbeat_s: float = HEARTBEAT_S) -> AsyncIterator[Pulse | None]:
        """The state now, then whenever it changes; None as a sign of life in between."""
        self._listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._go_on())
        try:
            told = ""
            while not self._closed:
                changed, pulse = self._changed, self.pulse
                if pulse is not None and pulse.mark != told:
                    told = pulse.mark
                    yield pulse
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), heartbeat_s)
                except TimeoutError:
                    yield None
        finally:
            self._listeners -= 1

    async def _go_on(self) -> None:
        failing = False
        while self._listeners:
            try:
                await self.look()
                failing = False
            except (AdvisorError, SQLAlchemyError, OSError) as error:
                if not failing:
                    log.warning("Live updates of the console wait for the database (%s).", type(error).__name__)
                failing = True
            await asyncio.sleep(REST_S if failing else LOOK_S)


def live_of(request: Request) -> Live:
    """Made when the first page asks."""
    live: Live | None = getattr(request.app.state, "live", None)
    if live is None:
        live = request.app.state.live = Live(advisor_of(request))
    return live


LiveHere = Annotated[Live, Depends(live_of)]
router = APIRouter(prefix="/console/live", dependencies=[Depends(require("advisor"))])


@router.get("")
async def listen(me: Me, live: LiveHere) -> Response:
    """Server-sent events `pulse`. Ends after a while; browsers connect again by themselves."""
    return StreamingResponse(_lines(live, me.id), headers=HEADERS, media_type="text/event-stream")


async def _lines(live: Live, me: str) -> AsyncIterator[str]:
    yield "retry: 1500\n\n"
    until = time.monotonic() + STREAM_S
    async for pulse in live.pulses():
        yield ": still here\n\n" if pulse is None else f"id: {pulse.mark}\nevent: pulse\ndata: {_told(live, pulse, me)}\n\n"
        if time.monotonic() > until:
            return


def _told(live: Live, pulse: Pulse, me: str) -> str:
    here = {item: [live.names.get(who, who) for who in people if who != me] for item, people in pulse.here.items()}
    counts = {"waiting": pulse.waiting, "new": pulse.new, "assigned": pulse.assigned, "again": pulse.again}
    return json.dumps({"mark": pulse.mark, **counts, "here": {item: people for item, people in here.items() if people}})
