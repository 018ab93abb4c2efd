"""bench.json -> a small bar chart. Needs matplotlib, so it runs in the environment of the stock recipe: chart.py IN.json OUT.svg"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.family": "sans-serif"}


def draw(report: Path, picture: Path) -> None:
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullLocator

    rows = [row for row in json.loads(report.read_text())["rows"] if row.get("chart") and row["ratio"]][::-1]
    figure, axes = plt.subplots(figsize=(7, 0.42 * len(rows) + 1.1))
    ratios = [row["ratio"] for row in rows]
    colours = ["#1f6f78" if ratio >= 1 else "#b4552d" for ratio in ratios]
    axes.barh(range(len(rows)), [ratio - 1 for ratio in ratios], left=1, height=0.6, color=colours)
    for i, row in enumerate(rows):
        text = f"{row['ratio']:.1f}×  ({row['ours']:g} against {row['stock']:g} {row['unit']}".rstrip() + ")"
        place = (max(row["ratio"], 1), i)
        axes.annotate(text, place, (6, 0), textcoords="offset points", va="center", fontsize=8.5, color="#333333")
    axes.set_xscale("log")
    axes.set_xlim(min([*ratios, 1]) * 0.9, max(ratios) * 6)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks([])
    axes.axvline(1, color="#888888", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=9)
    axes.tick_params(length=0)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title("Times better than the stock recipe", loc="left", fontsize=10)
    figure.savefig(picture, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
