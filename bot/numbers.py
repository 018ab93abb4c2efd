"""The numbers of the console, week by week: what was answered and handed over, how soon, how drafts were changed, what readers thought.

Everything is counted by the database from narrow tables, so that ten thousand conversations cost a few milliseconds.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.asked import monday, weeks

ANSWERED = ("answered", "corrected_premise")
UNANSWERED = ("no_answer",)


@dataclass(frozen=True, slots=True)
class Week:
    """`start` is its Monday. Hours are between an applicant's call for an advisor and the first reply; None: there was none."""

    start: str
    answered: int = 0
    partial: int = 0
    unanswered: int = 0
    other: int = 0  # asked back, declined, or sent on to help
    handed_over: int = 0
    replied: int = 0  # hand-offs of this week that have a reply
    hours_median: float | None = None
    hours_slowest: float | None = None  # nine of ten were faster
    sent: int = 0  # drafts sent
    unchanged: int = 0
    tone: int = 0
    scope: int = 0
    fact: int = 0
    helpful: int = 0
    unhelpful: int = 0

    @property
    def asked(self) -> int:
        return self.answered + self.partial + self.unanswered + self.other

    @property
    def unchanged_share(self) -> float | None:
        return self.unchanged / self.sent if self.sent else None


COLUMNS: dict[str, str] = {
    "start": "Week (Monday)", "asked": "Questions", "answered": "Answered", "partial": "Answered in part",
    "unanswered": "Not in our guides", "other": "Asked back or declined", "handed_over": "Handed over", "replied": "Of these replied to",
    "hours_median": "Hours to first reply (median)", "hours_slowest": "Hours to first reply (slowest tenth)", "sent": "Drafts sent",
    "unchanged": "Sent unchanged", "tone": "Tone edited", "scope": "Scope edited", "fact": "Facts edited", "helpful": "Helpful",
    "unhelpful": "Not helpful",
}  # fmt: skip
"""Names of what a week holds, in the order of tables and exports."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A shelf of the guides, or a guide: how much was asked about it, and how it went. Helpful and not are readers' votes."""

    name: str
    asked: int
    partial: int
    unanswered: int
    helpful: int = 0
    unhelpful: int = 0

    @property
    def gap(self) -> int:
        return self.partial + self.unanswered


@dataclass(slots=True)
class _Counts:
    values: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))

    def add(self, week: str, name: str, count: int) -> None:
        self.values[week][name] += count


