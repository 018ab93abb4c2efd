"""The same question for different applicants, and what is asked back. Over all guides."""

import re

import pytest

from bot.answer import Profile, Question
from bot.bearing import read_bearing
from bot.bootstrap import open_advisor
from bot.errors import SettingsError
from bot.evaluate import GOLDEN
from bot.golden import read_golden
from bot.settings import ROOT, read_settings


@pytest.fixture
async def whole(library):
    found = await open_advisor(read_settings(data=library))
    yield found
    await found.close()


VISA, YEARS = "Do I need a visa for residency?", "How many years of training do I need for a medical license?"
CASES = [
    (VISA, Profile(us_work_authorization=True), "visas/other-routes#green-card-holder", "us_work_authorization"),
    (VISA, Profile(citizenship="United States"), "visas/overview#us-citizen", "citizenship"),
    (VISA, Profile(citizenship="Nigeria", visa_needed=True), "visas/travel-ban#partial", "citizenship"),
    ("J-1 or H-1B, which is better?", Profile(citizenship="Iran"), "visas/travel-ban#full", "citizenship"),
    ("Do I need a J-1 visa stamp?", Profile(citizenship="Canada"), "visas/living-on-a-training-visa#canadians", "citizenship"),
    ("Do I need Step 3?", Profile(visa_needed=True), "visas/overview#exams", "visa_needed"),
    ("Am I too old to match?", Profile(graduation_year=2012), "applying/scores-gaps-and-older-graduates#yog-limits", "years_since"),
    ("I failed Step 1, what should I do now?", Profile(step2ck=240), "applying/scores-gaps-and-older-graduates#failed-attempt", None),
    ("What are my options?", Profile(graduation_year=2012), "applying/scores-gaps-and-older-graduates#yog-limits", "years_since"),
    ("Can I still match?", Profile(attempts={"step1": 3}), "applying/scores-gaps-and-older-graduates#failed-attempt", "attempts_most"),
    ("Do I need ECFMG certification?", Profile(degree_path="Canadian", graduation_year=2026), "start/who-is-an-img#canada", "degree_path"),
    ("Do I need ECFMG certification?", Profile(degree_path="Canadian", graduation_year=2020), "start/who-is-an-img#canada-before",
     "degree_path"),
    ("Do I need to take the USMLE?", Profile(degree_path="DO"), "start/what-we-do-not-hold-exams#comlex", "degree_path"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "profile", "place", "field"), CASES)
async def test_an_answer_opens_with_what_holds_for_the_applicant(whole, text, profile, place, field):
    answer = await whole.answer(Question(text=text, profile=profile))
    assert answer.sentences[0].kind == "frame" and (field is None or field in answer.profile.used)
    lead = answer.sentences[1]
    slug, _, anchor = place.partition("#")
    cited = [c for c in answer.citations if c.n in lead.citations]
    assert lead.kind in ("fact", "advice") and any(c.guide.slug == slug and c.guide.url.endswith("#" + anchor) for c in cited)
    plain = await whole.answer(Question(text=text))
    assert plain.sentences[0].text != answer.sentences[0].text and plain.profile is None


@pytest.mark.parametrize(
    ("text", "profile", "others"),
    [
        (YEARS, Profile(states=["Texas"]), Profile(states=["Ohio"])),
        ("what step 2 ck score do i need", Profile(specialties=["psychiatry"]), Profile(specialties=["pediatrics"])),
        ("Am I too old to match?", Profile(graduation_year=2008), Profile(graduation_year=2025)),
    ],
)
async def test_the_same_question_is_answered_otherwise_for_others(whole, text, profile, others):
    one, other = [await whole.answer(Question(text=text, profile=p)) for p in (profile, others)]
    assert one.text != other.text and {c.quote for c in one.citations} != {c.quote for c in other.citations}
    for name in (*(profile.states or ()), *(profile.specialties or ())):
        assert name in one.text.lower() or name in one.text


