"""An evaluation as text, for whoever ran it."""

from collections.abc import Sequence

from train.evidence.evaluation import Evaluation, Slice
from train.figures.counts import confusion_table
from train.figures.intervals import Figure

_HEADLINE = ("macro F1", "defect recall", "false positives", "for review, of good")
_SLICED = ("macro F1", "defect recall", "false positives")
"""Of each slice; the JSON file has all figures."""
_CELL = 24


def lines(made: Evaluation) -> list[str]:
    """What is printed, the summary first."""
    data = made.data
    shown = (figure for figure in made.figures if figure.name in _HEADLINE)
    told = [", ".join(f"{f.name} {_number(f.value)}" for f in shown) + f", {data.images} images"]
    if data.undecodable:
        one = data.undecodable == 1
        told.append(
            f"{data.undecodable} {'image' if one else 'images'} could not be decoded and "
            f"{'was' if one else 'were'} left out"
        )
    told.append(confusion_table(made.confusion, made.model.labels))
    told.append(
        f"\n{'figure':<26} {'value':>7}  {f'{made.confidence:.0%} interval':<18} {'images':>8}  "
        f"({data.groups} groups)"
    )
    told.extend(figure.row() for figure in made.figures)
    if made.slices:
        told.extend(("", *_table(made.slices)))
    told.append(
        f"\nof {made.volume.modules:,} modules a month, {made.volume.defect_rate:.2%} of them "
        "defective:"
    )
    told.extend(f"  {cost.sentence()}" for cost in made.costs)
    told.extend(("", *(finding.sentence() for finding in made.criteria)))
    if data.split:
        told.extend(filter(None, [data.split.concern()]))
        if data.split.opened:
            told.append(data.split.opened.sentence())
    return told


def _table(slices: Sequence[Slice]) -> list[str]:
    width = max(len(f"{part.column} {part.value}") for part in slices)
    heads = " ".join(f"{name:<{_CELL}}" for name in _SLICED)
    rows = [f"{'slice':<{width}}  {'images':>7} {'groups':>7}   {heads}".rstrip()]
    for part in slices:
        by_name = {figure.name: figure for figure in part.figures}
        cells = " ".join(f"{_cell(by_name.get(name)):<{_CELL}}" for name in _SLICED)
        rows.append(
            f"{f'{part.column} {part.value}':<{width}}  {part.images:>7} {part.groups:>7} "
            f"{'*' if part.small else ' '} {cells}".rstrip()
        )
    if any(part.small for part in slices):
        rows.append("* too few images to show the criteria, even if every answer were right")
    return rows


def _cell(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    if figure.interval is None:
        return f"{figure.value:.3f}"
    low, high = figure.interval
    return f"{figure.value:.3f} ({low:.3f} .. {high:.3f})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
