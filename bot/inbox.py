"""The advisors' queue: every hand-off, whichever way it came in, in the order in which it should be answered.

A hand-off waits from the moment it is asked for until it is answered or closed, and again when the applicant writes after the reply.
Who waits stands before who does not; among those: priority, then the longest wait.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.audit import Audit
from bot.errors import Conflict, InputError, NotFound
from bot.fulltext import Excerpt, excerpt, holding, plain, wanted
from bot.items import NORMAL, PRIORITIES, Channel, Filters, Item, Page, Pulse, Show, Unweighed, Weight
from bot.store import MAIL, OPEN, Store, clean, moved, now_text, time_text
from bot.tables import accounts, conversations, handoffs, item_views, mails, messages

NEAR_DAYS = 14
"""From so many days before its deadline on an item is of high priority."""

HERE_S = 30
"""Who was not heard of for so long is not looking at an item any more."""

PAGE = 50
SENDER_CHARACTERS, SUBJECT_CHARACTERS = 200, 300


class Inbox:
    def __init__(self, engine: AsyncEngine, store: Store, audit: Audit, today: Callable[[], dt.date] = dt.date.today) -> None:
        self._engine, self._store, self._audit = engine, store, audit
        self._today = today

    # Reading

    async def page(
        self, filters: Filters | None = None, *, me: str = "", after: str | None = None, before: str | None = None, limit: int = PAGE
    ) -> Page:
        """A page of the queue from a mark on (`after`), up to one (`before`), or the first one.

        Raises:
            InputError: the mark was not made here.
        """
        filters = filters or Filters()
        order = self._order(filters.show)
        back = before is not None
        mark = before if back else after
        query = self._items(me).where(*self._conditions(filters, me))
        if mark is not None:
            query = query.where(_beyond(order, _read_mark(mark, order), back))
        query = query.order_by(*(column.desc() if down != back else column.asc() for column, down in order)).limit(limit + 1)
        query = query.add_columns(*(column.label(f"key{n}") for n, (column, _) in enumerate(order)))
        rows = await self._all(query)
        more, rows = len(rows) > limit, rows[:limit]
        if back:
            rows.reverse()
        marks = [_mark([row[f"key{n}"] for n in range(len(order))]) for row in rows]
        first, last = (marks[0], marks[-1]) if marks else (None, None)
        talks = [row["conversation_id"] for row in rows]
        texts, found = await self._questions(talks), await self._excerpts(talks, wanted(filters.words))
        return Page(
            [replace(_item(row, texts.get(row["conversation_id"], "")), found=found.get(row["conversation_id"])) for row in rows],
            before=first if (more if back else mark is not None) else None,
            after=last if (True if back else more) else None,
        )

    async def item(self, handoff_id: str, me: str = "") -> Item:
        """
        Raises:
            NotFound.
        """
        rows = await self._all(self._items(me).where(handoffs.c.id == clean(handoff_id)))
        if not rows:
            raise NotFound("There is no such item. Its conversation may have been forgotten.")
        texts = await self._questions([rows[0]["conversation_id"]])
        return _item(rows[0], texts.get(rows[0]["conversation_id"], ""))

    async def places(self) -> tuple[list[str], list[str]]:
        """The languages and the sites that items have: what can be filtered by."""
        tongues = sa.select(handoffs.c.language).where(handoffs.c.language.is_not(None)).distinct()
        sites = sa.select(conversations.c.site).where(conversations.c.id.in_(sa.select(handoffs.c.conversation_id))).distinct()
        languages = [row["language"] for row in await self._all(tongues)]
        return sorted(languages), sorted(row["site"] for row in await self._all(sites) if row["site"])

    async def pulse(self) -> Pulse:
        waits = sa.func.count(handoffs.c.waiting_since)
        query = sa.select(handoffs.c.state, sa.func.count().label("n"), waits.label("waits"), sa.func.sum(handoffs.c.rev).label("rev"))
        rows = await self._all(query.group_by(handoffs.c.state))
        table = item_views
        here: dict[str, tuple[str, ...]] = {}
        looking = sa.select(table.c.handoff_id, table.c.account_id).where(table.c.here_until > now_text()).order_by(table.c.account_id)
        for row in await self._all(looking):
            here[row["handoff_id"]] = (*here.get(row["handoff_id"], ()), row["account_id"])
        waiting = {row["state"]: row["waits"] for row in rows}
        told = json.dumps([sorted((row["state"], row["n"], row["waits"], int(row["rev"])) for row in rows), here], sort_keys=True)
        mark = hashlib.sha256(told.encode()).hexdigest()[:24]
        return Pulse(mark, waiting.get("requested", 0), waiting.get("assigned", 0), waiting.get("answered", 0), here)

    # Assignment. What an advisor does is in the audit log, in the same transaction.

    async def claim(self, handoff_id: str, account_id: str, *, take_over: bool = False) -> Item:
        """Takes an item on; of two who try at once one gets it. `take_over`: also from the one who has it.

        Raises:
            NotFound. Conflict: somebody else has it, or it is over.
        """
        free = handoffs.c.state.in_(OPEN) if take_over else sa.or_(handoffs.c.state == "requested", handoffs.c.advisor == account_id)
        may = sa.or_(sa.and_(handoffs.c.state.in_(OPEN), free), _answered_again())
        return await self._move(handoff_id, may, account_id, "item.claim", state="assigned", advisor=account_id)

    async def assign(self, handoff_id: str, to: str, *, by: str, found: str | None) -> Item:
        """Gives an item to somebody. `found` is who had it when that was decided: if it is somebody else by now, nothing changes.

        Raises:
            NotFound. Conflict: somebody else was first, or it is over.
        """
        had = handoffs.c.advisor.is_(None) if found is None else handoffs.c.advisor == found
        may = sa.and_(sa.or_(handoffs.c.state.in_(OPEN), _answered_again()), sa.or_(had, handoffs.c.advisor == by))
        return await self._move(handoff_id, may, by, "item.assign", {"to": to}, state="assigned", advisor=to)

    async def release(self, handoff_id: str, account_id: str, *, anyone: bool = False) -> Item:
        """Gives an item back to the queue; its wait goes on from where it began. `anyone`: also somebody else's.

        Raises:
            NotFound. Conflict: it is not this advisor's, or it is over.
        """
        mine = sa.true() if anyone else handoffs.c.advisor == account_id
        may = sa.and_(handoffs.c.state == "assigned", mine)
        return await self._move(handoff_id, may, account_id, "item.release", state="requested", advisor=None)

    async def close(self, handoff_id: str, account_id: str) -> Item:
        """Ends it, with or without a reply. Closing it twice changes nothing.

        Raises:
            NotFound.
        """
        if (await self.item(handoff_id)).state == "closed":
            return await self.item(handoff_id, account_id)
        return await self._move(handoff_id, sa.true(), account_id, "item.close", state="closed", waiting_since=None)

    async def set_priority(self, handoff_id: str, priority: int | None, *, by: str) -> Item:
        """None: as it follows from emergency and deadlines.

        Raises:
            NotFound. InputError.
        """
        if priority is not None and not 0 <= priority < len(PRIORITIES):
            raise InputError(f"A priority is one of: {', '.join(PRIORITIES)}.")
        change = sa.update(handoffs).where(handoffs.c.id == clean(handoff_id)).values(priority=priority, rev=handoffs.c.rev + 1)
        async with self._engine.begin() as connection:
            if (await connection.execute(change)).rowcount:
                await self._audit.record(by, "item.priority", handoff_id, {"priority": priority}, connection)
        return await self.item(handoff_id, by)

    # Who looks at what

    async def see(self, handoff_id: str, account_id: str) -> None:
        """Notes that an advisor looks at an item now and knows what it says. Called again while the page stays open.

        Raises:
            NotFound.
        """
        now = dt.datetime.now(dt.UTC)
        values = {"seen_at": now_text(), "here_until": time_text(now + dt.timedelta(seconds=HERE_S))}
        await self._view(handoff_id, account_id, values)

    async def leave(self, handoff_id: str, account_id: str) -> None:
        """The advisor has gone to another page."""
        mine = sa.and_(item_views.c.handoff_id == clean(handoff_id), item_views.c.account_id == account_id)
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(item_views).where(mine).values(here_until=now_text()))

    async def seen_by(self, handoff_id: str, *, but: str = "") -> list[str]:
        """The accounts that look at an item right now, `but` left out."""
        table = item_views
        query = sa.select(table.c.account_id).where(
            table.c.handoff_id == clean(handoff_id), table.c.here_until > now_text(), table.c.account_id != but
        )
        return [row["account_id"] for row in await self._all(query.order_by(table.c.account_id))]

    async def mark_unread(self, handoff_id: str, account_id: str) -> None:
        mine = sa.and_(item_views.c.handoff_id == clean(handoff_id), item_views.c.account_id == account_id)
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(item_views).where(mine))

    # Coming in

    async def paste(self, sender: str, subject: str, text: str) -> Item:
        """An e-mail that an advisor pasted, as a conversation with a hand-off.

        Raises:
            InputError: there is no text.
        """
        if not text.strip():
            raise InputError("The e-mail has no text. Paste what the applicant wrote.")
        conversation, _ = await self._store.start(MAIL)
        head = {"sender": clean(sender.strip())[:SENDER_CHARACTERS], "subject": clean(subject.strip())[:SUBJECT_CHARACTERS]}
        async with self._engine.begin() as connection:
            words = plain(f"{head['sender']} {head['subject']}")
            await connection.execute(sa.insert(mails).values(conversation_id=conversation, words=words, **head))
        await self._store.add_question(conversation, text.strip())
        made = await self._store.request_handoff(conversation, "Pasted e-mail")
        return await self.item(made.id)

    async def unweighed(self, limit: int = 100) -> list[Unweighed]:
        """Items that came in or were added to since they were weighed, and those whose deadline has passed meanwhile."""
        stale = sa.and_(handoffs.c.waiting_since.is_not(None), handoffs.c.due < self._today().isoformat())
        query = sa.select(handoffs.c.id, handoffs.c.conversation_id, handoffs.c.rev).where(sa.or_(handoffs.c.weighed == 0, stale))
        rows = await self._all(query.limit(limit))
        said = sa.select(messages.c.conversation_id, messages.c.text).where(
            messages.c.conversation_id.in_([row["conversation_id"] for row in rows]), messages.c.role == "user"
        )
        texts: dict[str, tuple[str, ...]] = {}
        for row in await self._all(said.order_by(messages.c.seq)) if rows else ():
            texts[row["conversation_id"]] = (*texts.get(row["conversation_id"], ()), row["text"])
        return [Unweighed(row["id"], row["rev"], texts.get(row["conversation_id"], ())) for row in rows]

    async def weigh(self, item: Unweighed, weight: Weight) -> None:
        """Of an item that was added to meanwhile nothing changes: it is weighed again."""
        values: dict[str, Any] = {
            "weighed": 1, "due": weight.due.isoformat() if weight.due else None, "due_for": weight.due_for[:200] or None,
            "rev": handoffs.c.rev + 1,
        }  # fmt: skip
        if weight.emergency:
            values["emergency"] = 1
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(handoffs).where(handoffs.c.id == item.id, handoffs.c.rev == item.rev).values(values))

    # Parts

    def _rank(self) -> sa.ColumnElement[int]:
        today = self._today()
        near = handoffs.c.due.between(today.isoformat(), (today + dt.timedelta(days=NEAR_DAYS)).isoformat())
        return sa.case(
            (handoffs.c.priority.is_not(None), handoffs.c.priority), (handoffs.c.emergency == 1, 0), (near, 1), else_=NORMAL
        )  # fmt: skip

    def _order(self, show: Show) -> list[tuple[sa.ColumnElement[Any], bool]]:
        """What a page is sorted by; True: downwards."""
        if show in ("answered", "closed"):
            return [(handoffs.c.updated_at, True), (handoffs.c.id, True)]
        if show == "all":
            return [(handoffs.c.created_at, True), (handoffs.c.id, True)]
        return [(self._rank(), False), (sa.func.coalesce(handoffs.c.waiting_since, ""), False), (handoffs.c.id, False)]

    def _items(self, me: str) -> sa.Select[Any]:
        view = sa.select(item_views.c.seen_at).where(item_views.c.handoff_id == handoffs.c.id, item_views.c.account_id == me)
        seen = view.scalar_subquery()
        last = sa.func.coalesce(handoffs.c.heard_at, handoffs.c.created_at)
        return (
            sa.select(
                handoffs, conversations.c.site, accounts.c.name.label("advisor_name"), mails.c.sender, mails.c.subject,
                self._rank().label("rank"), _again().label("again"),
                sa.and_(handoffs.c.waiting_since.is_not(None), sa.or_(seen.is_(None), seen < last)).label("unread"),
            )
            .join(conversations, conversations.c.id == handoffs.c.conversation_id)
            .outerjoin(mails, mails.c.conversation_id == handoffs.c.conversation_id)
            .outerjoin(accounts, accounts.c.id == handoffs.c.advisor)
        )  # fmt: skip

    def _conditions(self, filters: Filters, me: str) -> list[sa.ColumnElement[bool]]:
        found = list(_SHOWN[filters.show]())
        if filters.advisor is not None:
            found.append(handoffs.c.advisor == clean(filters.advisor))
        if filters.channel:
            found.append(handoffs.c.channel == clean(filters.channel))
        if filters.language:
            found.append(handoffs.c.language == clean(filters.language))
        if filters.priority is not None:
            found.append(self._rank() == filters.priority)
        if filters.site:
            found.append(conversations.c.site == clean(filters.site))
        dialect = self._engine.dialect.name
        words = wanted(filters.words)
        found += [handoffs.c.conversation_id.in_(holding(ways, dialect)) for ways in words]
        if filters.words.strip() and not words:
            found.append(sa.false())  # nothing but signs: no message holds that as a word
        return found

    async def _questions(self, conversation_ids: Sequence[str]) -> dict[str, str]:
        """What the applicant last wrote in each conversation."""
        last = sa.select(sa.func.max(messages.c.seq)).where(messages.c.conversation_id.in_(conversation_ids), messages.c.role == "user")
        query = sa.select(messages.c.conversation_id, messages.c.text).where(messages.c.seq.in_(last.group_by(messages.c.conversation_id)))
        return {row["conversation_id"]: row["text"] for row in await self._all(query)} if conversation_ids else {}

    async def _excerpts(self, conversation_ids: Sequence[str], words: list[list[list[str]]]) -> dict[str, Excerpt | None]:
        if not words or not conversation_ids:
            return {}
        query = sa.select(messages.c.conversation_id, messages.c.role, messages.c.text).order_by(messages.c.seq)
        said: dict[str, list[tuple[str, str]]] = {}
        for row in await self._all(query.where(messages.c.conversation_id.in_(conversation_ids))):
            said.setdefault(row["conversation_id"], []).append((row["role"], row["text"]))
        return {ident: excerpt(words, texts) for ident, texts in said.items()}

    async def _view(self, handoff_id: str, account_id: str, values: dict[str, str]) -> None:
        insert: Any = sqlite.insert(item_views) if self._engine.dialect.name == "sqlite" else postgresql.insert(item_views)
        row = sa.select(handoffs.c.id, sa.literal(account_id), *map(sa.literal, values.values()))
        put = insert.from_select(["handoff_id", "account_id", *values], row.where(handoffs.c.id == clean(handoff_id)))
        async with self._engine.begin() as connection:
            done = await connection.execute(put.on_conflict_do_update(index_elements=["handoff_id", "account_id"], set_=values))
        if not done.rowcount:
            raise NotFound("There is no such item. Its conversation may have been forgotten.")

    async def _move(
        self, handoff_id: str, may: sa.ColumnElement[bool], by: str, action: str, detail: dict[str, Any] | None = None, **values: Any
    ) -> Item:
        try:
            async with self._engine.begin() as connection:
                await moved(connection, handoff_id, may, **values)
                await self._audit.record(by, action, handoff_id, detail, connection)
        except IntegrityError:  # only one hand-off of a conversation is open
            raise Conflict("The applicant has asked for an advisor again meanwhile. Go on with the newer item.") from None
        except Conflict:
            raise Conflict(_told(await self.item(handoff_id), by)) from None
        return await self.item(handoff_id, by)

    async def _all(self, query: Any) -> list[dict[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]


def _told(item: Item, by: str) -> str:
    """Why somebody who was not first cannot have it."""
    match item.state:
        case "assigned" if item.advisor == by:
            return "You have taken this item on already."
        case "assigned":
            return f"{item.advisor_name} has taken this item on meanwhile. Ask them, or take it over."
        case "requested":
            return "This item was given back meanwhile and is free. Look at it again."
    return f"This item is {item.state} already."


def _answered_again() -> sa.ColumnElement[bool]:
    return sa.and_(handoffs.c.state == "answered", handoffs.c.waiting_since.is_not(None))


def _again() -> sa.ColumnElement[bool]:
    """The applicant wrote after the item was taken on, or after it was answered."""
    return sa.or_(_answered_again(), sa.and_(handoffs.c.state == "assigned", handoffs.c.heard_at > handoffs.c.updated_at))


_SHOWN: dict[str, Callable[[], Sequence[sa.ColumnElement[bool]]]] = {
    "waiting": lambda: [handoffs.c.waiting_since.is_not(None)],
    "new": lambda: [handoffs.c.state == "requested"],
    "assigned": lambda: [handoffs.c.state == "assigned"],
    "again": lambda: [_again()],
    "answered": lambda: [handoffs.c.state == "answered"],
    "closed": lambda: [handoffs.c.state == "closed"],
    "all": lambda: [],
}


def _beyond(order: Sequence[tuple[sa.ColumnElement[Any], bool]], keys: Sequence[Any], back: bool) -> sa.ColumnElement[bool]:
    """Rows after `keys` in the order (`back`: before them). All columns run the same way."""
    here, there = sa.tuple_(*(column for column, _ in order)), sa.tuple_(*keys)
    return here < there if order[0][1] != back else here > there


def _mark(keys: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(keys), separators=(",", ":")).encode()).decode().rstrip("=")


def _read_mark(mark: str, order: Sequence[Any]) -> list[Any]:
    try:
        keys = json.loads(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
        kinds = [str, str] if len(order) == 2 else [int, str, str]
        if not isinstance(keys, list) or len(keys) != len(kinds) or any(type(k) is not kind for k, kind in zip(keys, kinds, strict=True)):
            raise ValueError
        return [clean(key) if isinstance(key, str) else key for key in keys]
    except (ValueError, binascii.Error, UnicodeError, RecursionError):
        raise InputError("This page of the inbox cannot be found. Start at the first page.") from None


def _item(row: dict[str, Any], question: str) -> Item:
    def time(name: str) -> dt.datetime | None:
        return dt.datetime.fromisoformat(row[name]) if row[name] else None

    return Item(
        id=row["id"], conversation_id=row["conversation_id"], state=row["state"], advisor=row["advisor"],
        advisor_name=row["advisor_name"] or row["advisor"] or "",
        channel=cast(Channel, row["channel"]), site=row["site"], language=row["language"], reason=row["reason"], question=question,
        created_at=cast(dt.datetime, time("created_at")), updated_at=cast(dt.datetime, time("updated_at")), heard_at=time("heard_at"),
        waiting_since=time("waiting_since"), priority=row["rank"], by_hand=row["priority"], emergency=bool(row["emergency"]),
        due=dt.date.fromisoformat(row["due"]) if row["due"] else None, due_for=row["due_for"] or "", again=bool(row["again"]),
        unread=bool(row["unread"]), sender=row["sender"] or "", subject=row["subject"] or "",
    )  # fmt: skip
