"""The only resize: when it does nothing, and what it keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.preprocessing import fit

SPEC = InputSpec(height=32, width=48)


def test_pixels_of_the_right_size_are_passed_through_untouched() -> None:
    pixels = np.zeros((32, 48, 3), dtype=np.uint8)
    assert fit(pixels, SPEC) is pixels


@settings(max_examples=50, deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200))
def test_every_size_comes_out_as_the_model_wants_it(height: int, width: int) -> None:
    fitted = fit(np.full((height, width, 3), 77, dtype=np.uint8), SPEC)
    assert fitted.shape == (32, 48, 3)
    assert fitted.dtype == np.uint8
    assert (fitted == 77).all()


def test_the_image_is_stretched_to_the_edges_without_bars() -> None:
    pixels = np.zeros((320, 48, 3), dtype=np.uint8)
    pixels[:160] = 255
    fitted = fit(pixels, SPEC)
    assert (fitted[:16] == 255).all()
    assert (fitted[16:] == 0).all()


@pytest.mark.parametrize("position", range(8))
def test_shrinking_keeps_a_hairline_wherever_it_lies(position: int) -> None:
    pixels = np.full((256, 384, 3), 200, dtype=np.uint8)
    pixels[:, 160 + position] = 40
    assert fit(pixels, SPEC)[:, 20, 0].max() == 180


def test_channels_stay_in_their_order() -> None:
    pixels = np.tile(np.array([10, 20, 30], dtype=np.uint8), (100, 100, 1))
    assert (fit(pixels, SPEC) == (10, 20, 30)).all()
