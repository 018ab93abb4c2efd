import asyncio
import datetime as dt
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from data_copy import copy_data
from sqlalchemy.ext.asyncio import AsyncEngine

from bot import tables
from bot.advisor import Advisor
from bot.answer import Reply
from bot.audit import Audit
from bot.backup import backup, restore
from bot.bootstrap import open_advisor
from bot.database import open_engine
from bot.errors import Conflict, InputError, NotFound
from bot.inbox import Inbox
from bot.items import Filters, Item
from bot.migrations import move, upgrade
from bot.settings import read_settings
from bot.store import Store


@pytest.fixture
def store(engine: AsyncEngine) -> Store:
    return Store(engine)


@pytest.fixture
def inbox(engine: AsyncEngine, store: Store) -> Inbox:
    return Inbox(engine, store, Audit(engine))


async def asked(store: Store, text: str = "Which visa do I need?", language: str = "en", site: str = "https://school.example") -> str:
    conversation, _ = await store.start(site)
    await store.add_question(conversation, text, language)
    return (await store.request_handoff(conversation, "The visitor asked for an advisor.")).id


def reply(ident: str, advisor: str = "ana") -> Reply:
    return Reply(id=ident, created_at=dt.datetime.now(dt.UTC), status="answered", text="Yes.", advisor=advisor)


async def shown(inbox: Inbox, **filters: object) -> list[str]:
    return [item.id for item in (await inbox.page(Filters(**filters))).items]  # type: ignore[arg-type]


async def test_words_are_found_in_questions_and_answers_however_they_are_joined(store: Store, inbox: Inbox) -> None:
    visa = await asked(store, "Can I get an H-1B in Zürich?")
    other = await asked(store, "Step2CK: what is a pass?")
    mail = (await inbox.paste("Ana Müller", "My rotation", "When does it begin?")).id
    for words in ("H-1B", "h1b", "h 1b", "zurich", "ZÜRI", '"get an"', "h1b zürich"):
        assert await shown(inbox, words=words) == [visa], words
    for words in ("step2ck", "STEP-2-CK", '"a pass"'):
        assert await shown(inbox, words=words) == [other], words
    for words in ("muller", "Rotation", "begin"):
        assert await shown(inbox, words=words) == [mail], words
    (found,) = (await inbox.page(Filters(words="h1b"))).items
    assert found.found and (found.found.role, found.found.before, found.found.word) == ("user", "Can I get an ", "H-1B")
    for words in ("h1b pass", '"an get"', '"', "* OR NOT (", "a' OR 1=1 --", "nothing:*", "%", "\x00"):
        assert await shown(inbox, words=words) == [], words


async def test_of_advisors_who_claim_at_once_one_gets_it(store: Store, inbox: Inbox, database_url: str) -> None:
    second = await open_engine(database_url)  # as another replica would
    other = Inbox(second, Store(second), Audit(second))
    for _ in range(5):
        item = await asked(store)
        tried = await asyncio.gather(*((inbox, other)[n % 2].claim(item, f"advisor-{n}") for n in range(6)), return_exceptions=True)
        won = [found for found in tried if isinstance(found, Item)]
        assert len(won) == 1 and all(isinstance(found, Conflict) for found in tried if found is not won[0])
        assert (await inbox.item(item)).advisor == won[0].advisor and won[0].state == "assigned"
    await second.dispose()


async def test_an_item_changes_hands_only_as_it_was_seen(engine: AsyncEngine, store: Store, inbox: Inbox) -> None:
    item = await asked(store)
    await inbox.claim(item, "ana")
    with pytest.raises(Conflict):
        await inbox.claim(item, "ben")
    with pytest.raises(Conflict):
        await inbox.release(item, "ben")
    with pytest.raises(Conflict):
        await inbox.assign(item, "cem", by="ben", found=None)  # ben's page still showed it as free
    assert (await inbox.assign(item, "cem", by="ben", found="ana")).advisor == "cem"
    waits = (await inbox.item(item)).waiting_since
    released = await inbox.release(item, "cem")
    assert (released.state, released.advisor, released.waiting_since) == ("requested", None, waits)
    assert (await inbox.claim(item, "ben")).advisor == "ben"
    assert (await inbox.claim(item, "ana", take_over=True)).advisor == "ana"
    await inbox.close(item, "ana")
    await inbox.close(item, "ana")
    done = [(entry.action, entry.actor, entry.detail) for entry in await Audit(engine).entries(subject=item)][::-1]
    assert done == [
        ("item.claim", "ana", {}), ("item.assign", "ben", {"to": "cem"}), ("item.release", "cem", {}), ("item.claim", "ben", {}),
        ("item.claim", "ana", {}), ("item.close", "ana", {}),
    ]  # fmt: skip
    for change in (inbox.claim(item, "ana"), inbox.release(item, "ana"), inbox.assign(item, "ben", by="ana", found="ana")):
        with pytest.raises(Conflict):
            await change


