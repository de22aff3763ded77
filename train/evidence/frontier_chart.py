"""A frontier as a picture: what is found and what it costs, over one axis of thresholds."""

from collections.abc import Mapping

from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.pages import charts
from edge_runtime.pages.charts import Axis, Line, Panel
from optimize.bounds import Real, Trials
from train.decision.decide import Requirement
from train.decision.frontier import Frontier

_ENDS = 1e-4
"""Scores crowd near 0 and 1: the axis is their logit, cut off here and at 1 - this."""
_TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def frontier_chart(
    frontier: Frontier, requirement: Requirement | None, thresholds: Thresholds | None
) -> str:
    """SVG: what is found above, false positives below, each with its bound and limit where they were
    asked for. The chosen thresholds are marked, and what lies between them."""
    asked = requirement or Requirement()
    bounded = requirement is not None
    sure = f"bound, {asked.confidence:.0%} sure"
    none = "" if thresholds else ": no thresholds keep the bounds"
    least, most = (
        (
            f", at least {asked.min_recall:.1%} asked",
            f", at most {asked.max_false_positives:.1%} asked",
        )
        if bounded
        else ("", "")
    )
    panels = [
        Panel(
            title=f"Defective parts flagged{least} ({_counted(frontier.defective)}){none}",
            drawn=_drawn(
                frontier.thresholds,
                frontier.defective.share(frontier.found),
                {sure: frontier.recall_bound} if bounded else {},
            ),
            # The limit stands at a third of the panel's height, so that both sides of it can be read.
            y=Axis(
                label="share of defective parts",
                limits=(max(0.0, 1 - 3 * (1 - asked.min_recall)), 1.0),
                percent=True,
            ),
            limits={"asked for": asked.min_recall} if bounded else {},
        ),
        Panel(
            title=f"Good parts flagged{most} ({_counted(frontier.good)})",
            drawn=_drawn(
                frontier.thresholds,
                frontier.good.share(frontier.false_positives),
                {sure: frontier.false_positive_bound} if bounded else {},
            ),
            y=Axis(
                label="share of good parts",
                limits=(0.0, min(1.0, max(3 * asked.max_false_positives, 0.01))),
                percent=True,
            ),
            limits={"asked for": asked.max_false_positives} if bounded else {},
        ),
    ]
    x = Axis(
        label="threshold on the defect score",
        limits=(_ENDS, 1 - _ENDS),
        scale="logit",
        ticks=_TICKS,
    )
    return charts.panels("frontier", panels, x, shaded=_shaded(thresholds))


def _drawn(thresholds: Real, seen: Real, bounds: Mapping[str, Real]) -> list[Line]:
    x = thresholds.clip(_ENDS / 2, 1 - _ENDS / 2).tolist()
    return [
        Line(name=name, x=x, y=shares.tolist(), steps=True)
        for name, shares in {"on these images": seen, **bounds}.items()
    ]


def _shaded(thresholds: Thresholds | None) -> dict[str, tuple[float, float]]:
    if thresholds is None:
        return {}
    low, high = thresholds.review_from, thresholds.defect_from
    if low == high:
        return {f"defect from {high:.4f}": (low, high)}
    return {f"review from {low:.4f}, defect from {high:.4f}": (low, high)}


def _counted(trials: Trials) -> str:
    return f"{trials.images} images of {trials.groups} groups"
