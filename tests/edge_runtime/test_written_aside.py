"""Folders that take their name whole or not at all, through errors, kills and each other."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.errors import StateError
from edge_runtime.written_aside import exchange, folder_written_aside

FILES, BYTES = 60, 5000
_WRITER = """
import os, signal, sys, time
from contextlib import nullcontext
from pathlib import Path
from edge_runtime import written_aside
from edge_runtime.errors import StateError

target, how, files, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
move = {
    "killed before the move": kill,
    "killed after the move": lambda *paths: (written_aside.rename(*paths), kill()),
}.get(how, written_aside.rename)
if how == "in place":
    target.mkdir()
    place = nullcontext(target)
else:
    place = written_aside.folder_written_aside(
        target, error=lambda place, why: StateError(f"{place}: {why}"), move=move
    )
with place as folder:
    (folder / "below").mkdir()
    for number in range(files):
        if how == "killed half way" and number == files // 2:
            kill()
        (folder / "below" / str(number)).write_bytes(b"x" * size)
        print(number, flush=True)
        time.sleep(0.002)  # else it would be done before the word of it came to anybody
"""


def refused(place: Path, why: str) -> StateError:
    return StateError(f"no room at {place}: {why}")


def write(folder: Path, content: str = "whole") -> None:
    (folder / "below").mkdir()
    (folder / "below" / "file").write_text(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def writer(target: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(target), how, str(FILES), str(BYTES)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def whole(target: Path) -> bool:
    found = {path.name: path.stat().st_size for path in target.glob("below/*")}
    return found == dict.fromkeys(map(str, range(FILES)), BYTES)


def test_a_folder_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with folder_written_aside(target, error=refused) as aside:
        write(aside)
        assert not target.exists()
        assert aside.parent == target.parent  # else a rename could not be one step
    assert (target / "below" / "file").read_text() == "whole"
    assert names(target.parent) == ["folder"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_an_exception_in_the_middle_leaves_nothing(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    def interrupted() -> None:
        with folder_written_aside(tmp_path / "deep" / "er" / "folder", error=refused) as aside:
            write(aside)
            raise failure

    with pytest.raises(failure):
        interrupted()
    assert names(tmp_path) == []


def test_what_somebody_else_put_beside_it_stays_when_it_fails(tmp_path: Path) -> None:
    def interrupted() -> None:
        with folder_written_aside(tmp_path / "deep" / "folder", error=refused):
            (tmp_path / "deep" / "theirs").write_text("theirs")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own, of two lines above
        interrupted()
    assert names(tmp_path / "deep") == ["theirs"]


def test_an_error_names_the_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target, place, why in (
        (tmp_path / "file" / "folder", tmp_path / "file", "File exists"),
        (tmp_path / "folder", tmp_path / "folder", "No space left on device"),
    ):
        with (
            pytest.raises(StateError, match=f"^no room at {place}: {why}$"),
            folder_written_aside(target, error=refused),
        ):
            raise OSError(28, "No space left on device")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nothing")])
def test_what_stands_under_the_name_is_never_touched(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    target = tmp_path / "folder"
    make(target)
    before = target.lstat()
    with (
        pytest.raises(StateError, match=f"^no room at {target}: it exists already$"),
        folder_written_aside(target, error=refused) as aside,
    ):
        write(aside)
    assert target.lstat() == before
    assert names(tmp_path) == ["folder"]


def test_one_that_is_exchanged_is_the_old_or_the_new_and_the_old_one_goes(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("old", "new"):
        move = exchange if target.exists() else Path.rename
        with folder_written_aside(target, error=refused, move=move) as aside:
            write(aside, content)
    assert (target / "below" / "file").read_text() == "new"
    assert names(tmp_path) == ["folder"]


def test_of_two_writers_the_first_to_be_done_has_the_name(tmp_path: Path) -> None:
    target = tmp_path / "folder"

    def both() -> None:
        with folder_written_aside(target, error=refused) as late:
            write(late, "late")
            with folder_written_aside(target, error=refused) as early:
                write(early, "early")
            assert (late / "below" / "file").read_text() == "late"  # not swept: its writer lives

    with pytest.raises(StateError, match="it exists already"):
        both()
    assert (target / "below" / "file").read_text() == "early"
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("synced", [True, False])
def test_all_of_it_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, synced: bool
) -> None:
    done: list[Path] = []

    def note(descriptor: int) -> None:
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    def move(aside: Path, target: Path) -> None:
        before_the_move.extend(path.relative_to(aside) for path in done)
        aside.rename(target)

    before_the_move: list[Path] = []
    monkeypatch.setattr("os.fsync", note)
    with folder_written_aside(
        tmp_path / "folder", error=refused, move=move, synced=synced
    ) as aside:
        write(aside)
    if synced:
        assert sorted(before_the_move) == [Path(), Path("below"), Path("below/file")]
        assert done[-1] == tmp_path
    else:
        assert done == []


@pytest.mark.parametrize(
    ("how", "there"),
    [
        ("killed half way", False),
        ("killed before the move", False),
        ("killed after the move", True),
    ],
)
def test_a_kill_leaves_nothing_or_all_and_the_next_writer_clears_up(
    tmp_path: Path, how: str, *, there: bool
) -> None:
    target = tmp_path / "folder"
    with writer(target, how) as killed:
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert target.exists() == there
    if there:
        assert whole(target)
        shutil.rmtree(target)
    else:
        assert len(names(tmp_path)) == 1  # what it left, aside
    with writer(target, "") as again:
        again.communicate()
    assert again.returncode == 0
    assert whole(target)
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("how", ["aside", "in place"])
def test_a_kill_at_any_moment_never_leaves_half(tmp_path: Path, how: str) -> None:
    """The control, written in place, is found half there; so this test would see it."""
    draw = random.Random(5)
    half = 0
    for number in range(8):
        target = tmp_path / str(number)
        with writer(target, how) as process:
            assert process.stdout is not None
            for _ in range(draw.randrange(1, FILES)):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
            process.stdout.read()
        half += target.exists() and not whole(target)
    assert (half > 0) == (how == "in place")


def test_what_a_file_or_another_folder_has_beside_it_is_not_swept(tmp_path: Path) -> None:
    (tmp_path / ".folder.1.part").write_text("a file that is written aside")
    (tmp_path / ".other.1.part").mkdir()
    (tmp_path / ".other.1.part" / "file").touch()
    with folder_written_aside(tmp_path / "folder", error=refused) as aside:
        write(aside)
    assert names(tmp_path) == [".folder.1.part", ".other.1.part", "folder"]
