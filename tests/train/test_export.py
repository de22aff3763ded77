import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edge_runtime import policy
from edge_runtime.engines.ort import OnnxRuntimeEngine
from optimize.graph import read_model
from train import export
from train.data.stream import open_images
from train.errors import DatasetError, ExportError, RunError, WeightsError
from train.export import compare, export_run
from train.fitting import backbones
from train.fitting.machine import Machine
from train.fitting.prediction import predict
from train.fitting.record import read_record
from train.fitting.run import Means
from train.run_folder import RunFolder


def test_the_file_is_what_optimize_expects(exported_model: Path) -> None:
    model = read_model(exported_model)
    assert model.spec.labels == ("crack", "no_defect", "stain")
    assert model.spec.decision.ok_labels == ("no_defect",)
    assert (model.spec.input.height, model.spec.input.width) == (32, 32)
    assert [node.op_type for node in model.proto.graph.node[:2]] == [
        "Transpose",
        "DequantizeLinear",
    ]
    assert [entry.version for entry in model.proto.opset_import] == [20]


def test_nothing_of_the_machine_it_was_made_on_is_in_the_file(exported_model: Path) -> None:
    data = exported_model.read_bytes()
    assert b"site-packages" not in data
    assert b"stack_trace" not in data
    assert [file.name for file in exported_model.parent.glob("*.onnx*")] == [exported_model.name]


def test_the_provenance_tells_where_it_came_from(
    exported_model: Path, finished_run: RunFolder
) -> None:
    facts = read_model(exported_model).spec.provenance
    assert facts["backbone"] == "test_efficientnet"
    assert facts["initial_weights"] == "scratch"
    assert facts["data_sha256"] == read_record(finished_run).data_sha256
    assert facts["weights_sha256"] == hashlib.sha256(finished_run.best.read_bytes()).hexdigest()
    assert facts["fit_command"].startswith("train fit --data-dir")
    assert facts["export_command"].startswith("train export")
    assert f"torch {torch.__version__.partition('+')[0]}" in facts["versions"]


def test_the_file_answers_as_the_network_image_by_image(
    exported_model: Path, finished_run: RunFolder, machine: Machine
) -> None:
    record, spec = read_record(finished_run), read_model(exported_model).spec
    dataset = record.settings.source.read()
    images = open_images(dataset, spec.input, workers=1, memory_limit=1 << 30)
    network = backbones.build("test_efficientnet", 3, [spec.input])
    network.load_state_dict(backbones.load_best(finished_run))
    trained = predict(network, images, range(len(images)), spec.input, machine)
    engine = OnnxRuntimeEngine(exported_model, spec)
    answered = np.concatenate([engine.infer(images[i][None]).logits for i in range(len(images))])
    together = engine.infer(np.stack([images[i] for i in range(len(images))])).logits
    engine.close()
    np.testing.assert_allclose(answered, trained, atol=export.TOLERANCE)
    np.testing.assert_allclose(together, trained, atol=export.TOLERANCE)
    verdicts = [
        [each.outcome for each in policy.decide(policy.probabilities(rows, 1.0), spec)]
        for rows in (answered, trained)
    ]
    assert verdicts[0] == verdicts[1]


def test_a_file_that_answers_otherwise_is_refused(exported_model: Path) -> None:
    spec = read_model(exported_model).spec
    frames = [np.full((2, 32, 32, 3), 100, np.uint8)]
    engine = OnnxRuntimeEngine(exported_model, spec)
    logits = engine.infer(frames[0]).logits
    engine.close()
    assert compare(exported_model, spec, frames, logits) == 0
    with pytest.raises(ExportError, match=r"logits differ by up to 0\.01 .*nothing was written"):
        compare(exported_model, spec, frames, logits + np.float32(0.01))


def test_ok_labels_may_be_chosen_at_export(
    finished_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported_model: Path
) -> None:
    ready = onnx.load_model(exported_model)
    specs = []

    def without_exporting_again(_network: object, model: object) -> onnx.ModelProto:
        specs.append(model)
        return ready

    monkeypatch.setattr(export, "build_graph", without_exporting_again)
    target = tmp_path / "m.onnx"
    exported = export_run(finished_run, target, Means(device="cpu"), ok_labels=("crack", "stain"))
    assert exported.model.decision.ok_labels == ("crack", "stain")
    exported = export_run(finished_run, target, Means(device="cpu"), ok_labels=())
    assert exported.model.decision.thresholds.defect_from == 0
    assert exported.validation.defect_recall is None
    assert len(specs) == 2
    assert target.exists()


def test_data_that_changed_since_the_run_is_refused(
    finished_run: RunFolder, tmp_path: Path
) -> None:
    copy = RunFolder(path=tmp_path)
    for file in (finished_run.best, finished_run.record):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    lines = finished_run.split.read_text().splitlines()
    held_back = next(line for line in lines if line.endswith(",validation"))
    altered = [line.replace("validation", "train") if ",stain," in line else line for line in lines]
    copy.split.write_text("\n".join(altered))
    with pytest.raises(RunError, match="does not belong to"):
        export_run(copy, tmp_path / "m.onnx", Means(device="cpu"))
    damaged = ",".join(["stain/damaged.png", *held_back.split(",")[1:]])
    copy.split.write_text("\n".join([*lines, damaged]))
    with pytest.raises(DatasetError, match=r"stain/damaged\.png could be decoded when the run"):
        export_run(copy, tmp_path / "m.onnx", Means(device="cpu"))
    assert not (tmp_path / "m.onnx").exists()


def test_an_unfinished_run_is_refused(finished_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(finished_run.record.read_bytes())
    with pytest.raises(WeightsError, match=r"has no best\.pth yet"):
        export_run(RunFolder(path=tmp_path), tmp_path / "m.onnx", Means(device="cpu"))
