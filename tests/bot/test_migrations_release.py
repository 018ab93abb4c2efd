"""From the database of the release before (revision 0004), filled, to today's: nothing is lost, and all of it works."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import migrations, tables
from bot.accounts import Accounts
from bot.answer import Answer, Profile, Reply
from bot.audit import Audit
from bot.database import open_engine
from bot.inbox import Inbox
from bot.items import Filters
from bot.store import Store

RELEASED = "0004"
KEY = b"k" * 32
AT = "2026-01-02T03:04:05.678900+00:00"
ANSWER = Answer(id="a1", created_at=dt.datetime(2026, 1, 2, 3, 4, 6, tzinfo=dt.UTC), status="answered", text="“Sí” 🩺")
REPLY = Reply(**{**dict(ANSWER), "id": "r1", "text": "Own words."}, advisor="Ana")


def hashed(conversation: str, token: str) -> str:
    return hmac.new(KEY, f"{conversation}\n{token}".encode(), hashlib.sha256).hexdigest()


def handoff(ident: str, conversation: str, state: str, advisor: str | None, reason: str = "visa") -> dict[str, Any]:
    return {
        "id": ident, "conversation_id": conversation, "reason": reason, "state": state, "created_at": AT, "updated_at": AT,
        "advisor": advisor,
    }  # fmt: skip


def message(ident: str, conversation: str, role: str, text: str) -> dict[str, Any]:
    return {"id": ident, "conversation_id": conversation, "role": role, "text": text, "language": "en", "created_at": AT}


ROWS: dict[str, list[dict[str, Any]]] = {
    "index_collections": [
        {
            "name": "default", "knowledge_version": "v1", "embedder": "e@1", "chunker": "k1", "snapshot": "default.v1.a", "built_at": AT,
            "keywords": b"\x00\xff", "meta": {"a": None, "é": 0.1},
        }
    ],
    "index_documents": [
        {
            "collection": "default", "document_id": "d1", "root": "guides", "content_hash": "h", "title": "T", "body": "B\r\n\u2028",
            "meta": {},
        }
    ],
    "index_chunks": [
        {"collection": "default", "chunk_id": "c1", "document_id": "d1", "position": 0, "text": "Fees", "meta": {}, "vectors": b"\x01\x02"}
    ],
    "conversations": [
        {
            "id": ident, "token_hash": hashed(ident, "token"), "site": "https://school.example", "profile": profile,
            "model_tokens_in": 2**40, "model_tokens_out": 1, "model_seconds": 0.5, "model_usd": 0.25, "created_at": AT, "memory": memory,
        }
        for ident, profile, memory in (("one", {"step2ck": 250}, {"standing": "What is SOAP?", "open": ["Who won?"]}), ("two", None, None))
    ],
    "messages": [
        message("q1", "one", "user", "How long can I stay on an H-1B?"), message("a1", "one", "assistant", "“Sí” 🩺"),
        message("r1", "one", "advisor", "Own words."), message("q2", "two", "user", "I need a person, please: Día de entrevistas"),
    ],
    "answers": [{"id": "a1", "question_id": "q1", "status": "answered", "body": ANSWER.model_dump_json().encode()}],
    "feedback": [{"answer_id": "a1", "value": -1, "reason": "wrong", "comment": "no", "updated_at": AT}],
    "handoffs": [
        handoff("h1", "one", "answered", "Ana"), handoff("h2", "one", "assigned", "Ben", "fees"), handoff("h3", "two", "requested", None),
        handoff("h4", "two", "closed", "Ana"),
    ],
    "replies": [{"id": "r1", "handoff_id": "h1", "advisor": "Ana", "body": REPLY.model_dump_json().encode()}],
    "secrets": [{"name": "conversation-tokens", "value": KEY, "created_at": AT}],
}  # fmt: skip


@pytest.fixture
async def released(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database as the release before left it, with something in every table."""
    engine = await open_engine(database_url)
    async with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        await connection.run_sync(migrations.move, RELEASED)
        old = sa.MetaData()
        await connection.run_sync(old.reflect)
        assert set(old.tables) - {"alembic_version"} == set(ROWS)
        for table in old.sorted_tables:
            for row in ROWS.get(table.name, []):
                typed = {name: _typed(table.c[name], value) for name, value in row.items()}
                await connection.execute(sa.insert(table).values(typed))
    yield engine
    await engine.dispose()


def _typed(column: sa.Column[Any], value: Any) -> Any:
    return sa.null() if value is None and isinstance(column.type, sa.JSON) else value


async def test_every_row_is_still_there(released: AsyncEngine) -> None:
    await migrations.upgrade(released)
    async with released.connect() as connection:
        for name, rows in ROWS.items():
            table = tables.metadata.tables[name]
            columns = [table.c[column] for column in rows[0]]
            order = table.c.seq if name == "messages" else table.primary_key.columns[0]
            found = [dict(row) for row in (await connection.execute(sa.select(*columns).order_by(order))).mappings()]
            assert found == rows, name


async def test_what_was_stored_before_works_on(released: AsyncEngine) -> None:
    await migrations.upgrade(released)
    store = Store(released)
    opened = await store.open("one", "token", "https://school.example")
    assert opened.profile == Profile(step2ck=250)
    assert [turn.text for turn in await store.history("one")] == ["How long can I stay on an H-1B?", "“Sí” 🩺", "Own words."]
    assert (await store.memory("one")).open == ("Who won?",)
    assert {found.id for found in await store.handoffs()} == {"h2", "h3"}

    accounts = Accounts(released)
    account, _ = await accounts.add("ana@school.example", by="cli")
    inbox = Inbox(released, store, accounts.audit)
    states = {ident: (await inbox.item(ident)).state for ident in ("h1", "h2", "h3", "h4")}
    assert states == {"h1": "answered", "h2": "assigned", "h3": "requested", "h4": "closed"}
    assert [item.id for item in (await inbox.page(Filters("waiting"))).items] == ["h2", "h3"]
    await inbox.claim("h3", account.id)
    await inbox.claim("h2", account.id, take_over=True)
    await store.add_reply("h3", REPLY.model_copy(update={"id": "r2", "advisor": account.id}))
    await store.add_question("two", "Thank you")
    assert [turn.text for turn in await store.history("two")][-2:] == ["Own words.", "Thank you"]
    assert (await accounts.audit.verify()).ok

    await store.forget("two")
    async with released.connect() as connection:
        left = (await connection.execute(sa.select(tables.handoffs.c.id))).scalars().all()
    assert set(left) == {"h1", "h2"}


async def test_words_from_before_are_found(released: AsyncEngine) -> None:
    await migrations.upgrade(released)
    inbox = Inbox(released, Store(released), Audit(released))
    assert {item.id for item in (await inbox.page(Filters("all", words="dia entrevistas"))).items} == {"h3", "h4"}
