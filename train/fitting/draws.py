"""Which images an epoch shows, and in which order. Values in, values out; no torch."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def drawing_shares(counts: Sequence[int], power: float) -> npt.NDArray[np.float64]:
    """Share of the draws that each class gets, from its images: proportional to counts ** power.

    A class without images gets none, whatever the power.
    """
    images = np.asarray(counts, np.float64)
    weights = np.where(images > 0, images**power, 0.0)
    return np.asarray(weights / weights.sum())


def draw_epoch(
    classes: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float64],
    count: int,
    random: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """`count` positions to show in one epoch, classes in the given shares.

    A class is gone through whole, in random order, before any of its images comes again. Shares are met
    to within rounding, the odd images going by lot.
    """
    quota = shares * count
    wanted = np.floor(quota).astype(np.int64)
    left = count - int(wanted.sum())
    if left:
        remainder = (quota - wanted) / (quota - wanted).sum()
        wanted += random.multinomial(left, remainder)
    drawn: list[npt.NDArray[np.int64]] = []
    for label, number in enumerate(wanted.tolist()):
        members = np.flatnonzero(classes == label)
        while number > 0:
            drawn.append(random.permutation(members)[:number])
            number -= len(members)
    return random.permutation(np.concatenate(drawn))
