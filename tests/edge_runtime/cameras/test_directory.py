"""Folders as sources: order, choice of files, folders that cannot be read, and files still growing."""

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cameras.base import EndOfStream
from edge_runtime.cameras.directory import DirectoryCamera, Look, Settling, natural_order
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def frames(camera: DirectoryCamera) -> list[Frame]:
    taken: list[Frame] = []
    while True:
        try:
            frame = camera.read(1.0)
        except EndOfStream:
            return taken
        assert frame is not None
        taken.append(frame)


def parts(camera: DirectoryCamera) -> list[str]:
    return [frame.part_id for frame in frames(camera)]


def test_files_come_in_natural_order_folder_by_folder(tmp_path: Path) -> None:
    fill(tmp_path, "b10/x.png", "b9/x.png", "b9/deep/y.png", "part10.jpg", "part2.jpg", "part1.jpg")
    assert parts(DirectoryCamera(tmp_path)) == [
        "part1.jpg",
        "part2.jpg",
        "part10.jpg",
        "b9/x.png",
        "b9/deep/y.png",
        "b10/x.png",
    ]


def test_image_suffixes_count_in_any_case_and_others_are_counted_as_skipped(tmp_path: Path) -> None:
    fill(
        tmp_path, "a.JPG", "b.jpeg", "c.Png", "d.bmp", "e.tif", "f.TIFF", "notes.txt", "g.jpg.part"
    )
    camera = DirectoryCamera(tmp_path)
    assert len(frames(camera)) == 6
    assert camera.skipped == 2


def test_bytes_are_handed_over_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(b"\x89PNG not a jpeg")
    assert [frame.image for frame in frames(DirectoryCamera(tmp_path))] == [
        b"",
        b"\x89PNG not a jpeg",
    ]


def test_a_frame_carries_the_files_time_of_change(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    os.utime(tmp_path / "a.jpg", (1_700_000_000, 1_700_000_000))
    assert frames(DirectoryCamera(tmp_path))[0].captured_at == datetime.fromtimestamp(
        1_700_000_000, UTC
    )


def test_a_file_that_may_not_be_read_is_still_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    real = Path.open

    def guarded(path: Path, *arguments: object) -> object:
        if path.name == "b.jpg":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", guarded)
    images = [frame.image for frame in frames(DirectoryCamera(tmp_path))]
    assert images == [b"a.jpg", Unreadable("permission denied"), b"c.jpg"]


def test_a_file_that_vanished_since_it_was_listed_is_still_a_part(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "b.jpg")
    camera = DirectoryCamera(tmp_path)
    camera.read(1.0)
    (tmp_path / "b.jpg").unlink()
    (last,) = frames(camera)
    assert (last.part_id, last.image) == ("b.jpg", Unreadable("no such file or directory"))


def test_what_is_no_file_is_skipped_not_opened(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    camera = DirectoryCamera(tmp_path)
    assert parts(camera) == ["a.jpg"]
    assert camera.skipped == 2


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    fill(tmp_path, "a/x.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert parts(DirectoryCamera(tmp_path)) == ["a/x.png"]


def test_names_that_are_no_unicode_still_make_a_part_id(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.jpg")).write_bytes(b"x")
    assert parts(DirectoryCamera(tmp_path)) == ["bad\\xff.jpg"]


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"no folder at .*/gone: check the path"):
        DirectoryCamera(tmp_path / "gone")


def test_a_file_in_place_of_a_folder_says_what_to_do(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    with pytest.raises(CameraError, match=r"a.jpg is a file: dir: takes the folder it lies in"):
        DirectoryCamera(tmp_path / "a.jpg")


def test_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    fill(tmp_path, "notes.txt")
    with pytest.raises(
        CameraError, match=r"no image among its 1 files: put \.bmp, \.jpeg, .*watch=1"
    ):
        DirectoryCamera(tmp_path)


@pytest.mark.parametrize("hidden", ["", "inner"])
def test_a_folder_without_permission_stops_the_source_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    fill(tmp_path, "a.jpg", "inner/b.jpg")
    real = os.scandir

    def guarded(path: Path) -> object:  # root passes every permission, so the refusal is acted
        if Path(path) == tmp_path / hidden:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(
        CameraError, match=r"may not be read by this user \(uid \d+\): allow it with"
    ):
        DirectoryCamera(tmp_path)


def test_a_watched_folder_may_be_empty_and_never_ends(tmp_path: Path) -> None:
    with_nothing = DirectoryCamera(tmp_path, watch=True, poll_s=0)
    assert with_nothing.read(0.01) is None
    fill(tmp_path, "a.jpg")
    frame = with_nothing.read(5.0)
    assert frame is not None
    assert frame.part_id == "a.jpg"
    assert with_nothing.read(0.01) is None


def test_a_watched_folder_that_disappears_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    camera = DirectoryCamera(tmp_path / "drop", watch=True, poll_s=0)
    (tmp_path / "drop").rmdir()
    with pytest.raises(CameraError, match="no folder at"):
        camera.read(1.0)


def test_a_watched_folder_ends_when_it_is_closed(tmp_path: Path) -> None:
    camera = DirectoryCamera(tmp_path, watch=True)
    camera.close()
    with pytest.raises(EndOfStream):
        camera.read(1.0)


A, B = Path("a.jpg"), Path("b.jpg")


def test_a_file_is_settled_at_the_second_equal_look() -> None:
    settling = Settling()
    assert settling.settled({A: (10, 1)}) == []
    assert settling.settled({A: (20, 2)}) == []
    assert settling.settled({A: (20, 2), B: (5, 2)}) == [A]
    assert settling.settled({A: (20, 2), B: (5, 2)}) == [B]
    assert settling.settled({A: (20, 2), B: (5, 2)}) == []


def test_a_file_that_was_taken_away_and_came_back_is_a_new_one() -> None:
    settling = Settling()
    settling.settled({A: (10, 1)})
    settling.settled({A: (10, 1)})
    assert settling.settled({}) == []
    assert settling.settled({A: (10, 1)}) == []
    assert settling.settled({A: (10, 1)}) == [A]


@given(
    st.lists(
        st.dictionaries(st.sampled_from([A, B]), st.tuples(st.integers(0, 2), st.integers(0, 2))),
        max_size=12,
    )
)
def test_no_file_is_given_before_it_settled_nor_twice_while_it_stays(
    looks: list[dict[Path, Look]],
) -> None:
    settling = Settling()
    given_now: set[Path] = set()
    before: dict[Path, Look] = {}
    for look in looks:
        given_now &= look.keys()
        for path in settling.settled(look):
            assert before[path] == look[path]
            assert path not in given_now
            given_now.add(path)
        stable = {path for path in look if before.get(path) == look[path]}
        assert stable <= given_now
        before = look


@given(st.permutations(["", "1", "a", "a1", "a1b", "a01", "-2", "\u0663", "A", "b10"]))
def test_the_order_does_not_depend_on_how_names_were_listed(names: list[str]) -> None:
    expected = ["", "1", "-2", "A", "a", "a01", "a1", "a1b", "b10", "\u0663"]
    assert sorted(names, key=natural_order) == expected


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["p10", "p9", "p010b", "p", "q1"]
    assert sorted(names, key=natural_order) == ["p", "p9", "p10", "p010b", "q1"]