async def test_who_writes_again_waits_again(store: Store, inbox: Inbox) -> None:
    item = await asked(store)
    conversation = (await inbox.item(item)).conversation_id
    await inbox.claim(item, "ana")
    assert not (await inbox.item(item)).again
    await store.add_question(conversation, "And for my wife?")
    assert await shown(inbox, show="again") == [item]
    await store.add_reply(item, reply("r1"))
    answered = await inbox.item(item)
    assert (answered.state, answered.again, answered.waiting_since) == ("answered", False, None)
    assert await shown(inbox) == [] and await shown(inbox, show="answered") == [item]
    await store.add_question(conversation, "¿Y para mi hijo?", "es")
    again = await inbox.item(item)
    assert again.again and again.waiting_since == again.heard_at and again.language == "es" and again.question == "¿Y para mi hijo?"
    assert await shown(inbox) == [item] and (await inbox.pulse()).again == 1
    assert (await inbox.claim(item, "ana")).state == "assigned"
    await store.add_reply(item, reply("r2"))
    await store.add_question(conversation, "One more?")
    newer = (await store.request_handoff(conversation, "again")).id
    assert await shown(inbox) == [newer]  # the one before does not wait a second time
    await store.add_question(conversation, "Hello?")
    assert await shown(inbox) == [newer]
    await inbox.close(newer, "ana")
    assert await shown(inbox) == []


async def test_emergencies_come_first_then_deadlines_then_the_longest_wait(library: Path, tmp_path: Path) -> None:
    """With the calendar and the patterns that come along."""
    copy_data(library, tmp_path / "data")
    advisor = await open_advisor(read_settings(data=tmp_path / "data"), today=lambda: dt.date(2026, 11, 26))
    try:
        await presses(advisor)
    finally:
        await advisor.close()


async def presses(advisor: Advisor) -> None:
    store, inbox = advisor.store, advisor.inbox
    calm, later = await asked(store), await asked(store, "And the SEVIS fee?")
    near = await asked(store, "Can I still change my rank order list?")
    danger = await asked(store, "I failed again and I want to die.")
    low, hand = await asked(store, "Thanks, whenever you have time"), await asked(store, "My visa interview is tomorrow!")
    await inbox.set_priority(low, 3, by="ana")
    await inbox.set_priority(hand, 0, by="ana")
    await advisor.weigh_items()
    assert await shown(inbox) == [danger, hand, calm, later, near, low]  # the deadline is far off
    found = await inbox.item(near)
    assert found.due and found.due_for == "Rank-list entry opens" and (await inbox.item(calm)).due is None
    soon = Inbox(advisor.engine, store, advisor.audit, lambda: found.due - dt.timedelta(days=5))  # type: ignore[operator]
    assert await shown(soon) == [danger, hand, near, calm, later, low]
    assert await shown(soon, priority=1) == [near] and await shown(soon, priority=0) == [danger, hand]
    await inbox.set_priority(hand, None, by="ana")
    assert (await inbox.item(hand)).priority == 2
    assert await inbox.unweighed() == []
    await store.add_question((await inbox.item(calm)).conversation_id, "there is no reason to live")
    await advisor.weigh_items()
    assert (await inbox.item(calm)).emergency


