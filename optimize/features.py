"""What a graph knows beside its logits: the features that its classifier reads, and the picture before.

Owns where the two stand in a graph, found by its structure and not by a layer's name, and that a
variant's file gives them as outputs. Features are what the last Gemm (or MatMul) reads; the picture is
what the global pooling before it reads. Both are there whether anybody asks or not, so a file of either
target computes nothing more (docs/results/features-cost.json).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from edge_runtime.engines.tensors import FEATURE_MAP, FEATURES
from optimize.errors import ModelError
from optimize.graph import OUTPUT, initializers

_HEADS = frozenset({"Gemm", "MatMul"})
_POOLINGS = frozenset({"GlobalAveragePool", "ReduceMean", "AveragePool"})

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Names of tensors within a graph."""

    features: str
    """(N, features)."""
    feature_map: str | None
    """(N, channels, rows, columns); None where no pooling over a whole picture leads to the features."""


def locate(model: onnx.ModelProto) -> Located:
    """Where the features stand; raises ModelError where the model has none."""
    shapes = _shapes(model)
    features = _features(model)
    if len(shapes.get(features, ())) != 2:
        raise ModelError(
            f"what the last Gemm or MatMul reads, `{features}`, is no row of features for each image"
        )
    return Located(features=features, feature_map=_picture(model, features, shapes))


def expose(model: onnx.ModelProto, *, feature_map: bool) -> onnx.ModelProto:
    """The same model with its features as a second output, and its picture as a third if asked for.

    The model that is given stays as it is; where it has no picture, there is no third. Raises ModelError
    where it has no features.
    """
    found = locate(model)
    told = {found.features: FEATURES}
    if feature_map and found.feature_map is not None:
        told[found.feature_map] = FEATURE_MAP
    # Another tensor that has one of the names gives it up.
    names = {name: f"{name}_inside" for name in told.values()} | told
    shapes = _shapes(model)
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    graph = exposed.graph
    del graph.output[1:]
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    for tensor, name in told.items():
        sides = [batch, *shapes[tensor][1:]]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, sides))
    for node in graph.node:
        for used in (node.input, node.output):
            for index, tensor in enumerate(used):
                used[index] = names.get(tensor, tensor)
    kept = [value for value in graph.value_info if value.name not in names]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    onnx.checker.check_model(exposed, full_check=True)
    return exposed


def _features(model: onnx.ModelProto) -> str:
    makers, constants = _makers(model), initializers(model)
    tensor = OUTPUT
    while tensor in makers:
        node = makers[tensor]
        if node.op_type in _HEADS and node.input[0] not in constants:
            return str(node.input[0])
        tensor = node.input[0] if node.input else ""
    raise ModelError(
        "the model ends in no Gemm or MatMul, so that it has no features to compare by"
    )


def _picture(model: onnx.ModelProto, features: str, shapes: Mapping[str, Shape]) -> str | None:
    """What is pooled on the way to the features; nothing behind it may have places."""
    makers = _makers(model)
    tensor = features
    while (node := makers.get(tensor)) is not None and node.input:
        before = node.input[0]
        shape, pooled = shapes.get(before, ()), shapes.get(tensor, ())
        if _has_places(shape):
            is_pooling = node.op_type in _POOLINGS and not _has_places(pooled)
            return str(before) if is_pooling and pooled[1] == shape[1] else None
        tensor = before
    return None


def _has_places(shape: Shape) -> bool:
    """Whether more than the channels are left beside the batch, in whatever order."""
    return len(shape) == 4 and sum(side != 1 for side in shape[1:]) > 1


def _makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Of the float32 tensors: no other is told."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: tuple(
            side.dim_value if side.HasField("dim_value") else None
            for side in value.type.tensor_type.shape.dim
        )
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
