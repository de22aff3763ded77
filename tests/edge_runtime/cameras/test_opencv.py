"""Videos and streams through OpenCV: colours, ends, and failures that OpenCV would keep to itself."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.base import EndOfStream
from edge_runtime.cameras.opencv import OpenCvCamera
from edge_runtime.capture.camera import CaptureCamera
from edge_runtime.capture.supervision import Limits
from edge_runtime.errors import CameraError

RED = np.zeros((48, 64, 3), dtype=np.uint8)
RED[..., 2] = 200  # BGR, as OpenCV writes it


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "run.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        writer.write(RED)
    writer.release()
    return path


@contextmanager
def mjpeg_stream(*, frames: int, then_stall: bool) -> Iterator[str]:
    """The address of a camera on loopback that sends so many frames, then hangs up or goes quiet."""
    released = threading.Event()
    jpeg = bytes(cv2.imencode(".jpg", RED)[1])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            self.wfile.write((part + jpeg + b"\r\n") * frames)
            self.wfile.flush()
            if then_stall:
                released.wait(30)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/cam"
    finally:
        released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def drain(camera: OpenCvCamera) -> None:
    for _ in range(10):
        camera.read(1.0)


def test_a_video_gives_each_frame_in_rgb_and_then_ends(video: Path) -> None:
    with closing(OpenCvCamera(str(video))) as camera:
        frames = [camera.read(1.0) for _ in range(3)]
        for frame in frames:
            assert frame is not None
            assert isinstance(frame.image, np.ndarray)
            assert frame.image.shape == (48, 64, 3)
            np.testing.assert_allclose(frame.image[24, 32], (200, 0, 0), atol=6)
        for _ in range(2):
            with pytest.raises(EndOfStream):
                camera.read(1.0)
    assert [frame.part_id for frame in frames if frame] == [
        f"run.avi-{number:08d}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_a_file_that_is_no_video_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.avi"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=r"video file .*/x.avi cannot be opened: is it a video?"):
        OpenCvCamera(str(path))


def test_a_folder_is_led_to_the_folder_source(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"is a folder: its images are read with dir:"):
        OpenCvCamera(str(tmp_path))


def test_a_device_that_is_not_there_says_so() -> None:
    with pytest.raises(CameraError, match=r"camera 97 cannot be opened: .*looked for /dev/video97"):
        OpenCvCamera(97)


def test_an_address_nobody_answers_does_not_show_its_password() -> None:
    with pytest.raises(CameraError) as caught:
        OpenCvCamera("rtsp://user:secret@127.0.0.1:9/1", open_timeout_s=0.5)
    assert str(caught.value) == (
        "stream rtsp://***@127.0.0.1:9/1 cannot be opened: "
        "check the address, its password, and that the camera is on"
    )


@pytest.mark.parametrize("then_stall", [False, True], ids=["hangs up", "goes quiet"])
def test_a_stream_that_stops_is_an_error_and_no_end(*, then_stall: bool) -> None:
    with (
        mjpeg_stream(frames=6, then_stall=then_stall) as address,
        closing(OpenCvCamera(address, read_timeout_s=0.3)) as camera,
    ):
        first = camera.read(1.0)
        assert first is not None
        assert first.part_id == "127.0.0.1/cam-00000001"
        with pytest.raises(
            CameraError, match=r"gave no frame after \d+: check its power and cable"
        ):
            drain(camera)


def test_a_stream_that_goes_quiet_is_opened_anew_by_the_process_it_runs_in() -> None:
    limits = Limits(hang_s=1.0, first_pause_s=0.05)
    with (
        mjpeg_stream(frames=6, then_stall=True) as address,
        closing(CaptureCamera(address, limits=limits)) as camera,
    ):
        frames = []
        give_up = time.monotonic() + 15
        while camera.state.restarts < 1 or camera.state.problem:
            began = time.monotonic()
            assert began < give_up, camera.state
            frame = camera.read(0.1)
            assert time.monotonic() - began < 2.0  # it would hang for ever
            frames += [frame.part_id] if frame else []
        assert frames[0] == "127.0.0.1/cam-00000001"
        assert frames[-1] == "127.0.0.1/cam-00000001@2"
