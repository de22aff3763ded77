"""Charts as SVG, all in one style: values in, text out.

Owns the style and the few forms that reports need. A chart has no script, no link, no date and no random
id: the same values give the same bytes. Its ids carry the chart's name, so that many charts stand in one
page. Colours are those of Okabe and Ito (2008), which the colour-blind tell apart; lines
differ in marker and dash too. No pyplot, and so no state that outlives a call.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    NullLocator,
    PercentFormatter,
)

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1d2330")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":")
_WIDTH = 7.4
"""Inches; a page shows a chart at its own width all the same."""

_LEGEND = 90
"""Characters that stand side by side in a legend, its marks included."""

_STYLE: dict[Any, Any] = {  # matplotlib types the keys one by one
    "svg.fonttype": "none",  # text stays text: it can be searched, and the file is small
    "svg.hashsalt": "edge-inspect",
    "path.simplify_threshold": 0.5,  # points; a stair of thousands of steps is not drawn finer
    "text.parse_math": False,  # a class may be called "$x"
    "font.size": 10.0,
    "axes.edgecolor": "#5a6376",
    "axes.labelcolor": "#1d2330",
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": "#e3e6ec",
    "grid.linewidth": 0.8,
    "xtick.color": "#5a6376",
    "ytick.color": "#5a6376",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What an axis shows, and from where to where."""

    label: str
    limits: tuple[float, float] | None = None
    """None fits the values."""
    scale: str = "linear"
    """`linear`, `log` or `logit`."""
    ticks: Sequence[float] | None = None
    """Where to put numbers; None leaves it to the scale."""
    names: Sequence[str] | None = None
    """What to write at the ticks in place of their numbers."""
    percent: bool = False
    """Whether values are shares, to be written in per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One named line."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    band: tuple[Sequence[float], Sequence[float]] | None = None
    """Lower and upper end of the interval at each x."""
    steps: bool = False
    """Whether a value holds from the x before up to its own, as a stair."""
    marked: bool = True
    """Whether its points are; those of a stair are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its interval, as a point on a row of its own."""

    name: str
    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes of a chart."""

    drawn: Sequence[Line]
    y: Axis
    title: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Named heights, drawn dashed across."""


def lines(
    name: str, drawn: Sequence[Line], x: Axis, y: Axis, *, limits: Mapping[str, float] | None = None
) -> str:
    """Lines over one pair of axes, with bands where they have intervals, and named heights across."""
    return panels(name, [Panel(drawn=drawn, y=y, limits=limits or {})], x)


def panels(
    name: str,
    rows: Sequence[Panel],
    x: Axis,
    *,
    shaded: Mapping[str, tuple[float, float]] | None = None,
) -> str:
    """Panels below one another over the same x; `shaded` are named ranges of it, marked through all."""
    with mpl.rc_context(_STYLE):
        height = 3.6 if len(rows) == 1 else 0.8 + 2.4 * len(rows)
        apart = ConstrainedLayoutEngine(h_pad=0.08)
        figure = Figure(figsize=(_WIDTH, height), layout=apart)
        grid = figure.subplots(len(rows), sharex=True, squeeze=False)[:, 0]
        explained: list[str] = []
        for axes, panel in zip(grid, rows, strict=True):
            for words, (left, right) in (shaded or {}).items():
                axes.axvspan(left, right, color=COLOURS[4], alpha=0.25, linewidth=0.8, label=words)
            for position, line in enumerate(panel.drawn):
                _draw_line(axes, line, position)
            for words, at in panel.limits.items():
                dash = (0, (5, 3))
                axes.axhline(at, color=COLOURS[6], linestyle=dash, linewidth=1.2, label=words)
            last = panel is rows[-1]
            _lay(axes, x if last else replace(x, label=""), panel.y)
            names = axes.get_legend_handles_labels()[1]
            rows_above = _explain(axes) if names != explained else 0
            axes.set_title(panel.title, pad=7 + 17 * rows_above)
            explained = names
        return _svg(figure, name)


def estimates(
    name: str, rows: Sequence[Estimate], x: Axis, *, limits: Mapping[str, float] | None = None
) -> str:
    """Figures with their intervals below one another, the first one on top."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.9 + 0.3 * len(rows)), layout="constrained")
        axes = figure.subplots()
        heights = range(len(rows) - 1, -1, -1)
        for height, row in zip(heights, rows, strict=True):
            if row.interval is not None:
                axes.plot(row.interval, (height, height), color=COLOURS[0], linewidth=2.2)
            axes.plot([row.value], [height], "o", color=COLOURS[0], markersize=6.5)
        for words, at in (limits or {}).items():
            axes.axvline(at, color=COLOURS[1], linestyle=(0, (5, 3)), linewidth=1.3, label=words)
        _lay(axes, x, Axis(label="", limits=(-0.6, len(rows) - 0.4)))
        axes.set_yticks(list(heights), [row.name for row in rows])
        axes.tick_params(axis="y", length=0, colors="#1d2330")
        axes.grid(visible=False, axis="y")
        _explain(axes, least=1)
        return _svg(figure, name)


