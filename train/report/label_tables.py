"""Tables on how many labels it takes, from what `train compare` found."""

from edge_runtime.pages.page import count, number
from train.evidence.comparison import Comparison
from train.evidence.comparison_view import best_arm, needed_or_more, seeds, signed
from train.figures.resamples import MACRO_F1, Estimate
from train.report.table import Table


def budget(made: Comparison) -> Table:
    """Macro F1 of every start at every share of the labels."""
    arms = [compared.arm.name for compared in made.arms]
    rows = []
    for at in made.shares:
        points = [made.point(arm, at) for arm in arms]
        cells = [_cell(point.figures[MACRO_F1]) for point in points]
        rows.append((f"{100 * at:g}%", count(points[0].labels), *cells))
    return Table(
        heads=("share", "labels", *arms),
        rows=rows,
        caption=f"Macro F1, {seeds(made)}, with {made.confidence:.0%} intervals over "
        f"{made.judged_groups:,} groups of images that taught none of them. The luck of teaching is not "
        "in the intervals.",
    )


def starts(made: Comparison) -> Table:
    """What each start is."""
    return Table(
        heads=("start", "first weights"),
        rows=[(compared.arm.name, compared.initial_weights) for compared in made.arms],
        words=(1,),
    )


def differences(made: Comparison) -> Table | None:
    """By how much the best start is better, on the same images; None where it has no others."""
    best = best_arm(made)
    found: dict[tuple[str, float], Estimate] = {}
    for each in made.differences:
        if each.arm == best:
            found[each.rival, each.share] = each.figures[MACRO_F1]
        elif each.rival == best:
            found[each.arm, each.share] = _turned(each.figures[MACRO_F1])
    rivals = list(dict.fromkeys(rival for rival, _ in found))
    if not rivals:
        return None
    return Table(
        heads=("share", *(f"{best} less {rival}" for rival in rivals)),
        rows=[
            (f"{100 * at:g}%", *(signed(found[rival, at], " to ") for rival in rivals))
            for at in made.shares
        ],
        caption="Differences in macro F1 on the same images, which is sharper than two intervals side "
        "by side: one whose interval does not hold 0 is no luck of which images were judged.",
    )


def worths(made: Comparison) -> Table | None:
    """How many labels the others need to be as good as the best start; None where it has no others."""
    best = best_arm(made)
    found = {
        (each.rival, each.share): each
        for each in made.worths
        if (each.arm, each.figure) == (best, MACRO_F1)
    }
    rivals = list(dict.fromkeys(rival for rival, _ in found))
    if not rivals:
        return None
    most = {rival: max(p.labels for p in made.points if p.arm == rival) for rival in rivals}
    return Table(
        heads=(f"labels from {best}", *(f"as good from {rival}" for rival in rivals)),
        rows=[
            (
                count(made.point(best, at).labels),
                *(needed_or_more(found[rival, at].needed, most[rival], " to ") for rival in rivals),
            )
            for at in made.shares
        ],
        caption=f"How many labels the other starts need for the macro F1 that {best} has with fewer; "
        "intervals in brackets. “>” says that all the labels there are were too few.",
    )


def _turned(found: Estimate) -> Estimate:
    """The difference the other way round."""
    value, low, high = (None if x is None else -x for x in (found.value, found.high, found.low))
    return Estimate(value=value, low=low, high=high)


def _cell(found: Estimate) -> str:
    return f"{number(found.value)} ({number(found.low)} to {number(found.high)})"
