"""Conversations, as they must last: the one history there is.

Lists come in the order in which things were stored. Times are UTC. What a method returns is plain data: no row or session
leaves this module.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.answer import Answer, Profile, Reply, Turn
from bot.database import insert
from bot.errors import Conflict, Forbidden, InputError, NotFound
from bot.memory import UTTERANCES, Memory
from bot.spent import Spent

TOKEN_KEY = "conversation-tokens"
"""Name of the secret that tokens are hashed with when the settings give none."""

State = Literal["requested", "assigned", "answered", "closed"]
OPEN: tuple[State, ...] = ("requested", "assigned")
MAIL = "mail"
"""The site of conversations that were pasted from e-mail."""
EMERGENCY = "handoff"
"""Status of answers that send the applicant to emergency help."""
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL refuses NUL, UTF-8 has no lone surrogates


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    site: str
    created_at: dt.datetime
    profile: Profile | None


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    id: str
    text: str
    language: str | None
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    id: str
    question_id: str
    json: bytes  # of bot.answer.Answer, exactly as it was first sent


@dataclass(frozen=True, slots=True)
class StoredReply:
    id: str
    advisor: str
    json: bytes  # of bot.answer.Reply, exactly as it was first sent


StoredMessage = StoredQuestion | StoredAnswer | StoredReply


@dataclass(frozen=True, slots=True)
class Handoff:
    """A conversation that waits for a human advisor, or had one. `advisor` is who took it on: an account's id, or a name. `advisor_name`
    is the account's."""

    id: str
    conversation_id: str
    reason: str
    state: State
    advisor: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    advisor_name: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    value: Literal[1, -1]
    reason: str | None
    comment: str | None
    updated_at: dt.datetime


