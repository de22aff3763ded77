"""GigE Vision against Aravis's fake camera: frames, losses, a camera unplugged and plugged in again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.base import EndOfStream
from edge_runtime.cameras.gige import _TO_RGB, GigeCamera
from edge_runtime.capture.camera import CaptureCamera, open_camera
from edge_runtime.capture.supervision import Limits
from edge_runtime.cli.main import main
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError
from tests.fake_gige import FakeGigeCamera


@pytest.fixture
def fake() -> Iterator[FakeGigeCamera]:
    with FakeGigeCamera() as camera:
        yield camera


def take(camera: GigeCamera | CaptureCamera, number: int) -> list[Frame]:
    frames: list[Frame] = []
    give_up = time.monotonic() + 20
    while len(frames) < number and time.monotonic() < give_up:
        frames += [frame for frame in [camera.read(0.5)] if frame]
    return frames


def test_frames_come_at_the_cameras_rate_with_honest_times(fake: FakeGigeCamera) -> None:
    with closing(GigeCamera(fake.serial)) as camera:
        frames = take(camera, 10)
        assert camera.state.lost == 0
    assert [frame.part_id for frame in frames] == [
        f"{fake.serial}-{number:08d}" for number in range(1, 11)
    ]
    for frame in frames:
        assert isinstance(frame.image, np.ndarray)
        assert frame.image.shape == (512, 512, 3)
        assert (frame.image[..., 0] == frame.image[..., 2]).all()
    gaps = np.diff([frame.arrived for frame in frames])
    assert 0.02 < np.median(gaps) < 0.08
    with pytest.raises(EndOfStream):
        camera.read(0.1)


@pytest.mark.parametrize("name", ["RGB8", "BayerRG8", "BayerBG8"])
def test_colour_formats_become_rgb(name: str, fake: FakeGigeCamera) -> None:
    with closing(GigeCamera(fake.serial, pixel_format=name)) as camera:
        (frame,) = take(camera, 1)
    assert isinstance(frame.image, np.ndarray)
    assert frame.image.shape == (512, 512, 3)


@pytest.mark.parametrize("pattern", ["RG", "GB", "GR", "BG"])
def test_a_bayer_pattern_is_named_by_its_first_row(pattern: str) -> None:
    conversion = dict(_TO_RGB.values())[f"Bayer{pattern}8"]
    assert conversion is not None
    red = np.zeros((8, 8), dtype=np.uint8)
    other = {"RG": "GB", "GR": "BG", "GB": "RG", "BG": "GR"}[pattern]
    for row, names in enumerate((pattern, other)):
        for column, name in enumerate(names):
            red[row::2, column::2] = 200 if name == "R" else 0
    pixel = cv2.cvtColor(red, conversion)[4, 4]
    assert (pixel[0], pixel[1], pixel[2]) == (200, 0, 0)


def test_a_format_that_cannot_be_taken_names_those_that_can(fake: FakeGigeCamera) -> None:
    with (
        closing(GigeCamera(fake.serial, pixel_format="Mono16")) as camera,
        pytest.raises(
            CameraError, match=r"gives pixel format 0x01100007: set it to one of Mono8, "
        ),
    ):
        take(camera, 1)


def test_a_format_that_the_camera_has_not_is_an_error(fake: FakeGigeCamera) -> None:
    with pytest.raises(CameraError, match=r"cannot be opened: .*NoSuchFormat"):
        GigeCamera(fake.serial, pixel_format="NoSuchFormat")


def test_a_serial_number_nobody_has_names_those_there_are(fake: FakeGigeCamera) -> None:
    with pytest.raises(
        CameraError, match=f"no GigE camera with .* nobody: there are .*{fake.serial}"
    ):
        GigeCamera("nobody")


def test_lost_packets_make_a_part_without_a_picture_and_lost_frames_are_counted() -> None:
    fake = FakeGigeCamera()
    fake.plug_in(lost_per_thousand=50)
    try:
        with closing(GigeCamera(fake.serial)) as camera:
            frames = take(camera, 40)
            lost = camera.state.lost
    finally:
        fake.unplug()
    broken = [frame for frame in frames if isinstance(frame.image, Unreadable)]
    assert broken or lost
    for frame in broken:
        assert isinstance(frame.image, Unreadable)
        assert frame.image.reason.startswith("incomplete on the network: ")


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (7, 8, 0),
        (7, 9, 1),
        (65535, 1, 0),
        (65534, 2, 2),
        (60_000, 1, 5535),
        (500, 1, 0),
        (2**40, 2**40 + 3, 2),
    ],
)
def test_frames_are_missed_by_the_cameras_own_numbers(before: int, after: int, lost: int) -> None:
    camera = object.__new__(GigeCamera)
    camera._lost, camera._last_id = 0, None
    camera._count(before)
    camera._count(after)
    assert camera.state.lost == lost


def test_a_camera_unplugged_comes_back_by_itself_once_it_is_plugged_in(
    fake: FakeGigeCamera,
) -> None:
    limits = Limits(silence_s=2.0, longest_pause_s=0.5)
    with closing(CaptureCamera(f"gige:{fake.serial}", limits=limits)) as camera:
        assert len(take(camera, 10)) == 10
        fake.unplug()
        unplugged = time.monotonic()
        while camera.state.problem is None:
            assert time.monotonic() - unplugged < 10
            camera.read(0.1)
        time.sleep(0.5)
        fake.plug_in()
        plugged_in = time.monotonic()
        frames = take(camera, 5)
        assert time.monotonic() - plugged_in < 5 + limits.open_s
        assert camera.state.problem is None
        assert camera.state.restarts >= 1
        assert all(isinstance(frame.image, np.ndarray) for frame in frames)


def test_it_is_listed_and_a_snapshot_can_be_taken(
    fake: FakeGigeCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cameras"]) == 0
    assert f"gige:{fake.serial}" in capsys.readouterr().out
    assert main(["snapshot", f"gige:{fake.serial}", "--out", str(tmp_path / "x.png")]) == 0
    assert cv2.imread(str(tmp_path / "x.png")).shape == (512, 512, 3)


WITHOUT_BINDINGS = """
import sys
sys.modules["gi"] = None
from edge_runtime.cli.main import main
sys.exit(main(["snapshot", "gige:1?process=0", "--out", "x.png"]))
"""


def test_without_aravis_it_says_what_to_install() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            WITHOUT_BINDINGS,
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    assert "apt install gir1.2-aravis-0.8 and pip install 'edge-inspect[gige]'" in done.stderr


def test_gige_runs_in_a_process_of_its_own(fake: FakeGigeCamera) -> None:
    with closing(open_camera(f"gige:{fake.serial}")) as camera:
        assert isinstance(camera, CaptureCamera)
        assert len(take(camera, 3)) == 3


def test_a_camera_whose_last_client_was_killed_sends_to_the_next(fake: FakeGigeCamera) -> None:
    with closing(open_camera(f"gige:{fake.serial}")) as camera:
        assert isinstance(camera, CaptureCamera)
        assert take(camera, 5)
        assert camera.pid is not None
        os.kill(camera.pid, signal.SIGKILL)
        while not camera.state.restarts:
            camera.read(0.1)
        # With its address of before it would give nothing, until it is found silent after 8 s.
        assert len(take(camera, 5)) == 5
        assert camera.state.restarts == 1