async def test_filters_narrow_the_queue(store: Store, inbox: Inbox) -> None:
    widget, slack = await asked(store), await asked(store, "¿Qué visa?", "es", "slack:T1")
    mail = (await inbox.paste("Ana", "Visa", "Which visa?")).id
    await inbox.claim(slack, "ana")
    assert await shown(inbox, channel="slack") == [slack] and await shown(inbox, channel="mail") == [mail]
    assert await shown(inbox, language="es") == [slack] and await shown(inbox, site="https://school.example") == [widget]
    assert await shown(inbox, advisor="ana") == [slack] and await shown(inbox, show="new") == [widget, mail]
    assert await shown(inbox, show="new", channel="mail", words="visa") == [mail] and await shown(inbox, show="closed") == []
    assert await shown(inbox, advisor="\x00", channel="\ud800", language="\x00", site="\x00") == []
    assert await inbox.places() == (["en", "es"], ["https://school.example", "mail", "slack:T1"])


async def test_unread_and_who_is_here_are_told_for_each_advisor(store: Store, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    item = await asked(store)
    assert (await inbox.item(item, "ana")).unread
    await inbox.see(item, "ana")
    await inbox.see(item, "ben")
    await inbox.see(item, "ana")
    assert not (await inbox.item(item, "ana")).unread and (await inbox.item(item, "cem")).unread
    assert await inbox.seen_by(item) == ["ana", "ben"] and await inbox.seen_by(item, but="ana") == ["ben"]
    assert (await inbox.pulse()).here == {item: ("ana", "ben")}
    await inbox.leave(item, "ben")
    assert await inbox.seen_by(item) == ["ana"]
    await store.add_question((await inbox.item(item)).conversation_id, "Anybody there?")
    assert (await inbox.item(item, "ana")).unread
    await inbox.see(item, "ana")
    await inbox.mark_unread(item, "ana")
    assert (await inbox.item(item, "ana")).unread and await inbox.seen_by(item) == []
    monkeypatch.setattr("bot.inbox.HERE_S", 0)
    await inbox.see(item, "ana")
    assert await inbox.seen_by(item) == []
    with pytest.raises(NotFound):
        await inbox.see("nothing", "ana")


async def test_the_pulse_changes_with_whatever_changes(store: Store, inbox: Inbox) -> None:
    marks = [(await inbox.pulse()).mark]

    async def changed() -> bool:
        marks.append((await inbox.pulse()).mark)
        return marks[-1] != marks[-2]

    await store.start()
    assert not await changed()
    item = await asked(store)
    assert await changed()
    conversation = (await inbox.item(item)).conversation_id
    for work in (
        lambda: inbox.claim(item, "ana"), lambda: inbox.release(item, "ana"), lambda: inbox.set_priority(item, 1, by="ana"),
        lambda: store.add_question(conversation, "more"), lambda: store.add_reply(item, reply("r1")), lambda: inbox.close(item, "ana"),
        lambda: inbox.see(item, "ana"), lambda: store.forget(conversation),
    ):  # fmt: skip
        await work()
        assert await changed()


async def test_pages_hold_each_item_once_and_go_back_the_way_they_came(engine: AsyncEngine, store: Store, inbox: Inbox) -> None:
    """Whatever ties there are, and while items come in on the way."""
    random, items = Random(7), []
    for n in range(30):
        item = await asked(store, f"question {n}")
        items.append(item)
        if random.random() < 0.5:
            await inbox.set_priority(item, random.randrange(4), by="ana")
    async with engine.begin() as connection:  # waits that are the same to the microsecond
        for item in items:
            at = f"2026-01-0{random.randrange(1, 4)}T00:00:00.000000+00:00"
            await connection.execute(sa.update(tables.handoffs).where(tables.handoffs.c.id == item).values(waiting_since=at, created_at=at))
    for show in ("waiting", "all", "new"):
        whole = await shown(inbox, show=show)
        first = (await inbox.page(Filters(show=show), limit=30)).items  # type: ignore[arg-type]
        assert [i.id for i in first] == whole and {i.id for i in first} == set(items)
        for limit in (1, 7, 29, 30, 31):
            pages, page = [], await inbox.page(Filters(show=show), limit=limit)  # type: ignore[arg-type]
            assert page.before is None
            while True:
                pages.append([i.id for i in page.items])
                if page.after is None:
                    break
                page = await inbox.page(Filters(show=show), after=page.after, limit=limit)  # type: ignore[arg-type]
            assert [i for each in pages for i in each] == [i.id for i in first] and all(pages)
            for expected in pages[-2::-1]:
                assert page.before is not None
                page = await inbox.page(Filters(show=show), before=page.before, limit=limit)  # type: ignore[arg-type]
                assert [i.id for i in page.items] == expected
            assert page.before is None
    page = await inbox.page(Filters(show="all"), limit=20)
    new = await asked(store, "later")
    rest = await inbox.page(Filters(show="all"), after=page.after, limit=100)
    assert len({i.id for i in page.items + rest.items} | {new}) == 31 and new not in {i.id for i in rest.items}
    for wrong in ("", "x", "é", page.after[:-3] if page.after else "", "W10", "WzEsMl0", "A" * 3000):
        with pytest.raises(InputError):
            await inbox.page(after=wrong)


async def test_forgetting_removes_the_words_from_the_search_and_from_the_files(store: Store, inbox: Inbox, tmp_path: Path) -> None:
    item = await asked(store, "my passport number is qx7731")
    conversation = (await inbox.item(item)).conversation_id
    kept = await asked(store, "another question")
    mail = await inbox.paste("Qx7731 Sender", "qx7731", "qx7731")
    await store.add_question(conversation, "qx7731 once more")
    assert set(await shown(inbox, words="QX7731")) == {item, mail.id}
    await store.forget(conversation)
    await store.forget(mail.conversation_id)
    assert await shown(inbox, words="qx7731", show="all") == [] and await shown(inbox) == [kept]
    if (tmp_path / "database").exists():
        assert not any(b"qx7731" in file.read_bytes().lower() for file in (tmp_path / "database").iterdir())


async def test_a_database_of_the_release_before_is_taken_over(database_url: str) -> None:
    engine = await open_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(move, "0004")
        for statement in BEFORE:
            await connection.execute(sa.text(statement))
    await upgrade(engine)
    inbox = Inbox(engine, Store(engine), Audit(engine))
    waits, over = await inbox.item("h1"), await inbox.item("h2")
    assert (waits.channel, waits.language, waits.emergency, waits.question) == ("slack", "en", True, "Which wombat?")
    assert waits.waiting_since == waits.created_at and over.waiting_since is None and over.channel == "widget"
    assert await shown(inbox, words="wombat") == ["h1"] and await shown(inbox, show="all", words="koala") == ["h2"]
    await engine.dispose()


AT = "2026-01-01T00:00:00.000000+00:00"
BEFORE = (
    f"INSERT INTO conversations (id, token_hash, site, created_at) VALUES ('c1', 'x', 'slack\\:T1', '{AT}'), ('c2', 'x', '', '{AT}')",
    "INSERT INTO messages (id, conversation_id, role, text, language, created_at) VALUES "
    f"('m1', 'c1', 'user', 'Which wombat?', NULL, '{AT}'), ('a1', 'c1', 'assistant', 'No.', 'en', '{AT}'), "
    f"('m2', 'c2', 'user', 'A koala', NULL, '{AT}')",
    "INSERT INTO answers (id, question_id, status, body) VALUES ('a1', 'm1', 'handoff', '')",
    "INSERT INTO handoffs (id, conversation_id, reason, state, created_at, updated_at) VALUES "
    f"('h1', 'c1', 'r', 'requested', '{AT}', '{AT}'), ('h2', 'c2', 'r', 'closed', '{AT}', '{AT}')",
)


@pytest.fixture
def other_url(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> str:
    """An empty database of the other kind."""
    if database_url.startswith("sqlite"):
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/other/advisor.sqlite3"


async def test_what_a_backup_brings_back_is_found_and_nothing_of_before(
    database_url: str, other_url: str, store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    item = await asked(store, "Does a numbat need a visa?")
    file = tmp_path / "advisor.zip"
    await backup(read_settings(database_url=database_url, data=tmp_path), file)
    await asked(store, "And a bilby?")
    for url in (database_url, other_url):
        await restore(read_settings(database_url=url, data=tmp_path), file, force=True)
        engine = await open_engine(url)
        found = Inbox(engine, Store(engine), Audit(engine))
        assert await shown(found, words="numbat") == [item] and await shown(found, words="bilby") == []
        await engine.dispose()
