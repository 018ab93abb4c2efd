"""Notes between advisors, and macros."""

import datetime as dt

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.errors import Conflict, Forbidden, InputError, NotFound
from bot.macros import Macros
from bot.notes import LONGEST, Notes
from bot.store import Store


async def test_notes_are_kept_in_order_and_forgotten_with_the_conversation(engine: AsyncEngine) -> None:
    store, notes = Store(engine), Notes(engine)
    conversation, _ = await store.start()
    handoff = await store.request_handoff(conversation, "visa")
    first, second = await notes.add(handoff.id, "ana", " Ask Ben.\r\n "), await notes.add(handoff.id, "ben", "Done.")
    assert [(n.author, n.text) for n in await notes.of(handoff.id)] == [("ana", "Ask Ben."), ("ben", "Done.")]
    with pytest.raises(Forbidden):
        await notes.remove(first.id, "ben")
    await notes.remove(second.id, "ben")
    with pytest.raises(NotFound):
        await notes.remove(second.id, "ben")
    for text in ("", " \n", "x" * (LONGEST + 1)):
        with pytest.raises(InputError):
            await notes.add(handoff.id, "ana", text)
    await store.forget(conversation)
    assert await notes.of(handoff.id) == []
    with pytest.raises(NotFound):
        await notes.add(handoff.id, "ana", "Late.")


async def test_macros_are_read_again_by_their_day(engine: AsyncEngine) -> None:
    macros = Macros(engine)
    made = await macros.add("H-1B length", "Six years. [e1234567]", "2026-05-01", "ana")
    assert not made.overdue(dt.date(2026, 5, 1)) and made.overdue(dt.date(2026, 5, 2))
    changed = await macros.change(made.id, "H-1B", "Six.", "2027-05-01", "ben", made.version)
    assert (changed.title, changed.author, changed.version) == ("H-1B", "ben", 2)
    with pytest.raises(Conflict):
        await macros.change(made.id, "Other", "Seven.", "2027-05-01", "ana", made.version)
    assert [macro.text for macro in await macros.all()] == ["Six."]
    for wrong in (("", "x", "2027-01-01"), ("x", " ", "2027-01-01"), ("x", "y", "soon"), ("x" * 201, "y", "2027-01-01")):
        with pytest.raises(InputError):
            await macros.add(*wrong, "ana")
    await macros.remove(made.id)
    await macros.remove(made.id)
    with pytest.raises(NotFound):
        await macros.get(made.id)
