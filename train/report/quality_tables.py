"""Tables on how good the network is: the criteria, its classes, its slices, and what errors cost."""

from edge_runtime.pages.page import count, number, share, span
from train.evidence.criteria import Finding
from train.evidence.evaluation import Evaluation
from train.evidence.slices import BLURRED
from train.report.contents import Report
from train.report.table import Table, ends, value, with_ends, written


def headline(report: Report) -> list[tuple[str, str, str]]:
    """What one asks for first: in words, the figure, and how certain it is."""
    interval = f"{report.shown.confidence:.0%} interval"
    return [
        (words, value(figure), f"{interval} {ends(figure)}" if figure.interval else "")
        for words, figure in report.headline
    ]


def verdict(made: Evaluation) -> str:
    """Whether what was asked for is met, in one or two sentences."""
    unknown = [finding.figure for finding in made.criteria if finding.value is None]
    missed = [
        finding.figure
        for finding in made.criteria
        if finding.value is not None and not finding.met_by_value
    ]
    unsure = [
        finding.figure
        for finding in made.criteria
        if finding.met_by_value and not finding.met_by_bound
    ]
    if not missed and not unsure and not unknown:
        return "Everything that was asked for is met, with confidence."
    said = [f"NOT met: {', '.join(missed)}."] if missed else []
    if unsure:
        said.append(f"Met by these images, but too few of them to be sure: {', '.join(unsure)}.")
    if unknown:
        said.append(f"These images do not tell: {', '.join(unknown)}.")
    return " ".join(said)


def criteria(made: Evaluation) -> Table:
    """What was asked for, and whether the figures show it."""
    sure = max(finding.confidence for finding in made.criteria)
    return Table(
        heads=("asked for", "limit", "measured", f"bound, {sure:.0%} sure", "met"),
        rows=[
            (
                finding.figure,
                ("at least " if finding.at_least else "at most ")
                + written(finding.figure, finding.limit),
                written(finding.figure, finding.value),
                written(finding.figure, finding.bound),
                _met(finding),
            )
            for finding in made.criteria
        ],
        caption="The bound is one-sided: what the figure is at the least, or at the most, for all "
        "parts of the line and not only for those that were measured.",
        words=(1, 4),
    )


def hopes(report: Report) -> Table:
    """The validation figures beside those on images that nothing was chosen by."""
    before = {figure.name: figure for figure in report.validation.figures}
    return Table(
        heads=("figure", "validation", "interval", "this evaluation", "interval"),
        rows=[
            (
                words,
                value(before[figure.name]),
                ends(before[figure.name]),
                value(figure),
                ends(figure),
            )
            for words, figure in report.headline
            if figure.name in before
        ],
        caption="The thresholds were chosen on the validation images; how much that flattered them:",
    )


def classes(report: Report) -> Table:
    """Every class: how much of it was seen, and how well it is named."""
    interval = f"{report.shown.confidence:.0%} interval"
    return Table(
        heads=("class", "taught", "judged", "recall", interval, "precision", interval),
        rows=[
            (
                f"{each.label} (good)" if each.good else each.label,
                count(each.taught),
                count(each.judged),
                number(each.recall.value),
                span(each.recall.interval),
                number(each.precision.value),
                span(each.precision.interval),
            )
            for each in report.classes
        ],
        caption="Recall: share of a class that is named rightly. Precision: share of those named so "
        "that are of the class. Taught and judged are numbers of images; intervals respect groups.",
    )


def slices(made: Evaluation) -> Table:
    """The chief figures on parts of the images."""
    names = ("macro F1", "defect recall", "false positives")
    rows = []
    for part in made.slices:
        by_name = {figure.name: figure for figure in part.figures}
        cells = (by_name.get(name) for name in names)
        name = part.value if part.column == BLURRED else f"{part.column} {part.value}"
        label = f"{name} *" if part.small else name
        rows.append((label, count(part.images), count(part.groups), *map(with_ends, cells)))
    return Table(
        heads=("slice", "images", "groups", *names),
        rows=rows,
        caption="Marked *: too few images to show what was asked for, even if every answer were right."
        if any(part.small for part in made.slices)
        else "",
    )


def costs(made: Evaluation) -> Table:
    """What errors come to at the line."""
    volume = made.volume
    return Table(
        heads=("modules a month", "expected", f"{made.confidence:.0%} interval"),
        rows=[
            (cost.what, count(cost.modules), " to ".join(map(count, cost.interval)))
            for cost in made.costs
        ],
        caption=f"Of {count(volume.modules)} modules a month, {share(volume.defect_rate, 2)} of them "
        "defective; one image counts as one module.",
    )


def _met(finding: Finding) -> str:
    if finding.met_by_bound:
        return "yes, by the bound"
    if finding.value is None:
        return "these images do not tell"
    return "by the figure alone" if finding.met_by_value else "NO"
