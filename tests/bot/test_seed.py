import datetime as dt

import pytest
import sqlalchemy as sa

from bot import tables
from bot.advisor import Advisor
from bot.answer import Answer, Reply
from bot.errors import InputError
from bot.items import Filters
from bot.seed import SITE, clear, seed

LEFT = ["index_collections", "index_documents", "index_chunks", "secrets", "accounts", "audit", "known_facts"]


async def rows(advisor: Advisor, table: sa.Table) -> list[dict[str, object]]:
    async with advisor.engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]


async def test_made_up_conversations_hold_answers_that_were_really_verified(advisor: Advisor) -> None:
    handoffs = await seed(advisor, 80)
    conversations = await rows(advisor, tables.conversations)
    assert len(conversations) == 80 and {row["site"] for row in conversations} == {SITE}
    quotes = {row["chunk_id"]: row["text"] for row in await rows(advisor, tables.chunks)}
    cited = 0
    for table, kind in ((tables.answers, Answer), (tables.replies, Reply)):
        for row in await rows(advisor, table):
            answer = kind.model_validate_json(row["body"])  # type: ignore[arg-type]
            assert answer.id == row["id"] and answer.created_at <= dt.datetime.now(dt.UTC)
            cited += len(answer.citations)
            for citation in answer.citations:
                assert citation.quote in str(quotes[citation.chunk_id])
    assert cited > 40
    items = await rows(advisor, tables.handoffs)
    assert len(items) == handoffs and {item["state"] for item in items} >= {"requested", "assigned", "answered"}
    assert {item["channel"] for item in items} == {"widget", "slack", "mail"}
    assert (await advisor.inbox.page(Filters(words="visa", show="all"))).items
    drafts = await rows(advisor, tables.drafts)
    assert "sent" in {draft["state"] for draft in drafts}
    asked = {row["seq"]: row["conversation_id"] for row in await rows(advisor, tables.messages) if row["role"] == "user"}
    talks = {item["id"]: item["conversation_id"] for item in items}
    assert all(asked[draft["seen"]] == talks[draft["handoff_id"]] for draft in drafts)  # each answers a message of its conversation
    kinds = {row["kind"] for row in await rows(advisor, tables.reply_edits)}
    assert "none" in kinds and len(kinds) > 1 and await rows(advisor, tables.knowledge_tasks)


async def test_nobody_can_sign_in_as_a_made_up_advisor(advisor: Advisor) -> None:
    await seed(advisor, 5)
    await seed(advisor, 5)
    accounts = await advisor.accounts.all()
    assert len(accounts) == 5 and all(account.disabled and not account.has_password for account in accounts)


async def test_clearing_removes_the_demo_and_nothing_else(advisor: Advisor) -> None:
    await seed(advisor, 20)
    mine, _ = await advisor.store.start("https://school.example")
    ana, _ = await advisor.accounts.add("ana@school.example", "Ana", by="cli")
    assert await clear(advisor) == 20
    assert [row["id"] for row in await rows(advisor, tables.conversations)] == [mine]
    assert [account.id for account in await advisor.accounts.all()] == [ana.id]
    assert (await advisor.audit.verify()).ok
    assert await clear(advisor) == 0
    await advisor.store.forget(mine)
    await seed(advisor, 20)
    await clear(advisor)
    assert [table.name for table in tables.metadata.tables.values() if await rows(advisor, table)] == LEFT


async def test_real_conversations_are_not_mixed_with_the_demo_by_mistake(advisor: Advisor) -> None:
    await advisor.store.start("https://school.example")
    with pytest.raises(InputError, match="real people"):
        await seed(advisor, 5)
    assert not await rows(advisor, tables.handoffs) and not await advisor.accounts.all()
    await seed(advisor, 5, force=True)
    assert len(await rows(advisor, tables.conversations)) == 6
    for wrong in (0, -1, 10**9):
        with pytest.raises(InputError):
            await seed(advisor, wrong)
