"""Cameras that hang, crash and lie: noticed in bounded time, healed without a person, nothing leaked."""

import errno
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.cameras.base import EndOfStream
from edge_runtime.capture.camera import CaptureCamera
from edge_runtime.capture.supervision import Limits
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError
from tests.faults.belongings import Belongings
from tests.faults.sources import CHANGES, FAULTS, GOOD, open_faulty
from tests.patience import eventually

# A tenth of what a station allows, but for the start: an interpreter takes as long here as there.
LIMITS = Limits(
    open_s=4.0,
    hang_s=0.5,
    silence_s=0.8,
    stale_s=0.2,
    first_pause_s=0.05,
    longest_pause_s=0.3,
    steady_s=1.0,
)
NOTICED_S = 1.0
"""A tenth of 10 s."""
BACK_S = 0.5 + LIMITS.open_s
"""A tenth of 5 s, and the start of an interpreter on a machine that is busy."""
SLACK_S = 2.0
"""What a read may take longer than it was allowed: killing a process and starting one."""

UNREADABLE = {
    "gives old frames": "stale frame: 3600.0 s old when the camera gave it",
    "gives huge frames": "too large: 8192x4883 pixels, limit 120000000 bytes",
    "gives another size": "the camera does not show what it did before: 64x48 pixels, was 128x96",
}
ENDS = {
    "hangs": "it hangs, no sign of life for 0.5 s",
    "hangs with the interpreter": "it hangs, no sign of life for 0.5 s",
    "hangs while closing": "camera 0 gave no frame after 10",
    "crashes": "RuntimeError: the driver is confused",
    "fails": "camera 0 gave no frame after 10",
    "exits": "its process ended with exit code 7",
    "segfaults": "its process was ended by SIGSEGV",
    "gives None": "it gave no frame that can be used for 0.8 s",
    "gives a wrong shape": "expected pixels (height, width, 3) uint8",
    "gives no frame": "the source gave str in place of a frame",
    "scribbles": "its process wrote garbage: slot",
    "chatters": "its process wrote garbage",
}


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    _stop_pythons_own_tracker()  # which another test of the same process may have left running
    before = Belongings.count()
    yield
    assert eventually(lambda: Belongings.count() == before, 5.0), (before, Belongings.count())


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The camera is broken while this file is there."""
    return tmp_path / "broken"


@pytest.fixture
def camera_with(tmp_path: Path) -> Callable[[str], CaptureCamera]:
    return lambda fault: CaptureCamera(f"{fault}:{tmp_path}", opener=open_faulty, limits=LIMITS)


def read_until(
    camera: CaptureCamera, enough: Callable[[], object], timeout_s: float
) -> list[Frame]:
    """Read as a station does until it is enough; every single read must come back in time."""
    frames = []
    give_up = time.monotonic() + timeout_s
    while not enough():
        began = time.monotonic()
        assert began < give_up, f"not within {timeout_s} s: {camera.state}"
        frame = camera.read(0.05)
        assert time.monotonic() - began < 0.05 + SLACK_S, "a read must not hang with its camera"
        if frame is not None:
            frames.append(frame)
    return frames


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault in ENDS])
def test_a_broken_camera_is_noticed_and_comes_back_by_itself(
    fault: str, broken: Path, camera_with: Callable[[str], CaptureCamera]
) -> None:
    broken.touch()
    with closing(camera_with(fault)) as camera:
        seen: list[Frame] = []
        while len(seen) < GOOD:
            seen += [frame for frame in [camera.read(0.5)] if frame]
        read_until(camera, lambda: camera.state.problem, NOTICED_S + SLACK_S)
        problem = camera.state.problem
        assert problem is not None
        assert ENDS[fault] in problem
        broken.unlink()
        healed = read_until(camera, lambda: camera.state.problem is None, BACK_S)
        assert isinstance(healed[-1].image, np.ndarray)
        assert camera.state.restarts
        ids = [frame.part_id for frame in seen + healed]
        assert len(set(ids)) == len(ids), "no two parts share an id, whatever happens in between"


def test_a_camera_that_hangs_when_it_is_opened_anew_is_tried_again(
    broken: Path, camera_with: Callable[[str], CaptureCamera]
) -> None:
    with closing(camera_with("hangs while opening")) as camera:
        assert camera.read(2.0) is not None
        broken.touch()
        read_until(
            camera,
            lambda: "did not open within 4 s" in (camera.state.problem or ""),
            NOTICED_S + LIMITS.open_s + SLACK_S,
        )
        broken.unlink()
        read_until(camera, lambda: camera.state.problem is None, BACK_S)


@pytest.mark.parametrize(("fault", "reason"), UNREADABLE.items())
def test_frames_that_must_not_be_judged_are_answered_with_the_reason(
    fault: str, reason: str, broken: Path, camera_with: Callable[[str], CaptureCamera]
) -> None:
    broken.touch()
    with closing(camera_with(fault)) as camera:
        frames = read_until(camera, lambda: camera.state.restarts, 2 * NOTICED_S + SLACK_S)
        good, bad = frames[:GOOD], frames[GOOD:]
        assert all(isinstance(frame.image, np.ndarray) for frame in good)
        assert bad
        assert {frame.image for frame in bad} == {Unreadable(reason)}
        broken.unlink()
        read_until(camera, lambda: camera.state.problem is None, BACK_S)


@pytest.mark.parametrize("how", CHANGES)
def test_a_camera_that_comes_back_otherwise_is_not_inspected(
    how: str, broken: Path, camera_with: Callable[[str], CaptureCamera]
) -> None:
    broken.touch()
    with closing(camera_with(how)) as camera:
        read_until(camera, lambda: camera.state.restarts, NOTICED_S + SLACK_S)
        after = read_until(
            camera, lambda: camera.state.restarts > 1 or how == "the same", BACK_S
        ) or [frame for frame in [camera.read(BACK_S)] if frame]
        judged = [frame for frame in after if isinstance(frame.image, np.ndarray)]
        if how == "the same":
            assert judged
            return
        assert after
        assert not judged, "not a single one of them"
        broken.unlink()
        read_until(camera, lambda: camera.state.problem is None, BACK_S)


def test_a_camera_that_cannot_be_opened_at_first_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    limits = Limits(open_s=1.0, hang_s=0.5)
    with pytest.raises(CameraError, match=r"did not open within 1 s; check its power and cable"):
        CaptureCamera(f"hangs while opening:{tmp_path}", opener=open_faulty, limits=limits)


def test_an_opener_that_no_other_process_can_import_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="expected a function of an importable module as opener"):
        CaptureCamera("", opener=lambda _: open_faulty("none at all:"))


def test_a_source_that_would_start_over_ends_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    camera = CaptureCamera(
        f"segfaults:{tmp_path}", opener=open_faulty, live=False, resumes=False, limits=LIMITS
    )
    frames = []
    with pytest.raises(CameraError, match="its process was ended by SIGSEGV"):  # noqa: PT012
        while True:
            frames.append(camera.read(0.5))
    assert len(frames) == GOOD
    with pytest.raises(EndOfStream):
        camera.read(0.1)


def test_a_camera_that_crashes_again_and_again_uses_no_more_each_time(
    broken: Path, camera_with: Callable[[str], CaptureCamera]
) -> None:
    broken.touch()
    before = Belongings.count()  # other tests' programs may still be ending
    counts = []
    with closing(camera_with("segfaults")) as camera:
        for restarts in range(2, 8):
            read_until(camera, lambda: camera.state.restarts >= restarts, BACK_S)  # noqa: B023
            read_until(camera, lambda: camera.state.problem is None, BACK_S)
            counts.append(Belongings.count())
    assert {len(count.children - before.children) for count in counts} == {1}
    assert len({count.descriptors for count in counts}) == 1
    assert len({count.mappings for count in counts}) == 1


def test_a_cameras_process_is_told_no_secret(
    monkeypatch: pytest.MonkeyPatch, camera_with: Callable[[str], CaptureCamera]
) -> None:
    monkeypatch.setenv("EDGE_INSPECT_MQTT_PASSWORD", "hunter2")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    monkeypatch.setenv("LD_PRELOAD", "")
    with closing(camera_with("none at all")) as camera:
        about = Path(f"/proc/{camera.pid}")
        variables = about.joinpath("environ").read_bytes()
        assert b"LD_PRELOAD" in variables, "control: what is passed on is seen"
        assert b"hunter2" not in variables
        assert b"/run/credentials" not in variables
        assert b"none at all" not in about.joinpath("cmdline").read_bytes(), (
            "a source holds passwords"
        )


def test_no_process_to_be_had_is_an_error_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, camera_with: Callable[[str], CaptureCamera]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(CameraError, match=r"no process could be started for .*temporarily unavail"):
        camera_with("none at all")


def test_the_log_names_what_the_scene_cannot_show(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with closing(CaptureCamera(f"grey:{tmp_path}", opener=open_faulty, limits=LIMITS)) as camera:
        read_until(camera, lambda: "would not show" in caplog.text, BACK_S)
    assert "would not show red and blue swapped after a reconnection" in caplog.text


def test_frames_that_nobody_takes_are_counted(camera_with: Callable[[str], CaptureCamera]) -> None:
    with closing(camera_with("none at all")) as camera:
        taken: list[int] = []
        time.sleep(0.5)
        while not taken or taken[-1] == len(taken):
            frame = camera.read(1.0)
            assert frame is not None
            taken.append(int(frame.part_id.removeprefix("part-")))
        assert 10 < taken[-1] - len(taken) <= camera.state.lost


STATION = """
import sys, time
from edge_runtime.capture.camera import CaptureCamera
from tests.faults.sources import open_faulty
camera = CaptureCamera(sys.argv[1], opener=open_faulty)
for _ in range(5):
    camera.read(1.0)
