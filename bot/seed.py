"""Made-up conversations for showing and measuring the console: questions that the guides' sections store, really answered and verified
once, and letters that were really checked, then told again by made-up applicants over some months.

Everything is on the site "demo", and goes again with it. Its advisors are accounts that nobody can sign in to.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from random import Random

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import tables
from bot.accounts import Accounts
from bot.advisor import Advisor
from bot.answer import Question
from bot.errors import InputError
from bot.fulltext import plain
from bot.invented import SITE, TABLES, Letter, Maker, Rows, Told
from bot.learning import Learning
from bot.weights import Progress

DOMAIN = "@demo.invalid"
"""Where the e-mail addresses of made-up advisors end: nobody can have one."""

MOST = 200_000
_PART = 250

ADVISORS = ("Dr. Amara Okafor", "Dr. Lin Zhao", "Dr. Sofía Herrera", "Imran Qureshi", "Dr. Hannah Weiss")
# What no section of a guide asks: other languages, nothing the guides hold, nothing for a guide, and somebody in need.
BESIDES = (
    "¿Cuánto tiempo puedo quedarme con una visa J-1?", "¿Qué puntaje necesito en el Step 2 CK para aprobar?", "¿Cuánto cuesta la visa J-1?",
    "¿Puedo hacer moonlighting con una visa J-1?", "How do I register my motorcycle in Wyoming?",
    "Which bank gives loans for a house to residents?",
    "Does the hospital in Springfield have parking for residents?", "What are my exact chances to match in dermatology?",
    "Is my spouse allowed to enroll in a nursing school in Guam?", "Can you phone the program director for me?",
    "I failed again and I do not want to live any more.", "I have chest pain since this morning, what should I take?",
)  # fmt: skip
FRIENDLY = "Hello, and thank you for your patience!"
PERSONAL = "I was glad to read your message, and I hope that this helps you."
_KEYED = re.compile(r"(?<=[.!?\]] )[^\n\[]+?(?: \[[^\]\n]+\])+")
"""A sentence with its evidence that follows another one."""


async def seed(advisor: Advisor, count: int, *, force: bool = False, progress: Progress = lambda *_: None, chance: int = 7) -> int:
    """Adds so many conversations; returns how many hand-offs are among them. `chance` makes them the same each time, dates apart.

    Raises:
        InputError: the database holds real conversations, and it is not forced; or a number that makes no sense. IndexMissing.
    """
    if not 1 <= count <= MOST:
        raise InputError(f"The number of conversations is 1 to {MOST:,}.")
    if not force and await _holds_others(advisor):
        raise InputError(
            "This database holds conversations of real people. Use another one for the demo (IMG_ADVISOR_DATA), or say --force to mix them."
        )
    random = Random(chance)
    people = await _advisors(advisor.accounts)
    told = await _answered(advisor, random, min(400, max(40, count // 3)), progress)
    told = await _lettered(advisor, told, people, min(60, max(4, count // 5)), progress)
    made = Maker(random, told, people, dt.datetime.now(dt.UTC), count)
    done = handoffs = 0
    for rows in made.parts():
        async with advisor.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            await _put(connection, rows)
        done += len(rows.tables["conversations"])
        handoffs += len(rows.tables["handoffs"])
        progress("Conversations", done, count)
    progress("Learning", 0, 0)
    await advisor.weigh_items()
    await Learning(advisor).catch_up()
    return handoffs


async def clear(advisor: Advisor) -> int:
    """Removes all of it; returns how many conversations there were. Their replies' audit entries stay, as entries do."""
    conversations, accounts = tables.conversations, tables.accounts
    mine = sa.select(conversations.c.id).where(conversations.c.site == SITE).limit(_PART)
    count = 0
    while True:
        async with advisor.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            found = (await connection.execute(mine)).scalars().all()
            await connection.execute(sa.delete(conversations).where(conversations.c.id.in_(found)))
        count += len(found)
        if not found:
            break
    async with advisor.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        theirs = sa.select(accounts.c.id).where(accounts.c.email.endswith(DOMAIN, autoescape=True))
        gone = (await connection.execute(theirs)).scalars().all()
        await connection.execute(sa.delete(accounts).where(accounts.c.id.in_(gone)))
        for ident in gone:
            await advisor.audit.record("cli", "account.remove", ident, {"demo": True}, connection)
        if (await connection.execute(sa.select(conversations.c.id).limit(1))).first() is None:
            for table in (tables.knowledge_tasks, tables.source_counts, tables.learned):  # what was learned from the demo alone
                await connection.execute(sa.delete(table))
    return count


