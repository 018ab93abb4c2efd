"""Whoever asks about a state or territory, by name or by code, finds its page or its section first."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bot.advisor import Advisor
from bot.bootstrap import open_advisor
from bot.settings import ROOT, read_settings
from bot.terms import Terms
from ingest.document import slugify
from ingest.tables import StateRow, read_tables

pytestmark = pytest.mark.asyncio(loop_scope="module")
PLACES = [(row.cells.usps, row.cells.state) for row in read_tables(ROOT / "knowledge", []) if isinstance(row.cells, StateRow)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def advisor(library: Path) -> AsyncIterator[Advisor]:
    found = await open_advisor(read_settings(data=library))
    yield found
    await found.close()


async def test_there_are_53() -> None:
    assert len(PLACES) == len(set(PLACES)) == 53


@pytest.mark.parametrize(("code", "name"), PLACES, ids=[code for code, _ in PLACES])
async def test_each_is_found_by_name_and_by_code(advisor: Advisor, code: str, name: str) -> None:
    slug = slugify(name)
    own = re.compile(rf"/guides/(states/{slug}(#.*)?|states/other-jurisdictions#{slug}(-.*)?)$")
    asked = [f"license in {name} for an IMG", f"license in {code} for an IMG", f"How do I get a medical license in {code}?"]
    if code != "MD":  # an "MD medical license" is a doctor's
        asked.append(f"{code} medical license IMG")
    for question in asked:
        first = (await advisor.search(question, k=1))[0]
        assert first.guide is not None and own.match(first.guide.url), f"{question}: {first.guide}"


async def test_two_capitals_are_a_state_only_where_a_place_stands(terms: Terms) -> None:
    assert terms.found("Can I get a license in OR without a residency?")["state"] == {"stateor"}
    assert terms.found("the OH medical board wants what")["state"] == {"stateoh"}
    no_place = ("residency in LA", "an MD license or a DO license", "licensed, OR not", "Is my MD medical license valid", "OK licensed now")
    for words in (*no_place, "CT scan"):
        assert "state" not in terms.found(words), words