print(camera.pid, flush=True)
time.sleep(60)
"""


def test_after_sigkill_of_the_station_its_camera_ends_and_leaves_no_memory(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STATION, f"none at all:{tmp_path}"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as station:
        assert station.stdout is not None
        pid = int(station.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        station.send_signal(signal.SIGKILL)
    assert eventually(lambda: not _runs(pid), 5.0)


def test_a_station_that_is_gone_takes_a_hung_camera_with_it(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    camera = CaptureCamera(
        f"hangs with the interpreter:{tmp_path}",
        opener=open_faulty,
        limits=Limits(open_s=1.5, hang_s=1.5),
    )
    pid = camera.pid
    assert pid is not None
    with closing(camera):
        for _ in range(GOOD):
            camera.read(1.0)
        # Nobody looks after it from here on: the kernel's timer ends it.
        assert eventually(lambda: _state(pid) == "Z", 6.0)


def _runs(pid: int) -> bool:
    return _state(pid) not in ("", "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_control_the_count_sees_each_kind_of_leak() -> None:
    before = Belongings.count()
    read, write = os.pipe()
    assert Belongings.count().descriptors == before.descriptors + 2
    os.close(read)
    os.close(write)
    descriptor = os.memfd_create("leak")
    os.ftruncate(descriptor, mmap.PAGESIZE)
    leaked = mmap.mmap(descriptor, mmap.PAGESIZE)
    os.close(descriptor)
    assert Belongings.count().mappings == before.mappings + 1
    leaked.close()
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert eventually(lambda: _state(child.pid) == "Z")
    assert Belongings.count().children == before.children | {child.pid}
    child.wait()
    named = SharedMemory(create=True, size=16)
    assert Belongings.count().named == before.named | {named.name.removeprefix("/")}
    named.close()
    named.unlink()
    _stop_pythons_own_tracker()
    assert Belongings.count() == before


def _stop_pythons_own_tracker() -> None:
    from multiprocessing import resource_tracker

    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
