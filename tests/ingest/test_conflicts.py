"""The conflict finder on a copy of the real guides with contradictions planted in it (planted.yaml)."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.settings import ROOT
from bot.terms import Terms
from bot.verify import Polarity
from bot.words import word_lists
from ingest.conflicts import Clash, find_conflicts
from ingest.registry import Registry, read_registry
from ingest.statements import Statement, read_pages

PLANTED: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "planted.yaml").read_text(encoding="utf-8"))
GUIDE = "guides/planted/planted.md"


@pytest.fixture(scope="module")
def words() -> tuple[Terms, Polarity]:
    return word_lists(ROOT / "knowledge")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy") / "knowledge"
    shutil.copytree(ROOT / "knowledge", folder)
    sections = (
        f"## Planted {i} {{#p{i}}}\n\n{item['says']}[^{item.get('mark', 'planted-source')}]\n" for i, item in enumerate(PLANTED)
    )
    path = folder / GUIDE
    path.parent.mkdir()
    path.write_text("---\ntitle: Planted\n---\n\n" + "\n".join(sections), encoding="utf-8")
    with (folder / "sources.yaml").open("a", encoding="utf-8") as sources:
        sources.write("planted-source:\n  title: Planted\n  publisher: Nobody\n")
    return folder


@pytest.fixture(scope="module")
def clashes(copy: Path, words: tuple[Terms, Polarity]) -> list[Clash]:
    statements = [s for page in read_pages(copy, []) for s in page.statements]
    return find_conflicts(statements, *words, read_registry(copy))


@pytest.fixture(scope="module")
def missed(clashes: list[Clash]) -> list[dict[str, Any]]:
    """Planted sentences that were not set against a statement of the fact they contradict."""
    against: dict[str, set[str]] = defaultdict(set)
    for clash in clashes:
        for one, other in ((clash.first, clash.second), (clash.second, clash.first)):
            if one.file == GUIDE and other.file != GUIDE:
                against[one.anchor].update((*other.facts, "*"))
    return [item for i, item in enumerate(PLANTED) if not against[f"p{i}"] & set(item["against"])]


def test_most_planted_contradictions_are_found(missed: list[dict[str, Any]]) -> None:
    assert len(PLANTED) >= 30
    assert len(missed) <= 0.15 * len(PLANTED), [item["says"] for item in missed]


@pytest.mark.parametrize("kind", sorted({item["kind"] for item in PLANTED}))
def test_contradictions_of_each_kind_are_found(kind: str, missed: list[dict[str, Any]]) -> None:
    planted = [item for item in PLANTED if item["kind"] == kind]
    assert len([item for item in missed if item["kind"] == kind]) <= 0.34 * len(planted)


def test_few_pairs_of_the_guides_themselves_are_named(clashes: list[Clash]) -> None:
    own = [clash for clash in clashes if GUIDE not in (clash.first.file, clash.second.file)]
    assert len(own) <= 60


def statement(said: str, fact: str, file: str, title: str = "Guide") -> Statement:
    return Statement(file, 9, "sentence", said, (fact,), "a", (title, "Section"))


def between(one: str, two: str, words: tuple[Terms, Polarity], registry: Registry | None = None, fact: str = "b") -> list[str]:
    """Kinds of clash between two sentences of two guides about the same."""
    pair = [statement(one, "a", "one.md"), statement(two, fact, "two.md")]
    return [clash.kind for clash in find_conflicts(pair, *words, registry or Registry())]


def test_the_founding_guides_contradict_each_other_on_canadian_graduates(words: tuple[Terms, Polarity]) -> None:
    one = "Since summer 2025 graduates of Canadian medical schools are treated as non-US IMGs."
    two = "An IMG is a doctor who graduated from a medical school outside the US and Canada."
    assert between(one, two, words) == ["member"]
    assert between(two, one, words) == ["member"]


def test_a_known_conflict_is_not_named(words: tuple[Terms, Polarity]) -> None:
    one, two = "The example fee is 400 dollars a year.", "The example fee is 500 dollars a year."
    known = {"topic": "x", "statement": "?", "positions": [{"fact": "a", "says": "400"}, {"fact": "b", "says": "500"}]}
    assert between(one, two, words) == ["figure"]
    assert between(one, two, words, Registry.model_validate({"conflicts": {"cf": known}})) == []


def test_a_known_conflict_excuses_no_fact_told_in_two_ways(words: tuple[Terms, Polarity]) -> None:
    one, two = "The example fee is 400 dollars a year.", "The example fee is 500 dollars a year."
    known = {"topic": "x", "statement": "?", "positions": [{"fact": "a", "says": "400"}, {"fact": "b", "says": "500"}]}
    assert between(one, two, words, Registry.model_validate({"conflicts": {"cf": known}}), fact="a") == ["figure"]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Texas asks IMGs for two years of training.", "Ohio asks IMGs for three years of training."),
        ("The Step 1 fee is 700 dollars.", "The Step 3 fee is 955 dollars."),
        ("In the 2025 Match 58.0% of non-US IMGs matched.", "In the 2026 Match 56.4% of non-US IMGs matched."),
        ("In 2026 56.4% of non-US IMGs matched to a first-year post.", "In 2026 70.0% of US IMGs matched to a first-year post."),
        ("The mean Step 2 CK of matched non-US IMGs was 249.", "The median Step 2 CK of matched non-US IMGs was 251."),
        ("The median Step 2 CK of matched IMGs was 251.", "The median Step 2 CK of unmatched IMGs was 244."),
        ("The example fee is 400 dollars (as of May 2024).", "The example fee is 500 dollars (as of March 2026)."),
        ("The limit is four attempts per Step.", "Before July 2021 the limit was six attempts per Step."),
        ("The application fee is 400 dollars.", "The application fee is $400."),
        ("Training takes 36 months in the example state.", "Training takes three years in the example state."),
        ("A Statement of Need is required for the J-1.", "A Statement of Need is not required for the H-1B."),
    ],
)
def test_other_places_years_and_people_are_no_contradiction(one: str, two: str, words: tuple[Terms, Polarity]) -> None:
    assert between(one, two, words) == []
