"""RTSP against GStreamer's server: pictures and their age, a camera unplugged, one that says no more."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.assembly import station as assembly
from edge_runtime.assembly.station import open_station
from edge_runtime.cameras.base import CameraSource, SourceState
from edge_runtime.cameras.opencv import OpenCvCamera
from edge_runtime.capture.camera import CaptureCamera, open_camera
from edge_runtime.capture.supervision import Limits
from edge_runtime.config import StationConfig
from edge_runtime.contracts.frame import Frame
from edge_runtime.errors import CameraError
from edge_runtime.mes.links import open_subscriber
from tests.patience import listen_until
from tests.received import verdicts
from tests.rtsp_camera import RtspCamera
from tests.rtsp_picture import stamp, stamped

NOTICED_S = 10.0
BACK_S = 5.0 + Limits().open_s
"""What is promised, and the time of an opening."""
SECRET = "hunter2"  # noqa: S105 - of a camera in this file


def read_until(
    source: CameraSource, enough: Callable[[list[Frame]], object], timeout_s: float = 20.0
) -> list[Frame]:
    frames: list[Frame] = []
    give_up = time.monotonic() + timeout_s
    while not enough(frames):
        assert time.monotonic() < give_up, source.state
        frames += [frame for frame in [source.read(0.1)] if frame]
    return frames


def pixels(frame: Frame) -> np.ndarray:
    assert isinstance(frame.image, np.ndarray), frame.image
    return frame.image


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_frames_are_the_cameras_pictures_without_those_from_before_it_was_open(codec: str) -> None:
    with RtspCamera(codec) as camera, closing(OpenCvCamera(camera.address)) as source:
        opened = time.monotonic()
        frames = read_until(source, lambda frames: len(frames) == 20)
        # More threads than this make H.264 older, by a frame each.
        assert source._capture.get(cv2.CAP_PROP_N_THREADS) == 1
    assert [frame.part_id for frame in frames] == [
        f"127.0.0.1/camera-{number:08d}" for number in range(1, 21)
    ]
    numbers, taken = zip(*(stamp(pixels(frame)) for frame in frames), strict=True)
    assert list(numbers) == list(range(numbers[0], numbers[0] + 20)), "none is left out"
    for frame, number, at in zip(frames, numbers, taken, strict=True):
        sent = stamped(number, at).astype(int)
        assert np.abs(pixels(frame) - sent).mean() < 12, "the colours are the camera's"
    # Half of what the control below is given, for a machine that is busy.
    assert taken[0] > opened - 0.2
    assert np.median([frame.arrived - at for frame, at in zip(frames, taken, strict=True)]) < 0.3


def test_control_opencv_alone_begins_with_pictures_from_before_it_was_open() -> None:
    with RtspCamera("h264") as camera:
        alone = cv2.VideoCapture(camera.address, cv2.CAP_FFMPEG)
        opened = time.monotonic()
        _, image = alone.read()
        alone.release()
    _, taken = stamp(image)
    assert taken < opened - 0.4


def test_a_camera_unplugged_comes_back_by_itself_and_nobody_reads_its_password(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    with (
        RtspCamera(password=SECRET) as camera,
        closing(open_camera(camera.address)) as source,
    ):
        assert isinstance(source, CaptureCamera)
        before = read_until(source, lambda frames: len(frames) == 10)
        camera.unplug()
        read_until(source, lambda _: source.state.problem, NOTICED_S)
        # It is tried again while nobody listens there.
        read_until(source, lambda _: "cannot be opened" in str(source.state.problem))
        camera.plug_in()
        after = read_until(source, lambda frames: len(frames) == 5, BACK_S)
        assert source.state.problem is None
        assert source.state.restarts >= 2
    assert all(isinstance(frame.image, np.ndarray) for frame in after)
    ids = [frame.part_id for frame in before + after]
    assert len(set(ids)) == len(ids)
    written = "".join([caplog.text, *capfd.readouterr(), *ids])
    assert f"camera rtsp://***@{camera.address.rpartition('@')[2]} is back" in written
    assert SECRET not in written


def test_a_camera_that_says_no_more_is_noticed_and_goes_on_when_it_does() -> None:
    with RtspCamera() as camera, closing(open_camera(camera.address)) as source:
        before = read_until(source, lambda frames: len(frames) == 10)
        camera.freeze()
        read_until(source, lambda _: source.state.problem, NOTICED_S)
        assert "gave no frame after" in str(source.state.problem)
        read_until(source, lambda _: source.state.restarts)
        thawed = time.monotonic()
        camera.thaw()
        after = read_until(source, lambda frames: len(frames) == 5, BACK_S)
        assert source.state.problem is None
    assert stamp(pixels(before[-1]))[1] < thawed < stamp(pixels(after[0]))[1]


def test_a_password_that_is_refused_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with RtspCamera(password=SECRET) as camera:
        wrong = camera.address.replace(SECRET, "swordfish")
        with pytest.raises(CameraError, match=r"rtsp://\*\*\*@.*: check .* its password") as caught:
            open_camera(wrong)
    written = "".join([str(caught.value), *capfd.readouterr()])
    assert "401 (Unauthorized)" in written, "control: what FFmpeg itself writes is seen"
    assert "swordfish" not in written


class Noting:
    """A camera of which is known when each frame was taken."""

    def __init__(self, text: str, taken: dict[str, float]) -> None:
        self._source = open_camera(text)
        self._taken = taken

    @property
    def state(self) -> SourceState:
        return self._source.state

    def read(self, timeout_s: float) -> Frame | None:
        frame = self._source.read(timeout_s)
        if frame is not None:
            self._taken[frame.part_id] = stamp(pixels(frame))[1]
        return frame

    def close(self) -> None:
        self._source.close()


Margins = Callable[[float], list[float]]


@pytest.fixture
def margins(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Margins:
    """Of three parts: seconds from the trigger to when the first of their frames was taken."""

    def measure(lag_ms: float) -> list[float]:
        taken: dict[str, float] = {}
        monkeypatch.setattr(assembly, "open_camera", lambda text: Noting(text, taken))
        margins = []
        with RtspCamera("h264") as camera:
            config = StationConfig.model_validate(
                {
                    "site": "plant",
                    "station": "L07-S3",
                    "bundle": str(make_bundle()),
                    "source": (camera.address,),
                    "broker": f"memory://{tmp_path.name}",
                    "state_dir": tmp_path / "state",
                    "trigger": "mqtt",
                    "trigger_lag_ms": lag_ms,
                    "part_frames": 2,
                    "deadline_ms": 20_000,
                }
            )
            stop = threading.Event()
            with (
                closing(open_subscriber(config.broker, "inspection/#")) as mes,
                open_station(config) as station,
            ):
                running = threading.Thread(target=station.run, args=[stop])
                running.start()
                try:
                    listen_until(mes, lambda _: bool(taken))
                    for number in range(3):
                        # Each at another moment between two frames.
                        time.sleep(number / 100)
                        triggered = time.monotonic()
                        payload = json.dumps({"part_id": f"M{number}"}).encode()
                        assert mes.publish("inspection/plant/L07/S3/trigger", payload)
                        heard = listen_until(mes, lambda heard: bool(verdicts(heard)))
                        (answer,) = verdicts(heard)
                        margins.append(taken[str(answer.views[0].frame_id)] - triggered)
                finally:
                    stop.set()
                    running.join(30)
        return margins

    return measure


def test_with_its_lag_told_a_part_gets_frames_that_were_taken_after_its_trigger(
    margins: Margins,
) -> None:
    # Twenty times what it is, for a machine that is busy.
    assert min(margins(1000)) > 0


def test_control_without_the_lag_a_part_gets_a_frame_that_was_taken_before_it(
    margins: Margins,
) -> None:
    assert min(margins(0)) < 0
