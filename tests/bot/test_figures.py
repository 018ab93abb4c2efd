"""Figures: what counts as one, when two are the same, and what the reader of a text sees of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.figures import Figure, clean, find, same, shown


def one(text: str) -> Figure:
    found = [f for f in find(text) if f.kind != "name"]
    assert len(found) == 1, found
    return found[0]


def says(source: str, text: str) -> bool:
    """Whether every figure of `text` stands in `source`."""
    there = find(source)
    return all(any(same(f, other) for other in there) for f in find(text))


@pytest.mark.parametrize(
    ("one_way", "another"),
    [
        ("$2,965", "2,965 US dollars"),
        ("$1.5 million", "1,500,000 dollars"),
        ("1 July 2025", "July 1, 2025"),
        ("July 1, 2025", "2025-07-01"),
        ("36 months", "three years"),
        ("two weeks", "14 days"),
        ("218 points", "two hundred eighteen points"),
        ("280 questions", "two hundred and eighty questions"),
        ("12 percent", "12%"),
        ("the 3rd attempt", "the third attempt"),
        ("in 2026-27", "in 2026-2027"),
        ("in 2026-27", "in 2026/27"),
        ("noon", "12 p.m."),
        ("half of them", "50% of them"),
        ("500 euros", "€500"),
        ("２１８ points", "218 points"),
        ("Public Law 103-416", "public law 103-416"),
    ],
)
def test_the_same_figure_in_another_dress(one_way, another):
    assert says(one_way, another) and says(another, one_way)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("218", "281"),
        ("218 points", "2 18 points"),
        ("218 points", "two hundred eighty-one points"),
        ("$780", "€780"),
        ("$780", "780 euros"),
        ("780 dollars", "780 Canadian dollars"),
        ("$780", "780 programs"),
        ("12 programs", "12%"),
        ("two years", "two months"),
        ("July 2025", "1 July 2025"),
        ("2025", "July 2025"),
        ("1 July 2025", "1 June 2025"),
        ("in 2026-27", "in 2027-28"),
        ("in 2026-27 and 2027", "in 2027-27"),
        ("2023-24 and 2025", "2024-25"),
        ("Form 1041", "Form 1040"),
        ("section 212", "section 221"),
        ("the second attempt", "two attempts or the third"),
        ("267 of 419 (63.7%)", "267%"),
        ("2,026 applicants", "in 2026"),
    ],
)
def test_another_figure(source, text):
    assert not says(source, text)


def test_a_date_supports_its_parts_only():
    day, month, year = one("1 July 2025"), one("July 2025"), one("in 2025")
    assert same(month, day) and same(year, day) and same(year, month)
    assert not same(day, month) and not same(month, year)
    assert same(year, one("12 May 2025")) and not same(year, one("12 May 2026"))


def test_a_year_may_be_said_of_its_season_but_no_season_of_a_year():
    assert says("in the 2026-27 season", "in 2026") and not says("in 2026 and in 2027", "in the 2026-27 season")


def test_units_said_once_belong_to_both():
    assert says("2 to 3 years", "two years") and says("20 or 30 percent", "20%") and says("18 and 25 June 2026", "18 June 2026")
    assert says("$70-$90", "90 dollars")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Steps 1, 2 CK and 3", ["step1", "step2ck", "step3"]),
        ("Pathways 3 to 5", ["pathway3", "pathway4", "pathway5"]),
        ("Pathways 5 to 3", ["pathway5", "pathway3"]),
        ("Step 3 CK", ["step3ck"]),
        ("Conrad 30", ["conrad30"]),
        ("J-1 or H-1B", ["j1", "h1b"]),
    ],
)
def test_numbered_names_are_no_figures(text, names):
    assert [f.value for f in find(text) if f.kind == "name"] == names
    assert not shown(find(text))


def test_shown_lists_each_figure_once_as_it_stands():
    assert shown(find("It costs $695 for 36 months, that is $695 in a year, and Step 3 costs more.")) == ("$695", "36 months")


@pytest.mark.parametrize(
    "text", ["You may apply once the certificate is issued.", "In the first place this is one of them.", "No figure here."]
)
def test_words_that_are_no_figures(text):
    assert not shown(find(text))


def test_what_a_reader_sees():
    assert clean("21\u200b8") == "218"
    assert clean("**２１８** points\u00a0–\u2009now") == "218 points - now"
    assert clean("  a\n b ") == "a b"


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            "the fee is $ % to and or Step years months July May 2025 2026-27 first half Pathways (e) 1. 3,000 J-1 – ２ 'x' per".split()
        ),
        st.integers(0, 5000).map(str),
        st.text(max_size=6),
    ),
    max_size=14,
).map(" ".join)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_figures_stand_where_they_say(text):
    plain = clean(text)
    assert clean(plain) == plain
    found = find(text)
    assert found == find(plain)
    for figure in found:
        assert 0 <= figure.start < figure.end <= len(plain)
        assert plain[figure.start : figure.end] == figure.shown
        assert same(figure, figure), figure


@given(TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_sameness_is_mutual_but_for_dates_and_units_left_out(text, other):
    for a in find(text):
        for b in find(other):
            if a.kind != "date":
                assert same(a, b) == same(b, a)
            elif same(a, b) and same(b, a):
                assert a.value == b.value


@given(st.integers(0, 999_999))
def test_thousands_may_be_written_with_or_without_commas(number):
    assert same(one(f"${number:,}"), one(f"${number}"))
