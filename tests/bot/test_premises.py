"""Each widespread error is corrected before anything else is said, with source and date."""

from pathlib import Path

import pytest
import yaml

from bot.answer import Question
from bot.bootstrap import open_advisor
from bot.settings import read_settings

CLAIMS = yaml.safe_load((Path(__file__).parents[1] / "golden" / "premises" / "claims.yaml").read_text(encoding="utf-8"))


@pytest.fixture
async def whole(library):
    found = await open_advisor(read_settings(data=library))
    yield found
    await found.close()


async def test_errors_are_corrected_first_with_source_and_date(whole):
    sections = {premise.id: premise.section for premise in whole._planner.premises}
    assert CLAIMS.keys() == sections.keys()
    for ident, said in CLAIMS.items():
        slug, _, anchor = sections[ident].partition("#")
        for text in said["claims"]:
            answer = await whole.answer(Question(text=text))
            assert answer.status == "corrected_premise", (text, answer.text)
            cited = {c.n: c for c in answer.citations}
            first = [cited[n] for n in answer.sentences[0].citations]
            assert any(c.guide.slug == slug and c.guide.url.endswith("#" + anchor) for c in first), (text, answer.sentences[0].text)
            assert all(c.source.title and c.as_of for c in first)


async def test_an_honest_question_nearby_is_answered_and_not_corrected(whole):
    for said in CLAIMS.values():
        answer = await whole.answer(Question(text=said["honest"]))
        assert answer.status in ("answered", "partial"), (said["honest"], answer.text)


async def test_sources_that_differ_are_shown_with_dates_and_the_preferred_one(whole):
    answer = await whole.answer(Question(text="Did a court strike down the $100,000 H-1B payment?"))
    conflicts = [w for w in answer.warnings if w.kind == "conflict"]
    assert conflicts
    for warning in conflicts:
        assert warning.text.count("“") >= 2 and "source)" in warning.text and set(warning.citations) <= {c.n for c in answer.citations}
        assert "We use" in warning.text or "Both are shown" in warning.text
