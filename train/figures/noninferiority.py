"""Whether a model is not worse than another by more than was agreed: one-sided bounds on paired gains.

Owns the bounds. Both models answer the same images, so only the images on which one is right and the
other wrong tell them apart. For shares of parts the bound is Tango's score bound for matched pairs
(T. Tango, Statistics in Medicine 17 (1998) 891), which is honest where no such image was seen; images of
one group count as wholly alike (`optimize.bounds`). For the macro F1 it is a group-bootstrap percentile
of the paired difference. Arrays in, values out.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from optimize.bounds import Real, Trials, group_bootstrap
from train.figures.counts import macro_f1

Flags = npt.NDArray[np.bool_]
Classes = npt.NDArray[np.int64]


def paired_gain(
    before: Flags, after: Flags, groups: Sequence[str], confidence: float
) -> tuple[float, float]:
    """Gain in the share of True from `before` to `after` (N >= 1,), and its one-sided lower bound."""
    trials = Trials.of(groups)
    worth = trials.effective / trials.images
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    gain = (gained - lost) / trials.images
    return gain, tango_bound(gained * worth, lost * worth, trials.effective, confidence)


def tango_bound(gained: float, lost: float, trials: float, confidence: float) -> float:
    """One-sided lower bound on (gained - lost) / trials of matched pairs; counts may be fractions."""
    quantile = float(special.ndtri(confidence))
    low, high = -1.0, (gained - lost) / trials
    for _ in range(60):
        middle = (low + high) / 2
        if _score(middle, gained, lost, trials) > quantile:
            low = middle
        else:
            high = middle
    return low


def fewest(margin: float, confidence: float) -> int:
    """Pairs with which a margin could be shown where no image tells the two apart."""
    quantile = float(special.ndtri(confidence))
    return int(np.ceil(quantile**2 * (1 - margin) / margin))


def macro_f1_gain(
    truth: Classes,
    before: Classes,
    after: Classes,
    groups: Sequence[str],
    classes: int,
    confidence: float,
) -> tuple[float, float | None]:
    """Gain in macro F1 of answers (N >= 1,), and its one-sided lower bound; None of too few groups."""

    def gain(weights: Real) -> dict[str, float]:
        old, new = (_macro_f1(truth, answers, weights, classes) for answers in (before, after))
        return {"gain": new - old}

    interval = group_bootstrap(groups, gain, confidence=2 * confidence - 1)["gain"]
    return gain(np.ones(len(truth)))["gain"], interval and interval[0]


def macro_f1_bound(
    truth: Classes, answers: Classes, groups: Sequence[str], classes: int, confidence: float
) -> tuple[float, float | None]:
    """Macro F1 of answers (N >= 1,), and its one-sided lower bound; None of too few groups."""

    def figure(weights: Real) -> dict[str, float]:
        return {"macro F1": _macro_f1(truth, answers, weights, classes)}

    interval = group_bootstrap(groups, figure, confidence=2 * confidence - 1)["macro F1"]
    return figure(np.ones(len(truth)))["macro F1"], interval and interval[0]


def macro_f1_of(truth: Classes, answers: Classes, classes: int) -> float:
    """Macro F1 of answers (N >= 1,)."""
    return _macro_f1(truth, answers, np.ones(len(truth)), classes)


def ranking(scores: Real, positive: Flags) -> float | None:
    """The share of pairs in which the positive one scores higher (area under the ROC curve), ties half;
    None where there are no pairs. Below 0.5 the scores say the opposite of the truth."""
    if not positive.any() or positive.all():
        return None
    ordered = np.sort(scores[~positive])
    below = np.searchsorted(ordered, scores[positive], "left")
    up_to = np.searchsorted(ordered, scores[positive], "right")
    return float((below + up_to).mean() / (2 * len(ordered)))


def _score(difference: float, gained: float, lost: float, trials: float) -> float:
    """Tango's statistic for a true difference, -1 <= difference < 1; falls as the difference rises."""
    spread = difference * (1 - difference)
    linear = -gained - lost + (2 * trials - gained + lost) * difference
    root = np.sqrt(max(linear**2 + 8 * trials * lost * spread, 0.0))
    variance = trials * (2 * (root - linear) / (4 * trials) + spread)
    off = gained - lost - trials * difference
    return float(off / np.sqrt(variance)) if variance > 1e-12 else float(np.inf)


def _macro_f1(truth: Classes, answers: Classes, weights: Real, classes: int) -> float:
    counts = np.bincount(truth * classes + answers, weights, classes * classes)
    return macro_f1(counts.reshape(classes, classes))
