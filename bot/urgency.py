"""How much an item of the inbox presses: whether the applicant is in danger, and which day of the season the question is about."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence

from bot.items import Weight
from bot.plan import Planner
from bot.rows import CalendarRow, TableRow
from bot.scope import Reading
from bot.store import EMERGENCY
from bot.terms import Terms, stem

# What happens on a day is no part of what the day is about: "ERAS applications may be submitted" is about ERAS applications.
_HAPPENS = frozenset(
    map(stem, "begin opens ends closes may must submitted certified available read released starts entry programs".split())
)  # fmt: skip


def weight(texts: Iterable[str], calendar: Sequence[TableRow[CalendarRow]], terms: Terms, planner: Planner, today: dt.date) -> Weight:
    """Of all that an applicant wrote: the next day of the calendar that any of it is about, and whether any of it is an emergency."""
    emergencies = [scope for scope in planner.scopes if scope.status == EMERGENCY]
    days = sorted(_to_come(calendar, today))
    emergency, due = False, None
    for text in texts:
        emergency = emergency or any(scope.matches(Reading(text)) for scope in emergencies)
        words = set(terms.tokens(text))
        found = next(((day, event) for day, event in days if any(_is_about(words, topic) for topic in _topics(event, terms))), None)
        due = min(filter(None, (due, found)), default=None)
    return Weight(emergency, *due) if due else Weight(emergency)


def _to_come(calendar: Sequence[TableRow[CalendarRow]], today: dt.date) -> Iterable[tuple[dt.date, str]]:
    for row in calendar:
        try:
            day = dt.date.fromisoformat(row.raw("date"))
        except ValueError:  # only a month, or told by a rule
            continue
        if day >= today:
            yield day, row.cells.event


def _topics(event: str, terms: Terms) -> list[set[str]]:
    """ "Match Week and SOAP begin" is about two things."""
    topics = [set(terms.tokens(part)) - _HAPPENS for part in re.split(r"\band\b", event)]
    return [topic for topic in topics if topic]


def _is_about(words: set[str], topic: set[str]) -> bool:
    return 3 * len(words & topic) >= 2 * len(topic)
