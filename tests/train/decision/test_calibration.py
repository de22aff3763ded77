"""`train calibrate` and what `train export` makes of it, on the tiny run; and the record by itself."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from optimize.graph import read_model
from train.cli.main import main
from train.decision.calibration import (
    Calibration,
    calibrate,
    read_calibration,
    thresholds_sha256,
    write_calibration,
)
from train.decision.curve import table
from train.decision.decide import Requirement
from train.decision.frontier import Frontier
from train.errors import RunError
from train.run_folder import RunFolder

LABELS = ("crack", "good", "stain")
EASY = ("--min-recall=0.1", "--max-false-positives=0.9", "--max-reviews=1", "--confidence=0.6")


def made_of(
    count: int, requirement: Requirement, *, accept_unmet: bool = False, noise: float = 1.0
) -> tuple[Calibration, Frontier]:
    random = np.random.default_rng(2)
    truth = np.tile([1, 1, 1, 0, 1, 2], count // 6)
    logits = random.normal(0, noise, (count, 3)).astype(np.float32)
    logits[np.arange(count), truth] += 4
    return calibrate(
        logits,
        truth,
        tuple(str(i // 3) for i in range(count)),
        LABELS,
        ("good",),
        requirement,
        accept_unmet=accept_unmet,
        weights_sha256="0" * 64,
        data_sha256="1" * 64,
        command="train calibrate x",
    )


def test_evidence_counts_what_the_rule_does_and_bounds_it() -> None:
    made, _ = made_of(1200, Requirement())
    assert made.met
    assert made.evidence is not None
    seen = made.evidence
    assert (seen.good.images, seen.defective.images) == (800, 400)
    assert seen.good.groups == 400
    assert seen.good.effective < 400.1
    assert 0.85 <= seen.recall_at_least < seen.found / 400
    assert seen.false_positives / 800 < seen.false_positives_at_most <= 0.03
    assert made.thresholds_sha256 == thresholds_sha256(made.rule)
    assert "bounds met with 95% confidence: recall at least 0." in made.describe()


def test_an_unmet_requirement_leaves_no_rule_unless_it_is_accepted() -> None:
    strict = Requirement(min_recall=0.99999)
    made, _ = made_of(60, strict)
    assert (made.met, made.decision, made.evidence) == (False, None, None)
    accepted, _ = made_of(60, strict, accept_unmet=True)
    assert not accepted.met
    assert accepted.evidence is not None
    assert accepted.evidence.false_positives <= 0.03 * accepted.evidence.good.images
    assert "NOT met" in accepted.describe()


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    assert read_calibration(folder) is None
    for made in (made_of(600, Requirement())[0], made_of(60, Requirement(min_recall=1))[0]):
        write_calibration(folder, made)
        assert read_calibration(folder) == made
    folder.calibration.write_text("{")
    with pytest.raises(RunError, match=r"calibration\.json is damaged.*calibrate anew"):
        read_calibration(folder)


def test_the_table_marks_the_threshold_that_was_chosen() -> None:
    made, frontier = made_of(1200, Requirement(min_recall=0.97, max_reviews=0.5), noise=2.0)
    thresholds = made.rule.thresholds
    marked = [at for at, t in enumerate(frontier.thresholds) if t == thresholds.defect_from]
    rows = table(frontier, made.requirement, marked).splitlines()
    (row,) = (row for row in rows if row.endswith("<"))
    assert row.split()[0] == f"{thresholds.defect_from:.4f}"


@pytest.fixture
def run_copy(finished_run: RunFolder, tmp_path: Path) -> RunFolder:
    return RunFolder(path=shutil.copytree(finished_run.path, tmp_path / "run"))


def test_what_calibrate_chose_is_what_export_stores(
    run_copy: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(run_copy.path), *EASY]) == 0
    printed = capsys.readouterr().out
    assert "bounds one-sided, 60%" in printed
    assert "train calibrate, bounds met" in printed
    assert run_copy.curve.read_text().startswith("<svg")
    made = read_calibration(run_copy)
    assert made is not None
    target = run_copy.path.parent / "m.onnx"
    assert main(["export", str(run_copy.path), "--out", str(target)]) == 0
    spec = read_model(target).spec
    assert spec.decision == made.decision
    assert spec.provenance["decision"] == made.describe()
    assert made.describe() in capsys.readouterr().out


def test_export_takes_no_rule_from_a_calibration_of_other_weights_or_other_good_parts(
    run_copy: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(run_copy.path), *EASY]) == 0
    out = ["--out", str(run_copy.path.parent / "m.onnx")]
    assert main(["export", str(run_copy.path), *out, "--ok-label", "stain"]) == 22
    assert "good classes no_defect and not stain" in capsys.readouterr().err
    with run_copy.best.open("ab") as file:
        file.write(b" ")
    assert main(["export", str(run_copy.path), *out]) == 22
    assert "was made for other weights" in capsys.readouterr().err
    assert not Path(out[1]).exists()


def test_bounds_that_cannot_be_kept_end_with_their_own_code_and_say_what_is_missing(
    run_copy: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(run_copy.path)]) == 25
    told = capsys.readouterr()
    assert "bounds not met" in told.out
    assert "threshold" in told.out
    assert told.err.startswith(
        "train: no thresholds keep recall >= 0.85 and false positives <= 0.03"
    )
    assert told.err.count("\n") == 1
    assert json.loads(run_copy.calibration.read_text())["decision"] is None
    target = run_copy.path.parent / "m.onnx"
    assert main(["export", str(run_copy.path), "--out", str(target)]) == 25
    assert not target.exists()
    assert main(["calibrate", str(run_copy.path), "--accept-unmet"]) == 0
    assert "NOT met, accepted" in capsys.readouterr().out


def test_without_good_parts_there_is_nothing_to_calibrate(
    run_copy: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(run_copy.record.read_text())
    run_copy.record.write_text(json.dumps(record | {"ok_labels": []}))
    assert main(["calibrate", str(run_copy.path)]) == 2
    assert "--ok-label (there are crack, no_defect, stain)" in capsys.readouterr().err
