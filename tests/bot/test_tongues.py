"""Questions in nine languages over the whole library: as well read as their English twins, or nearly. Floors only rise."""

import asyncio

import pytest

from bot.bootstrap import open_advisor
from bot.errors import DocumentError
from bot.evaluate import DECLINED, GOLDEN
from bot.golden import read_golden
from bot.settings import read_settings
from bot.tongues import measure_twins, read_twins, twins_table

LANGUAGES = {"ar", "es", "fr", "hi", "hi-Latn", "pt", "ru", "ur", "zh"}
BEHIND = 0.08
"""How far recall may stay behind that of the English twins in one language; over all, a third of it."""


@pytest.fixture(scope="module")
def measured(library):
    async def measures():
        advisor = await open_advisor(read_settings(data=library))
        try:
            golden = {question.id: question for question in read_golden(GOLDEN)}
            return await measure_twins(advisor, read_twins(GOLDEN / "languages"), golden, DECLINED)
        finally:
            await advisor.close()

    return asyncio.run(measures())


def test_every_language_has_enough_questions_and_a_part_held_out():
    twins = read_twins(GOLDEN / "languages")
    assert set(twins) == LANGUAGES
    assert all(len(members) >= 12 and 4 * sum(t.held for t in members) >= len(members) for members in twins.values())


def test_questions_are_found_nearly_as_well_as_their_english_twins(measured):
    found = measured["all"]
    assert found["recall@5"] >= found["twin recall@5"] - BEHIND / 3, measured["lost"]
    for code, some in measured["languages"].items():
        assert some["recall@5"] >= some["twin recall@5"] - BEHIND, (code, measured["lost"])


def test_questions_are_answered_in_the_language_they_were_asked_in(measured):
    assert measured["all"]["told"] >= 0.98
    for code, some in measured["languages"].items():
        assert some["answered"] >= 0.90 and some["told"] >= 0.95, code


def test_the_table_names_every_language_with_what_was_held_out(measured):
    text = "\n".join(twins_table(measured))
    assert all(f"  {code} " in text for code in LANGUAGES)
    assert str(measured["held_out"]["questions"]) in text


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "xx.yaml").write_text("- {asks: wie teuer, english: how much}\n", encoding="utf-8")
    with pytest.raises(DocumentError, match="xx.yaml"):
        read_twins(tmp_path)
