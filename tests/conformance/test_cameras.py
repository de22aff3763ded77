"""What every source of frames promises, whatever it stands on (see `CameraSource`)."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.base import CameraSource, EndOfStream, SourceState
from edge_runtime.cameras.directory import DirectoryCamera
from edge_runtime.cameras.drop_folder import DropFolder
from edge_runtime.cameras.gige import GigeCamera
from edge_runtime.cameras.opencv import OpenCvCamera
from edge_runtime.cameras.recorded import RecordedCamera
from edge_runtime.cameras.recording import RecordingWriter
from edge_runtime.cameras.simulated import SimulatedCamera
from edge_runtime.capture.camera import CaptureCamera, open_camera
from edge_runtime.contracts.frame import Frame
from tests.edge_runtime.cameras.test_opencv import mjpeg_stream
from tests.fake_gige import FakeGigeCamera
from tests.rtsp_camera import RtspCamera

Opener = Callable[[Path], CameraSource]
PARTS = 4
PATIENCE_S = 10.0


def open_simulated(_: Path) -> CameraSource:
    return SimulatedCamera(generation="gen3", seed=1, rate=200.0)


def open_folder(tmp_path: Path) -> CameraSource:
    for number in range(PARTS):
        (tmp_path / f"{number}.jpg").write_bytes(b"x" * number)
    return DirectoryCamera(tmp_path)


def open_watched_folder(tmp_path: Path) -> CameraSource:
    open_folder(tmp_path).close()
    return DirectoryCamera(tmp_path, watch=True, poll_s=0.01)


def open_video(tmp_path: Path) -> CameraSource:
    path = tmp_path / "run.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(PARTS):
        writer.write(np.full((48, 64, 3), number * 20, dtype=np.uint8))
    writer.release()
    return OpenCvCamera(str(path))


def open_simulated_in_a_process(_: Path) -> CameraSource:
    return open_camera("simulated:gen3?seed=1&rate=200&process=1")


def open_folder_in_a_process(tmp_path: Path) -> CameraSource:
    open_folder(tmp_path).close()
    return open_camera(f"dir:{tmp_path}?process=1")


def open_watched_folder_in_a_process(tmp_path: Path) -> CameraSource:
    open_folder(tmp_path).close()
    return open_camera(f"dir:{tmp_path}?watch=1&process=1")


def open_video_in_a_process(tmp_path: Path) -> CameraSource:
    open_video(tmp_path).close()
    return CaptureCamera(str(tmp_path / "run.avi"), live=False, resumes=False)


def open_recording(tmp_path: Path) -> CameraSource:
    if not (tmp_path / "session").exists():
        with (
            closing(open_simulated(tmp_path)) as camera,
            RecordingWriter(tmp_path / "session", source="x", is_simulated=True) as writer,
        ):
            for frame in take(camera, PARTS):
                writer.add(frame)
    return RecordedCamera(tmp_path / "session")


def open_recording_in_a_process(tmp_path: Path) -> CameraSource:
    open_recording(tmp_path).close()
    return open_camera(f"recording:{tmp_path}/session?process=1")


def open_drop_folder(tmp_path: Path) -> CameraSource:
    open_folder(tmp_path).close()
    return DropFolder(tmp_path, move_to=None, settle_s=0.01, patience_s=0.05, poll_s=0.01)


class Lent:
    """A camera together with what it looks at, which ends with it."""

    def __init__(
        self, seen: AbstractContextManager[object], opener: Callable[[], CameraSource]
    ) -> None:
        with ExitStack() as resources:
            resources.enter_context(seen)
            self._camera = opener()
            resources.callback(self._camera.close)
            self._resources = resources.pop_all()

    @property
    def state(self) -> SourceState:
        return self._camera.state

    def read(self, timeout_s: float) -> Frame | None:
        return self._camera.read(timeout_s)

    def close(self) -> None:
        self._resources.close()


def open_gige(_: Path) -> CameraSource:
    fake = FakeGigeCamera()
    return Lent(fake, lambda: GigeCamera(fake.serial))


def open_gige_in_a_process(_: Path) -> CameraSource:
    fake = FakeGigeCamera()
    return Lent(fake, lambda: open_camera(f"gige:{fake.serial}"))


def open_stream_in_a_process(_: Path) -> CameraSource:
    stream = mjpeg_stream(frames=50, then_stall=True)
    with ExitStack() as resources:
        address = resources.enter_context(stream)
        return Lent(resources.pop_all(), lambda: open_camera(address))


def open_rtsp_in_a_process(_: Path) -> CameraSource:
    camera = RtspCamera("jpeg")
    return Lent(camera, lambda: open_camera(camera.address))


EVERY = pytest.mark.parametrize(
    "opener",
    [
        open_drop_folder,
        open_gige,
        open_gige_in_a_process,
        open_stream_in_a_process,
        open_rtsp_in_a_process,
        open_simulated,
        open_folder,
        open_watched_folder,
        open_video,
        open_recording,
        open_simulated_in_a_process,
        open_folder_in_a_process,
        open_watched_folder_in_a_process,
        open_video_in_a_process,
        open_recording_in_a_process,
    ],
)
ENDING = pytest.mark.parametrize(
    "opener",
    [
        open_folder,
        open_video,
        open_recording,
        open_folder_in_a_process,
        open_video_in_a_process,
        open_recording_in_a_process,
    ],
)


def take(camera: CameraSource, number: int) -> list[Frame]:
    frames: list[Frame] = []
    give_up = time.monotonic() + PATIENCE_S
    while len(frames) < number and time.monotonic() < give_up:
        frame = camera.read(0.5)
        if frame is not None:
            frames.append(frame)
    return frames


@EVERY
def test_frames_hold_bytes_or_pixels_and_two_honest_times(opener: Opener, tmp_path: Path) -> None:
    with closing(opener(tmp_path)) as camera:
        frames = take(camera, PARTS)
    assert len(frames) == PARTS
    for frame in frames:
        assert isinstance(frame.image, bytes | np.ndarray)
        assert frame.captured_at.utcoffset() is not None
        assert 0 < frame.arrived <= time.monotonic()
    assert [frame.arrived for frame in frames] == sorted(frame.arrived for frame in frames)


@EVERY
def test_no_two_parts_share_an_id(opener: Opener, tmp_path: Path) -> None:
    with closing(opener(tmp_path)) as camera:
        frames = take(camera, PARTS)
    assert len({frame.part_id for frame in frames}) == PARTS
    assert all(frame.part_id for frame in frames)


@EVERY
def test_closing_twice_is_harmless(opener: Opener, tmp_path: Path) -> None:
    camera = opener(tmp_path)
    camera.close()
    camera.close()


@EVERY
def test_a_closed_source_gives_nothing_more(opener: Opener, tmp_path: Path) -> None:
    camera = opener(tmp_path)
    camera.close()
    try:
        frame = camera.read(0.0)
    except EndOfStream:
        frame = None
    assert frame is None


@EVERY
def test_a_source_that_gives_frames_has_no_problem(opener: Opener, tmp_path: Path) -> None:
    with closing(opener(tmp_path)) as camera:
        take(camera, PARTS)
        assert (camera.state.problem, camera.state.restarts) == (None, 0)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (open_simulated, open_simulated_in_a_process),
        (open_folder, open_folder_in_a_process),
        (open_video, open_video_in_a_process),
        (open_recording, open_recording_in_a_process),
    ],
)
def test_a_process_of_its_own_changes_no_frame(here: Opener, there: Opener, tmp_path: Path) -> None:
    with closing(here(tmp_path)) as camera:
        expected = take(camera, PARTS)
    with closing(there(tmp_path)) as camera:
        frames = take(camera, PARTS)
    assert [frame.part_id for frame in frames] == [frame.part_id for frame in expected]
    for frame, same in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame.image, same.image)


@ENDING
def test_the_end_stays_the_end(opener: Opener, tmp_path: Path) -> None:
    with closing(opener(tmp_path)) as camera:
        with pytest.raises(EndOfStream):
            take(camera, PARTS + 1)
        for _ in range(3):
            with pytest.raises(EndOfStream):
                camera.read(0.0)


@pytest.mark.parametrize(
    "opener",
    [
        lambda _: SimulatedCamera(generation="gen3", seed=1, rate=0.01),
        lambda path: DirectoryCamera(path, watch=True),
        lambda path: DropFolder(path, move_to=None),
        lambda _: open_camera("simulated:gen3?seed=1&rate=0.01&process=1"),
        lambda path: open_camera(f"dir:{path}?watch=1&process=1"),
    ],
    ids=[
        "simulated",
        "watched folder",
        "drop folder",
        "simulated in a process",
        "watched folder in a process",
    ],
)
def test_a_source_with_nothing_to_give_returns_in_time(opener: Opener, tmp_path: Path) -> None:
    with closing(opener(tmp_path)) as camera:
        for attempt in count():
            began = time.monotonic()
            if camera.read(0.05) is None:
                break
            assert attempt == 0, "only the first part may be there at once"
        assert 0.05 <= time.monotonic() - began < PATIENCE_S
