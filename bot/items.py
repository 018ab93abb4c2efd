"""An item of the inbox as it is shown, and what can be asked of the queue."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from bot.fulltext import Excerpt
from bot.store import State

Show = Literal["waiting", "new", "assigned", "again", "answered", "closed", "all"]
SHOWS: tuple[Show, ...] = ("waiting", "new", "assigned", "again", "answered", "closed", "all")
Channel = Literal["widget", "slack", "mail"]
CHANNELS: tuple[Channel, ...] = ("widget", "slack", "mail")
PRIORITIES = ("urgent", "high", "normal", "low")
NORMAL = PRIORITIES.index("normal")


@dataclass(frozen=True, slots=True)
class Filters:
    """What is to be shown. `advisor` is whose items; `words` are looked for in all that was said."""

    show: Show = "waiting"
    advisor: str | None = None
    channel: str | None = None
    priority: int | None = None
    language: str | None = None
    site: str | None = None
    words: str = ""

    @property
    def narrowed(self) -> bool:
        return self != Filters(show=self.show)


@dataclass(frozen=True, slots=True)
class Item:
    """A hand-off as a line of the queue. `priority` is what it counts as now, `by_hand` what an advisor has set."""

    id: str
    conversation_id: str
    state: State
    advisor: str | None  # an account's id, or a name that the command line gave
    advisor_name: str
    channel: Channel
    site: str
    language: str | None
    reason: str
    question: str  # what the applicant last wrote
    created_at: dt.datetime
    updated_at: dt.datetime
    heard_at: dt.datetime | None
    waiting_since: dt.datetime | None
    priority: int
    by_hand: int | None
    emergency: bool
    due: dt.date | None
    due_for: str
    again: bool  # the applicant wrote after it was taken on or answered
    unread: bool  # waits, and whoever asks has not seen it since the applicant wrote
    sender: str = ""  # of a pasted mail
    subject: str = ""
    found: Excerpt | None = None  # where the words that were looked for stand


@dataclass(frozen=True, slots=True)
class Page:
    """`before` and `after` are the marks of the pages beside this one; None where there is none."""

    items: list[Item]
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """What can be told of the whole inbox with one cheap look. `mark` changes whenever an item does."""

    mark: str
    new: int
    assigned: int
    again: int
    here: dict[str, tuple[str, ...]] = field(default_factory=dict)  # hand-off -> accounts that look at it

    @property
    def waiting(self) -> int:
        return self.new + self.assigned + self.again


@dataclass(frozen=True, slots=True)
class Unweighed:
    """An item of which it is not worked out yet how much it presses: all that the applicant wrote, oldest first."""

    id: str
    rev: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weight:
    emergency: bool = False
    due: dt.date | None = None
    due_for: str = ""
