"""Folders that cameras fill and the station empties: whole files, each once, whatever happens."""

import errno
import os
import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.base import EndOfStream
from edge_runtime.cameras.directory import DirectoryCamera
from edge_runtime.cameras.drop_folder import DropFolder
from edge_runtime.cameras.sources import open_source
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError

PICTURE = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
JPEG = bytes(cv2.imencode(".jpg", PICTURE)[1])
PNG = bytes(cv2.imencode(".png", PICTURE)[1])


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def done(tmp_path: Path) -> Path:
    return tmp_path / "done"


@pytest.fixture
def camera(drop: Path, done: Path) -> DropFolder:
    return opened(drop, done)


def opened(drop: Path, move_to: Path | None, *, patience_s: float = 30.0) -> DropFolder:
    return DropFolder(drop, move_to=move_to, settle_s=0.02, patience_s=patience_s, poll_s=0.01)


def take(camera: DropFolder, number: int, within_s: float = 10.0) -> list[Frame]:
    frames: list[Frame] = []
    give_up = time.monotonic() + within_s
    while len(frames) < number and time.monotonic() < give_up:
        frames += [frame for frame in [camera.read(0.05)] if frame]
    return frames


def put(folder: Path, name: str, age_s: float = 0.0, data: bytes = JPEG) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if age_s:
        os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_the_oldest_comes_first_and_each_comes_once(drop: Path, camera: DropFolder) -> None:
    put(drop, "young.jpg", age_s=10)
    put(drop, "old.jpg", age_s=30)
    put(drop, "cell-2/middle.png", age_s=20, data=PNG)
    put(drop, "notes.txt")
    frames = take(camera, 3)
    assert [frame.part_id for frame in frames] == ["old.jpg", "cell-2/middle.png", "young.jpg"]
    assert [frame.image for frame in frames] == [JPEG, PNG, JPEG]
    assert take(camera, 1, within_s=0.2) == []


