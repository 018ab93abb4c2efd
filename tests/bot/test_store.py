import asyncio
import datetime as dt
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.answer import Answer, Profile, Reply, Sentence, Turn
from bot.database import open_engine
from bot.errors import Conflict, Forbidden, InputError, NotFound
from bot.migrations import upgrade
from bot.store import Handoff, Store, StoredAnswer, StoredQuestion, StoredReply


@pytest.fixture
def store(engine: AsyncEngine) -> Store:
    return Store(engine)


def make_answer(ident: str, text: str = "J-1 visas are sponsored by Intealth [1].") -> Answer:
    return Answer(
        id=ident, created_at=dt.datetime(2026, 1, 2, 3, 4, 5, 678900, dt.UTC), status="answered", text=text,
        sentences=[Sentence(text=text, support=0.1 + 0.2)],
    )  # fmt: skip


async def ask(store: Store, conversation: str, n: int = 1) -> tuple[str, str]:
    question = await store.add_question(conversation, f"question {n}", "en")
    await store.add_answer(conversation, question, make_answer(f"answer-{n}", f"answer {n}"))
    return question, f"answer-{n}"


# Tokens


async def test_a_token_opens_its_conversation_and_no_other(store: Store) -> None:
    first, first_token = await store.start("https://school.example")
    second, second_token = await store.start()
    assert first != second and first_token != second_token
    opened = await store.open(first, first_token, "https://school.example")
    assert (opened.id, opened.site, opened.profile) == (first, "https://school.example", None)
    assert opened.created_at.utcoffset() == dt.timedelta(0)
    assert abs(opened.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(hours=1)
    for wrong in (second_token, "", first_token + "x", first_token[:-1], "é\ud800"):
        with pytest.raises(Forbidden):
            await store.open(first, wrong, "https://school.example")
    for unknown in ("nobody", "", "a\x00b", "\ud800"):
        with pytest.raises(NotFound):
            await store.open(unknown, first_token)


async def test_the_database_does_not_hold_the_token(store: Store, engine: AsyncEngine) -> None:
    conversation, token = await store.start()
    async with engine.connect() as connection:
        row = (await connection.execute(sa.select(tables.conversations))).mappings().one()
    assert all(token not in str(value) for value in row.values())


async def test_a_hash_copied_to_another_conversation_does_not_open_it(store: Store, engine: AsyncEngine) -> None:
    mine, token = await store.start()
    other, _ = await store.start()
    table = tables.conversations
    async with engine.begin() as connection:
        stolen = (await connection.execute(sa.select(table.c.token_hash).where(table.c.id == mine))).scalar_one()
        await connection.execute(sa.update(table).where(table.c.id == other).values(token_hash=stolen))
    with pytest.raises(Forbidden):
        await store.open(other, token)


async def test_tokens_outlive_a_restart_and_end_with_their_key(engine: AsyncEngine) -> None:
    conversation, token = await Store(engine).start()
    await Store(engine).open(conversation, token)
    with pytest.raises(Forbidden):
        await Store(engine, "another key").open(conversation, token)
    keyed, keyed_token = await Store(engine, "a key").start()
    await Store(engine, "a key").open(keyed, keyed_token)
    with pytest.raises(Forbidden):
        await Store(engine).open(keyed, keyed_token)


async def test_a_token_that_is_taken_to_another_site_opens_nothing(store: Store) -> None:
    ours, token = await store.start("https://school.example")
    own, own_token = await store.start()
    for site in ("", "https://evil.example", "https://school.example.evil.example"):
        with pytest.raises(Forbidden):
            await store.open(ours, token, site)
    with pytest.raises(Forbidden):
        await store.open(own, own_token, "https://school.example")
    assert (await store.open(own, own_token)).site == ""


# Messages


async def test_messages_come_back_in_order_and_byte_for_byte(store: Store) -> None:
    conversation, _ = await store.start()
    other, _ = await store.start()
    answer = make_answer("answer-1", "Mind the “fee” — 五 🩺")
    question = await store.add_question(conversation, "¿Qué es J-1? 🩺", "es")
    await store.add_question(other, "not of this conversation", None)
    sent = await store.add_answer(conversation, question, answer)
    assert sent == answer.model_dump_json().encode()
    again = await store.add_question(conversation, "and now?")
    first, second, third = await store.messages(conversation)
    assert isinstance(first, StoredQuestion) and isinstance(third, StoredQuestion)
    assert (first.id, first.text, first.language) == (question, "¿Qué es J-1? 🩺", "es")
    assert first.created_at <= third.created_at and first.created_at.tzinfo is not None
    assert second == StoredAnswer("answer-1", question, sent)
    assert (third.id, third.language) == (again, None)
    assert await store.answer_json("answer-1") == sent
    assert Answer.model_validate_json(sent) == answer
    assert await store.conversation_of("answer-1") == conversation


async def test_history_is_the_last_utterances_oldest_first(store: Store) -> None:
    conversation, _ = await store.start()
    for n in range(4):
        await ask(store, conversation, n)
    assert await store.history(conversation, last=3) == [
        Turn(role="assistant", text="answer 2"), Turn(role="user", text="question 3"), Turn(role="assistant", text="answer 3"),
    ]  # fmt: skip
    assert len(await store.history(conversation)) == 8
    assert await store.history("nobody") == []


async def test_an_answer_is_stored_once(store: Store) -> None:
    conversation, _ = await store.start()
    question = await store.add_question(conversation, "q")
    sent = await store.add_answer(conversation, question, make_answer("a", "the first"))
    assert await store.add_answer(conversation, question, make_answer("a", "the first, changed")) == sent
    with pytest.raises(InputError):
        await store.add_answer(conversation, question, make_answer("b", "another answer to the same question"))
    with pytest.raises(InputError):
        await store.add_answer(conversation, await store.add_question(conversation, "q2"), make_answer("a", "an id used twice"))
    assert [m.json for m in await store.messages(conversation) if isinstance(m, StoredAnswer)] == [sent]


async def test_an_answer_needs_a_question_of_its_conversation(store: Store) -> None:
    conversation, _ = await store.start()
    other, _ = await store.start()
    foreign = await store.add_question(other, "q")
    _, answer = await ask(store, conversation)
    for question in (foreign, answer, "nothing"):
        with pytest.raises(NotFound):
            await store.add_answer(conversation, question, make_answer("b"))
    assert len(await store.messages(conversation)) == 2


async def test_text_that_a_database_refuses_is_stored_with_a_replacement(store: Store) -> None:
    conversation, _ = await store.start()
    await store.add_question(conversation, "a\x00b\ud800c'); DROP TABLE messages; --")
    assert (await store.history(conversation))[0].text == "a\ufffdb\ufffdc'); DROP TABLE messages; --"


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    for call in (
        store.add_question("nobody", "q"),
        store.add_answer("nobody", "q", make_answer("a")),
        store.set_profile("nobody", Profile()),
        store.profile("nobody"),
        store.request_handoff("nobody", "why"),
        store.answer_json("nothing\x00"),
        store.conversation_of("nothing"),
        store.set_feedback("nothing", 1),
    ):
        with pytest.raises(NotFound):
            await call


# Profile, feedback, hand-off


async def test_a_profile_is_replaced_as_a_whole(store: Store) -> None:
    conversation, token = await store.start()
    assert await store.profile(conversation) is None
    profile = Profile(graduation_year=2019, step1="pass", attempts={"step1": 1}, specialties=["internal medicine"], usce_months=2.5)
    await store.set_profile(conversation, profile)
    assert await store.profile(conversation) == profile
    assert (await store.open(conversation, token)).profile == profile
    await store.set_profile(conversation, Profile(step2ck=250))
    assert await store.profile(conversation) == Profile(step2ck=250)
    await store.set_profile(conversation, None)
    assert await store.profile(conversation) is None


async def test_the_last_feedback_wins(store: Store) -> None:
    conversation, _ = await store.start()
    question, answer = await ask(store, conversation)
    assert await store.feedback(answer) is None
    await store.set_feedback(answer, 1)
    await store.set_feedback(answer, -1, "wrong", "The fee is\x00 old")
    found = await store.feedback(answer)
    assert found is not None
    assert (found.value, found.reason, found.comment) == (-1, "wrong", "The fee is\ufffd old")
    await store.set_feedback(answer, 1)
    found = await store.feedback(answer)
    assert found is not None and (found.value, found.reason, found.comment) == (1, None, None)
    with pytest.raises(InputError):
        await store.set_feedback(answer, 0)
    with pytest.raises(NotFound):
        await store.set_feedback(question, 1)


async def test_a_handoff_is_asked_for_once_while_it_is_open(store: Store) -> None:
    conversation, _ = await store.start()
    assert await store.handoff(conversation) is None
    first = await store.request_handoff(conversation, "visa")
    assert (first.reason, first.state, first.advisor, first.conversation_id) == ("visa", "requested", None, conversation)
    assert await store.request_handoff(conversation, "again") == first == await store.handoff_of(first.id)
    taken = await store.claim_handoff(first.id, "Ana")
    assert (taken.state, taken.advisor) == ("assigned", "Ana") and taken.updated_at > first.updated_at
    assert await store.request_handoff(conversation, "again") == taken
    closed = await store.close_handoff(first.id)
    assert closed.state == "closed" and await store.handoff(conversation) == closed
    second = await store.request_handoff(conversation, "another matter")
    assert second.id != first.id and await store.handoff(conversation) == second
    assert await store.handoffs() == [second]
    assert await store.handoffs(["closed"]) == [closed]


def make_reply(ident: str, advisor: str = "Ana", text: str = "Write to the office.") -> Reply:
    values = {**dict(make_answer(ident, text)), "sentences": [Sentence(text=text, kind="own")]}
    return Reply(**values, advisor=advisor, own_words_by=advisor)


async def test_a_reply_is_a_turn_of_its_conversation(store: Store) -> None:
    conversation, _ = await store.start()
    await ask(store, conversation)
    handoff = await store.request_handoff(conversation, "visa")
    sent = await store.add_reply(handoff.id, make_reply("r1"))
    await store.add_reply(handoff.id, make_reply("r2", text="One more thing."))
    await store.add_question(conversation, "thanks")
    messages = await store.messages(conversation)
    assert [type(message).__name__ for message in messages] == [
        "StoredQuestion", "StoredAnswer", "StoredReply", "StoredReply", "StoredQuestion",
    ]  # fmt: skip
    assert messages[2] == StoredReply("r1", "Ana", sent)
    assert Reply.model_validate_json(sent) == make_reply("r1")
    assert [turn.role for turn in await store.history(conversation)] == ["user", "assistant", "assistant", "assistant", "user"]
    found = await store.handoff(conversation)
    assert found is not None and (found.state, found.advisor) == ("answered", "Ana")
    again = await store.request_handoff(conversation, "not clear yet")
    assert again.state == "requested" and again.id != handoff.id
    with pytest.raises(Conflict, match="Ana"):
        await store.claim_handoff((await store.claim_handoff(again.id, "Ana")).id, "Ben")


async def test_a_handoff_belongs_to_one_advisor(store: Store) -> None:
    conversation, _ = await store.start()
    handoff = await store.request_handoff(conversation, "visa")
    await store.claim_handoff(handoff.id, "Ana")
    assert (await store.claim_handoff(handoff.id, "Ana")).advisor == "Ana"
    for call in (store.claim_handoff(handoff.id, "Ben"), store.add_reply(handoff.id, make_reply("r1", "Ben"))):
        with pytest.raises(Conflict, match="Ana"):
            await call
    assert (await store.claim_handoff(handoff.id, "Ben", take_over=True)).advisor == "Ben"
    with pytest.raises(Conflict, match="Ben"):
        await store.add_reply(handoff.id, make_reply("r1", "Ana"))
    await store.add_reply(handoff.id, make_reply("r1", "Ben"))
    await store.close_handoff(handoff.id)
    for call in (store.claim_handoff(handoff.id, "Ben", take_over=True), store.add_reply(handoff.id, make_reply("r2", "Ben"))):
        with pytest.raises(Conflict, match="closed"):
            await call
    assert [m.id for m in await store.messages(conversation)] == ["r1"]  # a reply that was refused left nothing
    for call in (store.claim_handoff("none\x00", "Ana"), store.add_reply("none", make_reply("r3")), store.close_handoff("none")):
        with pytest.raises(NotFound):
            await call


async def test_of_two_advisors_at_once_one_is_first(database_url: str, engine: AsyncEngine) -> None:
    second = await open_engine(database_url)  # as another process would
    stores = [Store(engine), Store(second)]
    conversation, _ = await stores[0].start()
    for round_ in range(5):
        claimed = await stores[0].request_handoff(conversation, f"claim {round_}")
        found = await asyncio.gather(
            *(stores[n % 2].claim_handoff(claimed.id, f"advisor {n}") for n in range(6)), return_exceptions=True
        )
        winners = [f.advisor for f in found if isinstance(f, Handoff)]
        assert len(winners) == 1 and all(isinstance(f, Handoff | Conflict) for f in found)
        assert (await stores[0].handoff_of(claimed.id)).advisor == winners[0]
        await stores[0].close_handoff(claimed.id)

        replied = await stores[0].request_handoff(conversation, f"reply {round_}")
        sent = await asyncio.gather(
            *(stores[n % 2].add_reply(replied.id, make_reply(f"r-{round_}-{n}", f"advisor {n}")) for n in range(6)), return_exceptions=True
        )
        assert sum(isinstance(s, bytes) for s in sent) == 1 and all(isinstance(s, bytes | Conflict) for s in sent)
    assert sum(isinstance(m, StoredReply) for m in await stores[1].messages(conversation)) == 5
    await second.dispose()


async def test_a_mark_changes_with_whatever_changes(store: Store) -> None:
    conversation, _ = await store.start()
    other, _ = await store.start()
    marks = [await store.mark(conversation)]

    async def changed() -> None:
        assert await store.mark(conversation) not in marks
        marks.append(await store.mark(conversation))

    await ask(store, other)
    assert [await store.mark(conversation)] == marks
    await ask(store, conversation, 2)
    await changed()
    await store.set_profile(conversation, Profile(step2ck=250))
    await changed()
    handoff = await store.request_handoff(conversation, "visa")
    await changed()
    await store.claim_handoff(handoff.id, "Ana")
    await changed()
    await store.add_reply(handoff.id, make_reply("r1"))
    await changed()
    await store.close_handoff(handoff.id)
    await changed()


# Forgetting


async def test_forgetting_leaves_nothing_of_it_and_everything_else(store: Store, engine: AsyncEngine) -> None:
    kept, kept_token = await store.start()
    await ask(store, kept, 1)
    gone, token = await store.start()
    _, answer = await ask(store, gone, 2)
    await store.set_profile(gone, Profile(step2ck=250))
    await store.set_feedback(answer, -1, "wrong")
    handoff = await store.request_handoff(gone, "visa")
    await store.add_reply(handoff.id, make_reply("r1"))
    await store.forget(gone)
    await store.forget(gone)
    with pytest.raises(NotFound):
        await store.open(gone, token)
    with pytest.raises(NotFound):
        await store.answer_json(answer)
    with pytest.raises(NotFound):
        await store.add_answer(gone, "question", make_answer("late"))
    with pytest.raises(NotFound):
        await store.add_reply(handoff.id, make_reply("late"))
    rows = {}
    async with engine.connect() as connection:
        for table in (tables.conversations, tables.messages, tables.answers, tables.feedback, tables.handoffs, tables.replies):
            rows[table.name] = (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
    assert rows == {"conversations": 1, "messages": 2, "answers": 1, "feedback": 0, "handoffs": 0, "replies": 0}
    await store.open(kept, kept_token)


def test_every_table_with_a_conversation_is_emptied_with_it() -> None:
    """A table that is added later and speaks of a conversation or an answer must cascade too."""
    keys = [key for table in tables.metadata.tables.values() for key in table.foreign_keys]
    loose = [key for key in keys if key.ondelete != "CASCADE"]  # a pointer aside, of a row that hangs on something else
    held = {key.parent.table.name for key in keys if key.ondelete == "CASCADE"}
    assert [key.parent for key in loose if key.ondelete != "SET NULL" or key.parent.table.name not in held] == []
    belonging = {"conversation_id", "answer_id", "message_id", "question_id"}
    columns = [column for table in tables.metadata.tables.values() for column in table.columns if column.name in belonging]
    assert [str(column) for column in columns if not column.foreign_keys and column.table.name not in held] == []


async def test_forgotten_words_are_not_in_the_sqlite_files_any_more(sqlite_url: str, tmp_path: Path) -> None:
    engine = await open_engine(sqlite_url)
    await upgrade(engine)
    store = Store(engine)
    conversation, _ = await store.start()
    for n in range(20):
        question = await store.add_question(conversation, f"my passport number is QX7731 {n} " * 30)
        await store.add_answer(conversation, question, make_answer(f"a{n}", "QX7731 " * 200))

    def found() -> bool:
        return any(b"QX7731" in file.read_bytes() for file in (tmp_path / "database").iterdir())

    assert found()
    await store.forget(conversation)
    assert not found()
    await engine.dispose()


# Many at once


async def test_many_writers_at_once_lose_nothing(database_url: str, engine: AsyncEngine) -> None:
    second = await open_engine(database_url)  # as another process would
    stores = [Store(engine), Store(second)]
    conversations = [await stores[0].start() for _ in range(4)]

    async def chat(n: int) -> None:
        store, conversation = stores[n % 2], conversations[n % 4][0]
        for turn in range(5):
            question = await store.add_question(conversation, f"{n}.{turn}")
            await store.add_answer(conversation, question, make_answer(f"a-{n}-{turn}", f"{n}.{turn}"))
            await store.request_handoff(conversation, "visa")
            await store.set_feedback(f"a-{n}-{turn}", 1)

    await asyncio.gather(*(chat(n) for n in range(12)))
    for c, (conversation, token) in enumerate(conversations):
        await stores[1].open(conversation, token)
        messages = await stores[1].messages(conversation)
        assert len(messages) == 2 * 5 * 3
        for n in range(c, 12, 4):
            said = [m.text for m in messages if isinstance(m, StoredQuestion) and m.text.startswith(f"{n}.")]
            assert said == [f"{n}.{turn}" for turn in range(5)]
    async with engine.connect() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(tables.handoffs))).scalar_one() == 4
    await second.dispose()


async def test_a_secret_is_made_once_for_all_replicas(database_url: str, engine: AsyncEngine) -> None:
    second = await open_engine(database_url)
    found = await asyncio.gather(*(Store(e).secret("cookie") for e in [engine, second] * 8))
    assert len(set(found)) == 1 and len(found[0]) == 32
    assert await Store(second).secret("cookie") == found[0]
    assert await Store(second).secret("another") != found[0]
    await second.dispose()


async def test_a_writer_waits_for_another_process(sqlite_url: str, tmp_path: Path) -> None:
    engine = await open_engine(sqlite_url)
    await upgrade(engine)
    store = Store(engine)
    conversation, _ = await store.start()
    other = sqlite3.connect(tmp_path / "database" / "advisor.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.add_question(conversation, "q"))
    await asyncio.sleep(0.3)
    assert not writing.done()
    assert await store.messages(conversation) == []  # readers do not wait
    other.execute("COMMIT")
    other.close()
    await writing
    assert len(await store.messages(conversation)) == 1
    await engine.dispose()
