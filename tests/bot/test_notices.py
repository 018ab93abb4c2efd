"""Which message tells of which hand-off, on both databases."""

from __future__ import annotations

from cryptography.fernet import Fernet
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.answer import Profile
from bot.notices import Notice, Notices
from bot.store import Store
from bot.tables import conversations
from bot.threads import Threads
from bot.workspaces import Keys, Tokens, Workspaces, site


async def workspace(engine: AsyncEngine, team: str) -> None:
    found = Workspaces(engine, Keys(Fernet.generate_key().decode()))
    await found.save(team, name=team, bot_user="U0", bot_id="B0", scopes=(), tokens=Tokens("xoxb"), installed_by="U1")


async def test_a_handoff_is_untold_then_told_then_outdated_and_at_last_an_orphan(engine: AsyncEngine) -> None:
    store, notices = Store(engine), Notices(engine)
    await workspace(engine, "T1")
    conversation, _ = await store.start(site("T1"))
    elsewhere, _ = await store.start("https://school.example")
    mine = (await store.request_handoff(conversation, "fees")).id
    other = (await store.request_handoff(elsewhere, "visa")).id
    own, web = conversations.c.site == site("T1"), ~conversations.c.site.startswith("slack:", autoescape=True)
    assert (await notices.untold("T1", own), await notices.untold("T1", web)) == ([mine], [other])
    await notices.save(Notice("T1", mine, "C1", "1.1", "requested:"))
    assert await notices.untold("T1", own) == [] and await notices.outdated() == []
    await store.claim_handoff(mine, "Ana")
    ((stale, first),) = await notices.outdated()
    assert stale == Notice("T1", mine, "C1", "1.1", "requested:") and first
    await notices.save(Notice("T1", mine, "C1", "1.1", "assigned:Ana"))
    assert await notices.outdated() == []
    await store.close_handoff(mine)
    ((_, second),) = await notices.outdated()
    assert second > first  # so that the same change, made again, is told again
    await store.forget(conversation)
    assert await notices.outdated() == [(Notice("T1", mine, "C1", "1.1", "assigned:Ana"), "")]
    await notices.remove("T1", mine)
    assert await notices.outdated() == [] and await notices.find("T1", mine) is None


async def test_a_person_has_one_profile_over_their_private_talks_and_sees_their_own_handoffs(engine: AsyncEngine) -> None:
    store, notices = Store(engine), Notices(engine)
    threads = Threads(engine, store)
    await workspace(engine, "T1")
    private = [await threads.open("T1", "D1", f"1.{n}", "U1", private=True) for n in range(2)]
    public = await threads.open("T1", "C1", "2.1", "U1", private=False)
    strange = await threads.open("T1", "D2", "3.1", "U2", private=True)
    assert await notices.set_profile("T1", "U1", Profile(step2ck=243)) == 2
    told = [await store.profile(thread.conversation_id) for thread in (*private, public, strange)]
    assert told == [Profile(step2ck=243), Profile(step2ck=243), None, None]
    assert await notices.set_profile("T1", "U1", None) == 2 and await threads.profile("T1", "U1") is None
    handoff = await store.request_handoff(public.conversation_id, "fees")
    await store.request_handoff(strange.conversation_id, "visa")
    (waiting,) = await notices.waiting("T1", "U1")
    assert (waiting.handoff_id, waiting.state, waiting.channel) == (handoff.id, "requested", "C1")
    await store.close_handoff(handoff.id)
    assert await notices.waiting("T1", "U1") == []
