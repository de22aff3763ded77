"""Images of a sealed test set are refused, wherever they lie and whatever they are called."""

import csv
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.cli.main import main
from optimize.data.sealed import Sealed, read_sealed
from optimize.graph import SEALED_KEY

MakeFolder = Callable[..., Path]


@pytest.fixture
def calibration(make_folder: MakeFolder) -> Path:
    return make_folder("calibration", per_class=4)


@pytest.fixture
def split(tmp_path: Path, make_folder: MakeFolder) -> Path:
    """A split whose sealed images are those of a folder of their own."""
    sealed = make_folder("sealed", per_class=20)
    folder = tmp_path / "split"
    folder.mkdir()
    with (folder / "sealed.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "side", "sha256"])
        for image in sorted(sealed.rglob("*.png"))[-3:]:
            writer.writerow([image.name, "test", hashlib.sha256(image.read_bytes()).hexdigest()])
    return folder


def build(model: Path, calibration: Path, split: Path, out: Path, *flags: str) -> int:
    words = ["build", str(model), "--calibration", str(calibration), "--sealed", str(split)]
    return main([*words, "--out", str(out), "--latency-samples", "1", *flags])


def test_other_images_are_built_from(
    model_file: Path, calibration: Path, split: Path, tmp_path: Path
) -> None:
    assert build(model_file, calibration, split, tmp_path / "out") == 0


@pytest.mark.parametrize("purpose", ["calibration", "validation"])
def test_a_sealed_image_under_another_name_is_refused(
    purpose: str,
    model_file: Path,
    calibration: Path,
    split: Path,
    make_folder: MakeFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    used = make_folder("used", per_class=2)
    sealed = max((tmp_path / "sealed").rglob("*.png"))
    shutil.copy(sealed, used / sealed.parent.name / "innocent.png")
    places = {"calibration": calibration, "validation": calibration} | {purpose: used}
    flags = ["--validation", str(places["validation"])]
    assert build(model_file, places["calibration"], split, tmp_path / "out", *flags) == 9
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"1 of the {purpose} images in {used} are of the sealed test set" in message
    assert "innocent.png" in message
    assert not list((tmp_path / "out").rglob("manifest.json"))


def test_a_folder_without_a_list_and_a_damaged_list_are_named(
    model_file: Path,
    calibration: Path,
    split: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert build(model_file, calibration, calibration, tmp_path / "out") == 9
    assert "give the folder that `train split --out` wrote" in capsys.readouterr().err
    (split / "sealed.csv").write_text("path,sha256\na.png,xyz\n")
    assert build(model_file, calibration, split, tmp_path / "out") == 9
    assert "sealed.csv is damaged" in capsys.readouterr().err


def test_a_model_that_names_its_sealed_images_needs_no_flag(
    model_file: Path,
    calibration: Path,
    split: Path,
    make_folder: MakeFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proto = onnx.load(model_file)
    taught = proto.metadata_props.add()
    taught.key, taught.value = SEALED_KEY, read_sealed(split).to_text()
    onnx.save(proto, tmp_path / "taught.onnx")
    used = make_folder("used", per_class=2)
    sealed = max((tmp_path / "sealed").rglob("*.png"))
    shutil.copy(sealed, used / sealed.parent.name / "innocent.png")
    unflagged = ["--calibration", str(used), "--out", str(tmp_path / "out")]
    words = [*unflagged, "--latency-samples", "1"]
    assert main(["build", str(model_file), *words]) == 0, "control: one that names none"
    assert main(["build", str(tmp_path / "taught.onnx"), *words, "--version", "2.0.0"]) == 9
    assert "1 of the calibration images" in capsys.readouterr().err
    taught.value = taught.value[:-5]
    onnx.save(proto, tmp_path / "cut.onnx")
    assert main(["build", str(tmp_path / "cut.onnx"), *words, "--version", "3.0.0"]) == 8
    assert f"metadata {SEALED_KEY}: the list of sealed images" in capsys.readouterr().err


@given(st.sets(st.binary(min_size=32, max_size=32), max_size=20))
def test_a_list_survives_its_text(hashes: set[bytes]) -> None:
    sealed = Sealed.of(hashes)
    assert Sealed.from_text(sealed.to_text()) == sealed
