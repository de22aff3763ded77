"""Smaller and smaller parts of the labels: nested, by group, every class kept.

Answers what a training side would be had fewer modules been labelled. Values in, values out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """A part of a training side."""

    share: float
    """Of the groups, that was asked for."""
    indices: tuple[int, ...]
    """Into the samples of the data set, ascending."""
    held_up: tuple[str, ...]
    """Classes that the share alone would leave without a group; they keep one all the same."""


def nested_portions(
    dataset: Dataset, indices: Sequence[int], shares: Sequence[float], seed: int
) -> tuple[Portion, ...]:
    """About that share of the groups among `indices`, for each share; a smaller part lies in a larger.

    A group belongs to the rarest class that it holds, and each class gives its groups in an order of its
    own, drawn with the seed alone: a part does not depend on the other shares that are asked for. Raises
    UsageError for a share out of range.
    """
    for share in shares:
        if not 0 < share <= 1:
            raise UsageError(f"--shares {share:g}: expected shares above 0 and at most 1")
    holders: dict[str, set[str]] = defaultdict(set)
    held: dict[str, set[str]] = defaultdict(set)
    for index in indices:
        sample = dataset.samples[index]
        holders[sample.label].add(sample.group)
        held[sample.group].add(sample.label)
    rarest_first = sorted(holders, key=lambda label: (len(holders[label]), label))
    queues = _queues(held, rarest_first, seed)
    kept = _one_of_each(rarest_first, holders, queues)
    portions = []
    for share in shares:
        chosen = set(kept)
        for queue in queues.values():
            chosen.update(queue[: round(share * len(queue))])
        portions.append(
            Portion(
                share=share,
                indices=tuple(i for i in sorted(indices) if dataset.samples[i].group in chosen),
                held_up=tuple(sorted(c for c in holders if round(share * len(holders[c])) == 0)),
            )
        )
    return tuple(portions)


def _queues(
    held: dict[str, set[str]], rarest_first: Sequence[str], seed: int
) -> dict[str, list[str]]:
    """The groups of each class in the order in which they are taken; a group stands in one queue."""
    queues: dict[str, list[str]] = {label: [] for label in rarest_first}
    for group in sorted(held):
        queues[next(label for label in rarest_first if label in held[group])].append(group)
    random = np.random.default_rng(seed)
    return {label: random.permutation(queue).tolist() for label, queue in sorted(queues.items())}


def _one_of_each(
    rarest_first: Sequence[str], holders: dict[str, set[str]], queues: dict[str, list[str]]
) -> set[str]:
    """Groups that together hold every class, each as early in its queue as can be."""
    kept: set[str] = set()
    for label in rarest_first:
        if not holders[label] & kept:
            # A class whose every group holds a rarer one too has an empty queue: it stands in others.
            others = (group for rarer in rarest_first for group in queues[rarer])
            candidates = (*queues[label], *others)
            kept.add(next(group for group in candidates if group in holders[label]))
    return kept