@pytest.mark.parametrize("whole", [JPEG, PNG], ids=["jpg", "png"])
def test_a_file_that_is_still_written_is_not_taken_however_slow(
    whole: bytes, drop: Path, camera: DropFolder
) -> None:
    path = drop / f"slow.{'png' if whole is PNG else 'jpg'}"
    with path.open("wb") as upload:
        for start in range(0, len(whole), len(whole) // 4 + 1):
            upload.write(whole[start : start + len(whole) // 4 + 1])
            upload.flush()
            if start + len(whole) // 4 + 1 < len(whole):
                assert take(camera, 1, within_s=0.15) == [], "it stood still, and is not whole"
    (frame,) = take(camera, 1)
    assert frame.image == whole


def test_control_without_a_look_inside_a_stalled_upload_is_taken_in_half(drop: Path) -> None:
    put(drop, "half.jpg", data=JPEG[:100])
    with closing(DirectoryCamera(drop, watch=True, poll_s=0.01)) as plain:
        frame = plain.read(5.0)
    assert frame is not None
    assert frame.image == JPEG[:100]


def test_what_was_never_finished_is_handed_over_in_the_end(drop: Path, done: Path) -> None:
    put(drop, "half.jpg", data=JPEG[:100])
    put(drop, "nothing.jpg", data=b"")
    frames = take(opened(drop, done, patience_s=0.2), 2)
    assert {frame.part_id: frame.image for frame in frames} == {
        "half.jpg": JPEG[:100],
        "nothing.jpg": b"",
    }


def test_an_upload_under_another_name_is_taken_once_it_is_renamed(
    drop: Path, camera: DropFolder
) -> None:
    upload = put(drop, "a.jpg.part")
    assert take(camera, 1, within_s=0.15) == []
    upload.rename(drop / "a.jpg")
    assert [frame.part_id for frame in take(camera, 1)] == ["a.jpg"]


def test_a_file_is_moved_once_it_is_answered_and_not_before(
    drop: Path, done: Path, camera: DropFolder
) -> None:
    put(drop, "cell-2/a.jpg")
    take(camera, 1)
    camera.read(0.05)
    assert (drop / "cell-2/a.jpg").exists()
    camera.answered(["cell-2/a.jpg", "of another source"])
    camera.read(0.0)
    assert not (drop / "cell-2/a.jpg").exists()
    assert (done / "cell-2/a.jpg").read_bytes() == JPEG


def test_a_restart_hands_over_what_was_not_answered_and_nothing_else(
    drop: Path, done: Path
) -> None:
    for number in range(6):
        put(drop, f"{number}.jpg", age_s=60 - number)
    killed = opened(drop, done)
    assert len(take(killed, 4)) == 4
    killed.answered(["0.jpg", "1.jpg"])
    killed.read(0.0)
    del killed
    again = take(opened(drop, done), 5, within_s=1.0)
    assert [frame.part_id for frame in again] == ["2.jpg", "3.jpg", "4.jpg", "5.jpg"]


def test_closing_puts_away_what_was_answered_last(
    drop: Path, done: Path, camera: DropFolder
) -> None:
    put(drop, "a.jpg")
    take(camera, 1)
    camera.answered(["a.jpg"])
    camera.close()
    assert (done / "a.jpg").exists()
    with pytest.raises(EndOfStream):
        camera.read(0.0)


def test_what_is_answered_can_be_deleted(drop: Path) -> None:
    camera = opened(drop, None)
    put(drop, "a.jpg")
    take(camera, 1)
    camera.answered(["a.jpg"])
    camera.close()
    assert list(drop.iterdir()) == []


def test_a_name_that_comes_again_overwrites_nothing(
    drop: Path, done: Path, camera: DropFolder
) -> None:
    for data in (JPEG, PNG, JPEG):
        put(drop, "a.jpg", data=data)
        assert len(take(camera, 1)) == 1
        camera.answered(["a.jpg"])
        camera.read(0.0)
    assert sorted(path.name for path in done.iterdir()) == ["a.2.jpg", "a.3.jpg", "a.jpg"]
    assert (done / "a.2.jpg").read_bytes() == PNG


def test_a_file_overwritten_before_its_answer_is_another_part(
    drop: Path, done: Path, camera: DropFolder
) -> None:
    put(drop, "a.jpg", age_s=5)
    take(camera, 1)
    put(drop, "a.jpg", data=PNG)
    camera.answered(["a.jpg"])
    (second,) = take(camera, 1)
    assert second.image == PNG
    assert not list(done.iterdir())


def test_a_done_folder_within_the_drop_folder_is_passed_over(drop: Path) -> None:
    camera = opened(drop, drop / "done")
    put(drop, "a.jpg")
    take(camera, 1)
    camera.answered(["a.jpg"])
    assert take(camera, 1, within_s=0.3) == []
    assert (drop / "done/a.jpg").exists()


def test_files_that_cannot_be_put_away_are_a_problem_and_not_handed_over_again(
    drop: Path, camera: DropFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(drop, "a.jpg")
    take(camera, 1)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        camera.answered(["a.jpg"])
        assert take(camera, 1, within_s=0.2) == []
        problem = camera.state.problem
        assert problem is not None
        assert "cannot be put away (No space left on device)" in problem
    assert camera.read(0.0) is None
    assert camera.state.problem is None
    assert list(drop.iterdir()) == []


def test_a_file_that_may_not_be_read_is_a_part_all_the_same(
    drop: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(drop, "a.jpg")
    camera = opened(drop, done, patience_s=0.1)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    (frame,) = take(camera, 1)
    assert frame.image == Unreadable("permission denied")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("dir:{drop}?done=delete", "has done= without watch=1: give both"),
        ("dir:{drop}?watch=1&done=move:", "has done=move:: expected delete or move:FOLDER"),
        ("dir:{drop}?watch=1&done=keep", "has done=keep: expected delete or move:FOLDER"),
        ("dir:{drop}?watch=1&done=delete&process=1", "has done= with process=1: give one of them"),
        ("dir:{drop}?watch=1&done=move:{drop}", "leads back to"),
        ("dir:{drop}?watch=1&done=move:/dev/shm/edge-inspect-test", "is not on the file system of"),
        ("dir:{drop}?watch=1&done=move:/proc/x", "cannot be made"),
        ("dir:{drop}/gone?watch=1&done=delete", "no folder at"),
    ],
)
def test_a_mistake_says_how_to_mend_it(text: str, problem: str, drop: Path) -> None:
    try:
        with pytest.raises(CameraError) as caught:
            open_source(text.format(drop=drop))
    finally:
        if Path("/dev/shm/edge-inspect-test").exists():  # noqa: S108
            Path("/dev/shm/edge-inspect-test").rmdir()  # noqa: S108
    assert problem in str(caught.value)


def test_more_files_than_one_look_chooses_come_once_each_however_reads_and_looks_interleave(
    drop: Path, done: Path
) -> None:
    for number in range(3_000):
        put(drop, f"{number}.jpg", data=JPEG)
    camera = opened(drop, done)
    taken: list[str] = []
    give_up = time.monotonic() + 60
    while len(taken) < 3_000 and time.monotonic() < give_up:
        frame = camera.read(0.002)
        if frame is not None:
            taken.append(frame.part_id)
            if len(taken) % 3 == 0:
                camera.answered(taken[-2:-1])
    assert len(set(taken)) == len(taken) == 3_000
    assert take(camera, 1, within_s=0.3) == []


def test_a_folder_named_from_where_one_stands_gives_each_file_once(
    drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(drop)
    camera = opened(Path(), Path("../done"))
    put(drop, "a.jpg")
    assert [frame.part_id for frame in take(camera, 2, within_s=0.5)] == ["a.jpg"]


def test_the_text_leads_here(drop: Path, done: Path) -> None:
    with closing(open_source(f"dir:{drop}?watch=1&done=move:{done}")) as camera:
        assert isinstance(camera, DropFolder)
    assert done.is_dir()


def test_reads_keep_to_their_time_beside_a_great_many_files(drop: Path, camera: DropFolder) -> None:
    for number in range(20_000):
        (drop / f"{number}.jpg").touch()
    # Of this thread's own time, since what else the machine does is not the folder's fault; nor is the
    # collection of other tests' garbage, which falls on a read or two.
    taken = []
    for _ in range(40):
        began = time.thread_time()
        camera.read(0.01)
        taken.append(time.thread_time() - began)
    assert sorted(taken)[-3] < 0.25


def peak_of(read: Callable[[], object], looks: int) -> int:
    """Bytes that reading needed at most, beside what there was before."""
    tracemalloc.start()
    for _ in range(looks):
        read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_files(drop: Path, done: Path) -> None:
    for number in range(5_000):
        (drop / f"{number}.jpg").touch()
    few = peak_of(lambda: opened(drop, done).read(2.0), 1)
    plain_few = peak_of(lambda: DirectoryCamera(drop, watch=True, poll_s=0.01).read(1.0), 1)
    for number in range(5_000, 30_000):
        (drop / f"{number}.jpg").touch()
    many = peak_of(lambda: opened(drop, done).read(2.0), 1)
    plain_many = peak_of(lambda: DirectoryCamera(drop, watch=True, poll_s=0.01).read(1.0), 1)
    assert many < 1.5 * few
    assert plain_many > 3 * plain_few, "control: who keeps every name is seen to grow"
