"""How far a share or a figure that was measured on few parts can be trusted.

Owns confidence bounds: one-sided Clopper-Pearson for shares, group-bootstrap percentiles for figures
that are no shares. Arrays in, values out; what is counted is the business of those who call.

Images of one group (the crops of one module) resemble each other, so n of them say less than n modules.
How much less is not estimated here: where few errors were seen, so are few pairs of them, and a measured
design effect then claims too much (Korn and Graubard 1998 held in 0.90 of samples in place of 0.95 with
150 groups of 1 to 9 images: docs/results/bounds-coverage.json). Images of one group are taken to be
wholly alike instead, the worst there is, which leaves (sum m)^2 / sum m^2 independent trials of groups
of m images (Kish 1965, section 8.2): exact where a group goes right or wrong as one, cautious elsewhere.
It supposes that a group's size says nothing of its outcome.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Real = npt.NDArray[np.float64]


def lower(hits: npt.ArrayLike, trials: float, confidence: float) -> Real:
    """One-sided Clopper-Pearson lower bound on the share of hits, of any shape; trials may be fractions.

    The true share lies below it in at most 1 - confidence of all samples. 0 without trials.
    """
    hits = np.minimum(np.asarray(hits, np.float64), trials)
    some = hits > 0
    safe = np.where(some, hits, 1.0)
    found = special.betaincinv(safe, np.maximum(trials - safe, 0) + 1, 1 - confidence)
    return np.where(some, found, 0.0)


def upper(hits: npt.ArrayLike, trials: float, confidence: float) -> Real:
    """One-sided Clopper-Pearson upper bound; 1 without trials."""
    return 1 - lower(trials - np.asarray(hits, np.float64), trials, confidence)


def effective_trials(groups: Sequence[str]) -> float:
    """How many independent trials images of these groups are worth at the least; 0 without any."""
    if not len(groups):
        return 0.0
    sizes = np.unique(np.asarray(groups), return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Images on which something can happen or not, and the groups they come from."""

    images: int
    groups: int
    effective: float
    """Independent trials that they are worth, 0..images."""

    @classmethod
    def of(cls, groups: Sequence[str]) -> "Trials":
        """Count them; `groups` has the group of each image."""
        return cls(images=len(groups), groups=len(set(groups)), effective=effective_trials(groups))

    def share(self, hits: npt.ArrayLike) -> Real:
        """Hits per image; NaN without images."""
        return np.asarray(hits, np.float64) / (self.images or math.nan)

    def at_least(self, hits: npt.ArrayLike, confidence: float) -> Real:
        """One-sided lower bound on the share, from counts of images."""
        return lower(self._scaled(hits), self.effective, confidence)

    def at_most(self, hits: npt.ArrayLike, confidence: float) -> Real:
        """One-sided upper bound on the share, from counts of images."""
        return upper(self._scaled(hits), self.effective, confidence)

    def interval(self, hits: int, confidence: float) -> tuple[float, float]:
        """Two-sided Clopper-Pearson interval."""
        each = (1 + confidence) / 2
        return float(self.at_least(hits, each)), float(self.at_most(hits, each))

    def more_for_at_least(self, hits: int, limit: float, confidence: float) -> int | None:
        """Further images, grouped like these, with which the lower bound would reach `limit` if the
        share stayed as it is; None where no number would do."""
        return self._more(1 - hits / self.images if self.images else 1.0, 1 - limit, confidence)

    def more_for_at_most(self, hits: int, limit: float, confidence: float) -> int | None:
        """The same for the upper bound."""
        return self._more(hits / self.images if self.images else 1.0, limit, confidence)

    def _scaled(self, hits: npt.ArrayLike) -> Real:
        return np.asarray(hits, np.float64) * (self.effective / max(self.images, 1))

    def _more(self, rate: float, limit: float, confidence: float) -> int | None:
        if rate >= limit:
            return None

        def suffices(images: int) -> bool:
            worth = images * self.effective / self.images
            return float(upper(rate * worth, worth, confidence)) <= limit

        if suffices(self.images):
            return 0
        enough = self.images
        while not suffices(enough):
            enough *= 2
            if enough > 1 << 40:  # the share lies on the limit, but for rounding
                return None
        short = enough // 2
        while enough - short > 1:
            middle = (short + enough) // 2
            short, enough = (short, middle) if suffices(middle) else (middle, enough)
        return enough - self.images


def group_bootstrap(
    groups: Sequence[str],
    figures: Callable[[Real], Mapping[str, float]],
    *,
    confidence: float,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float] | None]:
    """Percentile intervals of figures, by drawing whole groups with replacement.

    `figures` is given a weight for each image (how often its group was drawn) and answers by name; NaN
    where a draw leaves a figure undefined. A figure that most draws leave undefined has no interval.
    """
    members = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(members.max()) + 1
    random = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {}
    for _ in range(resamples):
        drawn = np.bincount(random.integers(0, count, count), minlength=count).astype(np.float64)
        for name, value in figures(drawn[members]).items():
            draws.setdefault(name, []).append(value)
    tail = (1 - confidence) / 2
    intervals: dict[str, tuple[float, float] | None] = {}
    for name, values in draws.items():
        defined = np.array([value for value in values if not math.isnan(value)])
        if 2 * len(defined) <= resamples:
            intervals[name] = None
            continue
        low, high = np.quantile(defined, [tail, 1 - tail])
        intervals[name] = float(low), float(high)
    return intervals