class Store:
    """`key` hashes the conversations' tokens; empty: made once and kept in the database. With another key no older token opens anything."""

    def __init__(self, engine: AsyncEngine, key: str = "") -> None:
        self._engine = engine
        # SQLite's search table reads before it writes (see open_engine).
        self._writing = engine.execution_options(sqlite_begin="IMMEDIATE")
        self._key = key.encode()

    # Conversations

    async def start(self, site: str = "") -> tuple[str, str]:
        """A new conversation: (its id, the token that opens it). The token cannot be had again."""
        ident, token = new_id(), secrets.token_urlsafe(32)
        row = {"id": ident, "token_hash": await self._hash(ident, token), "site": _site(site), "created_at": now_text()}
        async with self._writing.begin() as connection:
            await connection.execute(sa.insert(tables.conversations).values(row))
        return ident, token

    async def open(self, conversation_id: str, token: str, site: str = "") -> Conversation:
        """`site` is the one that the caller speaks for: a conversation opens only on the site it was started on.

        Raises:
            NotFound: there is none, or it was forgotten. Forbidden: the token opens another one, or nothing, or it was started elsewhere.
        """
        row = await self._conversation(conversation_id)
        if not hmac.compare_digest(row["token_hash"], await self._hash(conversation_id, token)):
            raise Forbidden("This token does not open this conversation. Start a new conversation.")
        if row["site"] != _site(site):
            raise Forbidden("This conversation belongs to another web site. Start a new conversation.")
        return Conversation(row["id"], row["site"], read_time(row["created_at"]), _profile(row["profile"]))

    async def forget(self, conversation_id: str) -> None:
        """Removes a conversation and everything of it. One that is not there is already forgotten.

        On SQLite its words are gone from the files when this returns; PostgreSQL overwrites them with its next VACUUM.
        """
        on_sqlite = self._engine.dialect.name == "sqlite"
        async with self._writing.begin() as connection:
            searched = sa.select(sa.literal(1)).where(tables.handoffs.c.conversation_id == conversation_id).limit(1)
            merged = on_sqlite and (await connection.execute(searched)).first()
            await connection.execute(sa.delete(tables.conversations).where(tables.conversations.c.id == conversation_id))
            if merged:  # FTS5 only marks words as deleted until it merges
                await connection.exec_driver_sql("INSERT INTO message_words (message_words) VALUES ('optimize')")
        if on_sqlite:
            # secure_delete has overwritten the pages; older copies of them lie in the write-ahead log until it is emptied.
            async with self._engine.execution_options(sqlite_begin="NONE").connect() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def profile(self, conversation_id: str) -> Profile | None:
        """
        Raises:
            NotFound.
        """
        return _profile((await self._conversation(conversation_id))["profile"])

    async def set_profile(self, conversation_id: str, profile: Profile | None) -> None:
        """Replaces the whole profile; None removes it.

        Raises:
            NotFound.
        """
        table = tables.conversations
        value = profile.model_dump(mode="json", exclude_none=True) if profile is not None else None
        async with self._writing.begin() as connection:
            done = await connection.execute(sa.update(table).where(table.c.id == conversation_id).values(profile=value))
        if not done.rowcount:
            raise _no_conversation()

    async def note(self, conversation_id: str, fields: Mapping[str, Any]) -> Profile:
        """Puts some fields into the profile, and leaves the others as they are now; returns the whole.

        Raises:
            NotFound.
        """
        table = tables.conversations
        async with self._writing.begin() as connection:
            query = sa.select(table.c.profile).where(table.c.id == conversation_id).with_for_update()
            row = (await connection.execute(query)).first()
            if row is None:
                raise _no_conversation()
            value = {**(row.profile or {}), **fields}
            await connection.execute(sa.update(table).where(table.c.id == conversation_id).values(profile=value))
        return Profile(**value)

    async def memory(self, conversation_id: str) -> Memory:
        """
        Raises:
            NotFound.
        """
        value = (await self._conversation(conversation_id))["memory"] or {}
        return Memory(value.get("standing", ""), tuple(value.get("open", ())))

    async def remember(self, conversation_id: str, memory: Memory) -> None:
        """Replaces what is remembered. Of a conversation that was forgotten meanwhile nothing is."""
        table, value = tables.conversations, {"standing": clean(memory.standing), "open": [clean(q) for q in memory.open]}
        async with self._writing.begin() as connection:
            await connection.execute(sa.update(table).where(table.c.id == conversation_id).values(memory=value))

    async def spent(self, conversation_id: str) -> Spent:
        """What the chat model has cost in a conversation.

        Raises:
            NotFound.
        """
        row = await self._conversation(conversation_id)
        return Spent(row["model_tokens_in"], row["model_tokens_out"], row["model_seconds"], row["model_usd"])

    async def spend(self, conversation_id: str, more: Spent) -> None:
        """Adds to it. A conversation that was forgotten meanwhile costs nothing more."""
        table = tables.conversations
        values = {
            table.c.model_tokens_in: table.c.model_tokens_in + more.tokens_in,
            table.c.model_tokens_out: table.c.model_tokens_out + more.tokens_out,
            table.c.model_seconds: table.c.model_seconds + more.seconds,
            table.c.model_usd: table.c.model_usd + more.usd,
        }
        async with self._writing.begin() as connection:
            await connection.execute(sa.update(table).where(table.c.id == conversation_id).values(values))

    # Messages

    async def add_question(self, conversation_id: str, text: str, language: str | None = None) -> str:
        """The new message's id.

        Raises:
            NotFound: the conversation is not there, or was forgotten meanwhile.
        """
        ident = new_id()
        async with self._writing.begin() as connection:
            await _add_message(connection, ident, conversation_id, "user", text, language)
        return ident

    async def add_answer(self, conversation_id: str, message_id: str, answer: Answer) -> bytes:
        """Stores the answer to a question; returns the bytes that are stored. Stored once: a repeated call changes nothing.

        Raises:
            NotFound: the conversation or the question is not there, or was forgotten meanwhile.
            InputError: the question has another answer.
        """
        body = answer.model_dump_json().encode()
        table, questions = tables.answers, tables.messages
        try:
            async with self._writing.begin() as connection:
                await _add_message(connection, answer.id, conversation_id, "assistant", answer.text, answer.language)
                asked = sa.select(questions.c.id).where(
                    questions.c.id == message_id, questions.c.conversation_id == conversation_id, questions.c.role == "user"
                )
                if (await connection.execute(asked)).first() is None:
                    raise NotFound("There is no such question in this conversation.")
                await connection.execute(
                    sa.insert(table).values(id=answer.id, question_id=message_id, status=answer.status, body=body),
                )
                await connection.execute(_told(conversation_id, answer))
        except IntegrityError:
            stored = await self._one(sa.select(table.c.question_id, table.c.body).where(table.c.id == answer.id))
            if stored is None or stored["question_id"] != message_id:
                raise InputError("This question has an answer already.") from None
            return cast(bytes, stored["body"])
        return body

    async def withdraw(self, answer_id: str) -> None:
        """Forgets one answer and the question that it answers; what is gone already is left alone."""
        said, answers = tables.messages, tables.answers
        async with self._engine.begin() as connection:
            asked = (await connection.execute(sa.select(answers.c.question_id).where(answers.c.id == clean(answer_id)))).scalar()
            await connection.execute(sa.delete(said).where(said.c.id.in_([clean(answer_id), asked])))

    async def drop_unanswered(self, conversation_id: str, text: str) -> None:
        """Forgets the last message where it is this question and nobody has answered it: it is about to be asked again."""
        said = tables.messages
        query = sa.select(said.c.id, said.c.role, said.c.text).where(said.c.conversation_id == conversation_id).order_by(said.c.seq.desc())
        async with self._engine.begin() as connection:
            last = (await connection.execute(query.limit(1))).first()
            if last is not None and last.role == "user" and last.text == clean(text):
                await connection.execute(sa.delete(said).where(said.c.id == last.id))

    async def messages(self, conversation_id: str) -> list[StoredMessage]:
        """All questions, answers and replies of advisors, oldest first; none when there is no such conversation."""
        said, answers, replies = tables.messages, tables.answers, tables.replies
        query = (
            sa.select(said, answers.c.question_id, replies.c.advisor, sa.func.coalesce(answers.c.body, replies.c.body).label("body"))
            .select_from(said.outerjoin(answers, answers.c.id == said.c.id).outerjoin(replies, replies.c.id == said.c.id))
            .where(said.c.conversation_id == conversation_id)
            .order_by(said.c.seq)
        )
        return [_message(row) for row in await self._all(query)]

    async def mark(self, conversation_id: str) -> str:
        """Changes whenever something in the conversation does; costs one small query."""
        said, moved, table = tables.messages, tables.handoffs, tables.conversations
        last = sa.select(sa.func.max(said.c.seq)).where(said.c.conversation_id == conversation_id)
        at = sa.select(sa.func.max(moved.c.updated_at)).where(moved.c.conversation_id == conversation_id)
        query = sa.select(last.scalar_subquery().label("last"), at.scalar_subquery().label("at"), table.c.profile)
        row = await self._one(query.where(table.c.id == conversation_id))
        return hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()[:24]

    async def history(self, conversation_id: str, last: int = UTTERANCES) -> list[Turn]:
        """The last so many utterances, questions and answers both, oldest first."""
        table = tables.messages
        query = (
            sa.select(table.c.role, table.c.text).where(table.c.conversation_id == conversation_id).order_by(table.c.seq.desc()).limit(last)
        )
        rows = reversed(await self._all(query))
        return [Turn(role="user" if row["role"] == "user" else "assistant", text=row["text"]) for row in rows]

    async def answer_json(self, answer_id: str) -> bytes:
        """
        Raises:
            NotFound.
        """
        row = await self._one(sa.select(tables.answers.c.body).where(tables.answers.c.id == clean(answer_id)))
        if row is None:
            raise _no_answer()
        return cast(bytes, row["body"])

    async def reply_json(self, reply_id: str) -> bytes:
        """
        Raises:
            NotFound.
        """
        row = await self._one(sa.select(tables.replies.c.body).where(tables.replies.c.id == clean(reply_id)))
        if row is None:
            raise NotFound("There is no such reply.")
        return cast(bytes, row["body"])

    async def conversation_of(self, answer_id: str) -> str:
        """The id of the conversation that holds an answer.

        Raises:
            NotFound.
        """
        said, answers = tables.messages, tables.answers
        row = await self._one(
            sa.select(said.c.conversation_id).join(answers, answers.c.id == said.c.id).where(said.c.id == clean(answer_id))
        )
        if row is None:
            raise _no_answer()
        return cast(str, row["conversation_id"])

    # Feedback and hand-offs

    async def set_feedback(self, answer_id: str, value: int, reason: str | None = None, comment: str | None = None) -> None:
        """The last call wins.

        Raises:
            NotFound. InputError: value is neither 1 nor -1.
        """
        if value not in (1, -1):
            raise InputError("Feedback is 1 (helpful) or -1 (not helpful).")
        said = {"value": value, "reason": reason and clean(reason), "comment": comment and clean(comment), "updated_at": now_text()}
        new = insert(self._engine, tables.feedback).values(answer_id=clean(answer_id), **said)
        try:
            async with self._writing.begin() as connection:
                await connection.execute(new.on_conflict_do_update(index_elements=["answer_id"], set_=said))
        except IntegrityError:
            raise _no_answer() from None

    async def feedback(self, answer_id: str) -> Feedback | None:
        table = tables.feedback
        row = await self._one(sa.select(table).where(table.c.answer_id == answer_id))
        return Feedback(row["value"], row["reason"], row["comment"], read_time(row["updated_at"])) if row else None

    async def request_handoff(self, conversation_id: str, reason: str) -> Handoff:
        """Asks for a human advisor. While one is asked for or assigned, the same hand-off comes back.

        Raises:
            NotFound.
        """
        table, now = tables.handoffs, now_text()
        row = {
            "id": new_id(), "conversation_id": conversation_id, "reason": clean(reason), "state": "requested", "created_at": now,
            "updated_at": now, "waiting_since": now, **_as_said(conversation_id),
        }  # fmt: skip
        still_open = _named().where(table.c.conversation_id == conversation_id, table.c.state.in_(OPEN))
        answered = sa.update(table).where(table.c.conversation_id == conversation_id, table.c.state == "answered")
        try:
            async with self._writing.begin() as connection:
                await connection.execute(insert(self._engine, table).values(row).on_conflict_do_nothing())
                await connection.execute(answered.values(waiting_since=None, rev=table.c.rev + 1))  # the new one waits in its place
                return _handoff(dict((await connection.execute(still_open)).mappings().one()))
        except IntegrityError:
            raise _no_conversation() from None

    async def handoff(self, conversation_id: str) -> Handoff | None:
        """The open hand-off, or else the one that ended last."""
        table = tables.handoffs
        row = await self._one(
            _named()
            .where(table.c.conversation_id == conversation_id)
            .order_by(table.c.state.not_in(OPEN), table.c.updated_at.desc(), table.c.id)
            .limit(1)
        )
        return _handoff(row) if row else None

    async def handoffs(self, states: Sequence[State] = OPEN) -> list[Handoff]:
        """Those in one of the states; who waits longest comes first."""
        table = tables.handoffs
        query = _named().where(table.c.state.in_(states)).order_by(table.c.created_at, table.c.id)
        return [_handoff(row) for row in await self._all(query)]

    async def handoff_of(self, handoff_id: str) -> Handoff:
        """
        Raises:
            NotFound.
        """
        row = await self._one(_named().where(tables.handoffs.c.id == clean(handoff_id)))
        if row is None:
            raise _no_handoff()
        return _handoff(row)

    async def claim_handoff(self, handoff_id: str, advisor: str, *, take_over: bool = False) -> Handoff:
        """Takes a hand-off on; of two who try at once one gets it. `take_over`: also from the one who has it.

        Raises:
            NotFound. Conflict: somebody else has it, or it is over.
        """
        table = tables.handoffs
        free = table.c.state == "requested" if not take_over else table.c.state.in_(OPEN)
        mine = sa.and_(table.c.state == "assigned", table.c.advisor == advisor)
        async with self._writing.begin() as connection:
            return await moved(connection, handoff_id, sa.or_(free, mine), state="assigned", advisor=advisor)

    async def add_reply(
        self, handoff_id: str, reply: Reply, *, by: str | None = None, along: Callable[[AsyncConnection], Awaitable[None]] | None = None
    ) -> bytes:
        """Stores an advisor's reply as the conversation's next turn, all or nothing; returns the bytes that are stored. A hand-off that
        nobody has taken on is the advisor's with it.

        Args:
            by: who has or takes the hand-off; None: the reply's advisor. along: done last in the same transaction.
        Raises:
            NotFound: there is none, or its conversation was forgotten meanwhile. Conflict: somebody else has it, or it is closed.
        """
        table, body, by = tables.handoffs, reply.model_dump_json().encode(), by or reply.advisor
        mine = sa.and_(table.c.state.in_(("assigned", "answered")), table.c.advisor == by)
        async with self._writing.begin() as connection:
            may = sa.or_(table.c.state == "requested", mine)
            handoff = await moved(connection, handoff_id, may, state="answered", advisor=by, waiting_since=None)
            await _add_message(connection, reply.id, handoff.conversation_id, "advisor", reply.text, reply.language)
            await connection.execute(sa.insert(tables.replies).values(id=reply.id, handoff_id=handoff_id, advisor=reply.advisor, body=body))
            if along is not None:
                await along(connection)
        return body

    async def close_handoff(self, handoff_id: str) -> Handoff:
        """Ends it without a reply, or after one. Closing it twice changes nothing.

        Raises:
            NotFound.
        """
        async with self._writing.begin() as connection:
            return await moved(connection, handoff_id, sa.true(), state="closed", waiting_since=None)

    # Secrets

    async def secret(self, name: str) -> bytes:
        """32 random bytes, made by whoever asks first and the same for everyone ever after."""
        table = tables.secrets
        query = sa.select(table.c.value).where(table.c.name == name)
        if found := await self._one(query):
            return cast(bytes, found["value"])
        row = {"name": name, "value": secrets.token_bytes(32), "created_at": now_text()}
        async with self._writing.begin() as connection:
            await connection.execute(insert(self._engine, table).values(row).on_conflict_do_nothing())
        found = await self._one(query)  # in a new transaction: another replica may have been first
        assert found is not None
        return cast(bytes, found["value"])

    # Parts

    async def _hash(self, conversation_id: str, token: str) -> str:
        if not self._key:
            self._key = await self.secret(TOKEN_KEY)
        return hmac.new(self._key, f"{conversation_id}\n{token}".encode(errors="replace"), hashlib.sha256).hexdigest()

    async def _conversation(self, conversation_id: str) -> dict[str, Any]:
        row = await self._one(sa.select(tables.conversations).where(tables.conversations.c.id == clean(conversation_id)))
        if row is None:
            raise _no_conversation()
        return row

    async def _all(self, query: sa.Select[Any]) -> Sequence[dict[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def _one(self, query: sa.Select[Any]) -> dict[str, Any] | None:
        rows = await self._all(query)
        return rows[0] if rows else None


async def _add_message(connection: AsyncConnection, ident: str, conversation_id: str, role: str, text: str, language: str | None) -> None:
    values = {
        "id": sa.literal(ident), "conversation_id": tables.conversations.c.id, "role": sa.literal(role), "text": sa.literal(clean(text)),
        "language": sa.literal(language, sa.String), "created_at": sa.literal(now_text()),
    }  # fmt: skip
    # From a SELECT, so that a missing conversation and an id that is used twice are told apart on both databases.
    found = sa.select(*values.values()).where(tables.conversations.c.id == conversation_id)
    done = await connection.execute(sa.insert(tables.messages).from_select(list(values), found))
    if not done.rowcount:
        raise _no_conversation()
    if role == "user":
        await connection.execute(_heard(conversation_id, language))


def _heard(conversation_id: str, language: str | None) -> sa.Update:
    """The applicant wrote: whoever was answered before waits again, until that hand-off is closed."""
    table, now = tables.handoffs, now_text()
    waits = sa.func.coalesce(table.c.waiting_since, sa.literal(now))
    values = {table.c.heard_at: now, table.c.waiting_since: waits, table.c.weighed: 0, table.c.rev: table.c.rev + 1}
    if language is not None:
        values[table.c.language] = language
    # Of several hand-offs of a conversation only the last one goes on.
    later = table.alias()
    newer = sa.exists().where(later.c.conversation_id == table.c.conversation_id, later.c.created_at > table.c.created_at)
    return sa.update(table).where(table.c.conversation_id == conversation_id, table.c.state != "closed", ~newer).values(values)


def _told(conversation_id: str, answer: Answer) -> sa.Update:
    """What an answer tells of the applicant who waits: the language, and whether it is an emergency."""
    table = tables.handoffs
    values: dict[Any, Any] = {table.c.language: answer.language, table.c.rev: table.c.rev + 1}
    if answer.status == EMERGENCY:
        values[table.c.emergency] = 1
    return sa.update(table).where(table.c.conversation_id == conversation_id, table.c.state != "closed").values(values)


def _as_said(conversation_id: str) -> dict[str, sa.ColumnElement[Any]]:
    """What a new hand-off takes from its conversation."""
    said, answers, site = tables.messages, tables.answers, tables.conversations.c.site
    here = said.c.conversation_id == conversation_id
    channel = sa.case((site.like("slack:%"), "slack"), (site == MAIL, "mail"), else_="widget")
    language = sa.select(said.c.language).where(here, said.c.language.is_not(None)).order_by(said.c.seq.desc()).limit(1)
    emergency = sa.exists().where(here, answers.c.id == said.c.id, answers.c.status == EMERGENCY)
    return {
        "channel": sa.func.coalesce(
            sa.select(channel).where(tables.conversations.c.id == conversation_id).scalar_subquery(), sa.literal("widget")
        ),
        "language": language.scalar_subquery(),
        "heard_at": sa.select(sa.func.max(said.c.created_at)).where(here, said.c.role == "user").scalar_subquery(),
        "emergency": sa.case((emergency, 1), else_=0),
    }


async def moved(connection: AsyncConnection, handoff_id: str, may: sa.ColumnElement[bool], **values: Any) -> Handoff:
    """The hand-off with its new values. One statement decides, so that of two advisors one is first."""
    table, ident = tables.handoffs, clean(handoff_id)
    change = sa.update(table).where(table.c.id == ident, may).values(updated_at=now_text(), rev=table.c.rev + 1, **values).returning(table)
    row = (await connection.execute(change)).mappings().one_or_none()
    if row is not None:
        return _handoff(dict(row))
    has = (await connection.execute(_named().where(table.c.id == ident))).mappings().one_or_none()
    if has is None:
        raise _no_handoff()
    if has["state"] in OPEN:
        name = has["advisor_name"] or has["advisor"]
        raise Conflict(f"{name} has taken this hand-off on." if name else "Nobody has this hand-off any more.")
    raise Conflict(f"This hand-off is {has['state']} already.")


def _named() -> sa.Select[Any]:
    """Hand-offs with the name of the account that has them."""
    accounts = tables.accounts
    return sa.select(tables.handoffs, accounts.c.name.label("advisor_name")).outerjoin(accounts, accounts.c.id == tables.handoffs.c.advisor)


def _handoff(row: Mapping[str, Any]) -> Handoff:
    times = {name: read_time(row[name]) for name in ("created_at", "updated_at")}
    name = row.get("advisor_name") or row["advisor"]
    return Handoff(row["id"], row["conversation_id"], row["reason"], row["state"], row["advisor"], **times, advisor_name=name)


def _message(row: Mapping[str, Any]) -> StoredMessage:
    match row["role"]:
        case "user":
            return StoredQuestion(row["id"], row["text"], row["language"], read_time(row["created_at"]))
        case "advisor":
            return StoredReply(row["id"], row["advisor"], row["body"])
    return StoredAnswer(row["id"], row["question_id"], row["body"])


def asked_before(said: sa.FromClause) -> sa.ScalarSelect[str]:
    """The text of the question that a message follows; of a reply the last one before it."""
    asked = tables.messages.alias("asked")
    before = sa.and_(asked.c.conversation_id == said.c.conversation_id, asked.c.role == "user", asked.c.seq < said.c.seq)
    return sa.select(asked.c.text).where(before).order_by(asked.c.seq.desc()).limit(1).correlate(said).scalar_subquery()


def new_id() -> str:
    return secrets.token_hex(16)


def time_text(at: dt.datetime) -> str:
    """A time in UTC as the tables write it: such texts sort as their times do."""
    return at.isoformat(timespec="microseconds")


def now_text() -> str:
    return time_text(dt.datetime.now(dt.UTC))


def read_time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _site(name: str) -> str:
    return clean(name)[:300]


def clean(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)


def _profile(value: dict[str, Any] | None) -> Profile | None:
    return Profile(**value) if value is not None else None


def _no_conversation() -> NotFound:
    return NotFound("There is no such conversation. It may have been forgotten; start a new one.")


def _no_handoff() -> NotFound:
    return NotFound("There is no such hand-off. Its conversation may have been forgotten.")


def _no_answer() -> NotFound:
    return NotFound("There is no such answer.")
