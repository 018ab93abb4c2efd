"""Learning from real conversations with a real advisor over a small library, on both databases."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from bot_day import TODAY
from data_copy import copy_data

from bot import tables
from bot.advisor import Advisor
from bot.answer import Answer, Question
from bot.asked import monday
from bot.bootstrap import open_advisor
from bot.errors import InputError, NotFound
from bot.golden import add_entry, entry_from, read_golden
from bot.learning import Learning
from bot.numbers import Numbers
from bot.settings import Settings
from bot.store import StoredAnswer
from ingest.run import run

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def in_postgres(postgres_database: Callable[..., AbstractContextManager[str]], indexed: Settings) -> Iterator[Settings]:
    """The small library, indexed in PostgreSQL. Not to be written to."""
    with postgres_database() as url:
        found = indexed.model_copy(update={"database_url": url, "data": indexed.data.with_name("of-postgres")})
        asyncio.run(run(found))
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def here(
    request: pytest.FixtureRequest, indexed: Settings, postgres_database: Callable[..., AbstractContextManager[str]], tmp_path: Path
) -> Iterator[Settings]:
    """The small library, indexed, on either database: a copy for one test alone."""
    like = indexed if request.param == "sqlite" else request.getfixturevalue("in_postgres")
    shutil.copytree(like.knowledge, tmp_path / "knowledge")
    copy_data(like.data, tmp_path / "data")
    own = like.model_copy(update={"data": tmp_path / "data", "knowledge": tmp_path / "knowledge"})
    if request.param == "sqlite":
        yield own
        return
    with postgres_database(like=like.database_url) as url:
        yield own.model_copy(update={"database_url": url})


@pytest.fixture
async def advisor(here: Settings) -> AsyncIterator[Advisor]:
    found = await open_advisor(here, today=lambda: TODAY)
    yield found
    await found.close()


@pytest.fixture
def learning(advisor: Advisor) -> Learning:
    return Learning(advisor)


async def ask(advisor: Advisor, *texts: str) -> tuple[str, list[Answer]]:
    """Each in the same new conversation."""
    conversation, _ = await advisor.store.start()
    return conversation, [await advisor.answer(Question(text=text, conversation_id=conversation)) for text in texts]


async def rewrite(settings: Settings, guide: str, old: str, new: str) -> None:
    file = settings.knowledge / "guides" / f"{guide}.md"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    await run(settings)


async def count(advisor: Advisor, table: sa.Table) -> int:
    async with advisor.engine.connect() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one())


# Gaps


async def test_questions_that_the_guides_do_not_answer_become_tasks_by_what_they_ask(advisor: Advisor, learning: Learning) -> None:
    for text in (
        "Do programs pay for parking at the hospital?",
        "What should I wear to the interview?",
        "Does Nevada ask for malpractice insurance?",
        "Does Utah ask for malpractice insurance?",  # the same words, another state
        "who pays the parking when I work at the hospital",
        "which clothes for an interview",
        "How long can I stay on a J-1?",  # answered
        "hello",  # no question
        "I want to die",  # help is shown at once; the guides lack nothing
    ):
        await ask(advisor, text)
    await learning.catch_up()
    tasks = await learning.tasks.in_state("open")
    assert {task.question: task.asked for task in tasks} == {
        "Do programs pay for parking at the hospital?": 2, "What should I wear to the interview?": 2,
        "Does Nevada ask for malpractice insurance?": 1, "Does Utah ask for malpractice insurance?": 1,
    }  # fmt: skip
    assert [task.asked for task in tasks] == [2, 2, 1, 1]  # what most ask comes first
    parking = next(task for task in tasks if "parking" in task.question)
    assert "parking" in parking.suggestion.missing and parking.suggestion.guides[0]["slug"]
    assert all(source["title"] and source["publisher"] != "These guides" for source in parking.suggestion.sources)
    assert [question.text for question in await learning.tasks.questions(parking.id)][-1] == parking.question


async def test_learning_again_and_at_once_changes_nothing(advisor: Advisor, learning: Learning) -> None:
    await ask(advisor, "Do programs pay for parking at the hospital?", "How long can I stay on a J-1?")
    await asyncio.gather(*(Learning(advisor).catch_up() for _ in range(4)))
    once = [await count(advisor, table) for table in (tables.answer_notes, tables.task_questions, tables.knowledge_tasks)]
    sources = await Numbers(advisor.engine).sources("2000-01-01")
    await learning.catch_up()
    assert once == [2, 1, 1]
    assert once == [await count(advisor, table) for table in (tables.answer_notes, tables.task_questions, tables.knowledge_tasks)]
    assert sources == await Numbers(advisor.engine).sources("2000-01-01") and all(n == 1 for _, n in sources)


async def test_a_done_task_opens_again_when_it_is_asked_again_and_a_declined_one_does_not(advisor: Advisor, learning: Learning) -> None:
    await ask(advisor, "Do programs pay for parking at the hospital?")
    await learning.catch_up()
    (task,) = await learning.tasks.in_state("open")
    assert (await learning.tasks.move(task.id, "done", "acc")).account == "acc"
    await ask(advisor, "do programs pay for the parking at a hospital")
    await learning.catch_up()
    again = await learning.tasks.get(task.id)
    assert (again.state, again.reopened, again.asked) == ("open", 1, 2)
    await learning.tasks.move(task.id, "declined", "acc")
    await ask(advisor, "do the programs pay for parking at the hospital?")
    await learning.catch_up()
    assert (await learning.tasks.get(task.id)).state == "declined"
    with pytest.raises(InputError):
        await learning.tasks.move(task.id, "lost", "acc")
    with pytest.raises(NotFound):
        await learning.tasks.move("nobody", "done", "acc")


async def test_forgetting_a_conversation_takes_its_question_out_of_the_task(advisor: Advisor, learning: Learning) -> None:
    conversation, _ = await ask(advisor, "Do programs pay for parking at the hospital?")
    await learning.catch_up()
    await advisor.store.forget(conversation)
    (task,) = await learning.tasks.in_state("open")
    assert (task.question, task.asked) == ("", 0)
    assert await learning.tasks.questions(task.id) == []


async def test_tasks_of_one_kind_can_be_merged(advisor: Advisor, learning: Learning) -> None:
    await ask(advisor, "Do programs pay for parking at the hospital?", "What should I wear to the interview?")
    await learning.catch_up()
    one, other = await learning.tasks.in_state("open")
    await learning.tasks.merge(one.id, other.id)
    (left,) = await learning.tasks.in_state("open")
    assert (left.id, left.asked) == (other.id, 2)
    with pytest.raises(InputError):
        await learning.tasks.merge(other.id, other.id)


# What advisors made of drafts


async def test_a_corrected_fact_in_a_draft_opens_a_task_for_its_section(advisor: Advisor, learning: Learning) -> None:
    async def sent(change: tuple[str, str]) -> None:
        conversation, _ = await ask(advisor, "How long can I stay on a J-1?")
        handoff = await advisor.store.request_handoff(conversation, "please")
        made = await advisor.draft(handoff.id, author="ana", name="Ana")
        (version,) = await advisor.drafts.versions(made.id)
        assert change[0] in version.text
        if change[0] != change[1]:
            version = await advisor.drafts.save(made.id, version.text.replace(*change), "ana", version.number)
        await advisor.send_draft(made.id, version.number, by="ana", name="Ana", own_words_by="Ana")

    await sent(("seven years", "seven years"))
    await sent(("seven years", "eight years"))
    await sent(("seven years", "nine years"))
    await learning.catch_up()
    (task,) = await learning.tasks.in_state("open")
    assert (task.kind, task.place, task.asked) == ("fact", "visas/j1#length", 2)
    corrected = await learning.tasks.corrected(task.id)
    assert {("seven" in c.before, "nine" in c.after or "eight" in c.after) for c in corrected} == {(True, True)}
    (week,) = await Numbers(advisor.engine).weeks(NOW.date(), 1)
    assert (week.sent, week.unchanged, week.fact, week.tone, week.scope) == (3, 1, 2, 0, 0)
    assert week.unchanged_share == pytest.approx(1 / 3)
    await learning.catch_up()
    assert await count(advisor, tables.reply_edits) == 3


# Changed facts


async def test_a_changed_fact_names_the_past_answers_and_drafts_their_correction(
    advisor: Advisor, learning: Learning, here: Settings
) -> None:
    conversation, (told, _) = await ask(advisor, "How long can I stay on a J-1?", "Can I moonlight on a J-1?")
    await ask(advisor, "How long can I stay on an H-1B?")
    await learning.catch_up()
    assert await learning.changes.latest() == []
    await rewrite(here, "visas/j1", "limited to seven years.", "limited to eight years.")
    await _looked_again(learning)
    (change,) = await learning.changes.latest()
    assert (change.fact, change.kind, change.answers) == ("j1-seven", "fact", 1)
    (correction,) = await learning.changes.corrections(change)
    assert (correction.answer_id, correction.conversation_id) == (told.id, conversation)
    assert correction.question == "How long can I stay on a J-1?"
    assert "seven years" in correction.old and "eight years" in correction.new
    assert correction.new in correction.text and "seven" not in correction.text
    await learning.changes.settle(change.id, told.id, "dismissed", "acc")
    assert (await learning.changes.corrections(change))[0].state == "dismissed"
    assert (await learning.changes.latest())[0].answers == 0
    _, (after,) = await ask(advisor, "How long can I stay on a J-1?")
    await learning.catch_up()
    assert after.id not in {c.answer_id for c in await learning.changes.corrections(change)}  # it was told the new fact
    await learning.changes.close(change.id)
    assert await learning.changes.latest() == []


async def test_other_words_for_the_same_fact_are_no_change(advisor: Advisor, learning: Learning, here: Settings) -> None:
    await ask(advisor, "How long can I stay on a J-1?")
    await learning.catch_up()
    await rewrite(here, "visas/j1", "Clinical J-1 sponsorship is generally", "Sponsorship of a clinical J-1 is generally")
    await _looked_again(learning)
    assert await learning.changes.latest(everything=True) == []


async def test_a_fact_that_is_told_no_more_is_a_change(advisor: Advisor, learning: Learning, here: Settings) -> None:
    await ask(advisor, "How long can I stay on an H-1B?")
    await learning.catch_up()
    await rewrite(here, "visas/h1b", "H-1B is generally limited to six years.[^h1b-six]", "Ask a lawyer how long an H-1B lasts.[^advice]")
    await _looked_again(learning)
    (change,) = await learning.changes.latest()
    assert (change.kind, change.after) == ("gone", None)
    (correction,) = await learning.changes.corrections(change)
    assert correction.new == "" and correction.old in correction.text and "A law firm" in correction.text


async def _looked_again(learning: Learning) -> None:
    """The advisor looks for another index once a second."""
    await asyncio.sleep(1.1)
    await learning.catch_up()


# Golden questions


async def test_an_approved_answer_becomes_a_golden_question_once(advisor: Advisor, tmp_path: Path) -> None:
    conversation, (answer,) = await ask(advisor, "What Step 2 CK score do I need to pass?")
    entry = entry_from(answer, "What Step 2 CK score do I need to pass?", "console-1")
    file = tmp_path / "golden" / "approved.yaml"
    assert add_entry(file, entry) is True
    assert add_entry(file, entry) is False
    assert add_entry(file, entry.model_copy(update={"id": "console-2", "question": "Nota mínima: ¿«218»? # no comment"})) is True
    first, second = read_golden(file)
    assert "usmle/step-2-ck#pass" in first.expect and "218" in first.must_say
    assert second.question.endswith("# no comment")
    assert first.missing(answer.text) == []
    stored = next(m for m in await advisor.store.messages(conversation) if isinstance(m, StoredAnswer))
    assert Answer.model_validate_json(stored.json).citations[0].fact == "ck-pass"
    with pytest.raises(InputError):
        entry_from(answer.model_copy(update={"citations": []}), "?", "x")


# Numbers


async def test_numbers_count_what_was_answered_handed_over_and_thought_of_it(advisor: Advisor, learning: Learning) -> None:
    conversation, (good,) = await ask(advisor, "How long can I stay on a J-1?")
    await ask(advisor, "Do programs pay for parking at the hospital?")
    await advisor.store.set_feedback(good.id, 1)
    handoff = await advisor.store.request_handoff(conversation, "please")
    await advisor.reply(handoff.id, "Ana", "Clinical J-1 sponsorship is generally limited to seven years.")
    await learning.catch_up()
    numbers = Numbers(advisor.engine)
    *before, week = await numbers.weeks(NOW.date(), 3)
    assert week.start == monday(NOW.isoformat()) and [w.asked for w in before] == [0, 0]
    assert (week.asked, week.answered, week.unanswered, week.handed_over, week.replied, week.helpful) == (2, 1, 1, 1, 1, 1)
    assert week.hours_median is not None and 0 <= week.hours_median < 0.1
    topics = {topic.name: topic for topic in await numbers.topics(week.start)}
    assert topics["visas"].asked >= 1 and topics["visas"].helpful == 1
    assert sum(topic.gap for topic in topics.values()) == 1
    assert ("ECFMG: J-1 sponsorship", 1) in await numbers.sources(week.start)


async def test_ten_thousand_conversations_are_counted_by_the_database(
    database_url: str, engine: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes back to be put together is a small part of what was asked, and so is the time, against counting it here."""
    from bot.database import open_engine

    found = await open_engine(database_url)
    await _many(found, 10_000)
    numbers, rows = Numbers(found), 0
    ask_for = Numbers._rows

    async def counted(self: Numbers, query: sa.Select[Any]) -> list[Any]:
        nonlocal rows
        answer = list(await ask_for(self, query))
        rows += len(answer)
        return answer

    monkeypatch.setattr(Numbers, "_rows", counted)
    since = monday((NOW - dt.timedelta(weeks=11)).isoformat())
    by_database, here = [], []
    for _ in range(6):
        began, rows = time.perf_counter(), 0
        weeks, topics, sources = await numbers.weeks(NOW.date(), 12), await numbers.topics(since), await numbers.sources(since)
        by_database.append(time.perf_counter() - began)
        began = time.perf_counter()
        async with found.connect() as connection:
            noted = (await connection.execute(sa.select(tables.answer_notes))).all()
        by_week, by_shelf = Counter((note.week, note.status) for note in noted), Counter((note.shelf, note.status) for note in noted)
        here.append(time.perf_counter() - began)
    assert sum(week.asked for week in weeks) == 20_000 == by_week.total() == by_shelf.total() and len(topics) == 10 and len(sources) == 10
    await found.dispose()
    assert rows < 20_000 / 20
    assert min(by_database) < min(here), (by_database, here)


