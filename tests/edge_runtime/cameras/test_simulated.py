"""The simulated camera: what it hands over, how it paces, and what it refuses."""

from contextlib import closing
from datetime import UTC, datetime

import pytest

from edge_runtime.cameras.simulated import SimulatedCamera
from edge_runtime.contracts.frame import Frame
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.errors import CameraError


def take(count: int, **options: object) -> list[Frame]:
    with closing(SimulatedCamera(**options)) as camera:  # type: ignore[arg-type]
        frames = [camera.read(0.0) for _ in range(count)]
    assert None not in frames
    return [frame for frame in frames if frame is not None]


def sound(frame: Frame) -> bool:
    assert isinstance(frame.image, bytes)
    try:
        decode(frame.image)
    except Undecodable:
        return False
    return True


def test_unpaced_it_always_has_a_frame_and_never_the_same_part() -> None:
    frames = take(9, generation="gen2", seed=3)
    assert len({frame.part_id for frame in frames}) == 9
    assert all(frame.part_id.startswith("GEN2-0003-") for frame in frames)


def test_a_seed_fixes_the_pictures_and_the_present_the_times() -> None:
    before = datetime.now(UTC)
    one, other = take(3, seed=7), take(3, seed=7)
    assert [frame.image for frame in one] == [frame.image for frame in other]
    assert all(before <= frame.captured_at <= datetime.now(UTC) for frame in one + other)


def test_damaged_files_are_handed_over_unless_left_out() -> None:
    assert not all(sound(frame) for frame in take(200, seed=4, corrupt=True))
    assert all(sound(frame) for frame in take(200, seed=4, corrupt=False))


def test_more_defects_can_be_asked_for() -> None:
    plain, many = take(8, seed=1, corrupt=False), take(8, seed=1, corrupt=False, defects=1.0)
    assert [frame.part_id for frame in plain] == [frame.part_id for frame in many]
    assert sum(one.image != other.image for one, other in zip(plain, many, strict=True)) >= 6


def test_a_frame_that_is_not_due_is_not_waited_for_past_the_timeout() -> None:
    with closing(SimulatedCamera(seed=1, rate=0.001)) as camera:
        assert camera.read(0.0) is not None
        assert camera.read(0.0) is None
        assert camera.read(0.01) is None


def test_a_closed_camera_delivers_nothing_more() -> None:
    camera = SimulatedCamera(seed=1)
    camera.close()
    camera.close()
    assert camera.read(5.0) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generation": "gen4"}, "simulated camera: unknown generation 'gen4'"),
        ({"seed": -2}, "simulated camera: seed -2 is negative"),
        ({"rate": -1.0}, "rate -1 must be 0"),
        ({"rate": float("nan")}, "rate nan must be 0"),
        ({"defects": 1.1}, r"defects=1\.1 must lie between 0 and 1"),
    ],
)
def test_a_camera_that_cannot_be_says_why(options: dict[str, object], message: str) -> None:
    with pytest.raises(CameraError, match=message):
        SimulatedCamera(**options)  # type: ignore[arg-type]
