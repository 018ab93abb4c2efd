"""Numbers, age and warnings of citations, on made-up evidence."""

import pytest
from bot_day import TODAY

from bot.answer import SourceRef
from bot.cite import Citations, header_quote, is_stale, oldest, warnings
from bot.evidence import MAX_SOURCES, Evidence
from bot.passage import Chunk, FactRef, Span
from bot.prompts import Prompts
from bot.settings import ROOT

PAGE = SourceRef(title="Page", publisher="Owner", url="https://owner.example", tier="primary")
BLOG = SourceRef(title="Blog", publisher="Blog", tier="secondary")


def evidence(text: str, *facts: FactRef, kind: str = "sentence", whole: str = "") -> Evidence:
    whole = whole or text
    start = whole.index(text)
    span = Span(start, start + len(text), kind, text, tuple(f.id for f in facts))
    return Evidence(
        Chunk("c1", "guide", 0, whole, ("T",), "a", None, PAGE, "2026-01", False, "2027-01", (), (span,), (), {f.id: f for f in facts}), 0
    )


def test_each_source_of_a_sentence_is_a_citation_and_numbers_are_kept():
    citations = Citations(TODAY)
    one = evidence("A rule.", FactRef("f1", PAGE, "2026-01"), FactRef("f2", BLOG, "2024"))
    assert citations.of([one]) == [1, 2]
    assert citations.of([evidence("Another.", FactRef("f1", PAGE, "2026-01"))]) == [3]
    assert citations.of([one]) == [1, 2]
    assert [c.source.publisher for c in citations.all] == ["Owner", "Blog", "Owner"]
    assert all(c.quote in ("A rule.", "Another.") for c in citations.all)


def test_two_facts_of_one_source_are_one_citation():
    assert Citations(TODAY).of([evidence("A rule.", FactRef("f1", PAGE), FactRef("f2", PAGE))]) == [1]


def test_only_the_first_sources_are_named():
    facts = [FactRef(f"f{i}", PAGE.model_copy(update={"title": f"P{i}"})) for i in range(6)]
    assert Citations(TODAY).of([evidence("A rule.", *facts)]) == list(range(1, MAX_SOURCES + 1))


def test_a_document_without_marks_is_cited_as_a_whole():
    citations = Citations(TODAY)
    assert citations.of([evidence("Something.")]) == [1] and citations.all[0].source == PAGE


def test_the_header_of_a_table_is_quoted_only_for_its_figures():
    table = "| Visa | Fee in 2026 |\n|---|---|\n| J-1 | $185 |"
    row = evidence("| J-1 | $185 |", FactRef("f", PAGE), kind="row", whole=table)
    assert header_quote(row) == "| Visa | Fee in 2026 |"
    assert [c.quote for c in _all(row)] == ["| J-1 | $185 |", "| Visa | Fee in 2026 |"]
    assert header_quote(evidence("| J-1 | $185 |", FactRef("f", PAGE), kind="row", whole=table.replace("Fee in 2026", "Fee"))) == ""
    assert header_quote(evidence("A sentence.", FactRef("f", PAGE))) == ""


def _all(item: Evidence):
    citations = Citations(TODAY)
    citations.of([item])
    return citations.all


@pytest.mark.parametrize(
    ("as_of", "volatile", "review_by", "stale"),
    [
        ("2026-01", True, "2027-02-28", False), ("2026-01", True, "2026-10-31", True), ("2024-10", True, "2027-01-01", True),
        ("2024-12", True, "2027-01-01", False), ("2010", False, "2027-01-01", False), ("2010", True, "unknown", True),
        ("unknown", True, "unknown", False),
        ("2024", True, "2027-01-01", False),
    ],
)  # fmt: skip
def test_age(as_of, volatile, review_by, stale):
    assert is_stale(FactRef("f", PAGE, as_of, volatile), review_by, TODAY) == stale


def test_warnings_say_what_and_for_which_citations():
    citations = Citations(TODAY)
    citations.of(
        [
            evidence("A.", FactRef("f1", PAGE, "2026-03", volatile=True)),
            evidence("B.", FactRef("f2", BLOG, "2020", volatile=True, confidence="low")),
        ]
    )
    conflict = {"statement": "What is it?", "positions": [{"says": "one", "as_of": "2026-03", "tier": "primary", "fact": "f1"},
                {"says": "two", "as_of": "unknown", "tier": "secondary", "fact": "f2"}], "preferred": "f1", "reason": "Newer."}  # fmt: skip
    found = {w.kind: w for w in warnings(citations.all, [(conflict, [1, 2])], Prompts(ROOT / "prompts"))}
    assert found["volatile"].citations == [1] and found["stale"].citations == [2] and found["unverified"].citations == [2]
    assert (
        "one" in found["conflict"].text
        and "two" in found["conflict"].text
        and "undated" in found["conflict"].text
        and "Newer" in found["conflict"].text
    )
    assert oldest(citations.all) == "2020"
