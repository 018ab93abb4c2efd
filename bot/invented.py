"""Made-up applicants: who tells a question again, when, and what becomes of it. Rows for the tables, nothing is written here."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from random import Random
from typing import Any

import sqlalchemy as sa

from bot import tables
from bot.answer import Answer
from bot.fulltext import plain
from bot.store import time_text

SITE = "demo"
DAYS = 180
PART = 250
"""Conversations that are put into the database together."""
TABLES: tuple[sa.Table, ...] = (
    tables.conversations, tables.mails, tables.messages, tables.answers, tables.feedback, tables.handoffs, tables.replies,
    tables.item_views, tables.drafts, tables.draft_versions, tables.notes,
)  # fmt: skip
SENDERS = ("Priya Raman", "Ahmed Saleh", "Olena Kovalenko", "Diego Fuentes", "Chiamaka Eze", "Nguyen Thi Mai", "Yusuf Demir", "Sara Haddad")
COUNTRIES = ("India", "Pakistan", "Nigeria", "Egypt", "Ukraine", "Mexico", "Brazil", "Philippines", "Jordan", "Turkey", "Nepal", "Colombia")
SPECIALTIES = ("internal medicine", "family medicine", "pediatrics", "psychiatry", "neurology", "general surgery", "pathology")
STATES = ("Texas", "New York", "Florida", "California", "Ohio", "Michigan", "Illinois")
REASONS = (
    "The visitor asked for an advisor.", "My case is a bit special, I would like a person to look at it.",
    "I need this before my interview.",
    "The answer helps, but my years do not fit. Can somebody check?", "Please confirm before I pay the fee.",
)  # fmt: skip
SUBJECTS = ("A question before I apply", "Please advise", "My application", "Question from a graduate", "Urgent: my papers")
MISSED = ("wrong", "unclear", "incomplete", "outdated")
AGAIN = (
    "Thank you! One more thing: does that also hold if I graduated ten years ago?", "Thanks. And what should I do first?",
    "Is that still so this year?",
)  # fmt: skip
NOTES = ("Asked the applicant for the year of graduation.", "Same question as last week.", "Checked with the coordinator.")


@dataclass(frozen=True, slots=True)
class Letter:
    """A reply as it was proposed and as it was sent; `body` is the JSON of the reply, really checked, without what differs."""

    proposed: str
    sent: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A question with its answer; `body` is the answer's JSON without what differs from telling to telling."""

    guide: str
    question: str
    answer: Answer
    body: dict[str, Any]
    letters: tuple[Letter, ...] = ()
    who: tuple[str, str] = ("", "")  # id and name of the advisor who signs them


