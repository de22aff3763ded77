"""The drift reference that a build writes: distributions, shares, and how well its means are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.drift.series import CLASS, NOT_INSPECTED, SCORE
from edge_runtime.drift.statistics import MEASURES, measure
from optimize.builder.drift_reference import (
    USUAL_NOT_INSPECTED,
    effective_images,
    reference,
    shares,
)
from optimize.cli.main import main
from tests.optimize.tiny_network import LABELS, make_image, make_spec

MakeFolder = Callable[..., Path]


@pytest.fixture
def build(model_file: Path, make_folder: MakeFolder, tmp_path: Path) -> Callable[..., Path]:
    def run(per_class: int, *flags: str) -> Path:
        validation = make_folder(f"validation-{per_class}", per_class=per_class)
        done = main(
            [
                *("build", str(model_file), "--validation", str(validation)),
                *("--calibration", str(make_folder("calibration", per_class=2))),
                *("--out", str(tmp_path / "out"), "--latency-samples", "2"),
                *("--max-false-positives", "0.5", "--min-recall", "0.5", *flags),
            ]
        )
        assert done == 0
        return tmp_path / "out" / "weld-seam" / "1.0.0"

    return run


def test_a_build_writes_what_the_validation_images_measure(
    build: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    made = open_bundle(build(20)).drift_reference()
    assert made is not None
    assert (made.images, made.line_mix) == (60, False)
    assert made.dataset.startswith("validation-20 sha256:")
    seen = np.array([measure(make_image(c, s)).row() for s in range(20) for c in LABELS])
    for entry, values in zip(made.measures, seen.T, strict=True):
        assert entry.mean == pytest.approx(values.mean(), rel=1e-6)
        assert sum(entry.shares) == pytest.approx(1)
    shares = {share.name: share.mean for share in made.shares}
    assert {f"class:{label}" for label in LABELS} <= set(shares)
    assert sum(shares[f"class:{label}"] for label in LABELS) == pytest.approx(1)
    assert shares[NOT_INSPECTED] == USUAL_NOT_INSPECTED
    assert made.answers is not None
    assert sum(sum(cell.truths) for cell in made.answers.cells) == 60
    assert (
        "drift will be monitored against 60 images: image statistics, but"
        in capsys.readouterr().out
    )


def test_the_lines_own_mix_is_said_by_whoever_builds(build: Callable[..., Path]) -> None:
    made = open_bundle(build(12, "--validation-mix", "line")).drift_reference()
    assert made is not None
    assert made.line_mix


def test_too_few_images_make_no_reference_and_it_is_said(
    build: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert open_bundle(build(8)).drift_reference() is None
    assert "drift will not be monitored: 24 validation images say too little" in (
        capsys.readouterr().err
    )


def test_what_the_stations_gate_would_turn_away_counts_as_not_inspected() -> None:
    logits = np.tile(np.array([[4.0, 0.0, 0.0]], np.float32), (4, 1))
    spec = make_spec()
    all_seen, two_seen = (
        shares(logits, np.array(inspected), 1, spec)
        for inspected in ([True] * 4, [True, False, True, False])
    )
    assert list(all_seen[NOT_INSPECTED]) == [0, 0, 0, 0, 1]
    assert list(two_seen[NOT_INSPECTED]) == [0, 1, 0, 1, 1]
    decided = f"{CLASS}{spec.labels[0]}"
    assert (all_seen[decided].mean(), two_seen[decided].mean()) == (1.0, 0.5)
    assert list(np.isnan(two_seen[SCORE])) == [False, True, False, True]


def test_images_of_one_group_count_as_hardly_more_than_one() -> None:
    rng = np.random.default_rng(0)
    groups = [f"m{number // 4}" for number in range(4000)]
    alike = np.repeat(rng.normal(size=1000), 4) + 0.01 * rng.normal(size=4000)
    assert effective_images(alike, groups) == pytest.approx(1000, rel=0.1)
    apart = rng.normal(size=4000)
    assert effective_images(apart, groups) == pytest.approx(4000, rel=0.1)
    assert effective_images(apart, [""] * 4000) == pytest.approx(4000, rel=0.01)


def test_a_measure_that_never_varies_still_makes_bins() -> None:
    made = reference("x", np.ones((40, len(MEASURES))), [""] * 40, {}, line_mix=True)
    assert all(len(entry.edges) >= 2 and entry.deviation > 0 for entry in made.measures)
