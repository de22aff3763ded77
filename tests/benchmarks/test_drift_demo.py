"""The demo's loop in small: does each step take what the one before left? Its figures mean nothing."""

import json
from pathlib import Path

import pytest

from benchmarks import drift_picture, steps
from benchmarks.drift_demo import LABELLING_DAYS, Scale, sentences, tell, week_of
from edge_runtime.bundle import open_bundle
from edge_runtime.retraining.pack import EVIDENCE, open_pack
from optimize.cli.main import main as optimize
from train.cli.main import main as train

SMALL = Scale(
    size=64,
    images=300,
    model="test_efficientnet",
    weights="scratch",
    epochs=3,
    refresh="--epochs 2 --lr 3e-3",
    held_out=128,
    parts_per_day=192,
    window=96,
    recipe="--freeze-epochs 0 --warmup-epochs 0 -b 16 --lr 3e-3 --min-epoch-images 1500",
    agreement="--test-share 0 --recall-margin 0.99 --false-positive-margin 0.99 --macro-f1-margin 0.99 "
    "--least-macro-f1 0",
    gate="--min-recall 0 --max-false-positives 1 --max-flips 1",
)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command in this process: torch is imported once and not nine times."""

    def run(step: steps.Step, work: Path) -> float:
        monkeypatch.chdir(work)
        code = {"train": train, "optimize": optimize}[step.program](list(step.words))
        assert code in (0, *step.allowed), step.line
        return 0.0

    monkeypatch.setattr(steps, "_run", run)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_loop_closes_and_a_week_without_events_asks_for_nothing(tmp_path: Path) -> None:
    story = tell(SMALL, tmp_path, seed=1)
    assert story["asked"]
    assert story["asked_day"] > 1.6  # the bad batch is over by then: it is no reason to retrain
    pack = open_pack(tmp_path / "state" / EVIDENCE / story["request"]["evidence"])
    assert set(pack.files) == {"drift.json", "manifest.json", "reference.json"}
    refresh = json.loads((tmp_path / "refresh" / "refresh.json").read_text())
    assert refresh["plan"]["request"] == story["request"]["id"]
    assert (
        refresh["enlargement"]["added"] == story["labels"] == LABELLING_DAYS * SMALL.parts_per_day
    )
    assert story["accepted"], [finding for finding in story["findings"] if not finding["met"]]
    assert open_bundle(tmp_path / "bundles" / "weld-seam" / "1.1.0").drift_reference() is not None
    assert story["windows"]["new"]
    assert len(sentences(story)) > 6
    drift_picture.draw(story, week_of(SMALL, 1), tmp_path / "picture.svg")
    assert "asks" in (tmp_path / "picture.svg").read_text()

    quiet = tell(SMALL, tmp_path, seed=1, events=())
    assert not quiet["asked"]
    assert quiet["windows"]["new"] == []
