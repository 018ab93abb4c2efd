"""Workspaces: tokens that nobody can read, states that are good once, and nothing that crosses from one to another."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.answer import Answer, Profile, Reply
from bot.errors import NotFound, SettingsError
from bot.jobs import Jobs
from bot.store import Store
from bot.threads import Threads
from bot.workspaces import Keys, Preferences, Tokens, Workspaces

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


async def installed(found: Workspaces, team: str = "T1", token: str = "xoxb-secret", **more: object) -> Tokens:
    tokens = Tokens(token, **more)  # type: ignore[arg-type]
    await found.save(team, name="School", bot_user="U0", bot_id="B0", scopes=("chat:write",), tokens=tokens, installed_by="U1")
    return tokens


async def test_tokens_are_encrypted_and_keys_can_be_changed(engine: AsyncEngine) -> None:
    before = Workspaces(engine, Keys(OLD))
    tokens = await installed(before, refresh="xoxe-refresh", expires_at=5.0)
    async with engine.connect() as connection:
        (data,) = (await connection.execute(sa.select(tables.workspaces.c.tokens))).scalars().all()
    assert b"xox" not in data
    both = Workspaces(engine, Keys(f"{NEW}, {OLD}"))
    assert await both.tokens("T1") == tokens
    with pytest.raises(SettingsError, match="No key"):
        await Workspaces(engine, Keys(NEW)).tokens("T1")
    assert await both.reencrypt() == 1
    assert await Workspaces(engine, Keys(NEW)).tokens("T1") == tokens
    with pytest.raises(SettingsError):
        await before.tokens("T1")


@pytest.mark.parametrize("keys", ["short", "not a key,also not"])
def test_wrong_keys_are_told_and_not_shown(keys: str) -> None:
    with pytest.raises(SettingsError, match="slack key") as told:
        Keys(keys)
    assert keys not in str(told.value)


async def test_without_a_key_no_token_is_kept(engine: AsyncEngine) -> None:
    found = Workspaces(engine, Keys(""))
    with pytest.raises(SettingsError, match="slack key"):
        await installed(found)
    assert await found.all() == []


async def test_a_token_is_renewed_by_one_replica(engine: AsyncEngine) -> None:
    found = Workspaces(engine, Keys(OLD))
    old = await installed(found, refresh="r1", expires_at=1.0)
    assert await found.renew("T1", old, Tokens("xoxb-2", "r2", 2.0))
    assert not await found.renew("T1", old, Tokens("xoxb-3", "r3", 3.0))
    assert await found.tokens("T1") == Tokens("xoxb-2", "r2", 2.0)
    assert not await found.renew("T2", old, old)


async def test_a_state_is_good_once_and_not_for_long(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Workspaces(engine, Keys(OLD))
    state = await found.begin()
    assert not await found.use("made-up")
    assert await found.use(state)
    assert not await found.use(state)
    monkeypatch.setattr("bot.workspaces.STATE_S", -1.0)
    assert not await found.use(await found.begin())


async def test_choices_outlive_an_installation_anew_and_unknown_ones_are_left_out(engine: AsyncEngine) -> None:
    found = Workspaces(engine, Keys(OLD))
    await installed(found)
    await found.choose("T1", mode="mention", notices="C9")
    await found.set_mode("T1", "C1", "all", "U1")
    await installed(found, token="xoxb-again")
    again = await found.get("T1")
    assert (again.preferences.mode, again.preferences.notices, await found.modes("T1")) == ("mention", "C9", {"C1": "all"})
    assert await found.mode("T1", "C2") is None and Preferences(**{"from_the_future": 1}) == Preferences()
    with pytest.raises(NotFound):
        await found.set_mode("T2", "C1", "all", "U1")


async def test_a_workspace_that_leaves_takes_all_of_its_own_and_nothing_else(engine: AsyncEngine) -> None:
    found, store, jobs = Workspaces(engine, Keys(OLD)), Store(engine), Jobs(engine)
    threads = Threads(engine, store)
    talks = {}
    for team in ("T1", "T2"):
        await installed(found, team, f"xoxb-{team}")
        thread = await threads.open(team, "C1", "1.0", "U1", private=True)
        await threads.ask(thread, "1.0", "canary " + team)
        question = await store.add_question(thread.conversation_id, "canary " + team)
        answer = Answer(id=f"a{team}", created_at="2026-01-02T03:04:05Z", status="answered", text=team)  # type: ignore[arg-type]
        await store.add_answer(thread.conversation_id, question, answer)
        await jobs.put("k", team, {"text": "canary " + team}, owner=team)
        talks[team] = thread.conversation_id
    assert talks["T1"] != talks["T2"]
    assert await found.conversations("T1") == [talks["T1"]]
    assert await threads.owns("T1", "aT1") and not await threads.owns("T1", "aT2")
    await found.remove("T1")
    async with engine.connect() as connection:
        for table in tables.metadata.tables.values():
            rows = [tuple(row) for row in await connection.execute(sa.select(table))]
            assert "canary T1" not in str(rows) and "'T1'" not in str(rows), table.name
    assert await store.history(talks["T2"]) and await threads.find("T2", "C1", "1.0") and await found.tokens("T2")
    assert [job.key for job in await jobs.take(["k"], 9)] == ["T2"]


async def test_news_of_an_old_removal_removes_nothing_of_what_was_installed_since(engine: AsyncEngine) -> None:
    found, jobs = Workspaces(engine, Keys(OLD)), Jobs(engine)
    before = time.time()
    await installed(found)
    await jobs.put("k", "1", {"text": "asked since"}, owner="T1")
    assert not await found.remove("T1", installed_until=before - 1)
    assert await found.tokens("T1") and [job.key for job in await jobs.take(["k"], 9)] == ["1"]
    assert await found.remove("T1", installed_until=time.time() + 1)
    assert await found.find("T1") is None and not await found.remove("T1")


async def test_a_private_conversation_goes_on_with_what_its_user_has_told_and_a_public_one_does_not(engine: AsyncEngine) -> None:
    found, store = Workspaces(engine, Keys(OLD)), Store(engine)
    threads = Threads(engine, store)
    await installed(found)
    first = await threads.open("T1", "D1", "1.0", "U1", private=True)
    await store.set_profile(first.conversation_id, Profile(step2ck=250))
    again = await threads.open("T1", "D1", "2.0", "U1", private=True)
    assert await store.profile(again.conversation_id) == Profile(step2ck=250)
    for channel, user, private in (("C1", "U1", False), ("D2", "U2", True)):
        other = await threads.open("T1", channel, "3.0", user, private=private)
        assert await store.profile(other.conversation_id) is None
    assert (await threads.open("T1", "D1", "1.0", "U1", private=True)).conversation_id == first.conversation_id


async def test_a_question_withdrawn_is_forgotten_with_its_answer(engine: AsyncEngine) -> None:
    store = Store(engine)
    conversation, _ = await store.start()
    for number in "12":
        question = await store.add_question(conversation, f"q{number}")
        answer = Answer(id=f"a{number}", created_at="2026-01-02T03:04:05Z", status="answered", text=f"t{number}")  # type: ignore[arg-type]
        await store.add_answer(conversation, question, answer)
    await store.withdraw("a1")
    await store.withdraw("a1")
    assert [turn.text for turn in await store.history(conversation)] == ["q2", "t2"]
    await store.add_question(conversation, "q3")
    await store.drop_unanswered(conversation, "other")
    assert len(await store.history(conversation)) == 3
    await store.drop_unanswered(conversation, "q3")
    assert [turn.text for turn in await store.history(conversation)] == ["q2", "t2"]


async def test_a_reply_is_found_until_it_was_taken_on_and_messages_are_known(engine: AsyncEngine) -> None:
    found, store, jobs = Workspaces(engine, Keys(OLD)), Store(engine), Jobs(engine)
    threads = Threads(engine, store)
    await installed(found)
    thread = await threads.open("T1", "C1", "1.0", "U1", private=False)
    elsewhere, _ = await store.start("https://school.example")
    answer = {"created_at": "2026-01-02T03:04:05Z", "status": "answered", "text": "t", "advisor": "Ana"}
    for conversation in (thread.conversation_id, elsewhere):
        handoff = await store.request_handoff(conversation, "help")
        await store.add_reply(handoff.id, Reply(id=f"r-{conversation[:5]}", **answer))  # type: ignore[arg-type]
    ((reply, where),) = await threads.unsent_replies("2026", "slack.reply")
    assert (reply, where) == (f"r-{thread.conversation_id[:5]}", thread)
    assert await threads.unsent_replies("2999", "slack.reply") == []
    await jobs.put("slack.reply", reply, {}, owner="T1")
    assert await threads.unsent_replies("2026", "slack.reply") == []

    await threads.ask(thread, "1.0", "What?")
    await threads.answered("T1", "C1", "1.0", answer_ts="1.5", answer_id="a1")
    await threads.ask(thread, "1.0", "What else?")
    asked = await threads.asked("T1", "C1", "1.0")
    assert asked is not None and (asked.answer_id, asked.answer_ts) == ("a1", "1.5")
    assert await threads.posted("T1", "C1", "1.0") == {"1.5"} and await threads.posted("T1", "C1", "9.0") == set()
    assert await threads.of(thread.conversation_id) == thread
    assert await threads.latest("T1", "U1") is None and await threads.own("T1", "U1", "img") == []
    private = await threads.open("T1", "D1", "2.0", "U1", private=True)
    command = await threads.open("T1", "C1", "img:U1", "U1", private=False)
    assert await threads.latest("T1", "U1") == private
    assert {one.thread for one in await threads.own("T1", "U1", "img")} == {private.thread, command.thread}
