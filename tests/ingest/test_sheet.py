"""CSV and YAML tables."""

from __future__ import annotations

import pytest

from bot.errors import DocumentError
from bot.passage import cells
from ingest.chunk import units_of
from ingest.document import Document
from ingest.sheet import read_csv, read_yaml_table


def said(document: Document) -> list[str]:
    return [unit.said for section in document.sections for unit in units_of(section, markdown=False)[1]]


def test_rows_are_read_with_their_columns() -> None:
    found = read_csv('Exam,Fee,As of\nStep 1,"$1,000",2025\n"Step 2, CK",$680,\n', "data/exam-fees.csv")
    assert found.title == "exam fees"
    assert said(found) == ["Step 1 — Fee: $1,000; As of: 2025.", "Step 2, CK — Fee: $680."]


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_other_separators(separator: str) -> None:
    text = f"Exam{separator}Fee\nStep 1{separator}5 | 6\n"
    assert said(read_csv(text, "a.csv")) == ["Step 1 — Fee: 5 / 6."]


@pytest.mark.parametrize(
    ("text", "line"), [("a,b\n1,2\n1,2,3\n", 3), ("a,b\n", None), ('a,b\n"open,2\n', None), ("\n\n", None), ("a,b\n1\n", 2)]
)
def test_broken_csv(text: str, line: int | None) -> None:
    with pytest.raises(DocumentError) as caught:
        read_csv(text, "bad.csv")
    assert caught.value.line == line


def test_yaml_lists_are_tables_and_values_stay_as_written() -> None:
    text = "- {state: NO, years: 1_000, opens: 12:30, on: 2025-07-01, open: yes, more: ~}\n"
    text += "- {state: Ohio, years: 010, tags: [a, b], at: {x: 1}}\n"
    found = read_yaml_table(text, "states.yaml")
    assert said(found) == [
        "NO — years: 1_000; opens: 12:30; on: 2025-07-01; open: yes.",
        "Ohio — years: 010; tags: a, b; at: x: 1.",
    ]
    header = found.sections[0].text.splitlines()[0]
    assert cells(header) == ["state", "years", "opens", "on", "open", "more", "tags", "at"]


def test_named_yaml_tables_are_sections() -> None:
    found = read_yaml_table("Exam fees:\n- {exam: Step 1, fee: 5}\nVisa fees:\n- {visa: J-1, fee: 6}\n", "fees.yml")
    assert [(s.heading[-1], s.anchor) for s in found.sections] == [("Exam fees", "exam-fees"), ("Visa fees", "visa-fees")]
    assert said(found) == ["Step 1 — fee: 5.", "J-1 — fee: 6."]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{here}: &{here} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"
    for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    ["a: [1", "just text", "- 1\n- 2\n", "a: 1\n", "[]", "- {}\n",
     "&a [*a]", "- a: &x [*x]\n", "- a: {b: {c: {d: {e: {f: 1}}}}}", "- a: b\n- c",
     f"- all:\n    {BOMB.replace(chr(10), chr(10) + '    ')}", "[" * 5000],
)  # fmt: skip
def test_what_is_no_table_is_said(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_yaml_table(text, "bad.yaml")
    assert caught.value.file == "bad.yaml"


def test_yaml_makes_nothing_but_text() -> None:
    assert said(read_yaml_table("- a: x\n  b: !!python/object/apply:os.system [id]\n", "a.yaml")) == ["x — b: id."]


def test_the_line_of_broken_yaml_is_told() -> None:
    with pytest.raises(DocumentError) as caught:
        read_yaml_table("- a: 1\n- b: [2\n- c: 3\n", "bad.yaml")
    assert caught.value.line in {2, 3}
