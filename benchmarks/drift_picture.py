"""The picture of `benchmarks.drift_demo`: what the line saw, what the station said, what was true.

Values in, a file out; every line, band and figure is the run's, and the events are named where they
begin. Colours are those of Okabe and Ito.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from benchmarks.drift_week import DAYS, Week
from edge_runtime.decoding import decode
from optimize.limits import MAX_FALSE_POSITIVES, MIN_RECALL

_OLD, _NEW, _INK, _SOFT, _PALE = "#d55e00", "#0072b2", "#1d2330", "#5a6376", "#eef1f5"
_LEVELS = {"ok": "#8ccfb4", "warning": "#f3c04b", "alarm": "#d9553f", "not_monitored": "#c9ced8"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edge-inspect",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.edgecolor": "#aab2c0",
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "text.color": _INK,
    "text.parse_math": False,
}
_AS_TAUGHT = "the model as it was taught"
_SHOWN = 6
"""Pictures of the line, evenly over the week."""


def draw(story: dict[str, Any], week: Week, target: Path) -> None:
    """Draw the story and write it, .svg or .png."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(12.4, 9.4), dpi=130)
        grid = figure.add_gridspec(
            5,
            1,
            height_ratios=(1.62, 1.15, 0.34, 1.6, 1.6),
            hspace=0.2,
            left=0.085,
            right=0.975,
            top=0.9,
            bottom=0.07,
        )
        axes = [figure.add_subplot(grid[row]) for row in range(5)]
        for each in axes[1:]:
            each.set_xlim(0, DAYS)
            each.set_xticks(range(int(DAYS) + 1))
            each.tick_params(length=0, labelbottom=each is axes[-1])
        _pictures(axes[0], week)
        _events(axes[1], story)
        _levels(axes[2], story)
        _found(axes[3], story)
        _called(axes[4], story)
        _moments(axes, story)
        parts = week.parts_per_day
        axes[-1].set_xlabel(
            f"days of the simulated line, {parts:,} parts a day; a point is "
            f"{story['scale']['window']} parts"
        )
        figure.text(0.085, 0.965, _title(story), fontsize=15, fontweight="bold", va="center")
        figure.text(0.085, 0.936, _subtitle(story), fontsize=10.5, color=_SOFT, va="center")
        target.parent.mkdir(parents=True, exist_ok=True)
        nothing = dict.fromkeys(("Date", "Creator")) if target.suffix == ".svg" else {}
        figure.savefig(target, metadata=nothing)


def _title(story: dict[str, Any]) -> str:
    periods = story["periods"]
    if not story["accepted"]:
        return (
            "Drift on the simulated line: asked for, and refused"
            if story["asked"]
            else "Drift on the simulated line: nobody was asked"
        )
    worst, after = (periods[name]["false_positives"] for name in ("before the refresh", "after it"))
    return (
        "The line drifts, the station asks, a refresh brings false positives from "
        f"{worst:.1%} to {after:.1%}"
    )


def _subtitle(story: dict[str, Any]) -> str:
    if not story["asked"]:
        return "no rule was met in this week"
    return (
        f"{story['labels']:,} labels; the candidate was accepted by bounds agreed beforehand"
        if story["accepted"]
        else f"{story['labels']:,} labels; not shown to be no worse by the bounds agreed beforehand"
    )


def _pictures(axes: Axes, week: Week) -> None:
    """The same two modules as they look through the week."""
    axes.set_axis_off()
    width = DAYS / _SHOWN
    for place in range(_SHOWN):
        day = (place + 0.5) * width
        module = week.index(0.5) // 4 * 4
        tiles = [_seen(week, module + crop, day) for crop in range(2)]
        axes.imshow(
            np.hstack(tiles),
            extent=(place * width + 0.02, (place + 1) * width - 0.02, 0, 1),
            aspect="auto",
            interpolation="lanczos",
        )
        axes.text(place * width + 0.03, 1.06, f"day {day:.1f}", fontsize=9, color=_SOFT)
    axes.set_xlim(0, DAYS)
    axes.set_ylim(0, 1.0)


def _seen(week: Week, index: int, day: float) -> np.ndarray:
    """A part as the line would show it on some day."""
    encoded = week.at_wear(index, day).encoded
    return decode(encoded)


def _events(axes: Axes, story: dict[str, Any]) -> None:
    """What happens to the line, one row each: a wedge for what wears, a bar for what comes and goes."""
    axes.set_ylim(-0.2, len(story["events"]) - 0.1)
    axes.invert_yaxis()
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    for row, event in enumerate(story["events"]):
        begins, ends = event["begins"], event["ends"]
        middle = row + 0.3
        if event["defects"]:
            xs, heights = [begins, ends], [0.3, 0.3]
        elif event["sudden"]:
            xs, heights = [begins, DAYS], [0.3, 0.3]
        else:
            xs, heights = [begins, ends, DAYS], [0.02, 0.3, 0.3]
        low = [middle - height for height in heights]
        high = [middle + height for height in heights]
        axes.fill_between(xs, low, high, color="#8b95a7", alpha=0.75, linewidth=0)
        axes.text(begins - 0.06, middle, event["name"], ha="right", va="center", fontsize=10)
    axes.set_ylabel("on the line", labelpad=26)


