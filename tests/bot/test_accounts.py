"""Accounts, passwords, sessions and locks, on both databases."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.accounts import Accounts
from bot.attempts import FREE, LONGEST_WAIT_S
from bot.errors import Conflict, InputError, LoginRefused, NotFound
from bot.passwords import check_password, first_password
from bot.sessions import Sessions

GOOD = "correct horse battery staple"


@pytest.fixture
def accounts(engine: AsyncEngine) -> Accounts:
    return Accounts(engine)


async def actions(accounts: Accounts) -> list[str]:
    return [entry.action for entry in reversed(await accounts.audit.entries())]


async def shift(engine: AsyncEngine, table: sa.Table, column: str, by: dt.timedelta) -> None:
    """As if that much time had gone by."""
    async with engine.begin() as connection:
        for row in (await connection.execute(sa.select(table))).mappings().all():
            if row[column]:
                key = next(iter(table.primary_key))
                moved = (dt.datetime.fromisoformat(row[column]) - by).isoformat(timespec="microseconds")
                await connection.execute(sa.update(table).where(key == row[key.name]).values({column: moved}))


async def test_a_first_password_is_random_used_and_changed(accounts: Accounts, engine: AsyncEngine) -> None:
    ana, first = await accounts.add(" Ana@School.example ", "Dr.  Ana\u202e\n Ruiz", ["editor", "advisor"], by="cli")
    assert (ana.email, ana.name, ana.roles, ana.must_change) == ("ana@school.example", "Dr. Ana Ruiz", {"advisor", "editor"}, True)
    _, other = await accounts.add("bob@school.example", by="cli")
    assert first != other and len(set(first)) > 6
    async with engine.connect() as connection:
        stored = str((await connection.execute(sa.select(tables.accounts))).mappings().all())
    assert first not in stored and "$argon2id$" in stored
    signed = await accounts.authenticate("ANA@school.example", first, "10.0.0.1")
    assert signed.must_change and signed.last_login_at is not None
    with pytest.raises(InputError):
        await accounts.change_password(ana.id, first, first)
    changed = await accounts.change_password(ana.id, first, GOOD)
    assert not changed.must_change
    with pytest.raises(LoginRefused):
        await accounts.authenticate(ana.email, first)
    assert not (await accounts.authenticate(ana.email, GOOD)).must_change
    log = await actions(accounts)
    assert log == ["account.add", "account.add", "login", "account.password", "login.refused", "login"]
    async for line in accounts.audit.export():
        assert GOOD not in line and first not in line and "school.example" not in line


async def test_a_first_password_runs_out(accounts: Accounts, engine: AsyncEngine) -> None:
    ana, first = await accounts.add("ana@school.example", by="cli")
    await shift(engine, tables.accounts, "password_until", dt.timedelta(days=7, minutes=1))
    with pytest.raises(LoginRefused, match="run out"):
        await accounts.authenticate(ana.email, first)
    assert (await accounts.authenticate(ana.email, await accounts.reset(ana.id, by="cli"))).must_change


EASY = [
    "", "short", "a" * 300, "aaaaaaaaaaaaaa", "password123456", "ana.ruiz.2026", "schoolschool12", "abcdefghijklmnop", "0987654321098",
    "IMG-Advisor-2026",
]  # fmt: skip


@pytest.mark.parametrize("bad", EASY)
def test_passwords_that_are_refused(bad: str) -> None:
    with pytest.raises(InputError):
        check_password(bad, "ana.ruiz@school.example", "Ana Ruiz")


@pytest.mark.parametrize("good", [GOOD, "Zwölf Boxkämpfer!", "我的密码是一个很长的句子", pytest.param(first_password(), id="a first one")])
def test_passwords_that_are_taken(good: str) -> None:
    check_password(good, "ana.ruiz@school.example", "Ana Ruiz")


async def test_letters_are_the_same_however_they_are_typed(accounts: Accounts) -> None:
    ana, first = await accounts.add("ana@school.example", by="cli")
    await accounts.change_password(ana.id, first, "Zwo\u0308lf Boxka\u0308mpfer")
    await accounts.authenticate(ana.email, "Zwölf Boxkämpfer")
    with pytest.raises(LoginRefused):
        await accounts.authenticate(ana.email, "x" * 100_000 + "\ud800")


async def test_wrong_accounts_are_refused(accounts: Accounts) -> None:
    await accounts.add("ana@school.example", by="cli")
    with pytest.raises(Conflict):
        await accounts.add("ANA@school.example", by="cli")
    for bad in ("ana", "ana@", "@x.org", "a b@x.org", "ana@x", "<ana@x.org>", "ana@x.org\n", "a" * 250 + "@x.org"):
        with pytest.raises(InputError):
            await accounts.add(bad if bad.strip() == bad else "a\nb@x.org", by="cli")
    for roles in ([], ["chief"], ["admin", "root"]):
        with pytest.raises(InputError):
            await accounts.add("new@school.example", roles=roles, by="cli")
    for call in (accounts.get("nobody"), accounts.by_email("nobody@x.org"), accounts.reset("nobody", by="cli")):
        with pytest.raises(NotFound):
            await call


async def test_there_is_always_an_admin(accounts: Accounts) -> None:
    ana, _ = await accounts.add("ana@school.example", roles=["admin"], by="cli")
    for call in (accounts.disable(ana.id, by="cli"), accounts.set_roles(ana.id, ["advisor"], by="cli")):
        with pytest.raises(Conflict):
            await call
    bob, _ = await accounts.add("bob@school.example", roles=["admin"], by="cli")
    done = await asyncio.gather(
        accounts.disable(ana.id, by=bob.id), accounts.set_roles(bob.id, ["editor"], by=ana.id), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in done) == 1
    assert [account.may("editor") and not account.disabled for account in await accounts.all()].count(True) >= 1


async def test_a_lock_comes_after_five_tries_even_at_once_and_grows(accounts: Accounts, engine: AsyncEngine) -> None:
    ana, first = await accounts.add("ana@school.example", by="cli")
    tries = await asyncio.gather(*(accounts.authenticate(ana.email, f"wrong {n}") for n in range(12)), return_exceptions=True)
    waits = [result.wait_s for result in tries if isinstance(result, LoginRefused)]
    assert len(waits) == 12 and waits.count(0) == FREE["account"]
    with pytest.raises(LoginRefused, match="wait"):
        await accounts.authenticate(ana.email, first)  # the right one does not help now
    assert set(await accounts.attempts.waits([ana.email, "bob@x.org"])) == {ana.email}
    seen = []
    for _ in range(10):
        await shift(engine, tables.login_failures, "until", dt.timedelta(seconds=LONGEST_WAIT_S))
        with pytest.raises(LoginRefused) as refused:
            await accounts.authenticate(ana.email, "wrong again")
        assert refused.value.wait_s == 0
        with pytest.raises(LoginRefused) as refused:
            await accounts.authenticate(ana.email, "wrong again")
        seen.append(refused.value.wait_s)
    assert seen == sorted(seen) and 30 < seen[0] <= 60 and seen[-1] == LONGEST_WAIT_S
    await accounts.authenticate(ana.email, await accounts.reset(ana.id, by="cli"))


async def test_the_right_password_clears_the_count(accounts: Accounts) -> None:
    ana, first = await accounts.add("ana@school.example", by="cli")
    for _ in range(3):
        for _ in range(FREE["account"] - 1):
            with pytest.raises(LoginRefused):
                await accounts.authenticate(ana.email, "wrong")
        await accounts.authenticate(ana.email, first)


async def test_an_address_that_tries_many_accounts_is_stopped(accounts: Accounts) -> None:
    ana, first = await accounts.add("ana@school.example", by="cli")
    for n in range(FREE["address"]):
        with pytest.raises(LoginRefused) as refused:
            await accounts.authenticate(f"guess{n}@school.example", "wrong", "10.0.0.9")
        assert refused.value.wait_s == 0  # and nothing says that there is no such account
    with pytest.raises(LoginRefused, match="wait"):
        await accounts.authenticate(ana.email, first, "10.0.0.9")
    for _ in range(FREE["address"] + 1):
        await accounts.authenticate(ana.email, first, "10.0.0.10")  # successes are not counted


async def test_sessions_end(accounts: Accounts, engine: AsyncEngine) -> None:
    ana, first = await accounts.add("ana@school.example", by="cli")
    await accounts.add("bob@school.example", roles=["admin"], by="cli")
    sessions = accounts.sessions

    async def alive(token: str) -> bool:
        return await accounts.of_session(token) is not None

    one, two = await sessions.open(ana.id, "Firefox"), await sessions.open(ana.id)
    found = await accounts.of_session(one)
    assert found is not None and found[0] == ana and await accounts.of_session("nothing\ud800") is None
    async with engine.connect() as connection:
        assert one not in str((await connection.execute(sa.select(tables.sessions))).all())
    assert [session.device for session in await sessions.of(ana.id)].count("Firefox") == 1
    await sessions.end(found[1])
    assert not await alive(one) and await alive(two)
    session = (await sessions.of(ana.id))[0]
    three = await sessions.open(ana.id)
    await accounts.change_password(ana.id, first, GOOD, session=session.id)
    assert await alive(two) and not await alive(three)
    for act in (accounts.reset, accounts.disable):
        token = await sessions.open(ana.id)
        await act(ana.id, by="cli")
        assert not await alive(token)
    with pytest.raises(LoginRefused):
        await accounts.authenticate(ana.email, GOOD)
    late = await sessions.open(ana.id)
    assert not await alive(late)  # a session of an account that is shut opens nothing
    await accounts.enable(ana.id, by="cli")
    assert await alive(late)
    await accounts.sign_out(ana.id, by=ana.id)
    assert not await alive(late)


async def test_sessions_end_by_rest_and_by_age(engine: AsyncEngine) -> None:
    accounts = Accounts(engine, Sessions(engine, dt.timedelta(minutes=30), dt.timedelta(hours=8)))
    ana, _ = await accounts.add("ana@school.example", by="cli")
    token = await accounts.sessions.open(ana.id)

    async def go_by(**time: Any) -> bool:
        for column in ("seen_at", "created_at"):
            await shift(engine, tables.sessions, column, dt.timedelta(**time))
        return await accounts.of_session(token) is not None

    for _ in range(16):  # used every 29 minutes it stays awake…
        assert await go_by(minutes=29)
    assert not await go_by(minutes=29)  # …but not for more than eight hours
    token = await accounts.sessions.open(ana.id)
    assert not await go_by(minutes=31)
    await accounts.sessions.open(ana.id)
    async with engine.connect() as connection:
        assert len((await connection.execute(sa.select(tables.sessions))).all()) == 1  # what is over does not pile up


async def test_an_identity_is_tied_to_one_account(accounts: Accounts) -> None:
    ana, _ = await accounts.add("ana@school.example", by="cli", password=False)
    with pytest.raises(LoginRefused):
        await accounts.authenticate(ana.email, "")
    for address in ("Ana@School.example", "married@school.example"):
        found = await accounts.of_identity("https://idp|1", address)
        assert found is not None and found.id == ana.id and found.tied
    with pytest.raises(Conflict):
        await accounts.of_identity("https://idp|2", "ana@school.example")
    assert await accounts.of_identity("https://idp|3", "nobody@school.example") is None
    await accounts.add("bob@school.example", roles=["admin"], by="cli")
    await accounts.disable(ana.id, by="cli")
    assert await accounts.of_identity("https://idp|1", "ana@school.example") is None
    await accounts.untie(ana.id, by="cli")
    assert await accounts.of_identity("https://idp|2", "ana@school.example") is None
