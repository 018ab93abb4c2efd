"""Charts are pictures with words: readable by a screen reader, in light and dark, with nothing that runs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from lxml import etree

from bot import charts
from bot.settings import ROOT

NS = {"s": charts.SVG}
LABELS = ["Pediatrics", "Urology <b>", "Neurology"]
WORDS = {"title": "Rates & more", "description": "Of <all>"}
DRAWN = {
    "bars": lambda: charts.bars(list(zip(LABELS, [68.5, None, 41.9], strict=True)), **WORDS, unit="%"),
    "grouped_bars": lambda: charts.grouped_bars(LABELS, {"A": [0.5, None, 1], "B": [1, 2, 3]}, **WORDS),
    "dots": lambda: charts.dots(
        LABELS, {"A": [240, None, 250], "B": [230, 231, 244]}, **WORDS, span=(220, 260)
    ),
    "lines": lambda: charts.lines(LABELS, {"A": [1, None, 3], "B": [3, 2, 1]}, **WORDS),
    "tiles": lambda: charts.tiles(
        [charts.Tile("OH", "Ohio", 1, 0, "Yes"), charts.Tile("GU", "Guam", 0, 1, None)], {"Yes": "✓", "No": "–"},
        **WORDS,
    ),
}  # fmt: skip


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in etree.fromstring(svg).iterfind(".//s:text", NS)]


@pytest.mark.parametrize("kind", DRAWN)
def test_it_has_title_and_description_and_nothing_that_runs(kind: str) -> None:
    svg = DRAWN[kind]()
    root = etree.fromstring(svg)
    assert root.get("role") == "img"
    named = [root.find(f".//*[@id='{ident}']").text for ident in root.get("aria-labelledby").split()]
    assert named == ["Rates & more", "Of <all>"]
    assert not root.xpath("//s:script | //@style | //@*[starts-with(name(), 'on')] | //comment()", namespaces=NS)
    assert "prefers-color-scheme:dark" in svg and "url(" not in svg and "@import" not in svg
    width, height = charts.size(svg)
    assert width > 50 and height > 50
    assert svg == DRAWN[kind](), "the same numbers make the same file"


@pytest.mark.parametrize("kind", ["bars", "grouped_bars", "dots", "lines"])
def test_what_is_unknown_is_said(kind: str) -> None:
    said = [text for text in texts(DRAWN[kind]()) if text.startswith("Urology")]
    assert len(said) == 1 and re.search(r"unknown|: \?", said[0])


def test_values_are_drawn_to_scale() -> None:
    root = etree.fromstring(charts.bars([("A", 60), ("B", 15), ("C", 0)], title="t", description="d"))
    widths = [float(bar.get("width", 0)) for bar in root.iterfind(".//s:g[@class='bar']/s:rect", NS)]
    assert sorted(widths)[0] == 0 and max(widths) == pytest.approx(4 * sorted(widths)[1])
    assert {"60", "15"} <= set(texts(charts.bars([("A", 60), ("B", 15)], title="t", description="d")))


def test_tiles_differ_in_more_than_color() -> None:
    svg = DRAWN["tiles"]()
    assert "Ohio: Yes" in svg and "Guam: Unknown" in svg
    assert texts(svg)[:4] == ["OH", "✓", "GU", "?"]
    assert "Yes (1)" in texts(svg) and "Unknown (1)" in texts(svg) and "No (0)" not in texts(svg)


def test_the_drawing_library_is_not_loaded_before_a_chart_is_drawn() -> None:
    code = "import sys, bot.charts, web.app; sys.exit('pygal' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120).returncode == 0
