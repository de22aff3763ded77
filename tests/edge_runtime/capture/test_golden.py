"""Whether a camera that came back shows what it showed before: changes are seen, parts are not."""

from collections.abc import Callable

import numpy as np
import pytest

from edge_runtime.capture.golden import LEARNT_FROM, ON_TRIAL, GoldenFrame, Look, Reference
from edge_runtime.contracts.frame import Pixels
from tests.faults.sources import scene


def golden(frame: Callable[[int], Pixels] = scene) -> GoldenFrame:
    """One that has learnt and whose camera has come back."""
    learnt = GoldenFrame()
    for number in range(LEARNT_FROM):
        assert learnt.difference(frame(number)) is None
    learnt.reconnected()
    return learnt


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p[..., ::-1], "red and blue are swapped"),
        (lambda p: p[:, ::-1], "mirrored left to right"),
        (lambda p: p[::-1], "mirrored upside down"),
        (lambda p: p[::-1, ::-1], "mirrored turned by half"),
        (lambda p: p[::2, ::2], "64x48 pixels, was 128x96"),
        (lambda p: np.repeat(np.repeat(p, 2, 0), 2, 1), "256x192 pixels, was 128x96"),
        (lambda p: p.transpose(1, 0, 2), "96x128 pixels, was 128x96"),
        (lambda p: p >> 4, "mean grey level 5, was 82"),
        (lambda p: np.full_like(p, 255), "mean grey level 255, was 82"),
        (np.zeros_like, "mean grey level 0, was 82"),
    ],
)
def test_a_change_is_seen_at_the_first_frame_and_at_every_one(
    change: Callable[[Pixels], Pixels], words: str
) -> None:
    watched = golden()
    for number in range(20):
        assert watched.difference(change(scene(number))) == words


def test_the_same_camera_is_believed_at_its_first_frame() -> None:
    watched = golden()
    for number in range(100, 140):
        assert watched.difference(scene(number)) is None


def test_a_little_more_or_less_light_is_no_change() -> None:
    watched = golden()
    for number in range(ON_TRIAL):
        assert watched.difference((scene(number) * 0.5).astype(np.uint8)) is None


def test_believed_is_who_agrees_several_times_in_a_row() -> None:
    watched = golden()
    for _ in range(ON_TRIAL - 1):
        assert watched.difference(scene(1)) is None
    swapped = np.ascontiguousarray(scene(2)[..., ::-1])
    assert watched.difference(swapped) == "red and blue are swapped"
    for _ in range(ON_TRIAL):
        assert watched.difference(scene(3)) is None
    assert watched.difference(swapped) is None, "only the size is compared from here on"


def test_another_size_is_seen_without_a_reconnection() -> None:
    watched = golden()
    for number in range(ON_TRIAL):
        watched.difference(scene(number))
    assert watched.difference(scene(9)[:48]) == "128x48 pixels, was 128x96"


def test_sizes_that_change_while_it_learns_are_seen() -> None:
    learning = GoldenFrame()
    assert learning.difference(scene(1)) is None
    assert learning.difference(scene(2)[:, :64]) == "64x96 pixels, was 128x96"


def test_a_camera_lost_before_enough_was_learnt_is_held_to_what_there_was() -> None:
    early = GoldenFrame()
    early.difference(scene(1))
    early.reconnected()
    assert early.difference(scene(2)[:, ::-1]) == "mirrored left to right"


def test_what_a_scene_cannot_show_is_named() -> None:
    assert Reference.of([Look.at(scene(1))]).cannot_see == ()
    grey = np.full((96, 128, 3), 90, dtype=np.uint8)
    grey[:48] = 140
    assert Reference.of([Look.at(grey)]).cannot_see == (
        "red and blue swapped",
        "mirrored left to right",
    )


def test_parts_that_differ_as_crops_of_the_simulated_line_do_are_no_change() -> None:
    from contextlib import closing

    from edge_runtime.cameras.simulated import SimulatedCamera
    from edge_runtime.decoding import decode

    with closing(SimulatedCamera("gen3", seed=3, corrupt=False, defects=0.2)) as camera:
        crops = [decode(frame.image) for frame in (camera.read(1.0) for _ in range(60))]  # type: ignore[arg-type,union-attr]
    sizes = {crop.shape for crop in crops}
    assert len(sizes) == 1
    reference = Reference.of([Look.at(crop) for crop in crops[:LEARNT_FROM]])
    found = [reference.difference(Look.at(crop)) for crop in crops[LEARNT_FROM:]]
    assert [each for each in found if each] == []
