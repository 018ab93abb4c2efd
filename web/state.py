"""What the routes of one app share. Built in `web.app`, read through the dependencies below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from bot.advisor import Advisor
from bot.settings import Settings
from web.events import Runs
from web.limits import Limits
from web.metrics import Metrics
from web.sites import Sites

if TYPE_CHECKING:
    from web.console.workroom import Workroom
    from web.slack.app import Slack


@dataclass(slots=True)
class State:
    settings: Settings
    limits: Limits
    runs: Runs
    metrics: Metrics
    sites: Sites
    advisor: Advisor | None = None  # set while the app is running
    slack: Slack | None = None  # where Slack is set up: set while the app is running
    workroom: Workroom | None = None  # set while the app is running


def state_of(request: Request) -> State:
    state: State = request.app.state.doors
    return state


def advisor_of(request: Request) -> Advisor:
    advisor = state_of(request).advisor
    assert advisor is not None, "requests come only after start-up"
    return advisor


def limit_requests(request: Request) -> None:
    """Dependency of every visitor's route that is neither a message nor a new conversation."""
    state_of(request).limits.check(request, "request")


StateHere = Annotated[State, Depends(state_of)]
AdvisorHere = Annotated[Advisor, Depends(advisor_of)]
