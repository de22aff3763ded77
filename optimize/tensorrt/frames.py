"""How a TensorRT file takes uint8 frames: Cast, minus the zero point, times the scale.

The float model's normalisation is one DequantizeLinear with zero point 128 on uint8. TensorRT takes
neither: its DequantizeLinear is int8 with zero point 0. It does take uint8 as the type of a network's
input, provided that the first layer casts it to float (DataType.UINT8 in its Python API: "convert uint8
network-level inputs to float32 or float16 prior to use with other layers"); not even the Transpose may
come first. In float32 the three steps give bit for bit what DequantizeLinear gives, and TensorRT runs
such a chain as one pointwise kernel, so nothing would be gained by folding the scale into the weights.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optimize.errors import ModelError
from optimize.graph import INPUT, initializers, normalisation

_CAST, _CENTRE, _SCALE = f"{INPUT}_cast", f"{INPUT}_centre", f"{INPUT}_scale"
NODES = (_CAST, _CENTRE, _SCALE)
"""Names of the three nodes."""


def take_frames(model: onnx.ModelProto) -> str:
    """Put the three steps in place of the input's DequantizeLinear; the name of what it gave.

    The model is changed. Raises ModelError when the input does not meet a DequantizeLinear.
    """
    normalise = normalisation(model)
    if normalise is None:
        raise ModelError(
            f"`{INPUT}` does not meet a DequantizeLinear: export it with `train export`"
        )
    constants = initializers(model)
    scale = numpy_helper.to_array(constants[normalise.input[1]])
    zero = numpy_helper.to_array(constants[normalise.input[2]]) if len(normalise.input) > 2 else 0
    graph = model.graph
    normalised = str(normalise.output[0])
    transpose = next((node for node in graph.node if node.output[0] == normalise.input[0]), None)
    # Where the layout changes first, on uint8, it has to come last, on float32.
    planes = normalised if transpose is None else f"{normalised}_nhwc"
    steps = [
        helper.make_node("Cast", [INPUT], [f"{INPUT}_float"], _CAST, to=TensorProto.FLOAT),
        helper.make_node(
            "Sub", [f"{INPUT}_float", f"{_CENTRE}_value"], [f"{INPUT}_centred"], _CENTRE
        ),
        helper.make_node("Mul", [f"{INPUT}_centred", f"{_SCALE}_value"], [planes], _SCALE),
    ]
    if transpose is not None:
        moved = onnx.NodeProto()
        moved.CopyFrom(transpose)
        moved.input[0], moved.output[0] = planes, normalised
        steps.append(moved)
    replaced = {normalised, normalise.input[0]}
    rest = [node for node in graph.node if node.output[0] not in replaced]
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*steps, *rest])
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.asarray(zero, np.float32).reshape(()), f"{_CENTRE}_value"),
            numpy_helper.from_array(np.asarray(scale, np.float32).reshape(()), f"{_SCALE}_value"),
        ]
    )
    drop_unread(model)
    return normalised


def drop_unread(model: onnx.ModelProto) -> None:
    """Remove the constants that no node reads."""
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    if len(kept) == len(model.graph.initializer):
        return
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
