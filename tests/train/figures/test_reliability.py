import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.figures.reliability import calibration_error, reliability


@given(
    answers=st.lists(st.tuples(st.floats(0, 1, allow_subnormal=False), st.booleans()), min_size=1)
)
def test_the_bins_hold_every_image_and_make_up_the_error(
    answers: list[tuple[float, bool]],
) -> None:
    confidences = np.array([confidence for confidence, _ in answers])
    correct = np.array([right for _, right in answers])
    bins = reliability(confidences, correct)
    assert sum(part.images for part in bins) == len(answers)
    assert sum(part.images * part.correct for part in bins) == pytest.approx(correct.sum())
    for part in bins:
        assert part.low - 1e-12 <= part.confidence <= part.high + 1e-12
    gap = sum(part.images * abs(part.confidence - part.correct) for part in bins) / len(answers)
    assert calibration_error(confidences, correct) == pytest.approx(gap)
