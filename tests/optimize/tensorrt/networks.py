"""A residual network in small, beside the tiny one, and what the tests of files ask of a model."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from optimize.graph import initializers
from tests.optimize.tiny_network import LABELS, Pixels, make_model, make_spec

CHANNELS = 4


def make_residual_proto(*, shortcut: bool = False) -> onnx.ModelProto:
    """As `simplify` leaves it: stem, one block of two convolutions and an Add, pooling, head.

    With a `shortcut` the Add's other input is a convolution as well.
    """
    spec = make_spec()
    rng = np.random.default_rng(7)

    def kernel(inputs: int) -> npt.NDArray[np.float32]:
        return rng.normal(0, 0.3, (CHANNELS, inputs, 3, 3)).astype(np.float32)

    arrays: Mapping[str, npt.NDArray[np.generic]] = {
        "scale": np.array(spec.input.scale, np.float32),
        "zero": np.array(spec.input.zero_point, np.uint8),
        "stem_kernel": kernel(3),
        "one_kernel": kernel(CHANNELS),
        "one_bias": rng.normal(0, 0.1, CHANNELS).astype(np.float32),
        "two_kernel": kernel(CHANNELS),
        "two_bias": rng.normal(0, 0.1, CHANNELS).astype(np.float32),
        "head": 3 * rng.normal(0, 1, (CHANNELS, len(LABELS))).astype(np.float32),
        "head_bias": np.zeros(len(LABELS), np.float32),
    }
    node, same = helper.make_node, {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Transpose", ["frames"], ["frames_nchw"], "to_planes", perm=[0, 3, 1, 2]),
        node("DequantizeLinear", ["frames_nchw", "scale", "zero"], ["normalised"], "normalise"),
        node("Conv", ["normalised", "stem_kernel"], ["stem_sum"], "stem", **same),
        node("Relu", ["stem_sum"], ["stem_out"], "stem_relu"),
        node("Conv", ["stem_out", "one_kernel", "one_bias"], ["one_sum"], "one", **same),
        node("Relu", ["one_sum"], ["one_out"], "one_relu"),
        node("Conv", ["one_out", "two_kernel", "two_bias"], ["two_sum"], "two", **same),
        *([node("Conv", ["stem_out", "short_kernel"], ["short"], "short")] if shortcut else []),
        node("Add", ["two_sum", "short" if shortcut else "stem_out"], ["added"], "add"),
        node("Relu", ["added"], ["block_out"], "block_relu"),
        node("GlobalAveragePool", ["block_out"], ["pooled"], "pool"),
        node("Flatten", ["pooled"], ["features"], "flatten"),
        node("Gemm", ["features", "head", "head_bias"], ["logits"], "gemm"),
    ]
    if shortcut:
        arrays = {**arrays, "short_kernel": kernel(CHANNELS)[:, :, :1, :1]}
    return make_model("residual", nodes, arrays)


def logits(proto: onnx.ModelProto, images: list[Pixels]) -> npt.NDArray[np.float32]:
    """(N, classes) float32, by ONNX Runtime on the CPU, eight images at a time."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    batches = [np.stack(images[start : start + 8]) for start in range(0, len(images), 8)]
    return np.concatenate([session.run(["logits"], {"frames": batch})[0] for batch in batches])


def constants(proto: onnx.ModelProto) -> dict[str, npt.NDArray[np.generic]]:
    """The constants of a model by name."""
    return {name: numpy_helper.to_array(tensor) for name, tensor in initializers(proto).items()}


def named(proto: onnx.ModelProto, name: str) -> onnx.NodeProto:
    """The node of this name."""
    (found,) = [node for node in proto.graph.node if node.name == name]
    return found


def set_constant(proto: onnx.ModelProto, name: str, value: npt.NDArray[np.generic]) -> None:
    """Put a constant in the place of the one of this name, or beside the others."""
    tensor = numpy_helper.from_array(value, name)
    for present in proto.graph.initializer:
        if present.name == name:
            present.CopyFrom(tensor)
            return
    proto.graph.initializer.append(tensor)
