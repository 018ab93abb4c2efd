"""How an answer is put together, on made-up evidence: no index is needed."""

import numpy as np
import pytest

from bot.answer import SourceRef
from bot.compose import MAX_SENTENCES, WORDS, compose, month_name
from bot.evidence import Evidence
from bot.passage import Chunk, FactRef, Span
from bot.retrieve import Found, Query

SOURCE = SourceRef(title="Page", publisher="Owner", url="https://owner.example", tier="primary")
QUERY = Query("q", (), {}, {})


def evidence(
    text: str, score: float, *, anchor: str = "a", number: int = 0, fact: FactRef | None = None, kind: str = "sentence"
) -> Evidence:
    fact = fact or FactRef("f", SOURCE, "2026-01")
    spans = tuple(Span(0, 0, "sentence", "", ()) for _ in range(number)) + (Span(0, len(text), kind, text, (fact.id,)),)
    chunk = Chunk(
        f"c-{anchor}",
        "guide",
        0,
        text,
        ("Title", "Heading"),
        anchor,
        None,
        SOURCE,
        "2026-01",
        False,
        "unknown",
        (),
        spans,
        (),
        {fact.id: fact},
    )
    return Evidence(chunk, number, score)


def different(item: Evidence) -> np.ndarray:
    rng = np.random.default_rng(abs(hash(item.key)) % 2**32)
    vector = rng.normal(size=384)
    return vector / np.linalg.norm(vector)


def said(items: list[Evidence], vector=different, **more) -> list[str]:
    return [d.text for d in compose(Found(QUERY, [], sorted(items, key=lambda e: -e.score)), vector, **more)]


def test_the_best_sentence_leads_and_its_section_follows_in_order():
    items = [evidence("The second says more on this.", 0.6, number=1), evidence("The first one answers it.", 0.9, number=0),
             evidence("A third thing is added here.", 0.5, number=2)]  # fmt: skip
    assert said(items) == ["The first one answers it.", "The second says more on this.", "A third thing is added here."]


def test_other_sections_only_speak_when_they_are_about_as_good():
    items = [
        evidence("This answers.", 0.9),
        evidence("Far from it, elsewhere.", 0.3, anchor="b"),
        evidence("Just as good a statement.", 0.85, anchor="c"),
    ]
    assert said(items) == ["This answers.", "Just as good a statement."]


def test_nothing_is_said_twice():
    items = [evidence("A J-1 lasts seven years in all.", 0.9), evidence("In all a J-1 lasts seven years.", 0.8, anchor="b")]
    assert len(said(items)) == 1


def test_what_was_said_in_an_earlier_part_is_not_said_again():
    first = evidence("A J-1 lasts seven years.", 0.9)
    items = [evidence("A J-1 lasts seven years.", 0.8, anchor="z"), evidence("Other words entirely follow.", 0.75, anchor="y")]
    assert said(items, taken=[first]) == ["Other words entirely follow."]


def test_nothing_is_left_when_all_was_said_before():
    first = evidence("A J-1 lasts seven years.", 0.9)
    assert said([evidence("A J-1 lasts seven years.", 0.8, anchor="z"), evidence("Far from it.", 0.1, anchor="y")], taken=[first]) == []


def test_it_stays_short():
    items = [evidence(f"Sentence {n} " + " ".join(f"word{n}x{i}" for i in range(30)) + ".", 0.9 - n / 100, number=n) for n in range(9)]
    texts = said(items)
    assert len(texts) <= MAX_SENTENCES and sum(len(t.split()) for t in texts) <= WORDS


def test_hedged_statements_and_advice_come_last():
    advice = FactRef("advice", SOURCE.model_copy(update={"tier": "advice"}))
    items = [evidence("The rule is this.", 0.9, number=0), evidence("Ask the office first of all.", 0.8, number=1, fact=advice),
             evidence("A blog says otherwise, which we could not confirm.", 0.8, number=2),
             evidence("The rule has one exception.", 0.6, number=3)]  # fmt: skip
    assert said(items) == [
        "The rule is this.",
        "The rule has one exception.",
        "A blog says otherwise, which we could not confirm.",
        "Ask the office first of all.",
    ]


def test_advice_does_not_lead_where_a_fact_is_about_as_good():
    advice = FactRef("advice", SOURCE.model_copy(update={"tier": "advice"}))
    assert (
        said([evidence("Ask the office.", 0.9, fact=advice), evidence("The office decides it.", 0.85, number=1)])[0]
        == "The office decides it."
    )


@pytest.mark.parametrize(
    ("text", "fact", "expected"),
    [
        ("The fee is 780 dollars.", FactRef("f", SOURCE, "2026-03", volatile=True), "The fee is 780 dollars (as of March 2026)."),
        ("The fee is 780 dollars.", FactRef("f", SOURCE, "2026-03"), "The fee is 780 dollars."),
        (
            "The fee is 780 dollars since March 2026.",
            FactRef("f", SOURCE, "2026-03", volatile=True),
            "The fee is 780 dollars since March 2026.",
        ),
        ("The fee is 780 dollars.", FactRef("f", SOURCE, "unknown", volatile=True), "The fee is 780 dollars."),
        ("The fee was set in 2019.", FactRef("f", SOURCE, "2026", volatile=True), "The fee was set in 2019 (as of 2026)."),
    ],
)
def test_what_changes_often_says_of_when_it_is(text, fact, expected):
    assert said([evidence(text, 0.9, fact=fact)]) == [expected]


def test_nothing_found_nothing_said():
    assert said([]) == []


@pytest.mark.parametrize(
    ("as_of", "name"), [("2026-03", "March 2026"), ("2026-03-14", "March 2026"), ("2026", "2026"), ("unknown", ""), ("2026-13", "2026")]
)
def test_months_in_words(as_of, name):
    assert month_name(as_of) == name
