import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.fitting.draws import draw_epoch, drawing_shares


def test_shares_run_from_as_they_come_to_all_alike() -> None:
    np.testing.assert_allclose(drawing_shares([900, 100], 1.0), [0.9, 0.1])
    np.testing.assert_allclose(drawing_shares([900, 100], 0.5), [0.75, 0.25])
    np.testing.assert_allclose(drawing_shares([900, 100], 0.0), [0.5, 0.5])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_class_without_images_is_not_drawn(power: float) -> None:
    np.testing.assert_allclose(drawing_shares([40, 0, 40], power), [0.5, 0.0, 0.5])


@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    power=st.floats(0, 1),
    shown=st.integers(1, 400),
    seed=st.integers(0, 2**32),
)
def test_an_epoch_meets_the_shares_and_repeats_no_image_before_its_class_is_through(
    counts: list[int], power: float, shown: int, seed: int
) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)
    shares = drawing_shares(counts, power)
    drawn = draw_epoch(classes, shares, shown, np.random.default_rng(seed))
    assert len(drawn) == shown
    for label, count in enumerate(counts):
        of_class = drawn[classes[drawn] == label]
        quota = shares[label] * shown
        assert quota - 1 <= len(of_class) <= quota + len(counts)
        times = np.bincount(of_class, minlength=len(classes))[classes == label]
        assert times.max() - times.min() <= 1, count


def test_the_order_is_shuffled_and_repeats_with_its_seed() -> None:
    classes = np.repeat([0, 1], [30, 10])
    shares = drawing_shares([30, 10], 1.0)
    first, again, other = (
        draw_epoch(classes, shares, 40, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert sorted(first.tolist()) == list(range(40))
