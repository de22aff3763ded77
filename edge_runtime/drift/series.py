"""The two kinds of series that a station is watched by: measures of frames, and shares of parts.

Owns how blocks of parts become numbers, and numbers the steps of a sequential test; what follows from
them is the monitor's. Values in, values out; a kind remembers what its tests need, and no part.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.drift import DriftReference, ShareReference
from edge_runtime.drift import effects
from edge_runtime.drift.levels import (
    CERTAINTY_SIZES,
    MEASURE_SIZES,
    SCORE_SIZES,
    SHARE_SIZES,
    Sizes,
    widened,
)
from edge_runtime.drift.part import Part
from edge_runtime.drift.sequential import Scatter, mean_steps, share_steps
from edge_runtime.drift.statistics import MEASURES
from edge_runtime.drift.window import BLOCK

Floats = npt.NDArray[np.float64]

NOT_INSPECTED, REVIEW, SCORE, CLASS = "not_inspected", "review", "defect_score", "class:"
CERTAINTY = "certainty:"
"""Names of shares in a reference."""
_FEWEST_SEEN = BLOCK // 4
"""A block with fewer frames that could be seen says nothing about measures."""
_WINSORISED_AT = 5.0
"""Standard deviations; one wild frame must not move a block's mean far."""


def watched(reference: DriftReference) -> tuple[ShareReference, ...]:
    """The shares that can be watched: all where the reference has the line's mix of classes."""
    return tuple(s for s in reference.shares if reference.line_mix or s.name == NOT_INSPECTED)


class Measured:
    """The image statistics: how they are standardised and tested."""

    def __init__(self, reference: DriftReference) -> None:
        measures = reference.measures
        self._columns = [MEASURES.index(measure.name) for measure in measures]
        self._means = np.array([measure.mean for measure in measures])
        self._deviations = np.array([measure.deviation for measure in measures])
        known = np.array([measure.effective_images for measure in measures])
        self.sizes = [widened(MEASURE_SIZES, 1 / math.sqrt(images)) for images in known]
        self._tolerated = np.array([sizes.tolerated for sizes in self.sizes])
        self._sought = np.array([sizes.warning for sizes in self.sizes])
        self.scatter = Scatter(np.maximum(1.0, reference.images / known) / BLOCK)

    def values(self, block: Sequence[Part]) -> Floats:
        """(views seen, measures), in the order of the reference."""
        rows = [statistics.row() for part in block for statistics in part.measured]
        return np.array(rows).reshape(-1, len(MEASURES))[:, self._columns]

    def standardised(self, values: Floats) -> Floats:
        """Values (parts, measures) in standard deviations from the reference's mean, winsorised."""
        away = (values - self._means) / self._deviations
        return np.asarray(np.clip(away, -_WINSORISED_AT, _WINSORISED_AT))

    def steps(self, standardised: Floats) -> Floats:
        """Log e-values (2, measures) of a block; of too few frames none."""
        if len(standardised) < _FEWEST_SEEN:
            return np.zeros((2, len(self.sizes)))
        means = standardised.mean(axis=0)
        # The views of a part are alike: more of them than parts are no more evidence.
        variance = self.scatter.variance * max(1.0, BLOCK / len(standardised))
        steps = mean_steps(means, variance, self._tolerated, self._sought)
        # After the bet: an e-value may know only what came before its block.
        self.scatter.add(means)
        return steps


class Counted:
    """The shares and the score: how they are counted and tested."""

    def __init__(self, shares: tuple[ShareReference, ...]) -> None:
        self._columns = {share.name: column for column, share in enumerate(shares)}
        self._expected = np.array([share.mean for share in shares])
        self._otherwise = np.array([np.nan if _is_mean(share.name) else 0.0 for share in shares])
        self.sizes = [
            widened(
                _sizes(share.name),
                1 / math.sqrt(share.effective_images),
            )
            for share in shares
        ]
        # The fewer that cannot be seen, the better.
        self._news = np.ones((2, len(shares)))
        self._news[1, [share.name == NOT_INSPECTED for share in shares]] = 0.0
        sides = np.array([[1.0], [-1.0]])
        self._tolerated, self._sought = (
            effects.shifted_by_h(self._expected, sides * np.array(h))
            for h in ([s.tolerated for s in self.sizes], [s.warning for s in self.sizes])
        )

    def values(self, block: Sequence[Part]) -> Floats:
        """(parts, shares): 1 or 0, the score, or the certainty of the part's own class; else NaN."""
        columns = self._columns
        values = np.tile(self._otherwise, (len(block), 1))
        for row, part in enumerate(block):
            for name, value in (
                (part.outcome.value, 1.0),
                (f"{CLASS}{part.label}", 1.0),
                (f"{CERTAINTY}{part.label}", part.certain),
                (SCORE, part.score),
            ):
                if value is not None and (column := columns.get(name)) is not None:
                    values[row, column] = value
        return values

    def steps(self, values: Floats) -> Floats:
        """Log e-values (2, shares) of a block."""
        return self._news * share_steps(values, self._tolerated, self._sought)


def _is_mean(name: str) -> bool:
    """Whether a share is the mean of something that not every part has."""
    return name == SCORE or name.startswith(CERTAINTY)


def _sizes(name: str) -> Sizes:
    if name.startswith(CERTAINTY):
        return CERTAINTY_SIZES
    return SCORE_SIZES if name == SCORE else SHARE_SIZES


def unit(name: str) -> str:
    """In what a share is told."""
    if name.startswith(CERTAINTY):
        return "probability"
    return "score" if name == SCORE else "share of parts"
