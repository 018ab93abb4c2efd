"""Charts: plain numbers -> an SVG that reads in light and dark, with title and description, without scripts.

pygal draws; it is imported at the first chart (0.1 s, 8 MB) and never while a server starts. What comes out is one file with its styles
inside: serve it as an image of its own. None is unknown, and is said so, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

SVG = "http://www.w3.org/2000/svg"
COLORS = 5
"""Series or groups that a chart can tell apart."""
WIDTH = 580
TILE = 46
LINES_HEIGHT = 380

Series = Mapping[str, Sequence[float | None]]

_LIGHT = {
    "ink": "#1c2530", "soft": "#55606d", "line": "#ddd9d0", "t": "#ffffff", "none": "#e6e3dc",
    "c0": "#0b6e6e", "c1": "#c2571a", "c2": "#5457b8", "c3": "#7a5f10", "c4": "#667080",
}  # fmt: skip
_DARK = {
    "ink": "#e8e6e0", "soft": "#a3adb8", "line": "#36414b", "t": "#11181d", "none": "#2a333b",
    "c0": "#6fc9c3", "c1": "#f0a068", "c2": "#aeb1f4", "c3": "#dcc06a", "c4": "#98a3ae",
}  # fmt: skip
_RULES = (
    'text{font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;font-size:13px;'
    "fill:var(--ink);stroke:none}"
    ".background{fill:none}.graph{fill:none}"
    ".axis path{fill:none;stroke:var(--line);stroke-width:1}.axis text{fill:var(--soft)}.axis.x text{text-anchor:middle}"
    ".axis.y text{text-anchor:end}.horizontal .axis.y text,.dots .axis.y text{fill:var(--ink)}.horizontal .axis.y path{stroke:none}"
    ".text-overlay text{fill:var(--ink);font-weight:600;text-anchor:start;transform:translate(6px,0)}"
    ".line .text-overlay text{display:none}.legends text{font-size:14px}"
    ".line path.line{fill:none;stroke-width:2.5}.line .axis.x path{stroke:none}"
    ".dots .color-1 .dot{fill:none;stroke:var(--c1);stroke-width:3}"
    ".tile .sign,.key .sign{font-size:11px;font-weight:650;text-anchor:middle}.tile text{text-anchor:middle;font-size:14px;font-weight:650}"
)


def _styles(extra: str = "") -> str:
    def variables(colors: Mapping[str, str]) -> str:
        return ":root{" + ";".join(f"--{name}:{value}" for name, value in colors.items()) + "}"

    colored = "".join(f".color-{i}{{fill:var(--c{i});stroke:none}}.line .color-{i} .line{{stroke:var(--c{i})}}" for i in range(COLORS))
    return f"{variables(_LIGHT)}@media (prefers-color-scheme:dark){{{variables(_DARK)}}}{_RULES}{colored}{extra}"


# Numbers ------------------------------------------------------------------------------------------------------------------


def bars(rows: Sequence[tuple[str, float | None]], *, title: str, description: str, unit: str = "", most: float | None = None) -> str:
    """A horizontal bar for each row, in the order given, with its value. `most` is where the axis ends."""
    return _horizontal([label for label, _ in rows], {title: [value for _, value in rows]}, title, description, unit, most)


def grouped_bars(labels: Sequence[str], series: Series, *, title: str, description: str, unit: str = "", most: float | None = None) -> str:
    """For each label a horizontal bar of each series, with a legend."""
    return _horizontal(labels, series, title, description, unit, most)


def _horizontal(labels: Sequence[str], series: Series, title: str, description: str, unit: str, most: float | None) -> str:
    import pygal

    highest = max((value for values in series.values() for value in values if value is not None), default=1.0)
    chart = pygal.HorizontalBar(
        **_options(bars_height(len(labels), len(series)), unit, legend=len(series) > 1),
        range=(0, most or highest * 1.08), print_values=True, print_values_position="top", spacing=6,
    )  # fmt: skip
    # pygal counts from the bottom.
    chart.x_labels = _labels(labels, series)[::-1]
    for name, values in series.items():
        chart.add(name, list(values)[::-1])
    return _written(chart.render_tree(), "horizontal", title, description)


def dots(labels: Sequence[str], series: Series, *, title: str, description: str, unit: str = "", span: tuple[float, float]) -> str:
    """For each label a row with a dot of each series: to compare values far from 0, where bars would have to be cut. `span`: the axis."""
    import pygal

    chart = pygal.XY(
        **_options(80 + 26 * len(labels), unit, legend=True), stroke=False, dots_size=6, xrange=span, range=(0.5, len(labels) + 0.5),
        show_x_guides=True, show_y_guides=True,
    )  # fmt: skip
    rows = {label: len(labels) - i for i, label in enumerate(labels)}
    chart.y_labels = [{"label": said, "value": rows[label]} for label, said in zip(labels, _labels(labels, series), strict=True)]
    for name, values in series.items():
        chart.add(name, [(value, rows[label]) for label, value in zip(labels, values, strict=True) if value is not None])
    return _written(chart.render_tree(), "dots", title, description)


def lines(labels: Sequence[str], series: Series, *, title: str, description: str, unit: str = "", most: float | None = None) -> str:
    """A line for each series over the labels; an unknown value is a gap. The axis begins at 0."""
    import pygal

    highest = max((value for values in series.values() for value in values if value is not None), default=1.0)
    chart = pygal.Line(
        **_options(LINES_HEIGHT, unit, legend=True), range=(0, most or highest * 1.08), allow_interruptions=True, dots_size=4,
        show_y_guides=True,
    )  # fmt: skip
    chart.x_labels = _labels(labels, series)
    for name, values in series.items():
        chart.add(name, list(values))
    return _written(chart.render_tree(), "line", title, description)


def bars_height(rows: int, series: int = 1) -> int:
    """How high a chart of horizontal bars is."""
    return 60 + rows * (8 + 20 * series) + 30 * (series > 1)


def _labels(labels: Sequence[str], series: Series) -> list[str]:
    """The labels, with what is unknown said behind them."""
    result = []
    for i, label in enumerate(labels):
        unknown = [name for name, values in series.items() if values[i] is None]
        said = "unknown" if len(unknown) == len(series) else ", ".join(f"{name.lower()}: ?" for name in unknown)
        result.append(f"{label} ({said})" if unknown else label)
    return result


def _options(height: int, unit: str, *, legend: bool) -> dict[str, Any]:
    from pygal.style import Style

    return {
        "js": (), "no_prefix": True, "width": WIDTH, "height": height, "margin": 6, "margin_right": 48, "show_legend": legend,
        "legend_at_bottom": True, "truncate_label": -1, "truncate_legend": -1, "formatter": lambda value: _said(value, unit),
        "x_value_formatter": lambda value: _said(value, unit),
        "style": Style(label_font_size=13, major_label_font_size=13, legend_font_size=14),
    }  # fmt: skip


def _said(value: object, unit: str) -> str:
    """pygal hands a pair to this for a dot, which needs no words."""
    return f"{round(value, 1):g}{unit}" if isinstance(value, int | float) else ""


# Places -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    """A square of a tile map. `group` is one of those of the map; None: unknown."""

    code: str
    name: str
    column: int
    row: int
    group: str | None


def tiles(
    places: Sequence[Tile], groups: Mapping[str, str], *, title: str, description: str, unknown: tuple[str, str] = ("Unknown", "?")
) -> str:
    """A map of equal squares. `groups`: each name with the sign that stands for it beside the color, since not everybody sees colors."""
    columns = 1 + max(place.column for place in places)
    rows = 1 + max(place.row for place in places)
    names = list(groups)
    root = _node(None, "svg", viewBox=f"0 0 {columns * TILE + 8} {rows * TILE + 20 + 26 * (len(names) + 1)}")
    for place in places:
        name, sign = (place.group, groups[place.group]) if place.group is not None else unknown
        tile = _node(root, "g", **{"class": f"tile g{names.index(name)}" if place.group is not None else "tile"})
        _node(tile, "title", f"{place.name}: {name}")
        x, y = 4 + place.column * TILE, 4 + place.row * TILE
        _node(tile, "rect", x=x, y=y, width=TILE - 4, height=TILE - 4, rx=7)
        _node(tile, "text", place.code, x=x + TILE / 2 - 2, y=y + TILE / 2 - 2)
        _node(tile, "text", sign, x=x + TILE / 2 - 2, y=y + TILE / 2 + 13, **{"class": "sign"})
    for i, (name, sign) in enumerate([*groups.items(), unknown]):
        count = sum(place.group == (name if i < len(names) else None) for place in places)
        if not count:
            continue
        y = rows * TILE + 18 + 26 * i
        key = _node(root, "g", **{"class": f"key tile g{i}" if i < len(names) else "key tile"})
        _node(key, "rect", x=4, y=y, width=40, height=18, rx=4)
        _node(key, "text", sign, x=24, y=y + 13, **{"class": "sign"})
        _node(key, "text", f"{name} ({count})", x=54, y=y + 14, **{"class": "said"})
    return _written(root, "tiles", title, description, ".tile rect{fill:var(--none)}" + _group_colors())


def _group_colors() -> str:
    return "".join(f".tile.g{i} rect{{fill:var(--c{i})}}.tile.g{i} text{{fill:var(--t)}}" for i in range(COLORS)) + (
        ".key.tile text.said{text-anchor:start;font-weight:400;fill:var(--ink)}"
    )


def _node(parent: Any, name: str, text: str | None = None, **attributes: object) -> Any:
    """A new element of the drawing, below `parent` where there is one."""
    made = etree.Element(f"{{{SVG}}}{name}", {key: str(value) for key, value in attributes.items()})
    made.text = text
    if parent is not None:
        parent.append(made)
    return made


def size(svg: str) -> tuple[int, int]:
    """Width and height of a chart in pixels, when it is shown as large as it was drawn."""
    _, _, width, height = svg.partition('viewBox="')[2].partition('"')[0].split()
    return round(float(width)), round(float(height))


# What every chart has ----------------------------------------------------------------------------------------------------


def _written(root: Any, kind: str, title: str, description: str, extra: str = "") -> str:
    """The drawing with our styles in the place of pygal's, its scripts, tool tips and comments off, title and description in front."""
    for node in list(root.iter()):
        name = node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
        stray = not name or name in {"script", "defs", "desc"} or (name == "title" and node.getparent().get("class") == "guides")
        if stray or "tooltip-overlay" in node.get("class", ""):
            node.getparent().remove(node)
        elif name != "svg":
            node.attrib.pop("style", None)
            if node.get("id", "").startswith("activate-"):
                del node.attrib["id"]
    drawn = etree.Element(f"{{{SVG}}}svg", {"class": kind, "role": "img", "aria-labelledby": "title description"}, nsmap={None: SVG})
    box = root.get("viewBox")
    drawn.set("viewBox", box)
    drawn.set("width", box.split()[2])
    drawn.set("height", box.split()[3])
    for name, text in (("title", title), ("desc", description)):
        etree.SubElement(drawn, f"{{{SVG}}}{name}", {"id": "title" if name == "title" else "description"}).text = text
    etree.SubElement(drawn, f"{{{SVG}}}style").text = _styles(extra)
    drawn.extend(list(root))
    return str(etree.tostring(drawn, encoding="unicode"))
