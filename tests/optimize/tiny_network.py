"""A network of a dozen weights that tells red, green and blue apart, and images for it."""

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.contracts.manifest import (
    MODEL_SPEC_KEY,
    DecisionRule,
    InputSpec,
    ModelSpec,
    Thresholds,
)

SIZE = 16
LABELS = ("red", "green", "blue")
COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}

Pixels = npt.NDArray[np.uint8]


def make_spec() -> ModelSpec:
    """Red is good; everything else is a defect."""
    return ModelSpec(
        labels=LABELS,
        input=InputSpec(height=SIZE, width=SIZE),
        decision=DecisionRule(
            ok_labels=("red",), thresholds=Thresholds(review_from=0.4, defect_from=0.6)
        ),
        provenance={"backbone": "tiny"},
    )


def make_proto() -> onnx.ModelProto:
    """Pointwise and depthwise convolution, both activations, pooling and a head: a lite0 in small."""
    spec = make_spec()
    pick = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    blur = np.full((3, 1, 3, 3), 1 / 9, np.float32)
    arrays: Mapping[str, npt.NDArray[np.generic]] = {
        "scale": np.array(spec.input.scale, np.float32),
        "zero": np.array(spec.input.zero_point, np.uint8),
        "pick": pick,
        "pick_bias": np.ones(3, np.float32),
        "blur": blur,
        "low": np.array(0, np.float32),
        "high": np.array(6, np.float32),
        "head": 6 * np.eye(3, dtype=np.float32),
        "head_bias": np.zeros(3, np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["frames", "scale", "zero"], ["floats"], "normalise"),
        helper.make_node("Transpose", ["floats"], ["planes"], "to_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "pick", "pick_bias"], ["picked"], "conv_pick"),
        helper.make_node("Clip", ["picked", "low", "high"], ["clipped"], "clip"),
        helper.make_node("Conv", ["clipped", "blur"], ["blurred"], "conv_blur", group=3),
        helper.make_node("Relu", ["blurred"], ["rectified"], "relu"),
        helper.make_node("GlobalAveragePool", ["rectified"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], "flatten"),
        helper.make_node("Gemm", ["features", "head", "head_bias"], ["logits"], "gemm"),
    ]
    return make_model("tiny", nodes, arrays)


def make_model(
    name: str,
    nodes: list[onnx.NodeProto],
    arrays: Mapping[str, npt.NDArray[np.generic]],
) -> onnx.ModelProto:
    """These nodes from `frames` to `logits`, with the spec in the metadata."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(LABELS)])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(proto, {MODEL_SPEC_KEY: make_spec().to_json()})
    return proto


def make_image(label: str, seed: int) -> Pixels:
    """A noisy field of the label's colour, (16, 16, 3) uint8 RGB."""
    noise = np.random.default_rng(seed).integers(-30, 30, (SIZE, SIZE, 3))
    return np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    """The pixels as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