def _levels(axes: Axes, story: dict[str, Any]) -> None:
    """What the station said of drift, as a band."""
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    levels = story["levels"]
    for entry, following in zip(levels, [*levels[1:], {"day": DAYS}], strict=True):
        begins = 0.0 if entry is levels[0] else entry["day"]
        axes.axvspan(begins, following["day"], color=_LEVELS[entry["level"]], linewidth=0)
        if following["day"] - begins > 0.45:
            middle = (begins + following["day"]) / 2
            axes.text(middle, 0.48, entry["level"], ha="center", va="center", fontsize=9.5)
    axes.set_ylabel("drift", labelpad=26)


def _found(axes: Axes, story: dict[str, Any]) -> None:
    for course in _courses(story):
        for figure, marker, words in (
            ("defect_recall", "o", "defect recall"),
            ("macro_f1", "s", "macro F1"),
        ):
            _plot(axes, course, figure, marker, words if course.name == _AS_TAUGHT else None)
    axes.axhline(MIN_RECALL, color=_INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.text(0.03, MIN_RECALL - 0.01, f"asked: recall {MIN_RECALL:g}", fontsize=8.5, va="top")
    axes.set_ylabel("found, and named")
    axes.set_ylim(min(0.72, axes.get_ylim()[0]), 1.01)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="lower left", frameon=False, fontsize=9.5, ncols=2)


def _called(axes: Axes, story: dict[str, Any]) -> None:
    for course in _courses(story):
        _plot(axes, course, "false_positives", "o", course.name)
        days, values = _known(course.windows, "false_positives")
        if course.alpha == 1:
            axes.fill_between(days, 0, values, color=course.colour, alpha=0.10, linewidth=0)
    axes.axhline(MAX_FALSE_POSITIVES, color=_INK, linewidth=1.0, linestyle=(0, (4, 3)))
    words = f"asked: at most {MAX_FALSE_POSITIVES:.0%}"
    axes.text(0.03, MAX_FALSE_POSITIVES * 1.15, words, fontsize=8.5)
    axes.set_ylabel("false positives")
    axes.set_ylim(0, None)
    axes.yaxis.set_major_locator(MultipleLocator(0.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper left", frameon=False, fontsize=9.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """One model over some windows."""

    name: str
    colour: str
    alpha: float
    windows: list[dict[str, Any]]


def _courses(story: dict[str, Any]) -> list[_Course]:
    old, new = story["windows"]["old"], story["windows"]["new"]
    change = story.get("deployed_day", DAYS)
    ran = [each for each in old if each["to_day"] <= change]
    courses = [_Course(name=_AS_TAUGHT, colour=_OLD, alpha=1.0, windows=ran)]
    if new:
        stayed = [ran[-1], *(each for each in old if each["to_day"] > change)]
        name = "the same, had it stayed"
        courses += [
            _Course(name=name, colour=_OLD, alpha=0.4, windows=stayed),
            _Course(name="after the refresh", colour=_NEW, alpha=1.0, windows=new),
        ]
    return courses


def _plot(axes: Axes, course: _Course, figure: str, marker: str, words: str | None) -> None:
    days, values = _known(course.windows, figure)
    axes.plot(
        days,
        values,
        "--" if figure == "macro_f1" else "-",
        color=course.colour,
        alpha=course.alpha,
        linewidth=1.8,
        marker=marker,
        markersize=3.6,
        label=words,
    )
    axes.grid(axis="y", color=_PALE)
    axes.set_axisbelow(True)


def _known(windows: list[dict[str, Any]], figure: str) -> tuple[list[float], list[float]]:
    known = [each for each in windows if each[figure] is not None]
    return [(w["from_day"] + w["to_day"]) / 2 for w in known], [w[figure] for w in known]


def _moments(axes: list[Axes], story: dict[str, Any]) -> None:
    """What people and the station did, through all panels."""
    moments = []
    if story["asked"]:
        moments += [(story["asked_day"], "asks"), (story["labelled_until_day"], "labelled")]
    if story["accepted"]:
        moments.append((story["deployed_day"], "new bundle"))
    for each in axes[1:]:
        for day, _ in moments:
            each.axvline(day, color=_INK, linewidth=0.9, alpha=0.8)
        if story["asked"]:
            each.axvspan(
                story["asked_day"],
                story["labelled_until_day"],
                color="#cfe3f1",
                alpha=0.45,
                zorder=0,
                linewidth=0,
            )
    for day, words in moments:
        axes[1].text(day + 0.03, -0.05, words, fontsize=9, ha="left", va="top", fontweight="bold")
