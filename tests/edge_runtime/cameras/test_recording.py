"""A recorded session: what came is what comes again, when it came, whatever befell the recording."""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.cameras.base import EndOfStream
from edge_runtime.cameras.recorded import RecordedCamera
from edge_runtime.cameras.recording import FRAMES, HEADER, INDEX, Recording, RecordingWriter
from edge_runtime.contracts.frame import Frame, Pixels, Unreadable
from edge_runtime.errors import CameraError, UsageError

BEGAN = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
NOISE = np.random.default_rng(3).integers(0, 256, (40, 56, 3), dtype=np.uint8)
IMAGES: tuple[bytes | Pixels | Unreadable, ...] = (
    NOISE,
    b"\xff\xd8\xff cut off",
    b"",
    b"no image at all",
    Unreadable("permission denied"),
    NOISE[::-1, ::2],
)


def write(
    folder: Path, images: tuple[bytes | Pixels | Unreadable, ...] = IMAGES, gap_s: float = 0.0
) -> Path:
    with RecordingWriter(folder, source="test", is_simulated=False) as writer:
        for number, image in enumerate(images):
            writer.add(
                Frame(
                    part_id=f"M1-{number}",
                    captured_at=BEGAN + number * timedelta(seconds=1),
                    arrived=1000.0 + number * gap_s,
                    image=image,
                )
            )
    return folder


def replay(folder: Path, **options: bool | float) -> list[Frame]:
    frames = []
    with closing(RecordedCamera(folder, **{"speed": 0.0, **options})) as camera:  # type: ignore[arg-type]
        try:
            while (frame := camera.read(5.0)) is not None:
                frames.append(frame)
        except EndOfStream:
            return frames
    raise AssertionError("a recording ends")


def test_what_came_is_what_comes_again_damaged_or_not(tmp_path: Path) -> None:
    frames = replay(write(tmp_path))
    assert [frame.part_id for frame in frames] == [f"M1-{number}" for number in range(len(IMAGES))]
    assert [frame.captured_at for frame in frames] == [
        BEGAN + number * timedelta(seconds=1) for number in range(len(IMAGES))
    ]
    for frame, image in zip(frames, IMAGES, strict=True):
        assert type(frame.image) is type(image)
        np.testing.assert_array_equal(frame.image, image)  # type: ignore[arg-type]


@pytest.mark.parametrize(("speed", "lasts_s"), [(1.0, 0.5), (2.0, 0.25)])
def test_frames_come_at_their_own_pace(speed: float, lasts_s: float, tmp_path: Path) -> None:
    write(tmp_path, IMAGES, gap_s=0.1)
    began = time.monotonic()
    frames = replay(tmp_path, speed=speed)
    arrivals = [frame.arrived - began for frame in frames]
    assert arrivals[-1] >= lasts_s - 0.01
    for number, arrived in enumerate(arrivals):
        assert arrived >= number * 0.1 / speed - 0.01, "never before its time"


def test_a_frame_that_is_not_due_is_not_waited_for_past_the_timeout(tmp_path: Path) -> None:
    with closing(RecordedCamera(write(tmp_path, gap_s=3600.0))) as camera:
        assert camera.read(1.0) is not None
        began = time.monotonic()
        assert camera.read(0.05) is None
        assert 0.05 <= time.monotonic() - began < 5.0


def test_a_reader_that_was_away_misses_nothing_and_is_not_flooded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    write(tmp_path, tuple(b"%d" % number for number in range(50)), gap_s=0.2)
    with closing(RecordedCamera(tmp_path)) as camera:
        assert camera.read(1.0) is not None
        now[0] += 5.0
        back = now[0]
        frames = [camera.read(1.0) for _ in range(10)]
    arrived = [frame.arrived for frame in frames if frame is not None]
    assert len(arrived) == 10
    assert sum(moment == back for moment in arrived) == 6, "a second's worth at once"
    assert arrived[-1] > back + 0.7, "the others at their pace"


def test_a_loop_goes_on_and_tells_its_rounds_apart(tmp_path: Path) -> None:
    write(tmp_path, (b"a", b"b"))
    with closing(RecordedCamera(tmp_path, speed=0.0, loop=True)) as camera:
        ids = [frame.part_id for frame in (camera.read(0.0) for _ in range(5)) if frame]
    assert ids == ["M1-0", "M1-1", "M1-0@2", "M1-1@2", "M1-0@3"]


@pytest.mark.parametrize("torn", [1, 20, 150])
def test_a_line_that_was_being_written_is_not_there(torn: int, tmp_path: Path) -> None:
    index = write(tmp_path) / INDEX
    whole = index.read_bytes()
    index.write_bytes(whole[:-torn])
    assert len(replay(tmp_path)) == len(IMAGES) - 1


def test_a_file_that_lost_its_bytes_is_answered_for(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / FRAMES / "00000001.png").write_bytes(b"\0" * 100)
    (tmp_path / FRAMES / "00000002.jpg").unlink()
    frames = replay(tmp_path)
    assert len(frames) == len(IMAGES)
    assert [frame.image for frame in frames[:2]] == [
        Unreadable("recording: the file is not what was recorded"),
        Unreadable("recording: no such file or directory"),
    ]


def test_a_damaged_line_stops_it_and_is_named(tmp_path: Path) -> None:
    index = write(tmp_path) / INDEX
    lines = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(b"".join([*lines[:2], b'{"part_id": 1}\n', *lines[2:]]))
    with (
        closing(RecordedCamera(tmp_path, speed=0.0)) as camera,
        pytest.raises(CameraError, match=r"frames\.jsonl: line 3 is damaged"),
    ):
        [camera.read(0.0) for _ in range(3)]


def test_what_is_no_recording_says_so(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"holds no recording: .* is read with dir:"):
        Recording(tmp_path)
    (tmp_path / HEADER).write_text("{}")
    with pytest.raises(CameraError, match="is no header of a recording"):
        Recording(tmp_path)
    with pytest.raises(CameraError, match="holds no frame: record it again"):
        RecordedCamera(write(tmp_path / "empty", ()))


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(UsageError, match="is not empty: a recording wants a folder of its own"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
