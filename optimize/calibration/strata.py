"""How many images each class gives, and an even spread over those it has.

Owns proportions, not likeness (`selection`). Labels in, indices out; no I/O.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

MOST_IMAGES = 512
"""More are thinned out evenly: ranges no longer move, and time grows on."""


def quotas(available: Mapping[str, int], count: int) -> Mapping[str, int]:
    """How many of `count` each class gives: a rare class all it has, the common ones fill the rest."""
    granted = dict.fromkeys(available, 0)
    left = min(count, sum(available.values()))
    while left:
        for label, members in available.items():
            if left and granted[label] < members:
                granted[label] += 1
                left -= 1
    return granted


def thin(labels: Sequence[str], most: int = MOST_IMAGES) -> tuple[int, ...]:
    """Indices of at most `most` images, evenly spread over each class in proportion; rare ones stay."""
    if len(labels) <= most:
        return tuple(range(len(labels)))
    granted = quotas(Counter(labels), most)
    chosen = [
        members[position]
        for label, members in by_class(labels).items()
        for position in np.linspace(0, len(members) - 1, granted[label]).round().astype(int)
    ]
    return tuple(sorted(int(index) for index in chosen))


def by_class(labels: Iterable[str]) -> Mapping[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The indices of each class, ascending, classes as they come first; 8 bytes a label."""
    number: dict[str, int] = {}
    codes = np.fromiter((number.setdefault(label, len(number)) for label in labels), np.int64)
    return {label: np.flatnonzero(codes == code) for label, code in number.items()}
