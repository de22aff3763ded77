"""Pictures that are too smeared, too soft, too light or too dark for the data set that they are in.

The limits come from the data set itself: so many times the distance from the median to the quartile
beyond it. Up to a quarter of the images may be bad on one side without moving a limit far. A data set
that mixes cameras or lights has wide limits; audit them one by one (`--where`).

Measured on 15,826 simulated Gen-3 frames: of those with motion blur 97.7 % are flagged so, of the others
0.07 %. `benchmarks/label_audit.py` measures it anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.image_statistics import MEASURES

REACH = 4.0
"""Distances from median to quartile; for a normal distribution 2.7 deviations."""

MOTION_BLUR, UNSHARP = "motion_blur", "unsharp"
OVEREXPOSED, UNDEREXPOSED = "overexposed", "underexposed"
FLAGS = (MOTION_BLUR, UNSHARP, OVEREXPOSED, UNDEREXPOSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One measure that leads to a flag on one side of the data set."""

    flag: str
    measure: str
    above: bool
    """Whether high values are flagged, or low ones."""
    least: float
    """A departure from the median that is harmless however alike the images are, in the measure's
    unit."""


RULES = (
    Rule(flag=MOTION_BLUR, measure="smear", above=True, least=0.5),
    Rule(flag=MOTION_BLUR, measure="direction", above=True, least=0.5),
    Rule(flag=MOTION_BLUR, measure="direction", above=False, least=0.5),
    Rule(flag=UNSHARP, measure="sharpness", above=False, least=0.5),
    Rule(flag=OVEREXPOSED, measure="clipped", above=True, least=0.02),
    Rule(flag=OVEREXPOSED, measure="brightness", above=True, least=10.0),
    Rule(flag=UNDEREXPOSED, measure="brightness", above=False, least=10.0),
)


@dataclass(frozen=True, kw_only=True)
class Flagged:
    """What was flagged, and where the limits lay."""

    images: Mapping[str, npt.NDArray[np.int64]]
    """Positions by flag, the worst first."""
    limits: Sequence[tuple[Rule, float]]

    def of(self, index: int) -> list[str]:
        """The flags of one image."""
        return [flag for flag, images in self.images.items() if index in images]


def flag(measures: npt.NDArray[np.float32], usable: npt.NDArray[np.int64]) -> Flagged:
    """Judge the measures (N, len(MEASURES)) of the usable images by limits of their own."""
    excess = {name: np.zeros(len(measures)) for name in FLAGS}
    limits = []
    for rule in RULES:
        sign = 1 if rule.above else -1
        values = sign * measures[usable, MEASURES.index(rule.measure)].astype(np.float64)
        middle, quartile = np.quantile(values, (0.5, 0.75))
        reach = max(REACH * (quartile - middle), rule.least)
        limits.append((rule, float(sign * (middle + reach))))
        over = (values - middle) / reach  # 1 at the limit, whatever the measure
        excess[rule.flag][usable] = np.maximum(excess[rule.flag][usable], over)
    return Flagged(
        images={
            name: np.argsort(-over, kind="stable")[: int((over > 1).sum())]
            for name, over in excess.items()
        },
        limits=limits,
    )
