"""Conversations, as they must last: the one history there is.

Lists come in the order in which things were stored. Times are UTC. What a method returns is plain data: no row or session
leaves this module.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import tables
from bot.answer import Answer, HandoffRef, Profile, Turn
from bot.errors import Forbidden, InputError, NotFound

TOKEN_KEY = "conversation-tokens"
"""Name of the secret that tokens are hashed with when the settings give none."""

State = Literal["requested", "assigned", "closed"]
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


StoredMessage = StoredQuestion | StoredAnswer


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
        self._key = key.encode()

    # Conversations

    async def start(self, site: str = "") -> tuple[str, str]:
        """A new conversation: (its id, the token that opens it). The token cannot be had again."""
        ident, token = _new_id(), secrets.token_urlsafe(32)
        row = {"id": ident, "token_hash": await self._hash(ident, token), "site": _clean(site)[:300], "created_at": _now()}
        async with self._engine.begin() as connection:
            await connection.execute(sa.insert(tables.conversations).values(row))
        return ident, token

    async def open(self, conversation_id: str, token: str) -> Conversation:
        """
        Raises:
            NotFound: there is none, or it was forgotten. Forbidden: the token opens another one, or nothing.
        """
        row = await self._conversation(conversation_id)
        if not hmac.compare_digest(row["token_hash"], await self._hash(conversation_id, token)):
            raise Forbidden("This token does not open this conversation. Start a new conversation.")
        return Conversation(row["id"], row["site"], _time(row["created_at"]), _profile(row["profile"]))

    async def forget(self, conversation_id: str) -> None:
        """Removes a conversation and everything of it. One that is not there is already forgotten.

        On SQLite its words are gone from the files when this returns; PostgreSQL overwrites them with its next VACUUM.
        """
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(tables.conversations).where(tables.conversations.c.id == conversation_id))
        if self._engine.dialect.name == "sqlite":
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
        async with self._engine.begin() as connection:
            done = await connection.execute(sa.update(table).where(table.c.id == conversation_id).values(profile=value))
        if not done.rowcount:
            raise _no_conversation()

    # Messages

    async def add_question(self, conversation_id: str, text: str, language: str | None = None) -> str:
        """The new message's id.

        Raises:
            NotFound: the conversation is not there, or was forgotten meanwhile.
        """
        ident = _new_id()
        async with self._engine.begin() as connection:
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
            async with self._engine.begin() as connection:
                await _add_message(connection, answer.id, conversation_id, "assistant", answer.text, answer.language)
                asked = sa.select(questions.c.id).where(
                    questions.c.id == message_id, questions.c.conversation_id == conversation_id, questions.c.role == "user"
                )
                if (await connection.execute(asked)).first() is None:
                    raise NotFound("There is no such question in this conversation.")
                await connection.execute(
                    sa.insert(table).values(id=answer.id, question_id=message_id, status=answer.status, body=body),
                )
        except IntegrityError:
            stored = await self._one(sa.select(table.c.question_id, table.c.body).where(table.c.id == answer.id))
            if stored is None or stored["question_id"] != message_id:
                raise InputError("This question has an answer already.") from None
            return cast(bytes, stored["body"])
        return body

    async def messages(self, conversation_id: str) -> list[StoredMessage]:
        """All questions and answers, oldest first; none when there is no such conversation."""
        said, answers = tables.messages, tables.answers
        query = (
            sa.select(said.c.id, said.c.role, said.c.text, said.c.language, said.c.created_at, answers.c.question_id, answers.c.body)
            .select_from(said.outerjoin(answers, answers.c.id == said.c.id))
            .where(said.c.conversation_id == conversation_id)
            .order_by(said.c.seq)
        )
        return [
            StoredQuestion(row["id"], row["text"], row["language"], _time(row["created_at"]))
            if row["role"] == "user"
            else StoredAnswer(row["id"], row["question_id"], row["body"])
            for row in await self._all(query)
        ]

    async def history(self, conversation_id: str, last: int = 20) -> list[Turn]:
        """The last so many utterances, questions and answers both, oldest first."""
        table = tables.messages
        query = (
            sa.select(table.c.role, table.c.text).where(table.c.conversation_id == conversation_id).order_by(table.c.seq.desc()).limit(last)
        )
        return [Turn(role=row["role"], text=row["text"]) for row in reversed(await self._all(query))]

    async def answer_json(self, answer_id: str) -> bytes:
        """
        Raises:
            NotFound.
        """
        row = await self._one(sa.select(tables.answers.c.body).where(tables.answers.c.id == _clean(answer_id)))
        if row is None:
            raise _no_answer()
        return cast(bytes, row["body"])

    async def conversation_of(self, answer_id: str) -> str:
        """The id of the conversation that holds an answer.

        Raises:
            NotFound.
        """
        said, answers = tables.messages, tables.answers
        row = await self._one(
            sa.select(said.c.conversation_id).join(answers, answers.c.id == said.c.id).where(said.c.id == _clean(answer_id))
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
        said = {"value": value, "reason": reason and _clean(reason), "comment": comment and _clean(comment), "updated_at": _now()}
        insert = self._insert(tables.feedback).values(answer_id=_clean(answer_id), **said)
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert.on_conflict_do_update(index_elements=["answer_id"], set_=said))
        except IntegrityError:
            raise _no_answer() from None

    async def feedback(self, answer_id: str) -> Feedback | None:
        table = tables.feedback
        row = await self._one(sa.select(table).where(table.c.answer_id == answer_id))
        return Feedback(row["value"], row["reason"], row["comment"], _time(row["updated_at"])) if row else None

    async def request_handoff(self, conversation_id: str, reason: str) -> HandoffRef:
        """Asks for a human advisor. While one is asked for or assigned, the same hand-off comes back.

        Raises:
            NotFound.
        """
        now = _now()
        row = {
            "id": _new_id(),
            "conversation_id": conversation_id,
            "reason": _clean(reason),
            "state": "requested",
            "created_at": now,
            "updated_at": now,
        }
        try:
            async with self._engine.begin() as connection:
                await connection.execute(self._insert(tables.handoffs).values(row).on_conflict_do_nothing())
                return await _open_handoff(connection, conversation_id)
        except IntegrityError:
            raise _no_conversation() from None

    async def handoff(self, conversation_id: str) -> HandoffRef | None:
        """The open hand-off, or else the one that was closed last."""
        table = tables.handoffs
        row = await self._one(
            sa.select(table.c.reason, table.c.state)
            .where(table.c.conversation_id == conversation_id)
            .order_by(table.c.state == "closed", table.c.updated_at.desc(), table.c.id)
            .limit(1)
        )
        return HandoffRef(**row) if row else None

    async def move_handoff(self, conversation_id: str, state: State) -> HandoffRef:
        """Moves the open hand-off on.

        Raises:
            NotFound: none is open.
        """
        table = tables.handoffs
        async with self._engine.begin() as connection:
            moved = await connection.execute(
                sa.update(table)
                .where(table.c.conversation_id == conversation_id, table.c.state != "closed")
                .values(state=state, updated_at=_now())
                .returning(table.c.reason)
            )
            reason = moved.scalar_one_or_none()
        if reason is None:
            raise NotFound("No advisor has been asked for in this conversation.")
        return HandoffRef(reason=reason, state=state)

    # Secrets

    async def secret(self, name: str) -> bytes:
        """32 random bytes, made by whoever asks first and the same for everyone ever after."""
        table = tables.secrets
        query = sa.select(table.c.value).where(table.c.name == name)
        if found := await self._one(query):
            return cast(bytes, found["value"])
        row = {"name": name, "value": secrets.token_bytes(32), "created_at": _now()}
        async with self._engine.begin() as connection:
            await connection.execute(self._insert(table).values(row).on_conflict_do_nothing())
        found = await self._one(query)  # in a new transaction: another replica may have been first
        assert found is not None
        return cast(bytes, found["value"])

    # Parts

    async def _hash(self, conversation_id: str, token: str) -> str:
        if not self._key:
            self._key = await self.secret(TOKEN_KEY)
        return hmac.new(self._key, f"{conversation_id}\n{token}".encode(errors="replace"), hashlib.sha256).hexdigest()

    async def _conversation(self, conversation_id: str) -> dict[str, Any]:
        row = await self._one(sa.select(tables.conversations).where(tables.conversations.c.id == _clean(conversation_id)))
        if row is None:
            raise _no_conversation()
        return row

    def _insert(self, table: sa.Table) -> Any:
        """INSERT with ON CONFLICT, which both databases have but SQLAlchemy spells twice."""
        return sqlite.insert(table) if self._engine.dialect.name == "sqlite" else postgresql.insert(table)

    async def _all(self, query: sa.Select[Any]) -> Sequence[dict[str, Any]]:
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def _one(self, query: sa.Select[Any]) -> dict[str, Any] | None:
        rows = await self._all(query)
        return rows[0] if rows else None


async def _add_message(connection: AsyncConnection, ident: str, conversation_id: str, role: str, text: str, language: str | None) -> None:
    values = {
        "id": sa.literal(ident), "conversation_id": tables.conversations.c.id, "role": sa.literal(role), "text": sa.literal(_clean(text)),
        "language": sa.literal(language, sa.String), "created_at": sa.literal(_now()),
    }  # fmt: skip
    # From a SELECT, so that a missing conversation and an id that is used twice are told apart on both databases.
    found = sa.select(*values.values()).where(tables.conversations.c.id == conversation_id)
    done = await connection.execute(sa.insert(tables.messages).from_select(list(values), found))
    if not done.rowcount:
        raise _no_conversation()


async def _open_handoff(connection: AsyncConnection, conversation_id: str) -> HandoffRef:
    table = tables.handoffs
    query = sa.select(table.c.reason, table.c.state).where(table.c.conversation_id == conversation_id, table.c.state != "closed")
    return HandoffRef(**(await connection.execute(query)).mappings().one())


def _new_id() -> str:
    return secrets.token_hex(16)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _clean(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)


def _profile(value: dict[str, Any] | None) -> Profile | None:
    return Profile(**value) if value is not None else None


def _no_conversation() -> NotFound:
    return NotFound("There is no such conversation. It may have been forgotten; start a new one.")


def _no_answer() -> NotFound:
    return NotFound("There is no such answer.")
