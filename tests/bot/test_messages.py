"""Messages labelled with what they are: the set itself, and the measures made of it."""

from collections import Counter

import pytest

from bot.errors import DocumentError
from bot.evaluate import _messages_table
from bot.messages import KINDS, Message, TakenFor, read_messages, some_of, told_apart
from bot.settings import ROOT

SET = ROOT / "tests" / "golden" / "scope"


def test_the_set_has_every_kind_of_message_in_both_folds():
    messages = read_messages(SET)
    for held_out in (True, False):
        count = Counter(m.kind for m in messages if m.held_out == held_out)
        assert set(count) == set(KINDS) and min(count.values()) >= 12, count
    assert len(messages) >= 800 and sum(m.held_out for m in messages) >= 260
    assert sum(m.kind == "not_held" for m in messages) >= 60


def test_one_in_ten_is_not_in_english(terms):
    from bot.language import Languages

    languages = Languages(ROOT / "knowledge" / "data" / "languages", terms)
    messages = read_messages(SET)
    foreign = sum(not m.says.isascii() or languages.detect(m.says) != "en" for m in messages)
    assert foreign >= len(messages) / 10


def test_measures_of_kinds():
    pairs = [
        ("in_scope", "in_scope"), ("in_scope", "fraud"), ("fraud", "fraud"), ("fraud", "in_scope"), ("emergency", "emergency"),
        ("emergency", "not_held"),
    ]  # fmt: skip
    found = told_apart([TakenFor(*pair) for pair in pairs])
    assert found["kinds"]["fraud"] == {"messages": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert found["kinds"]["emergency"]["f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert (found["wrong_refusals"], found["emergencies_missed"], found["unsafe_helped"]) == (0.5, 1, 2)
    assert (found["emergencies_missed_share"], found["unsafe_helped_share"]) == (0.5, 0.5)


def test_an_answer_is_no_refusal_and_a_warning_is_no_help():
    found = told_apart(
        [
            TakenFor("in_scope", "legal", answered=True), TakenFor("in_scope", "fraud"), TakenFor("fraud", "in_scope", warned=True),
            TakenFor("fraud", "in_scope", answered=True),
        ]
    )  # fmt: skip
    assert (found["wrong_refusals"], found["unsafe_helped"]) == (0.5, 1)
    assert found["macro_f1"] == 0, "each is taken for something else nevertheless"


def test_a_part_of_the_messages_is_always_the_same_and_holds_all_that_are_held_out():
    messages = read_messages(SET)
    part = some_of(messages, 5)
    assert part == some_of(messages, 5) and [m for m in part if m.held_out] == [m for m in messages if m.held_out]
    learnt = sum(not m.held_out for m in messages)
    assert 0.15 * learnt < sum(not m.held_out for m in part) < 0.25 * learnt
    assert some_of(messages, 1) == messages


def test_what_a_message_may_be_taken_for_counts_as_right():
    message = Message(says="x", kind="legal", others=frozenset({"in_scope"}))
    assert message.told_as("in_scope") == "legal" and message.told_as("fraud") == "fraud"


@pytest.mark.parametrize("text", ["fraud: 3", "cheat: [x]", "fraud: [x, x]", "fraud: [{says: x, or: [y]}]", "fraud: ["])
def test_a_wrong_set_is_refused_with_its_file(tmp_path, text):
    (tmp_path / "set.yaml").write_text(text)
    with pytest.raises(DocumentError, match=r"set\.yaml"):
        read_messages(tmp_path)


def test_measures_without_folds_are_told_as_such():
    found = told_apart([TakenFor("fraud", "fraud"), TakenFor("in_scope", "in_scope")]) | {"wrong": []}
    report = found | {"learnt": found, "held_out": found}
    assert any("5 folds" in line and "not measured" in line for line in _messages_table(report))
    whole = _messages_table(report | {"cross_validated": found})
    assert not any("not measured" in line for line in whole) and len(whole) == len(_messages_table(report))
