"""Folds for data sets too small to hold anything back: every image is judged once, by group.

Owns the deal alone. Unlike `train.data.split` it refuses no class: one that stands in a single group is
judged in a fold in which nothing teaches it, and `lonely` names it.
"""

import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from optimize.data.manifest import Sample
from train.errors import DatasetError


def deal_folds(samples: Sequence[Sample], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold (N,) of each sample, 0 .. folds - 1: groups whole, each class spread as far as can be.

    Raises DatasetError when there are fewer groups than folds.
    """
    labels = [sample.label for sample in samples]
    groups = [sample.group for sample in samples]
    if len(set(groups)) < folds:
        raise DatasetError(
            f"{len(set(groups))} groups of images cannot be dealt into {folds} folds: take fewer folds "
            "or group more finely (--group-column)"
        )
    with warnings.catch_warnings():
        # It warns of classes with fewer groups than folds: those are missing from some, which is fine.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        fold = np.zeros(len(samples), np.int64)
        try:
            for number, (_, members) in enumerate(splitter.split(labels, labels, groups)):
                fold[members] = number
        except ValueError as exc:  # every class has fewer images than there are folds
            raise DatasetError(f"no class has {folds} images: take fewer folds") from exc
    return fold


def lonely(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Classes that stand in one group only."""
    groups: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        groups[sample.label].add(sample.group)
    return tuple(sorted(label for label, of_class in groups.items() if len(of_class) == 1))
