"""The choice of images that cover, between them, what the candidates look like.

Owns the choice alone: features, classes and groups in, indices out, the same every time. Within each
class the next image is the one that lies farthest from all that are chosen: greedy k-centre, which
leaves no candidate farther from a chosen one than twice the least possible distance where groups do not
constrain it (T. Gonzalez, Theoretical Computer Science 38, 1985).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from optimize.calibration.embedding import Features
from optimize.calibration.strata import by_class, quotas

_SAME = 1e-5
"""Distance of two directions below which the model cannot tell the images apart; copies end there."""


def select(
    features: Features, labels: Sequence[str], groups: Sequence[str], count: int
) -> tuple[int, ...]:
    """Indices of at most `count` images, ascending: spread over the classes, then within each.

    A rare class gives all it has. A group gives its next image only when every other group of the class
    has given as many. What the model cannot tell from a chosen image is left out, so that there may be
    fewer than `count`.
    """
    members = by_class(labels)
    granted = quotas({label: len(indices) for label, indices in members.items()}, count)
    group_codes = _numbered(groups)
    used = np.zeros(len(set(groups)), np.int64)
    chosen: list[int] = []
    # The rare first: what they take of a group, the common ones can spare.
    for label in sorted(members, key=lambda label: (len(members[label]), label)):
        chosen += _cover(features, members[label], group_codes, used, granted[label])
    return tuple(sorted(chosen))


def reach(features: Features, chosen: Sequence[int]) -> float:
    """The largest distance, 0 to 2, of any image to the nearest chosen one."""
    distance = np.full(len(features), np.inf)
    for index in chosen:
        np.minimum(distance, _distances(features, features[index]), out=distance)
    return float(distance.max())


def _cover(
    features: Features,
    members: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    used: npt.NDArray[np.int64],
    count: int,
) -> list[int]:
    """Up to `count` of the members, the most typical first, then the farthest; counts up `used`."""
    ours, own = features[members], groups[members]
    distance = 2 - _distances(ours, ours.mean(axis=0))  # so that the most typical is the farthest
    open_ = np.ones(len(members), bool)
    chosen: list[int] = []
    while len(chosen) < count and open_.any():
        fresh = open_ & (used[own] == used[own[open_]].min())
        best = int(np.argmax(np.where(fresh, distance, -np.inf)))
        chosen.append(best)
        used[own[best]] += 1
        nearer = _distances(ours, ours[best])
        distance = nearer if len(chosen) == 1 else np.minimum(distance, nearer)
        open_ &= distance > _SAME
    return [int(members[place]) for place in chosen]


def _distances(features: Features, point: Features) -> npt.NDArray[np.float64]:
    """(n,) Euclidean distance of each row to the point."""
    return np.asarray(np.linalg.norm(features - point, axis=1), np.float64)


def _numbered(names: Sequence[str]) -> npt.NDArray[np.int64]:
    number: Mapping[str, int] = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.fromiter(map(number.__getitem__, names), np.int64, len(names))
