"""The golden set is data that a measure rests on: each entry must be valid, point at real sections, and not copy what is indexed."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from bot.errors import DocumentError
from bot.golden import GoldenQuestion, read_golden
from ingest.load import MARK, Document, load
from ingest.registry import read_registry

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {"plain": 100, "typo": 30, "multi": 25, "follow_up": 25, "false_premise": 20, "no_answer": 35, "out_of_scope": 20}
LONGEST_SHARED_RUN = 5
"""Words in a row that a question may share with a heading or an indexed question; chance gives a few ("how long does it take")."""

ENTRY = """
- id: {id}
  question: "is step 3 a must"
  kind: {kind}
  topic: visas
  expect: [{place}]
  status: [answered]
"""


@pytest.fixture(scope="module")
def golden() -> list[GoldenQuestion]:
    return read_golden(ROOT / "tests" / "golden")


@pytest.fixture(scope="module")
def everything(golden: list[GoldenQuestion]) -> list[GoldenQuestion]:
    folder = ROOT / "tests" / "golden"
    return golden + read_golden(folder / "other-words") + read_golden(folder / "second")


@pytest.fixture(scope="module")
def guides() -> dict[str, Document]:
    errors: list[DocumentError] = []
    knowledge = ROOT / "knowledge"
    documents = {document.id: document for document in load(knowledge / "guides", read_registry(knowledge), errors)}
    assert not errors, errors[:3]
    return documents


@pytest.fixture(scope="module")
def sections(guides: dict[str, Document]) -> dict[str, str]:
    return {f"{d.id}#{s.anchor}": MARK.sub("", s.text) for d in guides.values() for s in d.sections if s.anchor}


def test_every_kind_and_topic_has_enough_questions(golden: list[GoldenQuestion]) -> None:
    kinds = Counter(question.kind for question in golden)
    assert {kind: count for kind, count in kinds.items() if count < FLOORS[kind]} == {}
    assert set(kinds) == set(FLOORS)
    assert len(golden) >= 400
    topics = Counter(question.topic for question in golden if question.answerable)
    assert len(topics) == 8 and min(topics.values()) >= 25, topics


def test_ids_differ_in_both_sets(everything: list[GoldenQuestion]) -> None:
    assert [ident for ident, count in Counter(q.id for q in everything).items() if count > 1] == []


def test_every_place_is_a_section_of_a_guide(everything: list[GoldenQuestion], sections: dict[str, str]) -> None:
    wrong = [f"{q.file}:{q.line} {q.id}: {place}" for q in everything for place in q.places if place not in sections]
    assert wrong == []


def test_what_an_answer_must_say_stands_in_the_expected_sections(everything: list[GoldenQuestion], sections: dict[str, str]) -> None:
    wrong = []
    for question in everything:
        text = "\n".join(sections.get(place, "") for place in question.places)
        wrong += [f"{question.file}:{question.line} {question.id}: {item}" for item in question.missing(text)]
    assert wrong == []


def test_the_accepted_statuses_fit_the_kind(everything: list[GoldenQuestion]) -> None:
    for question in everything:
        declines = {"no_answer", "refused"} & set(question.status)
        whole = {"answered", "corrected_premise"} & set(question.status)
        if question.answerable:
            assert whole or "partial" in question.status, question.id
        else:
            assert declines and not whole, question.id
        if question.kind == "multi" and len(question.parts) < 2:
            assert question.status != ["answered"], f"{question.id}: one part is known, so the other cannot be answered"


def test_every_guide_is_asked_about_twice(golden: list[GoldenQuestion], guides: dict[str, Document]) -> None:
    """The pages that list what the guides do not hold tell no facts; the questions without an answer are theirs."""
    questions = golden + read_golden(ROOT / "tests" / "golden" / "second")
    asked = Counter(guide for question in questions for guide in {place.split("#")[0] for place in question.places})
    told = [guide for guide in guides if not guide.startswith("start/what-we-do-not-hold")]
    assert {guide: asked[guide] for guide in told if asked[guide] < 2} == {}


def test_questions_are_worded_unlike_what_is_indexed(everything: list[GoldenQuestion], guides: dict[str, Document]) -> None:
    runs: dict[str, str] = {}
    for document in guides.values():
        indexed = [q for questions in document.questions.values() for q in questions] + [s.heading[-1] for s in document.sections]
        for text in indexed:
            runs.update(dict.fromkeys(_runs(text, LONGEST_SHARED_RUN + 1), f"{document.id}: {text}"))
    copied = [
        f"{q.file}:{q.line} {q.id} shares '{run}' with {runs[run]}" for q in everything for run in _runs(q.question, 6) if run in runs
    ]
    assert copied == []


def _runs(text: str, length: int) -> list[str]:
    words = re.findall(r"[a-z0-9$]+(?:'[a-z]+)?", text.lower().replace("’", "'").replace("-", ""))
    return [" ".join(words[at : at + length]) for at in range(len(words) - length + 1)]


def test_a_bare_figure_is_not_found_inside_a_longer_one() -> None:
    question = GoldenQuestion(
        id="a", question="how much", kind="plain", topic="visas", expect=["a#b"], status=["answered"],
        must_say=["218", "$100", "/six (years|yrs)/"], must_not_say=["30"],
    )  # fmt: skip
    assert question.missing("It is 218, or $100. Six yrs.") == []
    assert question.missing("It is 2,218 or $100,000; 218.5 in 6 years.") == ["218", "$100", "/six (years|yrs)/"]
    assert question.forbidden("300 and 1,30 and 30.5") == []
    assert question.forbidden("At most 30.") == ["30"]


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (ENTRY.format(id="ok", kind="plain", place="a#b") + ENTRY.format(id="ok", kind="plain", place="a#b"), 9, "id"),
        (ENTRY.format(id="Not A Slug", kind="plain", place="a#b"), 2, "id"),
        (ENTRY.format(id="ok", kind="guess", place="a#b"), 4, "kind"),
        (ENTRY.format(id="ok", kind="plain", place="no-anchor"), 6, "expect"),
        (ENTRY.format(id="ok", kind="plain", place=""), 2, None),
        (ENTRY.format(id="ok", kind="follow_up", place="a#b"), 2, None),
        (ENTRY.format(id="ok", kind="multi", place="a#b"), 2, None),
        (ENTRY.format(id="ok", kind="out_of_scope", place="a#b"), 2, None),
        (ENTRY.format(id="ok", kind="plain", place="a#b") + '  must_say: ["/(/"]\n', 8, "must_say"),
        (ENTRY.format(id="ok", kind="plain", place="a#b") + "  surprise: 1\n", 8, "surprise"),
        ("- just text\n", 1, None),
        ("a: mapping\n", 1, None),
        ("- id: [unclosed\n", 2, None),
    ],
)
def test_a_wrong_entry_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, field: str | None) -> None:
    file = tmp_path / "visas.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as caught:
        read_golden(tmp_path)
    assert (caught.value.file, caught.value.line, caught.value.field) == ("visas.yaml", line, field)
    assert str(tmp_path) not in str(caught.value)


def test_one_file_or_a_folder_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(ENTRY.format(id="second", kind="plain", place="a/b#c"), encoding="utf-8")
    (tmp_path / "a.yaml").write_text(ENTRY.format(id="first", kind="typo", place="a/b#c"), encoding="utf-8")
    (tmp_path / "paraphrases.yaml").write_text("- sentence: not a question\n", encoding="utf-8")
    assert [question.id for question in read_golden(tmp_path)] == ["first", "second"]
    assert [question.id for question in read_golden(tmp_path / "b.yaml")] == ["second"]
    (tmp_path / "empty").mkdir()
    for missing in (tmp_path / "empty", tmp_path / "none.yaml"):
        with pytest.raises(DocumentError):
            read_golden(missing)