IRRELEVANT = Profile(
    graduation_year=2009, citizenship="Iran", visa_needed=True, step2ck=211, usce_months=3, attempts={"step1": 3}, states=["Ohio"],
    specialties=["psychiatry"], degree_path="Canadian",
)  # fmt: skip


@pytest.mark.parametrize("text", ["How much is the OET?", "How many times can the algorithm run?", "When does ERAS open?", "What is SOAP?"])
async def test_what_does_not_bear_on_a_question_changes_nothing(whole, text):
    one, other = [await whole.answer(Question(text=text, profile=p)) for p in (None, IRRELEVANT)]
    assert one.text == other.text and one.citations == other.citations and other.profile.used == []


@pytest.mark.parametrize(
    ("text", "options", "reply"),
    [
        (VISA, "green card", "I have a green card"),
        (YEARS, "Texas", "Texas"),
        ("can i moonlight?", "H-1B", "H-1B"),
        ("I graduated in 2015. What are my options?", "internal medicine", "internal medicine"),
    ],
)
async def test_what_is_missing_is_asked_after_what_holds_for_all_and_an_option_settles_it(whole, text, options, reply):
    ident, _ = await whole.store.start()
    try:
        asked = await whole.answer(Question(text=text, conversation_id=ident))
        assert asked.status == "clarify" and any(options in option for option in asked.clarify.options)
        assert asked.citations and any(s.kind == "fact" for s in asked.sentences)
        settled = await whole.answer(Question(text=reply, conversation_id=ident))
        assert settled.status in ("answered", "partial") and settled.clarify is None and settled.citations
        assert settled.text != asked.text
    finally:
        await whole.store.forget(ident)


@pytest.mark.parametrize(
    ("text", "profile"), [(VISA, Profile(us_work_authorization=True)), (VISA, Profile(visa_needed=True)), (YEARS, Profile(states=["Ohio"]))]
)
async def test_nothing_is_asked_that_was_told(whole, text, profile):
    assert (await whole.answer(Question(text=text, profile=profile))).clarify is None


async def test_a_question_that_says_what_it_means_is_not_asked_back(whole):
    """Over the golden questions of one turn that the guides answer."""
    asked = [q for q in read_golden(GOLDEN) if q.answerable and not q.history and "clarify" not in q.status]
    rule = whole._bearing.lacks
    back = [q.question for q in asked for part in whole._planner.questions(q.question) if rule(part.text, part.about, None)]
    assert len(back) <= 0.01 * len(asked), back


def test_every_rule_names_a_section_a_phrase_and_options(terms):
    bearing = read_bearing(ROOT / "knowledge", terms)
    said = (ROOT / "prompts" / "say.j2").read_text()
    for rule in (*bearing.bears, *bearing.puts, *bearing.missing):
        assert f"block {rule.say} " in said
    for rule in bearing.bears:
        slug, _, anchor = rule.section.partition("#")
        assert re.search(rf"{{#{re.escape(anchor)}}}", (ROOT / "knowledge" / "guides" / f"{slug}.md").read_text()), rule.id
    assert all(2 <= len(rule.options) <= 6 for rule in bearing.missing)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profile.yaml", "bears: [{id: x, asks: ['('], has: {}, section: a#b, say: c}]"),
        ("profile.yaml", "bears: [{id: x, asks: [a], has: {shoe_size: 4}, section: a#b, say: c}]"),
        ("clarify.yaml", "- {id: x}"),
        ("clarify.yaml", ": : :"),
    ],
)
def test_a_broken_file_is_named(tmp_path, terms, name, text):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text(text)
    with pytest.raises(SettingsError, match=name):
        read_bearing(tmp_path, terms)


async def test_where_all_depends_on_what_is_missing_only_that_is_asked(whole):
    answer = await whole.answer(Question(text="What are my options?"))
    assert answer.status == "clarify" and answer.clarify.options and not answer.citations
