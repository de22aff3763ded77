"""One camera's gate: what is measured, and the picture that repeats."""

import numpy as np

from edge_runtime.drift.statistics import measure
from edge_runtime.quality.gate import QualityGate
from edge_runtime.quality.stuck import StuckPicture
from optimize.quality_limits.trials import gained
from tests.quality_scenes import scene, scenes_reference


def test_the_same_picture_again_is_stuck_until_another_comes() -> None:
    stuck, first = StuckPicture(), scene(1)
    assert stuck.rejection(first) is None
    assert stuck.rejection(first.copy()) == "stuck: the same picture as before, 2 times in a row"
    assert stuck.rejection(first.copy()) == "stuck: the same picture as before, 3 times in a row"
    assert stuck.rejection(scene(2)) is None
    assert stuck.rejection(first) is None


def test_the_noise_of_a_sensor_is_another_picture() -> None:
    stuck, still = StuckPicture(), scene(1)
    rng = np.random.default_rng(0)
    frames = [
        np.clip(still + rng.normal(0, 1, still.shape), 0, 255).astype(np.uint8) for _ in "12345"
    ]
    assert [stuck.rejection(frame) for frame in frames] == [None] * 5


def test_a_camera_that_is_not_live_may_repeat_itself() -> None:
    gate = QualityGate(scenes_reference(), live=False)
    assert [gate.examine(scene(1000)).rejection for _ in "123"] == [None] * 3


def test_each_camera_has_a_memory_of_its_own() -> None:
    one, other = (QualityGate(scenes_reference(), live=True) for _ in "12")
    assert one.examine(scene(1000)).rejection is None
    assert other.examine(scene(1000)).rejection is None
    assert (one.examine(scene(1000)).rejection or "").startswith("stuck: ")


def test_a_frame_that_is_turned_away_is_measured_for_drift_all_the_same() -> None:
    dark = gained(scene(1000), 0.2, 0.2, 0.2)
    examined = QualityGate(scenes_reference(), live=True).examine(dark)
    assert (examined.rejection or "").startswith("dark: ")
    assert examined.statistics == measure(dark)
