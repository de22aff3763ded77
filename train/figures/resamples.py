"""Figures over many draws of whole groups at once, the same draws for everything that is compared.

Every figure here follows from how often each class was answered with each. Those counts add up over
groups, so all draws of a trial are one matrix product, and a difference between two trials is taken draw
by draw: what the two have in common, hard modules above all, cancels out. Arrays in, values out.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.base import Contract
from optimize.bounds import Real
from train.figures.counts import macro_f1s

MACRO_F1 = "macro F1"
REACHABLE = "reachable macro F1"
DEFECT_RECALL = "defect recall"
FALSE_POSITIVES = "false positives"


class Estimate(Contract):
    """A figure with its two-sided percentile interval."""

    value: float | None
    """None where the images do not define it."""
    low: float | None
    high: float | None
    """Both None where most draws leave it undefined."""

    def __str__(self) -> str:
        value, low, high = (
            "-" if number is None else f"{number:.3f}"
            for number in (self.value, self.low, self.high)
        )
        return f"{value} ({low} .. {high})"


def draw_groups(groups: int, resamples: int, seed: int) -> npt.NDArray[np.float32]:
    """How often each group counts in each draw, (1 + resamples, groups).

    Row 0 is the sample itself, each group once; the others are drawn with replacement.
    """
    random = np.random.default_rng(seed)
    draws = np.ones((1 + resamples, groups), np.float32)
    for row in range(1, 1 + resamples):
        draws[row] = np.bincount(random.integers(0, groups, groups), minlength=groups)
    return draws


def confusions(
    draws: npt.NDArray[np.float32],
    members: npt.NDArray[np.int64],
    truth: npt.NDArray[np.int64],
    answers: npt.NDArray[np.int64],
    classes: int,
) -> Real:
    """Counts (draws, classes, classes): [draw][truth][answer]; `members` (N,) is each image's group."""
    cells = classes * classes
    flat = np.bincount(
        members * cells + truth * classes + answers, minlength=draws.shape[1] * cells
    )
    tally = flat.reshape(draws.shape[1], cells).astype(np.float32)
    return (draws @ tally).reshape(-1, classes, classes).astype(np.float64)


def figures(
    at_rule: Real,
    at_limit: Real,
    reachable: Real,
    labels: Sequence[str],
    ok_labels: Sequence[str],
) -> dict[str, Real]:
    """Every figure over the draws (draws,), by name, from confusions at three thresholds.

    NaN where a draw leaves one undefined. Without ok labels there are no defects to find.
    """
    found = {MACRO_F1: macro_f1s(at_rule), REACHABLE: macro_f1s(reachable)}
    if ok_labels:
        good = np.isin(labels, ok_labels)
        flagged = at_limit[:, :, ~good].sum(axis=2)
        seen = at_limit.sum(axis=2)
        found[DEFECT_RECALL] = _ratio(flagged[:, ~good].sum(axis=1), seen[:, ~good].sum(axis=1))
        found[FALSE_POSITIVES] = _ratio(flagged[:, good].sum(axis=1), seen[:, good].sum(axis=1))
    hits = np.diagonal(at_rule, axis1=1, axis2=2)
    recalls = _ratio(hits, at_rule.sum(axis=2))
    return found | {f"recall {label}": recalls[:, at] for at, label in enumerate(labels)}


def mean_over_seeds(trials: Sequence[Mapping[str, Real]]) -> dict[str, Real]:
    """Every figure averaged draw by draw over repetitions of one trial."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return {
            name: np.nanmean(np.stack([trial[name] for trial in trials]), axis=0)
            for name in trials[0]
        }


def estimate(over_draws: Real, confidence: float) -> Estimate:
    """The value of row 0, and the percentiles of the other rows."""
    value = None if np.isnan(over_draws[0]) else float(over_draws[0])
    drawn = over_draws[1:]
    defined = drawn[~np.isnan(drawn)]
    if value is None or 2 * len(defined) <= len(drawn):
        return Estimate(value=value, low=None, high=None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value=value, low=float(low), high=float(high))


def _ratio(hits: Real, of: Real) -> Real:
    return np.asarray(np.divide(hits, of, out=np.full(of.shape, np.nan), where=of > 0))
