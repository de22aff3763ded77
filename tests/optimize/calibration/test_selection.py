"""Which images are chosen, from features alone."""

from collections import Counter

import numpy as np
import pytest

from optimize.calibration.selection import reach, select
from optimize.calibration.strata import thin


def clusters(
    sizes: dict[int, int], dimensions: int = 8, spread: float = 0.02
) -> tuple[np.ndarray, list[int]]:
    """Directions around axis `k`, `sizes[k]` of them; and which axis each is of."""
    rng = np.random.default_rng(1)
    axes = [axis for axis, count in sizes.items() for _ in range(count)]
    rows = np.eye(dimensions)[axes] + spread * rng.normal(size=(len(axes), dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), axes


def apart(count: int) -> list[str]:
    """Groups of one image each."""
    return [f"part {index}" for index in range(count)]


def test_every_look_of_a_class_is_among_the_chosen_however_rare() -> None:
    features, axes = clusters({0: 500, 1: 80, 2: 3, 3: 1})
    chosen = select(features, ["good"] * len(axes), apart(len(axes)), 8)
    assert {axes[index] for index in chosen} == {0, 1, 2, 3}
    # The control: an even spread over the manifest misses the rare ones.
    assert {axes[index] for index in thin(["good"] * len(axes), 8)} < {0, 1, 2, 3}


def test_the_chosen_reach_further_than_an_even_spread() -> None:
    features, axes = clusters({0: 500, 1: 80, 2: 3, 3: 1})
    labels = ["good"] * len(axes)
    chosen = select(features, labels, apart(len(axes)), 8)
    assert reach(features, chosen) < 0.2 < reach(features, thin(labels, 8))


def test_classes_give_alike_and_a_rare_one_all_it_has() -> None:
    features, axes = clusters({0: 300, 1: 60, 2: 2})
    labels = [("common", "usual", "rare")[axis] for axis in axes]
    chosen = select(features, labels, apart(len(axes)), 22)
    assert Counter(labels[index] for index in chosen) == {"common": 10, "usual": 10, "rare": 2}


def test_the_same_candidates_give_the_same_choice() -> None:
    features, axes = clusters({0: 50, 1: 50})
    first, again = (select(features, ["a"] * 100, apart(100), 10) for _ in range(2))
    assert first == again
    assert list(first) == sorted(set(first))
    assert len(axes) == 100


def test_a_group_gives_its_second_image_after_every_other_has_given_one() -> None:
    features, _ = clusters({0: 10, 1: 10, 2: 10})
    # The ten images of one module differ most of all.
    groups = [*apart(20), *["module"] * 10]
    chosen = select(features, ["a"] * 30, groups, 21)
    assert Counter(groups[index] for index in chosen)["module"] == 1
    chosen = select(features, ["a"] * 30, groups, 22)
    assert Counter(groups[index] for index in chosen)["module"] == 2


def test_what_a_rare_class_took_of_a_group_counts_for_the_others() -> None:
    features, _ = clusters({0: 6})
    labels = ["rare", "common", "common", "common", "common", "common"]
    groups = ["m1", "m1", "m2", "m2", "m3", "m3"]
    chosen = select(features, labels, groups, 3)
    assert sorted(groups[index] for index in chosen) == ["m1", "m2", "m3"]


def test_copies_of_a_chosen_image_are_left_out() -> None:
    features, _ = clusters({0: 3})
    copied = np.concatenate([features, features, features])
    assert len(select(copied, ["a"] * 9, apart(9), 9)) == 3


@pytest.mark.parametrize("count", [1, 5, 500])
def test_no_more_than_asked_for_and_no_more_than_there_are(count: int) -> None:
    features, axes = clusters({0: 20})
    assert len(select(features, ["a"] * 20, apart(20), count)) == min(count, len(axes))
