"""`edge-inspect snapshot` and `edge-inspect cameras`."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.cli.main import main
from tests.edge_runtime.cameras.test_opencv import RED


def test_pixels_are_written_in_the_format_of_the_suffix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = cv2.VideoWriter(
        str(tmp_path / "run.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48)
    )
    for brightness in (50, 100, 150):
        writer.write(np.minimum(RED, brightness))
    writer.release()
    out = tmp_path / "shot.png"
    assert main(["snapshot", str(tmp_path / "run.avi"), "--out", str(out), "--skip", "2"]) == 0
    np.testing.assert_allclose(cv2.imread(str(out))[24, 32], (0, 0, 150), atol=6)
    assert "part run.avi-00000003, 64x48 pixels" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.avi", "shot.png"]


def test_a_file_is_given_as_it_is_and_stays(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    part = tmp_path / "drop" / "a.jpg"
    part.write_bytes(bytes(cv2.imencode(".jpg", RED)[1]))
    source = f"dir:{tmp_path}/drop?watch=1&done=delete"
    assert main(["snapshot", source, "--out", str(tmp_path / "shot.jpg")]) == 0
    assert (tmp_path / "shot.jpg").read_bytes() == part.read_bytes()


@pytest.mark.parametrize(
    ("source", "out", "code", "words"),
    [
        ("dir:{0}", "shot.gif", 2, "has no suffix of an image"),
        ("dir:{0}", "no/such/shot.jpg", 2, "cannot write"),
        ("dir:{0}", "shot.jpg --skip 5", 4, "gave no frame"),
        ("opencv:97", "shot.jpg", 4, "looked for /dev/video97"),
    ],
)
def test_a_mistake_is_one_line(
    source: str,
    out: str,
    code: int,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    name, *more = out.split()
    command = ["snapshot", source.format(tmp_path), "--out", str(tmp_path / name), *more]
    assert main(command) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_cameras_are_listed_or_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras"]) == 0
    assert capsys.readouterr().out.strip()