class Numbers:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def weeks(self, until: dt.date, count: int = 12) -> list[Week]:
        """The last so many weeks, the present one last."""
        starts = weeks(until, count)
        counts = _Counts()
        for row in await self._rows(_by_status(starts[0])):
            counts.add(row.week, _name_of(row.status), row.n)
        for row in await self._rows(_handed_over(starts[0])):
            counts.add(monday(row.day), "handed_over", row.n)
        for row in await self._rows(_by_edit(starts[0])):
            counts.add(row.week, "sent", row.n)
            counts.add(row.week, "unchanged" if row.kind == "none" else row.kind, row.n)
        for row in await self._rows(_by_vote(starts[0])):
            counts.add(monday(row.day), "helpful" if row.value > 0 else "unhelpful", row.n)
        for week, hours in (await self._hours(starts[0])).items():
            counts.values[week] |= {"replied": len(hours), "hours_median": statistics.median(hours), "hours_slowest": _slowest(hours)}
        return [Week(start, **counts.values[start]) for start in starts]

    async def sources(self, since: str, most: int = 10) -> list[tuple[str, int]]:
        """The sources that answers cite most, from a week on."""
        table = tables.source_counts
        n = sa.func.sum(table.c.count).label("n")
        query = sa.select(table.c.source, n).where(table.c.week >= since).group_by(table.c.source).order_by(n.desc(), table.c.source)
        return [(row.source, int(row.n)) for row in await self._rows(query.limit(most))]

    async def topics(self, since: str) -> list[Topic]:
        """By shelf of the guides, what is asked most first; "" is about nothing that we have."""
        return await self._topics(tables.answer_notes.c.shelf, since)

    async def guides(self, since: str, most: int = 20) -> list[Topic]:
        """The guides about which most was asked."""
        return (await self._topics(tables.answer_notes.c.guide, since))[:most]

    async def waiting(self) -> int:
        """Hand-offs that nobody has answered."""
        table = tables.handoffs
        (row,) = await self._rows(sa.select(sa.func.count().label("n")).where(table.c.state.in_(("requested", "assigned"))))
        return int(row.n)

    async def _topics(self, column: sa.Column[str], since: str) -> list[Topic]:
        notes, votes = tables.answer_notes, tables.feedback
        query = sa.select(column.label("name"), notes.c.status, sa.func.count().label("n"))
        query = query.where(notes.c.week >= since, notes.c.status != "reply")
        found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in await self._rows(query.group_by(column, notes.c.status)):
            name = _name_of(row.status)
            if name == "other" and not row.name:
                continue  # greetings and the like
            found[row.name]["asked"] += row.n
            if name in ("partial", "unanswered"):
                found[row.name][name] += row.n
        voted = sa.select(column.label("name"), votes.c.value, sa.func.count().label("n"))
        voted = voted.join(votes, votes.c.answer_id == notes.c.answer_id)
        for row in await self._rows(voted.where(notes.c.week >= since).group_by(column, votes.c.value)):
            if row.name in found:
                found[row.name]["helpful" if row.value > 0 else "unhelpful"] += row.n
        topics = [Topic(name, **{"partial": 0, "unanswered": 0, **counts}) for name, counts in found.items()]
        return sorted(topics, key=lambda topic: (-topic.asked, topic.name))

    async def _hours(self, since: str) -> Mapping[str, Sequence[float]]:
        """By the week in which an advisor was called, the hours until the first reply of each hand-off, ascending."""
        moved, replies, said = tables.handoffs, tables.replies, tables.messages
        query = (
            sa.select(moved.c.created_at, sa.func.min(said.c.created_at).label("replied_at"))
            .join(replies, replies.c.handoff_id == moved.c.id)
            .join(said, said.c.id == replies.c.id)
            .where(moved.c.created_at >= since)
            .group_by(moved.c.id, moved.c.created_at)
        )
        found: dict[str, list[float]] = defaultdict(list)
        for row in await self._rows(query):
            passed = dt.datetime.fromisoformat(row.replied_at) - dt.datetime.fromisoformat(row.created_at)
            found[monday(row.created_at)].append(max(0.0, passed.total_seconds() / 3600))
        return {week: sorted(hours) for week, hours in found.items()}

    async def _rows(self, query: sa.Select[Any]) -> Iterable[Any]:
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).all()


def _by_status(since: str) -> sa.Select[Any]:
    notes = tables.answer_notes
    query = sa.select(notes.c.week, notes.c.status, sa.func.count().label("n")).where(notes.c.week >= since, notes.c.status != "reply")
    return query.group_by(notes.c.week, notes.c.status)


def _handed_over(since: str) -> sa.Select[Any]:
    day = sa.func.substr(tables.handoffs.c.created_at, 1, 10).label("day")
    return sa.select(day, sa.func.count().label("n")).where(tables.handoffs.c.created_at >= since).group_by(day)


def _by_edit(since: str) -> sa.Select[Any]:
    edits = tables.reply_edits
    query = sa.select(edits.c.week, edits.c.kind, sa.func.count().label("n")).where(edits.c.week >= since)
    return query.group_by(edits.c.week, edits.c.kind)


def _by_vote(since: str) -> sa.Select[Any]:
    votes = tables.feedback
    day = sa.func.substr(votes.c.updated_at, 1, 10).label("day")
    return sa.select(day, votes.c.value, sa.func.count().label("n")).where(votes.c.updated_at >= since).group_by(day, votes.c.value)


def _name_of(status: str) -> str:
    if status in ANSWERED:
        return "answered"
    if status in UNANSWERED:
        return "unanswered"
    return "partial" if status == "partial" else "other"


def _slowest(hours: Sequence[float]) -> float:
    """Nine of ten are at most so long."""
    return hours[min(len(hours) - 1, max(0, -(-9 * len(hours) // 10) - 1))]
