"""A frontier shown to people: as a table, and as a picture of two panels over one axis of thresholds.

Owns the form only. The picture is SVG without scripts, fonts or links, so that it opens anywhere.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

import numpy as np

from edge_runtime.contracts.manifest import Thresholds
from train.decision.decide import Requirement
from train.decision.frontier import Frontier, sample
from train.figures.bounds import Real

_ROWS = 12
_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP, _BOTTOM = 760, 210, 70, 20, 46, 34, 46
_ENDS = 1e-4
"""Scores crowd near 0 and 1; the axis is their logit, cut off here and at 1 - this."""
_TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def table(frontier: Frontier, requirement: Requirement, keep: Sequence[int] = ()) -> str:
    """Rows along the frontier, those of `keep` among them and marked."""
    defective, good = frontier.defective, frontier.good
    heads = ("threshold", "recall", "at least ", "false pos.", "at most ", "macro F1")
    lines = ["  ".join(f"{head:>10}" for head in heads)]
    for at in sample(frontier, _ROWS, keep):
        recall, false_positives = frontier.recall_bound[at], frontier.false_positive_bound[at]
        cells = (
            f"{frontier.thresholds[at]:.4f}",
            f"{float(defective.share(frontier.found[at])):.4f}",
            f"{recall:.4f}{_mark(recall >= requirement.min_recall)}",
            f"{float(good.share(frontier.false_positives[at])):.4f}",
            f"{false_positives:.4f}{_mark(false_positives <= requirement.max_false_positives)}",
            f"{frontier.macro_f1[at]:.4f}",
        )
        lines.append("  ".join(f"{cell:>10}" for cell in cells) + " <" * (at in keep))
    return "\n".join(lines)


def draw(frontier: Frontier, requirement: Requirement, thresholds: Thresholds | None) -> str:
    """The picture as SVG: what is found above, false positives below, each with its bound and limit."""
    recall = frontier.defective.share(frontier.found)
    false_positives = frontier.good.share(frontier.false_positives)
    # The limit stands at a third of the lower panel's height, so that both sides of it can be read.
    highest = min(1.0, max(3 * requirement.max_false_positives, 0.01))
    lowest = max(0.0, 1 - 3 * (1 - requirement.min_recall))
    height = _TOP + 2 * _PANEL + _GAP + _BOTTOM
    sure = f"{requirement.confidence:.0%}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        '  font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        _text(_LEFT, 18, f"Validation: {_counted(frontier)}", weight="bold"),
        _text(_LEFT, 34, _chosen(thresholds)),
        *_band(thresholds),
        *_panel(
            _TOP,
            (lowest, 1.0),
            frontier.thresholds,
            recall,
            frontier.recall_bound,
            requirement.min_recall,
            f"Defects flagged (thin: at least, {sure})",
            "#1b6ca8",
        ),
        *_panel(
            _TOP + _PANEL + _GAP,
            (0.0, highest),
            frontier.thresholds,
            false_positives,
            frontier.false_positive_bound,
            requirement.max_false_positives,
            f"Good parts flagged (thin: at most, {sure})",
            "#b3471d",
        ),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, height - 8, "threshold on the defect score", "middle"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(
    top: float,
    ends: tuple[float, float],
    thresholds: Real,
    shares: Real,
    bounds: Real,
    limit: float,
    title: str,
    colour: str,
) -> Iterable[str]:
    low, high = ends

    def y(share: float) -> float:
        return top + _PANEL * (1 - (min(max(share, low), high) - low) / (high - low))

    right = _WIDTH - _RIGHT
    for share in np.linspace(low, high, 4).tolist():
        yield _line(_LEFT, y(share), right, y(share), "#ddd")
        yield _text(_LEFT - 6, y(share) + 4, f"{share:.1%}", "end")
    for tick in _TICKS:
        yield _line(_x(tick), top, _x(tick), top + _PANEL, "#eee")
        yield _text(_x(tick), top + _PANEL + 15, f"{tick:g}", "middle")
    for values, width in ((shares, 2.2), (bounds, 1.0)):
        yield _steps(thresholds, values, y, colour, width)
    yield _line(_LEFT, y(limit), right, y(limit), "#444", dash="5 4")
    yield _text(right - 4, y(limit) - 5, f"limit {limit:g}", "end")
    yield _text(_LEFT + 6, top + _PANEL - 8, title, weight="bold", colour=colour)


def _steps(
    thresholds: Real, values: Real, y: Callable[[float], float], colour: str, width: float
) -> str:
    """A stair: each value holds from the threshold before it up to its own, to within a pixel."""
    points: list[str] = []
    last = (math.nan, math.nan)
    before = _x(0.0)
    for threshold, value in zip(thresholds.tolist(), values.tolist(), strict=True):
        height, here = y(value), _x(threshold)
        if abs(height - last[1]) < 0.2 and abs(here - last[0]) < 0.5:
            continue
        points += [f"{before:.1f},{height:.1f}", f"{here:.1f},{height:.1f}"]
        last, before = (here, height), here
    path = " ".join(points)
    return f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{path}"/>'


def _band(thresholds: Thresholds | None) -> Iterable[str]:
    """The chosen thresholds through both panels, with what lies between them shaded."""
    if thresholds is None:
        return
    left, right = _x(thresholds.review_from), _x(thresholds.defect_from)
    height = 2 * _PANEL + _GAP
    yield (
        f'<rect x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{height}" '
        'fill="#f4d35e" fill-opacity="0.45"/>'
    )
    for at in (left, right):
        yield _line(at, _TOP, at, _TOP + height, "#2a2a2a")


def _x(score: float) -> float:
    def logit(value: float) -> float:
        value = min(max(value, _ENDS), 1 - _ENDS)
        return math.log(value / (1 - value))

    share = (logit(score) - logit(0)) / (logit(1) - logit(0))
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _counted(frontier: Frontier) -> str:
    defective, good = frontier.defective, frontier.good
    return (
        f"{defective.images} defective images of {defective.groups} groups, "
        f"{good.images} good ones of {good.groups}"
    )


def _chosen(thresholds: Thresholds | None) -> str:
    if thresholds is None:
        return "No thresholds keep the bounds."
    if thresholds.review_from == thresholds.defect_from:
        return f"Chosen: defect from {thresholds.defect_from:.4f}, no band for review."
    return (
        f"Chosen: review from {thresholds.review_from:.4f}, defect from "
        f"{thresholds.defect_from:.4f} (shaded: review)."
    )


def _mark(holds: object) -> str:
    return "*" if holds else " "


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'
    )


def _text(
    x: float, y: float, words: str, anchor: str = "start", weight: str = "", colour: str = "#222"
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{bold}>'
        f"{escape(words)}</text>"
    )
