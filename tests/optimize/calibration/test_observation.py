"""Observing the activations of the float model."""

import numpy as np
import pytest

from optimize import quantize
from optimize.calibration.observation import observe
from optimize.errors import CalibrationError
from optimize.graph import FloatModel
from tests.optimize.tiny_network import Pixels


def test_extremes_and_counts_are_those_of_the_float_model(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    seen = observe(simplified.proto, ["clipped", "rectified"], images)
    floats = (np.stack(images).astype(np.float32) - 128) / 127.5
    clipped = np.clip(floats + 1, 0, 6)
    assert seen["clipped"].low == 0
    assert seen["clipped"].high == pytest.approx(clipped.max(), rel=1e-5)
    assert seen["clipped"].counts.sum() == clipped.size
    expected, _ = np.histogram(clipped, bins=2048, range=(0, seen["clipped"].high))
    # Values on a bin's edge may fall to either side.
    assert np.abs(np.cumsum(seen["clipped"].counts) - np.cumsum(expected)).max() < 300


def test_progress_hears_of_every_image_in_both_passes(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    heard: list[int] = []
    observe(simplified.proto, ["clipped"], images, heard.append)
    assert sum(heard) == 2 * len(images)


def test_nothing_to_observe_is_refused(simplified: FloatModel) -> None:
    with pytest.raises(CalibrationError, match="no calibration image"):
        observe(simplified.proto, ["clipped"], [])


def test_what_int8_needs_to_know_is_asked_for_and_no_more(simplified: FloatModel) -> None:
    assert quantize.activations(simplified.proto) == ("planes", "clipped", "rectified")
