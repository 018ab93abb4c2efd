"""What the benchmark counts, counted by hand. (The benchmark itself is `make bench`.)"""

from __future__ import annotations

import pytest

from bot.golden import read_golden
from bot.settings import ROOT
from tests.bench.bench import Row, Side, _hit, measure_quality, quantile, texts_and_ranges


@pytest.fixture(scope="module")
def guides() -> tuple:
    return texts_and_ranges(ROOT / "knowledge")


def test_each_section_is_where_its_range_says(guides: tuple) -> None:
    texts, ranges = guides
    for guide, sections in ranges.items():
        pieces = [texts[guide][start:stop] for start, stop in sections.values()]
        assert "".join(pieces) == texts[guide]
        assert all(piece.startswith("#") for piece in pieces)
        assert "[^" not in texts[guide]


def test_what_the_golden_questions_expect_is_there(guides: tuple) -> None:
    _, ranges = guides
    places = {place for question in read_golden(ROOT / "tests" / "golden") for place in question.places}
    assert not [place for place in places if place.partition("#")[2] not in ranges.get(place.partition("#")[0], {})]


@pytest.mark.parametrize(
    "item, hit",
    [
        (["visas/h1b", "step-3"], True),
        (["visas/h1b", "cost"], False),
        (["visas/j1", "step-3"], False),
        (["visas/h1b", 0, 101], True),
        (["visas/h1b", 0, 100], False),
        (["visas/h1b", 199, 900], True),
        (["visas/h1b", 200, 900], False),
        (["visas/j1", 0, 900], False),
    ],
)
def test_a_hit_names_the_section_or_overlaps_it(item: list, hit: bool) -> None:
    assert _hit(item, "visas/h1b#step-3", {"visas/h1b": {"step-3": (100, 200)}, "visas/j1": {}}) is hit


def test_quality_counts_each_part_and_the_first_place_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = {q.id: q for q in read_golden(ROOT / "tests" / "golden")}
    plain = next(q for q in questions.values() if q.kind == "plain")
    multi = next(q for q in questions.values() if len(q.parts) == 2 and not set(q.parts[0]) & set(q.parts[1]))
    declined = next(q for q in questions.values() if not q.answerable)

    def found(self: Side, **message: object) -> list:
        assert [k for _, k in message["questions"]] == [5, 10]  # type: ignore[attr-defined]
        right = plain.expect[0].split("#")
        return [[["no", "where"], right], [multi.parts[0][0].split("#")]] if self.name == "ours" else [[], []]

    monkeypatch.setattr(Side, "ask", found)
    sides = [Side(name, [], ROOT) for name in ("stock", "ours")]
    result = measure_quality(sides[0], sides[1], [plain, declined, multi], {})
    assert (result["ours"]["asked"], result["ours"]["missed"]) == (3, 1)
    assert result["ours"]["recall"] == pytest.approx(2 / 3)
    assert result["ours"]["mrr"] == pytest.approx((1 / 2 + 1 / 1 + 0) / 3)
    assert result["stock"] == {"asked": 3, "missed": 3, "recall": 0, "mrr": 0}


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile([7.0], 0.95), quantile([1.0, 2.0, 3.0], 0.5)) == (50, 95, 7, 2)


def test_goals_are_about_the_ratio_or_about_ours() -> None:
    assert Row("a", "ms", 10, 4, 2.5, 2).reached
    assert not Row("a", "ms", 10, 6, 1.67, 2).reached
    assert Row("a", "ms", None, 90, None, 100, of_ours=True).reached
    assert not Row("a", "ms", None, 110, None, 100, of_ours=True).reached
    assert Row("a", "", 8, 0, None, 2).reached
    assert not Row("a", "", 0, 0, None, 2).reached
    assert Row("a", "ms", 1, 1, 1.0).reached is None