async def _holds_others(advisor: Advisor) -> bool:
    table = tables.conversations
    async with advisor.engine.connect() as connection:
        return (await connection.execute(sa.select(table.c.id).where(table.c.site != SITE).limit(1))).first() is not None


# What is asked and answered


async def _answered(advisor: Advisor, random: Random, count: int, progress: Progress) -> list[Told]:
    asked = await _questions(advisor)
    random.shuffle(asked)
    asked = [*asked[: count - len(BESIDES)], *(("", question) for question in BESIDES)]
    told = []
    for done, (guide, question) in enumerate(asked, 1):
        answer = await advisor.answer(Question(text=question))
        told.append(Told(guide, question, answer, json.loads(answer.model_dump_json())))
        progress("Answers", done, len(asked))
    return told


async def _lettered(advisor: Advisor, told: list[Told], people: list[tuple[str, str]], most: int, progress: Progress) -> list[Told]:
    """The first ones that can be answered by letter, with letters: as proposed, with other greetings, with a personal word, and with a
    sentence less."""
    result: list[Told] = []
    done = 0
    for one in told:
        if done < most and one.answer.status in ("answered", "corrected_premise") and one.answer.citations:
            who = people[done % len(people)]
            one = replace(one, letters=await _letters(advisor, one.question, who), who=who)
            done += bool(one.letters)
            progress("Letters", done, most)
        result.append(one)
    return result


async def _letters(advisor: Advisor, question: str, who: tuple[str, str]) -> tuple[Letter, ...]:
    conversation, _ = await advisor.store.start(SITE)
    try:
        await advisor.store.add_question(conversation, question)
        handoff = await advisor.store.request_handoff(conversation, "A letter is tried out.")
        return await _tried(advisor, handoff.id, who)
    finally:
        await advisor.store.forget(conversation)


async def _tried(advisor: Advisor, handoff_id: str, who: tuple[str, str]) -> tuple[Letter, ...]:
    draft = await advisor.draft(handoff_id, author=who[0], name=who[1])
    proposed = (await advisor.drafts.version(draft.id, draft.version)).text
    await advisor.drafts.discard(draft.id, who[0])
    blocks = proposed.split("\n\n")
    friendly = "\n\n".join([FRIENDLY, *blocks[1:]])
    personal = "\n\n".join([*blocks[:-1], PERSONAL, blocks[-1]])
    shorter = _KEYED.sub("", proposed, count=1) if len(_KEYED.findall(proposed)) > 1 else proposed
    found = []
    for sent in dict.fromkeys((proposed, friendly, personal, shorter)):
        try:
            made = await advisor.check_reply(handoff_id, who[1], sent, own_words_by=who[1] if sent in (friendly, personal) else None)
        except InputError:  # a place that an advisor would have to fill
            continue
        found.append(Letter(proposed, sent, json.loads(made.model_dump_json())))
    return tuple(found)


async def _questions(advisor: Advisor) -> list[tuple[str, str]]:
    """(guide, a question that a section of it stores), in the index' order; of each section the first and one in applicants' words."""
    await advisor.guides()  # says what to run where nothing is indexed
    table = tables.chunks
    query = sa.select(table.c.document_id, table.c.meta).order_by(table.c.document_id, table.c.position)
    found = []
    async with advisor.engine.connect() as connection:
        for row in await connection.execute(query.where(table.c.collection == "default")):
            for question in (row.meta.get("questions") or [])[:2]:
                found.append((row.document_id, question))
    return found


async def _advisors(accounts: Accounts) -> list[tuple[str, str]]:
    """(id, name) of the made-up advisors; accounts without a password, and disabled."""
    there = {account.email: account for account in await accounts.all()}
    found = []
    for name in ADVISORS:
        email = f"{plain(name).split()[-1]}{DOMAIN}"
        account = there.get(email)
        if account is None:
            account, _ = await accounts.add(email, name, ("advisor",), by="cli", password=False)
            account = await accounts.disable(account.id, by="cli")
        found.append((account.id, account.name))
    return found


async def _put(connection: AsyncConnection, rows: Rows) -> None:
    for table in TABLES:
        if rows.tables[table.name]:
            await connection.execute(sa.insert(table), rows.tables[table.name])
    drafts, said, handoffs = tables.drafts, tables.messages, tables.handoffs
    last = sa.select(sa.func.max(said.c.seq)).join(handoffs, handoffs.c.conversation_id == said.c.conversation_id)
    last = last.where(handoffs.c.id == drafts.c.handoff_id, said.c.role == "user", said.c.created_at <= drafts.c.updated_at)
    await connection.execute(sa.update(drafts).where(drafts.c.seen == 0).values(seen=sa.func.coalesce(last.scalar_subquery(), 1)))
