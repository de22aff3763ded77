"""From the best weights of a run to one ONNX file that decides as the trained network does.

Owns the graph's form: input `frames` (N, height, width, 3) uint8 RGB, normalised inside by one
DequantizeLinear, output `logits` (N, classes) float32, N free; weights within the file. Its metadata
hold the ModelSpec and, of a run under a frozen split, which images are sealed. The file is compared with
the network on real validation images before it takes its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge_runtime import policy
from edge_runtime.contracts.manifest import MODEL_SPEC_KEY, InputSpec, ModelSpec
from edge_runtime.engines.catalogue import open_engine
from optimize.graph import INPUT, OUTPUT, SEALED_KEY, read_model
from train.decision import calibration, decide
from train.errors import ExportError
from train.figures.counts import Metrics, measure
from train.fitting.record import RunRecord, read_record, resolve_ok_labels
from train.fitting.run import Means
from train.fitting.validation import answer
from train.run_folder import RunFolder
from train.written_aside import written_aside

OPSET = 20
TOLERANCE = 1e-3
"""Largest difference of a logit between ONNX Runtime and torch; both round in float32."""
Logits = npt.NDArray[np.float32]
_COMPARED = 64
"""Validation images that are compared, spread over the whole."""
_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written and how good it is."""

    path: Path
    model: ModelSpec
    validation: Metrics
    difference: float
    """Largest difference of a logit between the file and the network."""
    compared: int


def export_run(
    folder: RunFolder,
    target: Path,
    means: Means,
    *,
    ok_labels: Sequence[str] | None = None,
    limits: decide.Limits | None = None,
    command: str = "",
) -> Exported:
    """Write the model to `target` with the run's calibration as its decision rule.

    Where the run has none, or `limits` are named, the rule is chosen on the validation side by point
    estimates. Raises ExportError when the file would answer unlike the network, UnmetError when the
    calibration found no rule, RunError when it was made for others; nothing is written then.
    """
    record = read_record(folder)
    good = resolve_ok_labels(record.ok_labels if ok_labels is None else ok_labels, record.labels)
    calibrated = calibration.usable(folder, good) if limits is None else None
    rule = calibrated.rule if calibrated else None
    held_out = answer(folder, record, means)
    limits = limits or decide.LIMITS
    model = ModelSpec(
        labels=record.labels,
        input=held_out.images.size,
        decision=rule
        or decide.choose(held_out.logits, held_out.truth, record.labels, good, limits),
        provenance=_provenance(record, command)
        | {"weights_sha256": calibration.weights_sha256(folder)}
        | {"decision": calibrated.describe() if calibrated else decide.describe(limits)},
    )
    chosen = range(0, len(held_out.images), -(-len(held_out.images) // _COMPARED))
    frames = [
        np.stack([held_out.images[i] for i in chosen[start : start + _BATCH]])
        for start in range(0, len(chosen), _BATCH)
    ]
    graph = build_graph(held_out.network.cpu(), model)
    if record.settings.split is not None:
        sealed = record.settings.split.read(record.settings.source.root).sealed
        helper.set_model_props(
            graph, {MODEL_SPEC_KEY: model.to_json(), SEALED_KEY: sealed.to_text()}
        )
    with written_aside(target) as aside:
        onnx.save_model(graph, aside)
        # The next command's own check: what it refuses should not be written.
        difference = compare(aside, read_model(aside).spec, frames, held_out.logits[chosen])
    return Exported(
        path=target,
        model=model,
        validation=measure(held_out.logits, held_out.truth, model),
        difference=difference,
        compared=len(chosen),
    )


def build_graph(network: nn.Module, model: ModelSpec) -> onnx.ModelProto:
    """The ONNX model of a network on the CPU, from uint8 frames to logits."""
    size = model.input
    network = network.eval().to(memory_format=torch.contiguous_format)
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 3, size.height, size.width),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["normalised"],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    if program is None:
        raise ExportError("torch wrote no ONNX program: this version of torch does not fit")
    exported = program.model_proto
    _take_frames(exported.graph, size)
    _forget_origin(exported.graph)
    exported.producer_name = "edge-inspect"
    helper.set_model_props(exported, {MODEL_SPEC_KEY: model.to_json()})
    onnx.checker.check_model(exported, full_check=True)
    return exported


def compare(
    path: Path, model: ModelSpec, batches: Sequence[npt.NDArray[np.uint8]], expected: Logits
) -> float:
    """Largest difference between the file's logits and those expected (N, classes).

    Raises ExportError when it is above TOLERANCE or when one verdict differs.
    """
    engine = open_engine("onnxruntime", path, model, 1)
    try:
        answers = np.concatenate([engine.infer(frames).logits for frames in batches])
    finally:
        engine.close()
    difference = float(np.abs(answers - expected).max())
    ours, theirs = (
        policy.decide(policy.probabilities(rows, model.decision.temperature), model)
        for rows in (answers, expected)
    )
    flips = sum(
        (a.outcome, a.label) != (b.outcome, b.label) for a, b in zip(ours, theirs, strict=True)
    )
    if difference > TOLERANCE or flips:
        raise ExportError(
            f"the exported model does not answer as the trained one does: logits differ by up to "
            f"{difference:.2g} (allowed {TOLERANCE}), {flips} of {len(expected)} verdicts differ; "
            "nothing was written; try another version of torch or onnxruntime"
        )
    return difference


def _take_frames(graph: onnx.GraphProto, size: InputSpec) -> None:
    """Put uint8 frames in place of the graph's normalised input."""
    normalised = graph.input[0].name
    shape: list[str | int | None] = ["batch", size.height, size.width, 3]
    graph.input[0].CopyFrom(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(size.scale, np.float32), "input_scale"),
            numpy_helper.from_array(np.array(size.zero_point, np.uint8), "input_zero_point"),
        ]
    )
    # Transposed as bytes, which moves a quarter of what floats would.
    first = [
        helper.make_node("Transpose", [INPUT], ["frames_nchw"], "to_nchw", perm=[0, 3, 1, 2]),
        helper.make_node(
            "DequantizeLinear",
            ["frames_nchw", "input_scale", "input_zero_point"],
            [normalised],
            "normalise",
        ),
    ]
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _forget_origin(graph: onnx.GraphProto) -> None:
    """Drop what the exporter notes on each node: stack traces, with the paths of this machine."""
    for noted in (
        graph,
        *graph.node,
        *graph.value_info,
        *graph.input,
        *graph.output,
        *graph.initializer,
    ):
        del noted.metadata_props[:]
        noted.ClearField("doc_string")


def _provenance(record: RunRecord, command: str) -> dict[str, str]:
    recipe = record.settings.recipe
    return {
        "backbone": record.settings.model,
        "initial_weights": record.initial_weights,
        "data": record.data_name,
        "data_sha256": record.data_sha256,
        **({"split_sha256": record.settings.split.sha256} if record.settings.split else {}),
        "seed": str(recipe.seed),
        "epochs": str(recipe.epochs),
        "fit_command": record.command,
        "export_command": command,
        "versions": ", ".join(f"{name} {value}" for name, value in record.versions.items()),
    }
