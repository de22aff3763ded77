"""500 simulated images through train's evaluation and through the runtime, verdict by verdict.

The trained network and `train.figures.counts` on one side; the files' bytes, the gate, ONNX Runtime and
the inspector of the station on the other. Between them lies only what `train export` wrote.
"""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.inspection import Inspector, gate
from optimize.gates import decisions
from optimize.graph import read_model
from train.cli.main import main
from train.data.manifest import Source
from train.data.stream import open_images
from train.figures.counts import measure
from train.fitting.machine import Machine
from train.fitting.prediction import classes_of, predict
from train.fitting.record import read_record
from train.fitting.validation import load_network
from train.run_folder import RunFolder

COUNT = 500
EASY = ("--min-recall=0.3", "--max-false-positives=0.6", "--max-reviews=1", "--accept-unmet")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated crops, 64 pixels, some of them blurred and some damaged."""
    folder = tmp_path_factory.mktemp("line") / "crops"
    simulate = ["simulate", "--generation=gen3", f"--count={COUNT}", "--defect-share=0.5"]
    assert main([*simulate, "--img-size=64", "--seed=5", "--workers=1", "--out", str(folder)]) == 0
    return folder


def test_runtime_and_evaluation_give_the_same_500_verdicts(
    line: Path, tmp_path: Path, machine: Machine
) -> None:
    run, model_file = RunFolder(path=tmp_path / "run"), tmp_path / "m.onnx"
    fit = ["fit", "--model=test_efficientnet", "--initial-weights=scratch", "--img-size=64"]
    fit += ["--epochs=2", "-b=32", "--lr=3e-3", "--data-dir", str(line), "--output", str(run.path)]
    assert main(fit) == 0
    assert main(["calibrate", str(run.path), *EASY]) == 0
    assert main(["export", str(run.path), "--out", str(model_file)]) == 0
    spec = read_model(model_file).spec

    images = open_images(Source(data_dir=line).read(), spec.input, workers=1, memory_limit=1 << 30)
    network = load_network(run, read_record(run))
    order = range(len(images))
    logits = predict(network, images, order, spec.input, machine)
    in_training = {
        sample.path: (answer.outcome, answer.label)
        for sample, answer in zip(images.dataset.samples, decisions(logits, spec), strict=True)
    }
    counted = measure(logits, classes_of(images, order), spec)

    engine = OnnxRuntimeEngine(model_file, spec)
    inspector = Inspector(engine, spec)
    with (line / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == COUNT
    on_the_line = {}
    for start in range(0, COUNT, 8):
        paths = [row["path"] for row in rows[start : start + 8]]
        frames = [
            gate(frame_of(line / path, number), spec.input) for number, path in enumerate(paths)
        ]
        for path, judged in zip(paths, inspector.judge(frames), strict=True):
            on_the_line[path] = (judged.decision.outcome, judged.decision.label)
    engine.close()

    unreadable = {bad.path for bad in images.quarantined}
    unseen = {
        path for path, (outcome, _) in on_the_line.items() if outcome is Outcome.NOT_INSPECTED
    }
    assert unreadable
    assert unseen >= unreadable
    differing = [p for p in on_the_line.keys() - unseen if on_the_line[p] != in_training[p]]
    assert not differing
    assert len(on_the_line) - len(unseen) > 0.95 * COUNT
    # Control: at the next rule over, verdicts do differ.
    half = spec.decision.thresholds.defect_from / 2
    lower = Thresholds(
        review_from=min(half, spec.decision.thresholds.review_from), defect_from=half
    )
    other = spec.model_copy(
        update={"decision": spec.decision.model_copy(update={"thresholds": lower})}
    )
    assert [a.outcome for a in decisions(logits, other)] != [a for a, _ in in_training.values()]
    # The rule must have had something to decide: a model that answers alike on all proves nothing.
    assert len({outcome for outcome, _ in in_training.values()}) >= 2
    assert sum(sum(row) for row in counted.confusion) == len(in_training)


def frame_of(file: Path, number: int) -> Frame:
    return Frame(
        image=file.read_bytes(),
        part_id=str(number),
        captured_at=datetime.now(UTC),
        arrived=0.0,
    )
