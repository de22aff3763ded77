"""Which images are taught, which are held back and which are sealed: grouped, stratified, repeatable.

No group stands on two sides, and every class stands on all of them. What cannot honour that is an error
that names the class, never a split that quietly tests nothing. Values in, values out. A million rows
take half a minute and 200 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from optimize.data.samples import take
from train.data.grouping import Grouping
from train.data.time_order import LARGEST_SHARE, latest
from train.errors import DatasetError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SIDES = (TRAIN, VALIDATION, TEST)
_PURPOSES = {2: "one to teach and one to test", 3: "one to teach, one to validate and one to test"}
_PASSES = 5
_NUMBERS = {1: "one", 2: "two", 3: "three"}

Members = npt.NDArray[np.bool_]
"""(G,) which groups are meant."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a data set is to be cut in three. Shares are of all images."""

    test_share: float = 0.2
    val_share: float = 0.2
    time_ordered: bool = False
    """Test on the latest groups by `captured_at`, in place of a stratified draw."""
    seed: int = 0

    def __post_init__(self) -> None:
        _require_share("--test-split", self.test_share)
        _require_share("--val-split", self.val_share)
        if self.test_share + self.val_share >= 1:
            raise UsageError(
                f"--test-split {self.test_share:g} and --val-split {self.val_share:g} leave nothing to "
                "teach with: their sum must stay below 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """In place of a plan: the manifest says already who stands where."""

    column: str
    """Its cells are `train`, `validation` or `test`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The side of each sample, and what there is to say about it."""

    sides: Sequence[str]
    """`train`, `validation` or `test` for each sample in turn."""
    cut: datetime | None = None
    """Nothing captured from here on is taught or validated; None unless time-ordered."""
    straddling: int = 0
    """Test images captured before the cut, since their group reaches beyond it."""


def split_dataset(dataset: Dataset, *, share: float, seed: int) -> Split:
    """Hold back about `share` (0 < share <= 0.5) of the images, by group, stratified by class.

    Raises DatasetError when there is one class only or a class has fewer than two groups, UsageError for
    a share out of range.
    """
    _require_share("--val-split", share)
    _require_classes(dataset)
    grouping = Grouping.of(dataset)
    _require_groups(grouping, 2)
    held_back = _hold_back(grouping, share, seed, keep=1)[grouping.group_of]
    return Split(
        train=tuple(np.flatnonzero(~held_back).tolist()),
        validation=tuple(np.flatnonzero(held_back).tolist()),
    )


def assign(dataset: Dataset, plan: Plan) -> Assignment:
    """Cut a data set in three, the test side first.

    Raises DatasetError naming the class that no such cut can serve.
    """
    _require_classes(dataset)
    grouping = Grouping.of(dataset)
    _require_groups(grouping, 3)
    cut, straddling = None, 0
    if plan.time_ordered:
        late = latest(dataset, grouping, plan.test_share)
        test, cut, straddling = late.groups, late.cut, late.straddling
    else:
        test = _hold_back(grouping, plan.test_share, plan.seed, keep=2)
    in_test = test[grouping.group_of]
    rest = np.flatnonzero(~in_test)
    remaining = Grouping.of(replace(dataset, samples=take(dataset.samples, rest.tolist())))
    share = min(LARGEST_SHARE, plan.val_share * len(in_test) / len(rest))
    held_back = _hold_back(remaining, share, plan.seed, keep=1)[remaining.group_of]
    sides = np.where(in_test, TEST, TRAIN).astype(object)
    sides[rest[held_back]] = VALIDATION
    return Assignment(sides=sides.tolist(), cut=cut, straddling=straddling)


def spread(dataset: Dataset, shares: Mapping[str, float], *, rest: str, seed: int) -> list[str]:
    """A side for each sample of further groups: about these shares of each class, the rest on `rest`.

    Unlike a split of its own it may leave a class out on a side, where it has too few groups for all.
    """
    sides = np.full(len(dataset.samples), rest, object)
    remaining, left = np.arange(len(sides)), 1.0
    for side, share in shares.items():
        if not len(remaining):
            break
        grouping = Grouping.of(dataset.at(remaining.tolist()))
        taken = _nearest(grouping, min(1.0, share / left), seed)[grouping.group_of]
        sides[remaining[taken]] = side
        remaining, left = remaining[~taken], left - share
    return list(sides)


def check_sides(samples: Sequence[Sample], sides: Sequence[str], column: str) -> Assignment:
    """An assignment that somebody else made; raises DatasetError where it breaks the rules of ours."""
    place: dict[str, tuple[str, str]] = {}
    present: dict[str, set[str]] = {}
    for sample, side in zip(samples, sides, strict=True):
        if side not in SIDES:
            raise DatasetError(
                f"column {column!r} says {side!r} of {sample.path}: expected {', '.join(SIDES)}"
            )
        before, first = place.setdefault(sample.group, (side, sample.path))
        if before != side:
            raise DatasetError(
                f"column {column!r} puts group {sample.group!r} on two sides, {first} on {before} and "
                f"{sample.path} on {side}: move the whole group to one, or group otherwise with "
                "--group-column"
            )
        present.setdefault(sample.label, set()).add(side)
    for label in sorted(present):
        for side in SIDES:
            if side not in present[label]:
                raise DatasetError(
                    f"column {column!r} puts no image of class {label!r} on the side {side}: assign one "
                    f"of its groups to it, or leave the class out (--where 'label!={label}')"
                )
    return Assignment(sides=sides)


def _require_share(flag: str, share: float) -> None:
    if not 0 < share <= LARGEST_SHARE:
        raise UsageError(f"{flag} {share}: expected a share above 0 and at most {LARGEST_SHARE}")


def _require_classes(dataset: Dataset) -> None:
    if len(dataset.labels) < 2:
        raise DatasetError(
            f"{dataset.root} has the class {dataset.labels[0]!r} only: at least two are needed"
        )


def _require_groups(grouping: Grouping, sides: int) -> None:
    for label, name in enumerate(grouping.labels):
        of_class = grouping.holders(label)
        if len(of_class) < sides:
            count = int(grouping.images[label])
            named = ", ".join(grouping.names[group] for group in of_class)
            raise DatasetError(
                f"class {name!r} has {count} usable image{'s' * (count > 1)} in "
                f"{_NUMBERS[len(of_class)]} group{'s' * (len(of_class) > 1)} ({named}): "
                f"{_NUMBERS[sides]} groups are needed, {_PURPOSES[sides]}; "
                f"add images, or leave the class out (--where 'label!={name}')"
            )


def _hold_back(grouping: Grouping, share: float, seed: int, *, keep: int) -> Members:
    """Groups with about `share` of each class; at least `keep` groups of each class stay."""
    return _complete(grouping, _nearest(grouping, share, seed), keep)


def _nearest(grouping: Grouping, share: float, seed: int) -> Members:
    """Groups with about `share` of each class.

    Groups pass in random order, those with the rarest classes first, a few times over. Each changes
    sides if that brings the classes in it nearer to their share, every class counting alike.
    """
    wanted = share * grouping.images
    order = np.lexsort(
        (np.random.default_rng(seed).permutation(len(grouping.names)), grouping.rarity)
    )
    lacking = wanted.tolist()
    weights = (1 / grouping.images.astype(np.float64) ** 2).tolist()
    taken = np.zeros(len(grouping.names), np.bool_)
    for _ in range(_PASSES):
        before = taken.copy()
        for group in order.tolist():
            held = grouping.held_by(group)
            sign = -1 if taken[group] else 1
            change = sum(
                weights[label] * count * (count - 2 * sign * lacking[label])
                for label, count in held
            )
            if change < 0:
                taken[group] = not taken[group]
                for label, count in held:
                    lacking[label] -= sign * count
        if (taken == before).all():
            break
    return taken


def _complete(grouping: Grouping, taken: Members, keep: int) -> Members:
    """Exchange groups until every class stands on both sides; the smallest groups move first."""
    rarest_first = sorted(
        range(len(grouping.labels)), key=lambda label: (len(grouping.holders(label)), label)
    )
    for _ in range(2):  # the second round sees whether the first undid itself
        for label in rarest_first:
            of_class = grouping.holders(label)
            inside, outside = of_class[taken[of_class]], of_class[~taken[of_class]]
            if not len(inside):
                taken[outside[0]] = True
            elif len(outside) < keep:
                taken[inside[: keep - len(outside)]] = False
    for label in rarest_first:
        of_class = grouping.holders(label)
        count = int(taken[of_class].sum())
        if not count or len(of_class) - count < keep:
            named = ", ".join(grouping.names[group] for group in of_class[:3])
            raise DatasetError(
                f"no split by group keeps class {grouping.labels[label]!r} on "
                f"{'both' if keep == 1 else 'all'} sides: its groups ({named}) hold other rare classes "
                "too; add images of it, or group more finely with --group-column"
            )
    return taken
