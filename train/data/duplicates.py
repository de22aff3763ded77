"""Photographs that a data set holds more than once, and the groups that must therefore stay together.

Exact copies have one file content; near ones look alike by `edge_runtime.likeness`. Groups that share a
photograph are merged, over everything that was found, so that no split can part copies. Values in,
values out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from edge_runtime.likeness import LIMIT
from optimize.data.dataset import Dataset
from train.data.near_copies import alike_pairs
from train.data.survey import Survey

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What was found, by position in the data set's samples."""

    exact: Indices
    """(P, 2): the first image of a content, and a copy of it."""
    near: Indices
    """(P, 2): two images that look alike, the lower position first; of exact copies the first only."""
    first: Indices
    """(N,): the first image of the same photograph; an image's own position where it is the first."""
    groups: tuple[str, ...]
    """The group of every image after merging: of merged groups, the name of the one that comes first."""

    @property
    def pairs(self) -> Indices:
        """Exact ones, then near ones."""
        return np.concatenate([self.exact, self.near])

    @property
    def copies(self) -> Indices:
        """Images that are not the first of their photograph."""
        return np.flatnonzero(self.first != np.arange(len(self.first)))

    def disputed(self, dataset: Dataset) -> Indices:
        """The pairs (P, 2) whose images bear different labels."""
        labels = dataset.classes[self.pairs]
        return np.asarray(self.pairs[labels[:, 0] != labels[:, 1]])

    def merged(self, dataset: Dataset) -> dict[str, set[str]]:
        """The groups that became one, by the name that they bear now."""
        found: dict[str, set[str]] = {}
        for before, now in zip(dataset.column("group"), self.groups, strict=True):
            if before != now:
                found.setdefault(now, {now}).add(before)
        return found


def find_duplicates(seen: Survey, limit: int = LIMIT) -> Duplicates:
    """Compare all usable images; near copies may differ in `limit` bits, 0 looks for exact ones only."""
    exact = _same_content(seen)
    near = np.zeros((0, 2), np.int64)
    if limit:
        distinct = np.setdiff1d(seen.usable, exact[:, 1])
        near = distinct[alike_pairs(seen.thumbnails[distinct], limit)]
    pairs = np.concatenate([exact, near])
    numbers: dict[str, int] = {}
    groups = seen.dataset.column("group")
    ids = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    names = tuple(numbers)  # in the order of their first image, so a merged group's first name wins
    return Duplicates(
        exact=exact,
        near=near,
        first=_joined(pairs, len(ids)),
        groups=tuple(names[group] for group in _joined(ids[pairs], len(names))[ids]),
    )


def _same_content(seen: Survey) -> Indices:
    contents = np.ascontiguousarray(seen.sha256[seen.usable]).view(np.uint64)
    _, first, which = np.unique(contents, axis=0, return_index=True, return_inverse=True)
    origin = first[which.ravel()]
    copies = np.flatnonzero(origin != np.arange(len(origin)))
    return seen.usable[np.column_stack([origin[copies], copies])]


def _joined(pairs: Indices, size: int) -> Indices:
    """The lowest number that each of `size` numbers is connected with."""
    links = sparse.coo_matrix((np.ones(len(pairs), bool), pairs.T), shape=(size, size))
    _, component = csgraph.connected_components(links, directed=False)
    lowest = np.full(size, size)
    np.minimum.at(lowest, component, np.arange(size))
    return np.asarray(lowest[component], np.int64)
