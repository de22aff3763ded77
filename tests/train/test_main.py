"""The commands as a user types them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.decoding import decode
from train.cli.main import main
from train.data import stream
from train.fitting.record import read_record
from train.run_folder import RunFolder


def test_fit_leaves_a_whole_run_folder(finished_run: RunFolder, folder_of_images: Path) -> None:
    record = read_record(finished_run)
    assert record.labels == ("crack", "no_defect", "stain")
    assert record.ok_labels == ("no_defect",)
    assert record.quarantined == 1
    assert sum(count.train + count.validation for count in record.images.values()) == 30
    assert record.settings.source.data_dir == folder_of_images
    assert record.command.startswith("train fit --data-dir")
    with finished_run.quarantine.open(newline="") as file:
        (bad,) = csv.DictReader(file)
    assert (bad["path"], bad["label"]) == ("stain/damaged.png", "stain")
    assert bad["reason"]
    with finished_run.split.open(newline="") as file:
        sides = [row["side"] for row in csv.DictReader(file)]
    assert len(sides) == 30
    assert set(sides) == {"train", "validation"}
    assert cv2.imread(str(finished_run.sheet)).shape[0] > 3 * 128
    assert sorted(file.name for file in finished_run.path.iterdir()) == [
        "augmentation.png", "best.pth", "last.pth", "metrics.csv",
        "quarantine.csv", "run.json", "split.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "kept"), [(None, "passive"), ("active", "active")])
def test_torchs_threads_wait_without_spinning_unless_the_user_says_otherwise(
    given: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    assert main(["index", "nothing", "--out", "nowhere.csv"]) != 0
    assert os.environ["OMP_WAIT_POLICY"] == kept


def test_a_finished_run_resumes_to_itself(
    finished_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    before = finished_run.last.read_bytes()
    assert main(["fit", "--resume", "--output", str(finished_run.path), "--lr", "3e-3"]) == 0
    assert finished_run.last.read_bytes() == before
    assert "validation macro F1" in capsys.readouterr().out


def test_resuming_hashes_every_image_and_decodes_those_alone_that_it_keeps(
    finished_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []

    def counted(data: bytes) -> np.ndarray:
        decoded.append(data)
        return decode(data)

    resume = ["fit", "--resume", "--output", str(finished_run.path), "--cache-gb"]
    monkeypatch.setattr(stream, "decode", counted)
    assert main([*resume, "0"]) == 0
    assert len(decoded) == 1  # the damaged one, which might have been mended
    assert main([*resume, "1"]) == 0
    assert len(decoded) == 1 + 31


def test_evaluate_prints_figures_and_what_it_left_out(
    exported_model: Path, folder_of_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(exported_model), "--data-dir", str(folder_of_images)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("macro F1 ")
    assert lines[0].endswith("30 images")
    assert lines[1] == "1 image could not be decoded and was left out"
    assert lines[2].split()[0] == "truth"
    table = {line[:26].strip(): line[26:].split() for line in lines}
    for figure in ("macro F1", "defect recall", "false positives", "calibration error"):
        value, low, _, high, _ = table[figure]
        assert 0 <= float(low) <= float(value) <= float(high) <= 1
    assert table["recall crack"][-1] == "10"
    assert table["figure"][-2:] == ["(30", "groups)"]
    assert "of 1,800,000 modules a month, 66.67% of them defective:" in lines
    sentences = "\n".join(lines)
    for beginning in (
        "  scrapped though good: ",
        "  escaped though defective: ",
        "macro F1 >= 0.7: ",
    ):
        assert f"\n{beginning}" in sentences


FIT = ["fit", "--model", "test_efficientnet", "--initial-weights", "scratch", "--img-size", "32"]


@pytest.mark.parametrize(
    ("flags", "code", "expected"),
    [
        ([], 2, "--data-dir or --split is needed"),
        (["--data-dir", "nowhere"], 20, "no folder"),
        (["--data-dir", "DATA", "--workers", "0"], 2, "--workers 0"),
        (["--data-dir", "DATA", "--cache-gb", "-1"], 2, "--cache-gb -1.0"),
        (["--data-dir", "DATA", "--cache-gb", "nan"], 2, "--cache-gb nan"),
        (["--data-dir", "DATA", "--epochs", "0"], 2, "--epochs 0"),
        (["--data-dir", "DATA", "--manifest", "rows.csv"], 20, "has no column 'path'"),
        (["--data-dir", "DATA", "--where", "x"], 2, "expected COLUMN=VALUE"),
        (["--data-dir", "DATA", "--model", "resnot"], 21, "timm knows no model 'resnot'"),
        (
            [
                "--data-dir",
                "DATA",
                "--model",
                "tf_efficientnet_lite2",
                "--initial-weights",
                "imagenet",
            ],
            21,
            "which is not installed",
        ),
        (["--data-dir", "DATA", "--bn-dir", "."], 2, "--bn-dir needs --bn-images"),
        (["--data-dir", "DATA", "--ok-label", "fine"], 2, "--ok-label fine: no such class"),
        (["--data-dir", "DATA", "--device", "abacus"], 2, "--device abacus: not on this machine"),
        (["--resume"], 22, "is not a run folder"),
        (["--data-dir", "DATA", "--output", "RUN"], 22, "holds a run already"),
        (["--resume", "--output", "RUN", "--lr", "0.5"], 2, "recipe.lr is 0.003 and not 0.5"),
        (["--resume", "--output", "RUN", "--data-dir", "/"], 2, "source.data_dir is"),
    ],
)
def test_a_users_mistake_is_one_line_and_an_exit_code(
    flags: list[str],
    code: int,
    expected: str,
    folder_of_images: Path,
    finished_run: RunFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = {"DATA": str(folder_of_images), "RUN": str(finished_run.path)}
    flags = [words.get(flag, flag) for flag in flags]
    if "--resume" not in flags:
        flags = [*FIT, "--output", str(tmp_path / "run"), *flags]
    else:
        flags = ["fit", "--output", str(tmp_path / "run"), *flags]
    assert main(flags) == code
    message = capsys.readouterr().err
    assert message.startswith("train: ")
    assert expected in message
    assert message.count("\n") == 1
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["export", "nowhere", "--out", "m.onnx"], 22, "is not a run folder"),
        (["export", "nowhere", "--out", "no/such/m.onnx"], 2, "there is no folder no/such"),
        (
            ["export", "x", "--out", "m.onnx", "--reviews", "2"],
            2,
            "--reviews 2.0: expected a share",
        ),
        (["evaluate", "none.onnx", "--data-dir", "."], 8, "no model at none.onnx"),
        (["evaluate", "x", "--data-dir", ".", "--confidence", "1"], 2, "--confidence 1.0"),
        (["evaluate", "x", "--data-dir", ".", "--defect-rate", "2"], 2, "--defect-rate 2.0"),
        (["calibrate", "nowhere"], 22, "is not a run folder"),
        (["calibrate", "x", "--min-recall", "2"], 2, "--min-recall 2.0"),
    ],
)
def test_export_and_evaluate_name_what_is_missing(
    words: list[str], code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = main(words)
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1
    assert found == code


def test_a_class_that_the_model_does_not_know_is_refused(
    exported_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dent").mkdir()
    (tmp_path / "dent" / "1.png").write_bytes(b"")
    assert main(["evaluate", str(exported_model), "--data-dir", str(tmp_path)]) == 20
    assert "knows no class dent, only crack, no_defect, stain" in capsys.readouterr().err


def test_a_damaged_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema": "edge-inspect/run/1"}))
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "m.onnx")]) == 22
    assert "damaged or of another version" in capsys.readouterr().err


def test_an_interrupt_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.cli.fit.run", interrupted)
    assert main(["fit", "--output", str(tmp_path)]) == 130
    assert "--resume" in capsys.readouterr().err


def test_help_and_simulate_do_not_wait_for_torch() -> None:
    code = (
        "import sys; import train.cli.main as m; m.PROGRAM.parser(); "
        "print([n for n in ('torch', 'timm', 'sklearn', 'onnx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