def bars(name: str, groups: Sequence[str], heights: Mapping[str, Sequence[float]], y: Axis) -> str:
    """Upright bars: for each group one of each series, side by side."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        width = 0.8 / len(heights)
        for position, (series, values) in enumerate(heights.items()):
            offset = (position - (len(heights) - 1) / 2) * width
            places = [group + offset for group in range(len(groups))]
            axes.bar(places, values, width * 0.92, color=COLOURS[position % 7], label=series)
        _lay(axes, Axis(label="", limits=(-0.6, len(groups) - 0.4)), y)
        axes.set_xticks(range(len(groups)), groups)
        axes.tick_params(axis="x", length=0, colors="#1d2330")
        axes.grid(visible=False, axis="x")
        _explain(axes)
        return _svg(figure, name)


def _draw_line(axes: Axes, line: Line, position: int) -> None:
    colour = COLOURS[position % len(COLOURS)]
    dash = _DASHES[position % len(_DASHES)]
    if line.steps:
        axes.step(line.x, line.y, dash, where="pre", color=colour, label=line.name)
    else:
        marker = _MARKERS[position % len(_MARKERS)] if line.marked else ""
        axes.plot(line.x, line.y, dash, marker=marker, color=colour, label=line.name)
    if line.band is not None:
        axes.fill_between(
            line.x,
            *line.band,
            step="pre" if line.steps else None,
            color=colour,
            alpha=0.15,
            linewidth=0,
        )


def _lay(axes: Axes, x: Axis, y: Axis) -> None:
    for axis, ruler, letter in ((x, axes.xaxis, "x"), (y, axes.yaxis, "y")):
        axes.set(**{f"{letter}label": axis.label, f"{letter}scale": axis.scale})
        if axis.limits is not None:
            axes.set(**{f"{letter}lim": axis.limits})
        if axis.percent:
            ruler.set_major_formatter(PercentFormatter(1.0))
        elif axis.scale != "linear":
            ruler.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.10g}"))
        if axis.ticks is not None:
            ruler.set_major_locator(FixedLocator(list(axis.ticks)))
            ruler.set_minor_locator(NullLocator())
        if axis.names is not None:
            ruler.set_major_formatter(FixedFormatter(list(axis.names)))


def _explain(axes: Axes, least: int = 2) -> int:
    """A legend above the axes, where it hides nothing; none for fewer than `least` names. Its rows."""
    names = axes.get_legend_handles_labels()[1]
    if len(names) < least:
        return 0
    columns = min(len(names), max(1, _LEGEND // (max(map(len, names)) + 6)))
    rows = math.ceil(len(names) / columns)
    # Beyond the layout: the title makes room above, and a long name must not narrow the axes.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns).set_in_layout(rows == 1)
    return rows


_PROLOGUE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_ID = re.compile(r'(\bid="|url\(#|href="#)')


def _svg(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element whose ids begin with the chart's name."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    element = _PROLOGUE.sub("", buffer.getvalue())
    return _ID.sub(rf"\g<1>{name}-", element)
