"""A comparison as people read it: tables of text, and the learning curves as a picture."""

from collections.abc import Iterable

from edge_runtime.pages import charts
from train.evidence.comparison import Comparison
from train.figures.resamples import DEFECT_RECALL, FALSE_POSITIVES, MACRO_F1, REACHABLE, Estimate
from train.figures.worth import Labels

_TABLED = (MACRO_F1, REACHABLE, DEFECT_RECALL, FALSE_POSITIVES)
_WIDTH = 27
"""Of a column, in characters."""


def report(made: Comparison) -> str:
    """All that a terminal shows: figures, paired differences, labels saved, and what to know of them."""
    lines = [_heading(made)]
    for name in _TABLED:
        if name in made.points[0].figures:
            lines += ["", *_table(made, name)]
    lines += ["", *_saved(made, MACRO_F1), *(f"note: {note}" for note in made.notes)]
    return "\n".join(line.rstrip() for line in lines)


def best_arm(made: Comparison, figure: str = MACRO_F1) -> str:
    """The arm whose curve lies highest, all shares counting alike."""
    totals: dict[str, float] = {}
    for point in made.points:
        totals[point.arm] = totals.get(point.arm, 0.0) + (point.figures[figure].value or 0.0)
    return max(totals, key=lambda arm: totals[arm])


def chart(made: Comparison) -> str:
    """Learning curves as SVG, with their intervals: macro F1, and defect recall where it is known."""
    panels = [
        charts.Panel(
            drawn=[_curve(made, arm, figure) for arm in _names(made)],
            y=charts.Axis(label=figure),
        )
        for figure in (MACRO_F1, DEFECT_RECALL)
        if figure in made.points[0].figures
    ]
    # Means over seeds and folds, which no one wants to read to the last digit.
    ticks = sorted({round(made.point(_names(made)[0], share).labels) for share in made.shares})
    words = f"labelled images (bands: {made.confidence:.0%} intervals over groups)"
    x = charts.Axis(label=words, scale="log", ticks=ticks)
    return charts.panels("learning-curves", panels, x)


def _curve(made: Comparison, arm: str, figure: str) -> charts.Line:
    points = [made.point(arm, share) for share in made.shares]
    drawn = [(point.labels, *ends) for point in points if (ends := _ends(point.figures[figure]))]
    labels, values, low, high = zip(*drawn, strict=True) if drawn else ((), (), (), ())
    return charts.Line(name=arm, x=labels, y=values, band=(low, high))


def seeds(made: Comparison) -> str:
    """What each figure is, in words: of one seed, or the mean of several."""
    count = len({trial.seed for trial in made.trials})
    return "one seed" if count == 1 else f"means of {count} seeds"


def _heading(made: Comparison) -> str:
    return (
        f"{seeds(made)}, with {made.confidence:.0%} intervals over {made.judged_groups} groups of "
        f"{sum(made.judged.values())} judged images; thresholds from other images, within "
        f"{made.max_false_positives:g} false positives"
    )


def _names(made: Comparison) -> list[str]:
    return [compared.arm.name for compared in made.arms]


def _ends(estimate: Estimate) -> tuple[float, float, float] | None:
    """The value and its interval, which is the value itself where there is none."""
    value = estimate.value
    if value is None:
        return None
    low = value if estimate.low is None else estimate.low
    high = value if estimate.high is None else estimate.high
    return value, low, high


def _table(made: Comparison, figure: str) -> Iterable[str]:
    """A row per share; below it what each later arm adds to the first."""
    first, *others = _names(made)
    yield f"{figure:<18} {'labels':>8}  " + "".join(
        f"{name:<{_WIDTH}}" for name in (first, *others)
    )
    paired = {(d.arm, d.share): d.figures[figure] for d in made.differences if d.rival == first}
    for share in made.shares:
        points = [made.point(name, share) for name in (first, *others)]
        cells = "".join(f"{point.figures[figure]!s:<{_WIDTH}}" for point in points)
        yield f"{share:<18.4g} {points[0].labels:>8,.0f}  {cells}"
        if others:
            cells = "".join(f"{signed(paired[name, share]):<{_WIDTH}}" for name in others)
            yield f"{f'  less {first}':<29}{'':<{_WIDTH}}{cells}"


def signed(estimate: Estimate, between: str = " .. ") -> str:
    """A difference with its interval; a dash where the images do not define it."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f}{between}{estimate.high:+.3f})"


def _saved(made: Comparison, figure: str) -> Iterable[str]:
    """What the best arm's labels are worth in labels of the others."""
    best = best_arm(made, figure)
    rivals = [name for name in _names(made) if name != best]
    if not rivals:
        return
    found = {(w.rival, w.share): w for w in made.worths if (w.arm, w.figure) == (best, figure)}
    most = {name: max(p.labels for p in made.points if p.arm == name) for name in rivals}
    yield f"labels that the others need for the {figure} of {best}"
    yield f"{best:<18} {'labels':>8}  " + "".join(f"{name:<{_WIDTH}}" for name in rivals)
    for share in made.shares:
        labels = made.point(best, share).labels
        cells = "".join(f"{needed(found[r, share].needed, most[r]):<{_WIDTH}}" for r in rivals)
        yield f"{share:<18.4g} {labels:>8,.0f}  {cells}"


def needed(found: Labels, most: float, between: str = " .. ") -> str:
    """How many labels a rival needs, with its interval; `most` is the most that it was taught with: of
    more, nothing is known."""
    value, low, high = (
        f">{most:,.0f}" if labels is None else f"{labels:,.0f}"
        for labels in (found.value, found.low, found.high)
    )
    return f"{'<=' if found.at_most else ''}{value} ({low}{between}{high})"


def needed_or_more(found: Labels, most: float, between: str = " .. ") -> str:
    """As `needed`, without an interval of which nothing is known."""
    return f">{most:,.0f}" if found.low is None else needed(found, most, between)
