"""A data set as a split sees it: which group holds how many images of which class.

Owns the counting, in arrays, since there may be millions of rows. Groups are numbered by their names in
order, so that nothing depends on the order of the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from optimize.data.dataset import Dataset

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Groups and classes by number."""

    names: Sequence[str]
    """(G,) of the groups, ascending."""
    labels: Sequence[str]
    """(C,) of the classes, ascending."""
    group_of: Numbers
    """(N,) the group of each sample in turn."""
    label_of: Numbers
    """(N,) the class of each sample in turn."""

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Count them."""
        seen: dict[str, int] = {}
        coming = (seen.setdefault(group, len(seen)) for group in dataset.column("group"))
        as_seen = np.fromiter(coming, np.int64, len(dataset.samples))
        names = sorted(seen)
        rank = np.empty(len(names), np.int64)
        rank[[seen[name] for name in names]] = np.arange(len(names))
        return cls(
            names=names,
            labels=dataset.labels,
            group_of=rank[as_seen],
            label_of=dataset.classes,
        )

    @cached_property
    def sizes(self) -> Numbers:
        """(G,) images of each group."""
        return np.bincount(self.group_of, minlength=len(self.names))

    @cached_property
    def images(self) -> Numbers:
        """(C,) images of each class."""
        return np.bincount(self.label_of, minlength=len(self.labels))

    @cached_property
    def rarity(self) -> Numbers:
        """(G,) images that there are of the rarest class in each group."""
        groups, labels, _ = self._held
        rarest = np.full(len(self.names), np.iinfo(np.int64).max)
        np.minimum.at(rarest, groups, self.images[labels])
        return rarest

    def holders(self, label: int) -> Numbers:
        """The groups that hold images of a class, the smallest first."""
        return self._holders[label]

    def held_by(self, group: int) -> list[tuple[int, int]]:
        """(class, images) of what a group holds."""
        start, end = self._starts[group], self._starts[group + 1]
        _, labels, counts = self._held
        return list(zip(labels[start:end].tolist(), counts[start:end].tolist(), strict=True))

    @cached_property
    def _held(self) -> tuple[Numbers, Numbers, Numbers]:
        """Group, class and images of each pair that occurs, by ascending group."""
        pairs, counts = np.unique(
            self.group_of * len(self.labels) + self.label_of, return_counts=True
        )
        return pairs // len(self.labels), pairs % len(self.labels), counts

    @cached_property
    def _starts(self) -> list[int]:
        groups, _, _ = self._held
        starts: list[int] = np.searchsorted(groups, np.arange(len(self.names) + 1)).tolist()
        return starts

    @cached_property
    def _holders(self) -> list[Numbers]:
        groups, labels, _ = self._held
        holders = (groups[labels == label] for label in range(len(self.labels)))
        return [of_class[np.lexsort((of_class, self.sizes[of_class]))] for of_class in holders]
