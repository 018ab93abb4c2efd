"""Who takes part in the Slack app: each module registers its listeners and jobs. The first listener that fits is the only one that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from web.slack import answers, asking, command, desk, drafting, home, talk, watch, welcome

if TYPE_CHECKING:
    from web.slack.app import Slack

SURFACES: tuple[Callable[[Slack], None], ...] = (
    talk.add,
    welcome.add,
    command.add,
    watch.add,
    answers.add,
    asking.add,
    desk.add,
    drafting.add,
    home.add,
)