async def _many(engine: object, conversations: int) -> None:
    """Conversations with two answers each over the last twelve weeks, noted already."""
    said, notes, counts = [], [], {}
    talks, handoffs, votes, answers = [], [], [], []
    for i in range(conversations):
        at = (NOW - dt.timedelta(minutes=(i * 12 * 7 * 24 * 60 // conversations) * 11 // 12)).isoformat(timespec="microseconds")
        talks.append({"id": f"c{i}", "token_hash": "", "site": "", "created_at": at})
        for k in range(2):
            ident = f"a{i}.{k}"
            said += [
                {"id": f"q{i}.{k}", "conversation_id": f"c{i}", "role": "user", "text": "x", "created_at": at},
                {"id": ident, "conversation_id": f"c{i}", "role": "assistant", "text": "x", "created_at": at},
            ]
            status = ("answered", "answered", "partial", "no_answer")[i % 4]
            answers.append({"id": ident, "question_id": f"q{i}.{k}", "status": status, "body": b"{}"})
            guide = f"shelf{i % 10}/guide{i % 160}"
            notes.append({"answer_id": ident, "week": monday(at), "status": status, "shelf": f"shelf{i % 10}", "guide": guide, "gap": 0})
            for n in range(3):
                key = (monday(at), f"source {(i * 7 + n) % 400}")
                counts[key] = counts.get(key, 0) + 1
        if i % 5 == 0:
            row = {"id": f"h{i}", "conversation_id": f"c{i}", "reason": "", "state": "closed", "created_at": at, "updated_at": at}
            handoffs.append(row)
            votes.append({"answer_id": f"a{i}.0", "value": 1 if i % 2 else -1, "updated_at": at})
    async with engine.begin() as connection:  # type: ignore[attr-defined]
        for table, rows in (
            (tables.conversations, talks), (tables.messages, said), (tables.answers, answers), (tables.answer_notes, notes),
            (tables.handoffs, handoffs), (tables.feedback, votes),
            (tables.source_counts, [{"week": w, "source": s, "count": n} for (w, s), n in counts.items()]),
        ):  # fmt: skip
            for start in range(0, len(rows), 5000):
                await connection.execute(sa.insert(table), rows[start : start + 5000])


def test_a_week_begins_on_monday() -> None:
    assert monday("2026-11-26T10:00:00+00:00") == "2026-11-23" == monday("2026-11-23")
