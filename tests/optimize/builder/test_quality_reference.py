"""The quality limits that a build writes, and what it says of them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.quality import Check
from edge_runtime.quality.judging import Judge
from edge_runtime.quality.measures import read
from optimize.cli.main import main
from optimize.quality_limits.trials import TRIALS, gained
from tests.optimize.tiny_network import LABELS, make_image

MakeFolder = Callable[..., Path]


@pytest.fixture
def build(model_file: Path, make_folder: MakeFolder, tmp_path: Path) -> Callable[..., int]:
    def run(per_class: int, *flags: str) -> int:
        validation = make_folder(f"validation-{per_class}", per_class=per_class)
        return main(
            [
                *("build", str(model_file), "--validation", str(validation)),
                *("--calibration", str(make_folder("calibration", per_class=2))),
                *("--out", str(tmp_path / "out"), "--latency-samples", "2"),
                *("--max-false-positives", "0.5", "--min-recall", "0.5", *flags),
            ]
        )

    return run


def test_a_build_writes_limits_and_says_what_each_is_good_for(
    build: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(20, "--quality-cost", "0.01") == 0
    made = open_bundle(tmp_path / "out" / "weld-seam" / "1.0.0").quality_reference()
    assert made is not None
    assert (made.images, made.cost) == (60, 0.01)
    assert made.dataset.startswith("validation-20 sha256:")
    assert len(made.limits) == len(TRIALS)
    said = capsys.readouterr().out
    assert "frames will be held to limits from 60 images" in said
    for limit in made.limits:
        assert f"  {limit.check}: {limit.measure} {limit.side} {limit.value:g}" in said
    judge = Judge(made)
    dark = gained(make_image(LABELS[0], 3), 0.1, 0.1, 0.1)
    assert (judge.rejection(read(dark)) or "").startswith(Check.DARK)


def test_too_few_images_make_no_limits_and_it_is_said(
    build: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(12) == 0
    captured = capsys.readouterr()
    assert "36 validation images say too little of what good frames look like" in captured.err
    assert open_bundle(tmp_path / "out" / "weld-seam" / "1.0.0").quality_reference() is None
    assert "the quality of frames will not be checked" in captured.out


@pytest.mark.parametrize("cost", ["0", "0.5"])
def test_a_cost_that_makes_no_sense_is_refused(
    cost: str, build: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(4, "--quality-cost", cost) == 2
    assert "expected a share above 0, at most 0.1" in capsys.readouterr().err


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.measure}-{trial.side}")
def test_a_trial_changes_a_picture_and_keeps_its_form(trial: object) -> None:
    noise = np.random.default_rng(0).integers(40, 200, (48, 40, 3), dtype=np.uint8)
    pixels = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.0))
    before = pixels.copy()
    after = trial.damage(np.random.default_rng(1), pixels)
    assert (after.shape, after.dtype) == (pixels.shape, np.uint8)
    assert (after != before).mean() > 0.05
    assert (pixels == before).all()
