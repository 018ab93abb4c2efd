"""The verifier on single sentences: what it must refuse, what it must let pass, and how it holds up under hostile text."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import SettingsError
from bot.figures import find
from bot.mutations import rows, statements
from bot.passage import cells, read_row
from bot.settings import ROOT
from bot.verify import Verifier, read_polarity

GUIDES = ROOT / "knowledge" / "guides"

SCORE = ("The Step 2 CK passing score is 218 for exams taken on or after 1 July 2025.",)
PAST = ("The Step 2 CK passing score was 214 until 30 June 2025.",)
TWO = (
    "The fee is 500 dollars for the application.",
    "ECFMG certifies doctors.",
)
SOME = ("Some programs sponsor H-1B visas for residents.",)
PROPOSED = ("A proposed rule would end duration of status for J-1 physicians.",)
LISTED = ("The program listed J-1 and H-1B (undated page).",)
UNSURE = ("A recruiter says that the fee is 300 dollars, which we could not confirm.",)
MAY = ("A J-1 physician may apply for a Conrad 30 waiver in any state.",)
ONLY = ("Only non-US IMGs who need a visa pay the 220 dollar fee.",)
LEAST = ("California requires at least 36 months of training.",)
GROUP = ("The match rate of non-US IMGs was 58.0% in 2025.",)
COMPARED = ("Match rates were higher for US IMGs than for non-US IMGs in 2025.",)
BEFORE = ("ECFMG certification comes before the start of residency.",)
DENIED = ("The H-1B does not bring the two-year home-residence rule.",)
PRICE = ("The SEVIS fee is $220 for J-1 applicants.",)
MONTHS = (
    "The two-year rule binds a clinical J-1 physician for 24 months.",
    "Training must last 36 months in California.",
)


@pytest.fixture(scope="module")
def verifier(terms, embedder):
    return Verifier(terms, embedder.embed)


@pytest.fixture(scope="module")
def found():
    return statements(GUIDES)


@pytest.mark.parametrize(
    ("quotes", "text"),
    [
        (SCORE, "The Step 2 CK passing score is 281 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is two hundred eighty-one for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is 2 18 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is 21\u200b8 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is \u202e812\u202c for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is \uff12\uff11\uff18 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is \u0662\u0661\u0668 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is 21\u2078 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is 21\u03368 for exams taken on or after 1 July 2025."),
        (SCORE, "The St\u0435\u0440 2 CK passing score is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step II CK passing score is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 3 passing score is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 3 CK passing score is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "It is not the case that the Step 2 CK passing score is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is 218 for exams taken before 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is 218% for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is 218 for exams taken on or after 1 July 2025. See https://evil.example."),
        (SCORE, "<b>The Step 2 CK passing score</b> is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "No, the Step 2 CK passing score is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is CCXVIII for exams taken on or after 1 July 2025."),
        (SCORE, "The Step 2 CK passing score is at least 218 for exams taken on or after 1 July 2025."),
        (PAST, "The Step 2 CK passing score is 214."),
        (PAST, "The Step 2 CK passing score is 214 until 30 June 2025."),
        (TWO, "Every doctor must pay 500 dollars to ECFMG."),
        (TWO, "ECFMG certifies doctors for 500 dollars."),
        (SOME, "All programs sponsor H-1B visas for residents."),
        (SOME, "Programs sponsor H-1B visas for residents."),
        (PROPOSED, "A rule ends duration of status for J-1 physicians."),
        (PROPOSED, "A rule in force ends duration of status for J-1 physicians."),
        (PROPOSED, "Duration of status for J-1 physicians has ended."),
        (LISTED, "The program sponsors J-1 and H-1B."),
        (LISTED, "The program takes J-1 and H-1B (undated page)."),
        (LISTED, "The program listed J-1 and H-1B."),
        (UNSURE, "A recruiter says that the fee is 300 dollars."),
        (UNSURE, "The fee is 300 dollars."),
        (MAY, "A J-1 physician must apply for a Conrad 30 waiver in any state."),
        (MAY, "A J-1 physician will get a Conrad 30 waiver in any state."),
        (MAY, "A J-1 physician may apply for a Conrad 31 waiver in any state."),
        (MAY, "A H-1B physician may apply for a Conrad 30 waiver in any state."),
        (ONLY, "Non-US IMGs who need a visa pay the 220 dollar fee."),
        (ONLY, "All IMGs pay the 220 dollar fee."),
        (LEAST, "California requires 36 months of training."),
        (LEAST, "California requires at most 36 months of training."),
        (LEAST, "California requires at least 36 weeks of training."),
        (GROUP, "The match rate of US IMGs was 58.0% in 2025."),
        (GROUP, "The match rate of IMGs was 58.0% in 2025."),
        (COMPARED, "Match rates were higher for non-US IMGs than for US IMGs in 2025."),
        (COMPARED, "Match rates were lower for US IMGs than for non-US IMGs in 2025."),
        (BEFORE, "The start of residency comes before ECFMG certification."),
        (BEFORE, "ECFMG certification comes after the start of residency."),
        (DENIED, "The H-1B brings the two-year home-residence rule."),
        (DENIED, "The H-1B does not fail to bring the two-year home-residence rule."),
        (PRICE, "The SEVIS fee is \u20ac220 for J-1 applicants."),
        (PRICE, "The SEVIS fee is 220 euros for J-1 applicants."),
        (PRICE, "The SEVIS fee is 220 Canadian dollars for J-1 applicants."),
        (MONTHS, "Training must last 24 months in California."),
        (MONTHS, "The two-year rule binds a clinical J-1 physician for 36 months."),
    ],
)
def test_refused(verifier, quotes, text):
    verdict = verifier.check(text, quotes)
    assert not verdict.supported and verdict.reasons and verdict.support < 0.5


@pytest.mark.parametrize(
    ("quotes", "text"),
    [
        (SCORE, "**The Step 2 CK passing score** is 218 for exams taken on or after July 1, 2025."),
        (SCORE, "Yes, the Step 2 CK passing score is 218 for exams taken on or after 1 July 2025."),
        (SCORE, "Since July 1, 2025 the passing score of Step 2 CK is 218."),
        (SCORE, "For exams on or after 1 July 2025, the passing score for Step 2 CK is two hundred eighteen."),
        (PAST, "Until June 30, 2025 the Step 2 CK passing score was 214."),
        (SOME, "H-1B visas for residents are sponsored by some programs."),
        (PROPOSED, "Duration of status for J-1 physicians would end under a proposed rule."),
        (LISTED, "On an undated page the program listed both J-1 and H-1B."),
        (UNSURE, "The fee is 300 dollars according to a recruiter, but we could not confirm this."),
        (MAY, "J-1 physicians can apply for a Conrad 30 waiver in any state."),
        (ONLY, "The 220 dollar fee is paid only by non-US IMGs who need a visa."),
        (LEAST, "California requires at least three years of training."),
        (LEAST, "In California, a minimum of 36 months of training is required."),
        (GROUP, "In 2025, 58% of non-US IMGs matched."),
        (GROUP, "The 2025 match rate of non-US IMGs was 58%."),
        (COMPARED, "In 2025 US IMGs had higher match rates than non-US IMGs."),
        (BEFORE, "Residency starts after ECFMG certification."),
        (DENIED, "No, the H-1B does not bring the two-year home-residence rule."),
        (DENIED, "The two-year home-residence rule does not come with the H-1B."),
        (PRICE, "J-1 applicants pay a SEVIS fee of 220 US dollars."),
        (MONTHS, "A clinical J-1 physician is bound by the two-year rule for 24 months, and training in California must last 36 months."),
    ],
)
def test_let_pass(verifier, quotes, text):
    verdict = verifier.check(text, quotes)
    assert verdict.supported, verdict.reasons
    assert 0.5 <= verdict.support <= 1 and not verdict.reasons


def test_word_for_word_needs_no_embedder(terms, found):
    def never(texts):
        raise AssertionError("asked for vectors")

    plain = Verifier(terms, never)
    for statement in found[::40]:
        verdict = plain.check(statement.text + " [1]", [statement.text], context=statement.context)
        assert verdict.supported and verdict.support == 1.0


def test_the_month_of_a_fact_may_be_told_and_no_other(verifier):
    for text in (f"{SCORE[0][:-1]} (as of March 2026).", f"As of March 2026, {SCORE[0][0].lower()}{SCORE[0][1:]}"):
        assert verifier.check(text, SCORE, as_of=["2026-03"]).supported
        assert not verifier.check(text, SCORE, as_of=["2026-04"]).supported
        assert not verifier.check(text, SCORE).supported


def test_headings_name_things_but_give_no_figures(verifier):
    quote = ["The passing score is 218."]
    assert verifier.check("The Step 2 CK passing score is 218.", quote, context=["Step 2 CK"]).supported
    assert not verifier.check("The Step 2 CK passing score is 218.", quote, context=["Step 3"]).supported
    assert not verifier.check("The passing score is 218 in 2026.", quote, context=["Scores in 2026"]).supported


def test_nothing_cited_nothing_said_and_far_too_much(verifier):
    assert not verifier.check("The fee is $5.", []).supported
    assert not verifier.check("  [1]", SCORE).supported
    assert not verifier.check("The fee is 5. " * 9000, SCORE).supported
    assert verifier.check("The fee is $5.", []).missing_figures == ("$5",)


def test_missing_figures_are_named(verifier):
    verdict = verifier.check("The Step 2 CK passing score is 219 since 1 July 2025.", SCORE)
    assert verdict.missing_figures == ("219",) and verdict.figures == ("219", "1 July 2025")


HEADER = "| Specialty | Matched | Unmatched | As of |"
ROWS = ("| Family medicine | 230 | 231 | 2026 |", "| Diagnostic radiology | 250 | 251 | 2026 |")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Family medicine — Matched: 230; Unmatched: 231; As of: 2026.", True),
        ("Family medicine — Matched: 230; As of: 2026.", True),
        ("Family medicine — Matched: 231; Unmatched: 230; As of: 2026.", False),
        ("Family medicine — Matched: 231; Unmatched: 231; As of: 2026.", False),
        ("Family medicine — Matched: 250; Unmatched: 231; As of: 2026.", False),
        ("Diagnostic radiology — Matched: 230; Unmatched: 231; As of: 2026.", False),
        ("| Family medicine | 231 | 231 | 2026 |", False),
        ("| Family medicine | 231 | 230 | 2026 |", False),
        ("| Family medicine | 230 | 231 | 2026 |", True),
        ("In family medicine the figure for the matched was 230.", True),
        ("In family medicine the figure for the matched was 251.", False),
        ("In diagnostic radiology the figure for the unmatched was 230.", False),
    ],
)
def test_table_cells_keep_their_column_and_row(verifier, text, right):
    assert verifier.check(text, ROWS, context=["Scores", HEADER]).supported == right


def test_rows_of_the_guides_pass_read_aloud(verifier):
    for row in rows(GUIDES)[::25]:
        assert verifier.check(read_row(row.text, row.context[-1]), [row.text], context=row.context).supported
        assert cells(row.text)


def test_emphasis_and_citation_marks_do_not_matter(verifier):
    assert verifier.check("The *Step 2 CK* passing score is **218** for exams taken on or after 1 July 2025. [1][2]", SCORE).supported


@pytest.mark.parametrize("opening", ["Yes, ", "Yes: ", "yes - "])
def test_yes_before_a_denial_is_refused(verifier, opening):
    assert not verifier.check(opening + "the H-1B does not bring the two-year home-residence rule.", DENIED).supported


def test_a_verdict_does_not_depend_on_the_order_of_quotes(verifier, found):
    for one, two in zip(found[::150], found[7::150], strict=False):
        text = one.text.rstrip(".") + "; " + two.text
        context = (*one.context, *two.context)
        first, second = (verifier.check(text, quotes, context=context).supported for quotes in ([one.text, two.text], [two.text, one.text]))
        assert first == second, text


def test_more_quotes_do_not_take_support_from_a_copy(verifier, found):
    for one, two in zip(found[::100], found[3::100], strict=False):
        assert verifier.check(one.text, [two.text, one.text]).supported


@given(st.text(max_size=80), st.text(max_size=80))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gets_a_verdict_and_figures_never_slip_through(plain_verifier, text, quote):
    verdict = plain_verifier.check(text, [quote])
    assert 0 <= verdict.support <= 1
    if verdict.supported and text.strip() != quote:
        assert not verdict.missing_figures


@pytest.fixture(scope="module")
def plain_verifier(terms):
    return Verifier(terms)


@given(st.integers(0, 400), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hidden_character_anywhere_is_refused(plain_verifier, at, number):
    text = SCORE[0]
    at %= len(text)
    hidden = "\u200b\u200e\u202e\u2066\ufeff\u00ad\x00\u0336"[number % 8]
    assert not plain_verifier.check(text[:at] + hidden + text[at:], SCORE).supported or hidden.isspace()


def test_what_is_remembered_stays_bounded(terms):
    verifier = Verifier(terms)
    for i in range(1500):
        verifier.check(f"Sentence number {i} says a thing of its own.", [f"Quote number {i} says another thing."])
    assert verifier._read.cache_info().currsize <= verifier._read.cache_info().maxsize <= 4096
    assert verifier._units.cache_info().currsize <= verifier._units.cache_info().maxsize <= 4096
    assert find.cache_info().maxsize <= 4096


def test_the_word_list_is_checked_when_read(tmp_path):
    path = tmp_path / "polarity.yaml"
    path.write_text("negators: [not, no]\naxes: {}\nsynonyms: []\nlight: []\n", encoding="utf-8")  # YAML reads a bare no as false
    with pytest.raises(SettingsError, match="quotes"):
        read_polarity(path)
    path.write_text(json.dumps({"negators": ["not"]}), encoding="utf-8")
    with pytest.raises(SettingsError, match="polarity.yaml"):
        read_polarity(path)
