"""Levels rise on a detection with the size, and fall late."""

import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.drift.levels import MEASURE_SIZES, Standing, highest, widened

OK, WARNING, ALARM = DriftLevel.OK, DriftLevel.WARNING, DriftLevel.ALARM


@pytest.mark.parametrize(
    ("before", "effect", "detected", "after"),
    [
        (OK, 3.0, False, OK),  # large, and not certain
        (OK, 0.4, True, OK),  # certain, and not large
        (OK, 0.5, True, WARNING),
        (OK, 1.0, True, ALARM),
        (WARNING, 0.31, True, WARNING),  # below its size, not far enough
        (WARNING, 0.29, True, OK),
        (WARNING, 1.2, True, ALARM),
        (WARNING, 1.2, False, WARNING),
        (ALARM, 0.61, True, ALARM),
        (ALARM, 0.59, True, WARNING),
        (ALARM, 0.1, False, OK),
        (ALARM, -2.0, True, OK),  # the other way is another change
    ],
)
def test_a_level_follows_certainty_size_and_the_level_before(
    before: DriftLevel, effect: float, detected: bool, after: DriftLevel
) -> None:
    for rising, sign in ((True, 1), (False, -1)):
        standing = Standing(MEASURE_SIZES, level=before, rising=rising)
        standing.judge(sign * effect, detected=detected)
        assert standing.level is after


def test_a_reference_that_is_known_less_well_tolerates_more() -> None:
    wide = widened(MEASURE_SIZES, 0.2)
    assert (wide.tolerated, wide.warning, wide.alarm) == pytest.approx((0.45, 0.7, 1.2))


def test_the_gravest_level_counts() -> None:
    assert highest([OK, ALARM, WARNING]) is ALARM
    assert highest([]) is OK
