"""Limits that come from the data: outliers are flagged, however many, and likeness is no fault."""

import numpy as np
import pytest

from edge_runtime.image_statistics import MEASURES
from train.data.flags import FLAGS, MOTION_BLUR, OVEREXPOSED, UNDEREXPOSED, UNSHARP, flag

RANDOM = np.random.default_rng(5)


def ordinary(count: int = 400) -> np.ndarray:
    """Measures of a line in order: normal about their means."""
    means = {"brightness": 130, "contrast": 30, "clipped": 0.02, "sharpness": 3}
    spreads = {"brightness": 8, "contrast": 3, "clipped": 0.004, "sharpness": 0.3}
    columns = [
        RANDOM.normal(means.get(name, 1), spreads.get(name, 0.2), count) for name in MEASURES
    ]
    return np.column_stack(columns).astype(np.float32)


@pytest.mark.parametrize(
    ("measure", "value", "flagged"),
    [
        ("smear", 4.0, MOTION_BLUR),
        ("direction", 4.0, MOTION_BLUR),
        ("direction", -2.0, MOTION_BLUR),
        ("sharpness", 0.5, UNSHARP),
        ("clipped", 0.4, OVEREXPOSED),
        ("brightness", 240.0, OVEREXPOSED),
        ("brightness", 20.0, UNDEREXPOSED),
    ],
)
def test_outliers_bear_their_flag_and_no_other(measure: str, value: float, flagged: str) -> None:
    measures = ordinary()
    bad = np.arange(0, 400, 10)  # one in ten
    measures[bad, MEASURES.index(measure)] = value
    found = flag(measures, np.arange(400)).images
    assert set(bad.tolist()) <= set(found[flagged].tolist())
    others = sum(len(images) for images in found.values()) - len(bad)
    assert others <= 0.06 * 400


def test_the_worst_come_first() -> None:
    measures = ordinary()
    measures[[7, 8, 9], MEASURES.index("smear")] = (4.0, 9.0, 6.0)
    assert flag(measures, np.arange(400)).images[MOTION_BLUR][:3].tolist() == [8, 9, 7]


def test_images_that_are_all_alike_bear_no_flag() -> None:
    measures = np.tile(ordinary(1), (50, 1))
    measures[::2] += 0.001
    found = flag(measures, np.arange(50))
    assert set(found.images) == set(FLAGS)
    assert not any(len(images) for images in found.images.values())


def test_what_cannot_be_used_is_not_judged() -> None:
    measures = ordinary()
    measures[:40] = 0
    found = flag(measures, np.arange(40, 400))
    assert all((images >= 40).all() for images in found.images.values())
