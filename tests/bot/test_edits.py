import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.edits import difference

PASS = "The Step 2 CK passing score is 218 for exams taken on or after 1 July 2025. [e1a2b3c4]"
SEVEN = "Clinical J-1 sponsorship is generally limited to seven years. [e7a7b7c7]"
FEE = "The J-1 visa application costs $185, paid once. [e5a5b5c5]"
DRAFT = f"Hello,\n\nthank you for writing. {PASS} {SEVEN}\n\nBest wishes\nThe advisors"


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (DRAFT, "none"),
        (DRAFT.replace("Hello,", "Dear Ana,").replace("Best wishes", "Kind regards"), "tone"),
        (DRAFT + "\n\nI hope this helps you on your way.", "tone"),
        (DRAFT.replace("Clinical J-1 sponsorship is generally", "Sponsorship for a clinical J-1 is generally"), "tone"),
        (f"Hello,\n\nthank you for writing. {SEVEN} {PASS}\n\nBest wishes\nThe advisors", "tone"),
        (DRAFT.replace("218", "214"), "fact"),
        (DRAFT.replace("1 July 2025", "1 July 2026"), "fact"),
        (DRAFT.replace("seven years", "six years"), "fact"),
        (DRAFT.replace("Clinical J-1", "Clinical H-1B"), "fact"),
        (DRAFT.replace("[e7a7b7c7]", "[e9a9b9c9]"), "fact"),
        (DRAFT.replace("is generally limited", "is not generally limited"), "fact"),
        (DRAFT.replace(SEVEN, ""), "scope"),
        (DRAFT.replace(SEVEN, f"{SEVEN} {FEE}"), "scope"),
        (DRAFT.replace(SEVEN, f"{SEVEN} Ask your program coordinator about the waiting list for housing."), "scope"),
        (DRAFT.replace(SEVEN, FEE).replace("218", "214"), "fact"),
    ],
)  # fmt: skip
def test_edits_of_a_draft_are_classed(sent: str, kind: str) -> None:
    found = difference(DRAFT, sent)
    assert found.kind == kind, found.changes


def test_a_change_holds_what_was_and_what_became_of_it() -> None:
    (change,) = difference(DRAFT, DRAFT.replace("218", "214")).changes
    assert "218" in change.before and "214" in change.after and "[e1a2b3c4]" not in change.before


def test_two_sentences_made_one_are_still_the_same_claims() -> None:
    before = "A J-1 physician may not moonlight outside the hospital. [e1a2b3c4] Sponsorship is limited to seven years. [e7a7b7c7]"
    merged = "A J-1 physician may not moonlight outside the hospital, and sponsorship is limited to seven years. [e1a2b3c4] [e7a7b7c7]"
    assert difference(before, merged).kind == "tone"
    assert difference(merged, before).kind == "tone"
    assert difference(before, merged.replace("seven", "six")).kind == "fact"


def test_an_empty_text_is_compared_too() -> None:
    assert difference("", "").kind == "none"
    assert difference(PASS, "").kind == "scope"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([PASS, SEVEN, FEE, "Hello,", "Best wishes", "¿Qué más?", "J-1\n\n- one\n- two"]), max_size=8))
def test_a_text_does_not_differ_from_itself(parts: list[str]) -> None:
    text = " ".join(parts)
    assert difference(text, text) == difference(text + "\n", text)
    assert difference(text, text).kind == "none"
    assert difference(text, text).changes == ()
