"""Thinning a set out class by class."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from optimize.calibration.strata import by_class, quotas, thin


@settings(deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 60), min_size=1),
    most=st.integers(5, 80),
)
def test_thinning_keeps_the_number_asked_for_and_every_class(
    counts: dict[str, int], most: int
) -> None:
    labels = [label for label, count in counts.items() for _ in range(count)]
    kept = thin(labels, most)
    assert len(kept) == min(most, len(labels))
    assert all(before < after for before, after in pairwise(kept))
    shares = Counter(labels[index] for index in kept)
    assert set(shares) == set(counts)
    assert all(shares[label] == counts[label] for label in counts if counts[label] <= most // 5)


def test_a_rare_class_gives_all_it_has_and_the_others_share_the_rest() -> None:
    assert quotas({"common": 900, "usual": 50, "rare": 3}, 23) == {
        "common": 10,
        "usual": 10,
        "rare": 3,
    }
    assert quotas({"common": 4, "rare": 1}, 99) == {"common": 4, "rare": 1}


def test_the_images_of_a_class_are_found_in_their_order() -> None:
    places = by_class(iter("abacb"))
    assert {label: indices.tolist() for label, indices in places.items()} == {
        "a": [0, 2],
        "b": [1, 4],
        "c": [3],
    }
