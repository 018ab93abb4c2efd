"""Two runs side by side."""

import pytest

from bot.compare import compare, table
from bot.errors import InputError


def run(measures, **why):
    return {
        "measures": measures,
        "rows": [{"id": i, "question": i, "why": w, "topic": "visas", "kind": "plain", "status": "answered"} for i, w in why.items()],
    }


def test_what_got_worse_is_told_from_what_got_better():
    found = compare(run({"mrr": 0.9}, a=[], b=["late"], c=["late"], gone=[]), run({"mrr": 0.8}, a=["late"], b=[], c=["wrong"], new=[]))
    assert [item["id"] for item in found["worse"]] == ["a"]
    assert [item["id"] for item in found["other"]] == ["c"]
    assert (found["better"], found["new"], found["gone"]) == (["b"], ["new"], ["gone"])


@pytest.mark.parametrize(
    ("name", "before", "after", "verdict"),
    [
        ("recall@5", 0.9, 0.95, "better"), ("recall@5", 0.95, 0.9, "worse"), ("wrong_refusals", 0.02, 0.03, "worse"),
        ("unsupported_figures", 2, 0, "better"), ("mrr", 0.9, 0.9, "same"), ("p95_ms", 20, 90, ""), ("citation_support", None, 1.0, ""),
    ],
)  # fmt: skip
def test_the_direction_of_a_measure(name, before, after, verdict):
    found = compare(run({name: before}), run({name: after}))
    assert found["measures"][0]["verdict"] == verdict
    assert name in table(found)


@pytest.mark.parametrize("before", [{}, {"rows": []}, {"measures": {}, "rows": [{"name": 1}]}, {"measures": {}, "rows": 3}])
def test_what_is_no_report_is_refused(before):
    with pytest.raises(InputError, match="no report"):
        compare(before, run({}))