@dataclass(slots=True)
class Rows:
    """What is to be put into each table, those that others refer to first."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {table.name: [] for table in TABLES})

    def add(self, table: sa.Table, **values: Any) -> None:
        self.tables[table.name].append(values)


class Maker:
    def __init__(self, random: Random, told: list[Told], people: list[tuple[str, str]], now: dt.datetime, count: int) -> None:
        self.random, self.people, self.now, self.count = random, people, now, count
        self.told = told
        self.newest = min(40, (count + 2) // 3)  # so many are of the last days, and in every state
        self.states = cycle(("requested", "assigned", "requested", "answered", "assigned", "requested"))
        self.lettered = [one for one in told if one.letters]
        self.by_guide: dict[str, list[Told]] = {}
        for one in told:
            self.by_guide.setdefault(one.guide, []).append(one)

    def parts(self) -> Iterator[Rows]:
        lately = [self.now - dt.timedelta(hours=0.3 + 90 * self.random.random() ** 1.6) for _ in range(self.newest)]
        starts = sorted([*(self._start() for _ in range(self.count - self.newest)), *lately])
        rows = Rows()
        for n, at in enumerate(starts):
            self._conversation(rows, at, newest=self.count - n)
            if len(rows.tables["conversations"]) == PART:
                yield rows
                rows = Rows()
        if rows.tables["conversations"]:
            yield rows

    def _start(self) -> dt.datetime:
        """More of them lately, by day and on working days."""
        while True:
            at = self.now - dt.timedelta(days=DAYS * self.random.random() ** 1.4, minutes=self.random.randrange(20, 1440))
            if self.random.random() < (1.0 if at.weekday() < 5 else 0.45) * (1.0 if 11 <= at.hour <= 23 else 0.3):
                return at

    def _conversation(self, rows: Rows, at: dt.datetime, newest: int) -> None:
        random, ident = self.random, secrets.token_hex(16)
        channel = random.choices(("widget", "slack", "mail"), (62, 23, 15))[0]
        one = self._pick(random.choice(self.told))
        others = [other for other in self.by_guide[one.guide] if other is not one] if one.guide else []
        turns = [one, *random.sample(others, min(len(others), random.choices((0, 1, 2, 3), (45, 30, 17, 8))[0]))]
        handed = channel == "mail" or random.random() < 0.3
        rows.add(
            tables.conversations, id=ident, token_hash=secrets.token_hex(32), site=SITE, created_at=time_text(at),
            profile=self._profile() if random.random() < 0.4 else None,
        )  # fmt: skip
        if handed and self.lettered and random.random() < 0.9:
            turns = [*turns[:-1], random.choice(self.lettered)]  # one of those that an advisor's reply was made for
        if channel == "mail":
            sender, subject = random.choice(SENDERS), random.choice(SUBJECTS)
            rows.add(tables.mails, conversation_id=ident, sender=sender, subject=subject, words=plain(f"{sender} {subject}"))
            turns = [replace(turns[-1], question=f"Dear advisors,\n\n{turns[-1].question}\n\nThank you very much\n{sender}")]
        last = at
        for turn in turns:
            last = self._turn(rows, ident, turn, last, answered=channel != "mail")
            last += dt.timedelta(seconds=random.randrange(30, 400))
        emergency = any(turn.answer.status == "handoff" for turn in turns)
        if handed or emergency:
            self._handoff(rows, ident, channel, turns, min(last, self.now), emergency, newest)

    def _pick(self, one: Told) -> Told:
        """Those in need are few."""
        return self.random.choice(self.told) if one.answer.status == "handoff" and self.random.random() < 0.8 else one

    def _turn(self, rows: Rows, conversation: str, turn: Told, at: dt.datetime, *, answered: bool) -> dt.datetime:
        question = self._say(rows, conversation, "user", turn.question, at)
        if not answered:
            return at
        at += dt.timedelta(milliseconds=self.random.randrange(200, 1800))
        answer = self._say(rows, conversation, "assistant", turn.answer.text, at, turn.answer.language)
        body = {**turn.body, "id": answer, "conversation_id": conversation, "created_at": time_text(at)}
        rows.add(tables.answers, id=answer, question_id=question, status=turn.answer.status, body=_json(body))
        if self.random.random() < 0.22:
            good = self.random.random() < (0.85 if turn.answer.status in ("answered", "corrected_premise") else 0.4)
            rows.add(
                tables.feedback, answer_id=answer, value=1 if good else -1, reason=None if good else self.random.choice(MISSED),
                comment=None, updated_at=time_text(at + dt.timedelta(seconds=40)),
            )  # fmt: skip
        return at

    def _handoff(
        self, rows: Rows, conversation: str, channel: str, turns: list[Told], at: dt.datetime, emergency: bool, newest: int
    ) -> None:
        random, ident = self.random, secrets.token_hex(16)
        last = turns[-1]
        who, name = last.who if last.letters else random.choice(self.people)
        taken = at + dt.timedelta(hours=random.lognormvariate(math.log(0.2 if emergency else 3), 1.0))
        replied = taken + dt.timedelta(hours=random.lognormvariate(math.log(0.3 if emergency else 2), 1.1))
        state = "closed" if random.random() < 0.12 or not last.letters else "answered"
        if newest <= self.newest or replied > self.now:
            state = next(self.states)
            state = "requested" if state == "answered" and not last.letters else state
        replied, taken = min(replied, self.now), min(taken, self.now)
        said = [row for row in rows.tables["messages"][-2 * len(turns) :] if row["conversation_id"] == conversation]
        heard = [row["created_at"] for row in said if row["role"] == "user"][-1]
        moved = {"requested": at, "assigned": taken}.get(state, replied)
        waiting = time_text(at) if state in ("requested", "assigned") else None
        language = last.answer.language
        if state == "answered":
            self._reply(rows, conversation, ident, last, replied, taken)
        elif state == "assigned" and last.letters and random.random() < 0.6:
            letter = random.choice(last.letters)
            self._draft(rows, ident, last, [letter.proposed] if random.random() < 0.5 else [letter.proposed, letter.sent], taken)
        if random.random() < 0.12 and state != "requested":
            note = random.choice(NOTES)
            rows.add(tables.notes, id=secrets.token_hex(16), handoff_id=ident, author=who, text=note, created_at=time_text(taken))
        if state == "answered" and random.random() < (0.4 if newest <= self.newest else 0.05):
            again = min(replied + dt.timedelta(hours=1), self.now)
            self._say(rows, conversation, "user", random.choice(AGAIN), again)
            heard = time_text(again)
            if self.now - again < dt.timedelta(days=4):
                waiting = heard
        rows.add(
            tables.handoffs, id=ident, conversation_id=conversation,
            reason="Pasted e-mail" if channel == "mail" else random.choice(REASONS), state=state,
            created_at=time_text(at), updated_at=time_text(moved), advisor=None if state == "requested" else who, channel=channel,
            language=language, heard_at=heard, waiting_since=waiting, emergency=int(emergency),
            weighed=0 if waiting else 1, priority=random.choice((None, None, None, None, None, 1, 3)) if waiting else None, rev=0,
        )  # fmt: skip
        if state != "requested":
            rows.add(tables.item_views, handoff_id=ident, account_id=who, seen_at=time_text(moved), here_until=time_text(moved))

    def _reply(self, rows: Rows, conversation: str, handoff: str, turn: Told, at: dt.datetime, drafted: dt.datetime) -> None:
        letter = self.random.choices(turn.letters, [6, *[2] * (len(turn.letters) - 1)])[0]
        ident = self._say(rows, conversation, "advisor", letter.body["text"], at, turn.answer.language)
        body = {**letter.body, "id": ident, "conversation_id": conversation, "created_at": time_text(at)}
        rows.add(tables.replies, id=ident, handoff_id=handoff, advisor=turn.who[1], body=_json(body))
        texts = [letter.proposed] if letter.sent == letter.proposed else [letter.proposed, letter.sent]
        self._draft(rows, handoff, turn, texts, drafted, sent=at, reply=ident)

    def _draft(
        self, rows: Rows, handoff: str, turn: Told, texts: list[str], at: dt.datetime, sent: dt.datetime | None = None,
        reply: str | None = None,
    ) -> None:  # fmt: skip
        ident, who, number = secrets.token_hex(16), turn.who[0], len(texts)
        done = {"approved_version": number, "approved_by": who, "approved_at": time_text(sent), "sent_at": time_text(sent)} if sent else {}
        rows.add(
            tables.drafts, id=ident, handoff_id=handoff, state="sent" if sent else ("proposed", "edited")[number - 1], tone="neutral",
            length="normal", language=turn.answer.language, version=number, seen=0, created_at=time_text(at),
            updated_at=time_text(sent or at),
            **{"approved_version": None, "approved_by": None, "approved_at": None, "sent_at": None, **done}, reply_id=reply,
        )  # fmt: skip
        for version, text in enumerate(texts, 1):
            rows.add(
                tables.draft_versions, draft_id=ident, number=version, kind=("proposed", "edited")[version - 1], text=text,
                author="system" if version == 1 else who, base=None if version == 1 else 1,
                sha256=hashlib.sha256(text.encode()).hexdigest(), created_at=time_text(at),
            )  # fmt: skip

    def _say(self, rows: Rows, conversation: str, role: str, text: str, at: dt.datetime, language: str | None = None) -> str:
        ident = secrets.token_hex(16)
        rows.add(
            tables.messages, id=ident, conversation_id=conversation, role=role, text=text, language=language, created_at=time_text(at)
        )  # fmt: skip
        return ident

    def _profile(self) -> dict[str, Any]:
        random = self.random
        every = {
            "graduation_year": random.randrange(2008, 2026), "medical_school_country": random.choice(COUNTRIES),
            "citizenship": random.choice(COUNTRIES), "visa_needed": random.random() < 0.8, "step2ck": random.randrange(205, 268),
            "specialties": [random.choice(SPECIALTIES)], "states": [random.choice(STATES)], "usce_months": random.randrange(0, 9),
        }  # fmt: skip
        return {name: value for name, value in every.items() if random.random() < 0.6}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
