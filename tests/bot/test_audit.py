"""A log that can only be added to, and that shows when somebody did otherwise."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.audit import START, Audit
from bot.store import Store


@pytest.fixture
def audit(engine: AsyncEngine) -> Audit:
    return Audit(engine)


async def three(audit: Audit) -> list[dict[str, Any]]:
    await audit.record("ana", "account.add", "bob", {"roles": ["advisor"]})
    await audit.record("bob", "reply.send", "h1", {"version": 3, "ok": True, "é": "\u2028"})
    await audit.record("system", "account", "bob")
    return [json.loads(line) async for line in audit.export()]


async def test_the_chain_can_be_reckoned_by_anybody_from_the_export(audit: Audit) -> None:
    rows, previous = await three(audit), START
    for number, row in enumerate(rows, 1):
        fields = [previous, number, row["at"], row["actor"], row["action"], row["subject"], row["detail"]]
        assert row["previous"] == previous and row["number"] == number
        previous = hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()
        assert row["hash"] == previous
    found = await audit.verify()
    assert (found.ok, found.entries, found.head) == (True, 3, previous)
    assert (await audit.verify(rows[0]["hash"])).ok and (await audit.verify(START)).ok


async def test_the_database_refuses_changes(audit: Audit, engine: AsyncEngine) -> None:
    await three(audit)
    for statement in ("UPDATE audit SET actor = 'eve'", "DELETE FROM audit WHERE number = 2"):
        with pytest.raises(sa.exc.DBAPIError, match="only be added to"):
            async with engine.begin() as connection:
                await connection.execute(sa.text(statement))
    assert (await audit.verify()).entries == 3


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE number = 2", 2),
        ("UPDATE audit SET detail = '{}' WHERE number = 1", 1),
        ("UPDATE audit SET at = '2020' WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("UPDATE audit SET previous = hash WHERE number = 3", 3),
    ],
)
async def test_what_is_changed_past_the_triggers_shows(audit: Audit, engine: AsyncEngine, statement: str, broken_at: int) -> None:
    await three(audit)
    async with engine.begin() as connection:
        await _disarm(connection)
        await connection.execute(sa.text(statement))
    found = await audit.verify()
    assert not found.ok and found.broken_at == broken_at and str(broken_at) in found.problem


async def test_an_end_that_was_cut_off_shows_beside_a_noted_head(audit: Audit, engine: AsyncEngine) -> None:
    await three(audit)
    noted = (await audit.verify()).head
    async with engine.begin() as connection:
        await _disarm(connection)
        await connection.execute(sa.text("DELETE FROM audit WHERE number = 3"))
    assert (await audit.verify()).ok
    assert not (await audit.verify(noted)).ok


async def _disarm(connection: Any) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.text("ALTER TABLE audit DISABLE TRIGGER ALL"))
    else:
        for name in ("audit_no_update", "audit_no_delete"):
            await connection.execute(sa.text(f"DROP TRIGGER {name}"))


async def test_many_at_once_make_one_chain(audit: Audit, engine: AsyncEngine) -> None:
    """As replicas do: each with transactions of its own, some of them with other work first."""
    store = Store(engine)

    async def alone(n: int) -> None:
        await audit.record(f"a{n}", "try", str(n))

    async def with_others(n: int) -> None:
        async with engine.begin() as connection:
            await connection.execute(sa.insert(tables.secrets).values(name=f"s{n}", value=b"x", created_at="2026"))
            await audit.record(f"b{n}", "try", str(n), {"n": n}, connection)

    await store.start()
    await asyncio.gather(*(work(n) for n in range(12) for work in (alone, with_others)))
    found = await audit.verify()
    assert found.ok and found.entries == 24


async def test_it_falls_with_the_transaction_it_belongs_to(audit: Audit, engine: AsyncEngine) -> None:
    with pytest.raises(ZeroDivisionError):
        async with engine.begin() as connection:
            await audit.record("ana", "reply.send", "h1", None, connection)
            raise ZeroDivisionError
    await audit.record("ana", "reply.send", "h2")
    assert [(entry.number, entry.subject) for entry in await audit.entries()] == [(1, "h2")]


async def test_entries_are_found(audit: Audit) -> None:
    await three(audit)
    await audit.record("ana", "accounting", "x")
    assert [entry.number for entry in await audit.entries()] == [4, 3, 2, 1]
    assert [entry.number for entry in await audit.entries(action="account")] == [3, 1]
    assert [entry.number for entry in await audit.entries(action="account.add")] == [1]
    assert [entry.number for entry in await audit.entries(actor="bob")] == [2]
    assert [entry.number for entry in await audit.entries(subject="bob", before=3)] == [1]
    assert [entry.number for entry in await audit.entries(limit=1, before=3)] == [2]
    today = (await audit.entries())[0].at[:10]
    assert len(await audit.entries(since=today, until=today)) == 4 and await audit.entries(until="2020-01-01") == []
    assert await audit.actions() == ["account", "account.add", "accounting", "reply.send"]
    assert [entry.detail async for entry in audit.all()][1] == {"version": 3, "ok": True, "é": "\u2028"}


async def test_csv_holds_no_formulas(audit: Audit) -> None:
    await audit.record("=HYPERLINK(1)", "a\nb\x00", "@x")
    rows = list(csv.DictReader(io.StringIO("".join([line async for line in audit.export("csv")]), newline="")))
    assert rows[0]["actor"] == "'=HYPERLINK(1)" and rows[0]["subject"] == "'@x" and rows[0]["action"] == "ab"
    assert (await audit.verify()).ok
