"""Writing bundles: whole or not at all."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.decoding import decode
from edge_runtime.errors import UsageError
from optimize.errors import PackageError
from optimize.package import choose_golden, hash_files, locate, staging, write_golden
from tests.optimize.tiny_network import LABELS, make_image

_KILLED = """
import os, pathlib, signal, sys
from optimize.package import staging
with staging(pathlib.Path(sys.argv[1])) as folder:
    (folder / "half.onnx").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_path_that_ends_in_a_version_is_the_bundles_folder(tmp_path: Path) -> None:
    assert locate(tmp_path / "seam" / "1.2.0", None, None) == tmp_path / "seam" / "1.2.0"
    assert locate(tmp_path / "seam" / "1.2.0", "seam", "1.2.0") == tmp_path / "seam" / "1.2.0"


def test_any_other_path_holds_name_and_version(tmp_path: Path) -> None:
    assert locate(tmp_path, None, None) == tmp_path / "weld-seam" / "1.0.0"
    assert locate(tmp_path, "tiles", "2.0.0-rc1") == tmp_path / "tiles" / "2.0.0-rc1"


@pytest.mark.parametrize(
    ("out", "name", "version", "says"),
    [
        ("seam/1.2.0", "tiles", None, "--name tiles contradicts"),
        ("seam/1.2.0", None, "1.3.0", "--version 1.3.0 contradicts"),
        ("out", "a name", None, "'a name' is no bundle name"),
        ("out", None, "../../x", "is no bundle name or version"),
    ],
)
def test_names_that_contradict_or_cannot_be_folders_are_refused(
    out: str, name: str | None, version: str | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        locate(Path(out), name, version)


def test_what_was_staged_appears_under_the_final_name_at_once(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "seam" / "1.0.0"
    with staging(target) as folder:
        (folder / "golden").mkdir()
        (folder / "golden" / "a.png").write_bytes(b"a")
        assert not target.exists()
    assert (target / "golden" / "a.png").read_bytes() == b"a"
    assert [path.name for path in target.parent.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, MemoryError])
def test_a_build_that_fails_leaves_nothing_behind(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    target = tmp_path / "deep" / "seam" / "1.0.0"
    with pytest.raises(failure), staging(target) as folder:  # noqa: PT012 - fails half way, as meant
        (folder / "half.onnx").write_bytes(b"half")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_is_killed_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    target = tmp_path / "seam" / "1.0.0"
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    with staging(target) as folder:
        (folder / "whole.onnx").write_bytes(b"whole")
    assert (target / "whole.onnx").read_bytes() == b"whole"


def test_what_stands_there_already_is_never_touched(tmp_path: Path) -> None:
    target = tmp_path / "seam" / "1.0.0"
    target.mkdir(parents=True)
    with pytest.raises(PackageError, match="exists already and stays as it is"), staging(target):
        pytest.fail("the staging of an existing bundle began")
    assert list(target.iterdir()) == []


def test_a_bundle_that_appears_meanwhile_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "seam" / "1.0.0"
    with pytest.raises(PackageError, match="exists already"), staging(target):
        target.mkdir()
    assert list(target.parent.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_named() -> None:
    # /proc takes no folders from anybody, root included.
    with (
        pytest.raises(PackageError, match="/proc/seam cannot be written"),
        staging(Path("/proc/seam/1.0.0")),
    ):
        pytest.fail("staging began")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "seam").touch()
    with (
        pytest.raises(PackageError, match=r"cannot be written: (File exists|Not a directory)"),
        staging(tmp_path / "seam" / "1.0.0"),
    ):
        pytest.fail("staging began")


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "seam" / "1.0.0"
    with pytest.raises(PackageError, match="No space left on device"), staging(target):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_golden_frames_are_two_per_class_that_every_variant_answers_alike() -> None:
    labels = ["red", "red", "red", "red", "green"]
    before = np.array(
        [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.2, 0.8, 0], [0.7, 0.3, 0], [0, 0.4, 0.6]], np.float32
    )
    after = np.array(
        [[0.7, 0.3, 0], [0.8, 0.2, 0], [0.2, 0.8, 0], [0.69, 0.31, 0], [0, 0.4, 0.6]], np.float32
    )
    # 1 and 3 agree best; 2 agrees too but is wrong; green has only one and gets it.
    assert choose_golden(labels, LABELS, {"float32": before, "int8": after}) == (1, 3, 4)


def test_golden_frames_are_stored_without_loss(tmp_path: Path) -> None:
    image = make_image("green", 3)
    row = np.array([0.1, 0.8, 0.1], np.float32)
    (frame,) = write_golden(tmp_path, [image], ["green"], {"float32": [row]})
    assert frame.file == "golden/00-green.png"
    assert frame.probabilities["float32"] == pytest.approx((0.1, 0.8, 0.1))
    np.testing.assert_array_equal(decode((tmp_path / frame.file).read_bytes()), image)


def test_hashes_cover_every_file_below(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "a.png").write_bytes(b"a")
    (tmp_path / "b.onnx").write_bytes(b"b")
    assert list(hash_files(tmp_path)) == ["b.onnx", "golden/a.png"]
