"""Which images are taught and which are held back: grouped, stratified, repeatable.

No group stands on both sides, and every class stands on both. What cannot honour that is an error that
names the class, never a split that quietly tests nothing. Values in, values out.
"""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from edge_runtime.errors import UsageError
from optimize.dataset import Dataset
from train.errors import DatasetError

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indices into a data set's samples, ascending."""

    train: tuple[int, ...]
    validation: tuple[int, ...]

    def sides(self) -> list[str]:
        """`train` or `validation` for each sample in turn."""
        sides = [TRAIN] * (len(self.train) + len(self.validation))
        for index in self.validation:
            sides[index] = VALIDATION
        return sides


def split_dataset(dataset: Dataset, *, share: float, seed: int) -> Split:
    """Hold back about `share` (0 < share <= 0.5) of the images, by group, stratified by class.

    Raises DatasetError when there is one class only or a class has fewer than two groups, UsageError for
    a share out of range.
    """
    if not 0 < share <= 0.5:
        raise UsageError(f"--val-split {share}: expected a share above 0 and at most 0.5")
    labels = [sample.label for sample in dataset.samples]
    groups = [sample.group for sample in dataset.samples]
    _require_two_groups(dataset)
    folds = max(2, min(round(1 / share), max(dataset.counts.values()), len(set(groups))))
    with warnings.catch_warnings():
        # It warns of classes with fewer groups than folds; `_complete` deals with those.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        held_back = [fold for _, fold in splitter.split(labels, labels, groups)]
    classes = np.asarray(labels)
    # Of the equivalent folds, take the one that tests most classes and is nearest to the share.
    best = max(
        held_back,
        key=lambda fold: (len(set(classes[fold])), -abs(len(fold) / len(labels) - share)),
    )
    validation = _complete({groups[index] for index in best}, labels, groups)
    sides: tuple[list[int], list[int]] = ([], [])
    for index, group in enumerate(groups):
        sides[group in validation].append(index)
    return Split(train=tuple(sides[0]), validation=tuple(sides[1]))


def _require_two_groups(dataset: Dataset) -> None:
    if len(dataset.labels) < 2:
        raise DatasetError(
            f"{dataset.root} has the class {dataset.labels[0]!r} only: at least two are needed"
        )
    groups: dict[str, set[str]] = defaultdict(set)
    for sample in dataset.samples:
        groups[sample.label].add(sample.group)
    for label, of_class in groups.items():
        if len(of_class) < 2:
            count = dataset.counts[label]
            raise DatasetError(
                f"class {label!r} has {count} usable image{'s' * (count > 1)} in one group "
                f"({next(iter(of_class))}): two groups are needed, one to teach and one to test; "
                f"add images, or leave the class out (--where 'label!={label}')"
            )


def _complete(validation: set[str], labels: Sequence[str], groups: Sequence[str]) -> set[str]:
    """Exchange groups until every class stands on both sides; the smallest groups move first."""
    sizes: dict[str, int] = defaultdict(int)
    holders: dict[str, set[str]] = defaultdict(set)
    for label, group in zip(labels, groups, strict=True):
        sizes[group] += 1
        holders[label].add(group)
    rarest_first = sorted(holders, key=lambda label: (len(holders[label]), label))
    validation = set(validation)
    for _ in range(2):  # the second round sees whether the first undid itself
        for label in rarest_first:
            of_class = sorted(holders[label], key=lambda group: (sizes[group], group))
            if not holders[label] & validation:
                validation.add(of_class[0])
            elif holders[label] <= validation:
                validation.remove(of_class[0])
    for label in rarest_first:
        if not holders[label] & validation or holders[label] <= validation:
            raise DatasetError(
                f"no split by group keeps class {label!r} on both sides: its groups "
                f"({', '.join(sorted(holders[label])[:3])}) hold other rare classes too; "
                "add images of it, or group more finely with --group-column"
            )
    return validation
