"""What errors cost at the line: modules scrapped and modules that escape, per month.

Arithmetic on figures that were measured; owns no figure itself. One image is taken to be one module:
where a module has several, a single false alarm scraps it and a single hit finds it, so scrapped is then
too low and escaped too high.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.errors import UsageError
from train.figures.intervals import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What passes the line."""

    modules: int = 1_800_000
    """Per month."""
    defect_rate: float
    """Share of them that are defective, 0..1."""

    def __post_init__(self) -> None:
        if self.modules < 1:
            raise UsageError(f"--modules-per-month {self.modules}: expected at least 1")
        if not 0 <= self.defect_rate <= 1:
            raise UsageError(f"--defect-rate {self.defect_rate}: expected a share from 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Modules per month, with the interval of the share that they come from."""

    what: str
    modules: float
    interval: tuple[float, float]

    def sentence(self) -> str:
        """For people."""
        low, high = self.interval
        return f"{self.what}: {self.modules:,.0f} modules a month ({low:,.0f} .. {high:,.0f})"


def costs(figures: Sequence[Figure], volume: Volume) -> tuple[Cost, ...]:
    """Good modules scrapped, defective ones that escape, good ones that a person must look at; each
    only where its share was measured."""
    by_name = {figure.name: figure for figure in figures}
    good, defective = 1 - volume.defect_rate, volume.defect_rate
    found = []
    for what, name, share_of_line, missed in (
        ("scrapped though good", "false positives", good, False),
        ("escaped though defective", "defect recall", defective, True),
        ("for review though good", "for review, of good", good, False),
    ):
        figure = by_name.get(name)
        if figure is None or figure.value is None or figure.interval is None:
            continue
        scale = volume.modules * share_of_line
        low, high = figure.interval
        if missed:
            value, low, high = 1 - figure.value, 1 - high, 1 - low
        else:
            value = figure.value
        found.append(Cost(what=what, modules=scale * value, interval=(scale * low, scale * high)))
    return tuple(found)
