from pathlib import Path

import pytest

from train.errors import RunError
from train.run_folder import RunFolder
from train.written_aside import write_csv, written_aside


def test_a_file_takes_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def interrupted() -> None:
        with written_aside(target) as aside:
            aside.write_text("half")
            assert target.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    with written_aside(target) as aside:
        aside.write_text("new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_keeps_the_old_file_and_says_so(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with (
        pytest.raises(RunError, match=r"cannot write .*No space left.*is kept"),
        written_aside(target),
    ):
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path / "a" / "b")
    folder.create()
    folder.create()
    folder.record.write_text("{}")
    with pytest.raises(RunError, match="holds a run already: continue it with --resume"):
        folder.create()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the run folder"):
        RunFolder(path=tmp_path / "file" / "run").create()


def test_rows_with_commas_survive(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ("path", "reason"), [("a,b", 'say "no"')])
    assert (tmp_path / "t.csv").read_text() == 'path,reason\n"a,b","say ""no"""\n'
