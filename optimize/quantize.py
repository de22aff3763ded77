"""Static quantisation for the CPU: uint8 activations, int8 weights per channel, as Q/DQ pairs.

Owns which operators are quantised and in which form. The form was measured (lite0, ONNX Runtime on
AVX512): uint8 activations with int8 weights take half the time of float32, int8 activations gain
nothing, uint8 weights are eleven times slower. TensorRT wants another file: signed and symmetric.
"""

from collections import Counter

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    TensorData,
    TensorsData,
)

from optimize.calibrate import Ranges
from optimize.errors import ModelError
from optimize.graph import OUTPUT, initializers

OPERATORS = frozenset({"Conv", "Gemm", "MatMul", "Add", "Mul", "Clip", "Relu", "MaxPool", "Concat"})
"""What is quantised, wherever it stands, except the node that answers."""
_ACTIVATIONS = frozenset({"Clip", "Relu"})
_TAKE_ACTIVATION = frozenset({"Conv", "Gemm", "Add"})


def activations(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the float tensors whose ranges `quantise` asks for, in graph order.

    What passes between a convolution and the activation that is fused into it is not among them.
    """
    unseen = set(initializers(model)) | set(_fused(model))
    unseen |= {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    names = [
        name
        for node in model.graph.node
        if _is_quantised(node)
        for name in (*node.input, *node.output)
        if name and name not in unseen
    ]
    return tuple(dict.fromkeys(names))


def quantise(model: onnx.ModelProto, ranges: Ranges) -> onnx.ModelProto:
    """The int8 form of a simplified float model; the model that is given stays as it is.

    The input's own DequantizeLinear feeds the first convolution directly. The last Gemm stays float: it
    costs nothing and the logits keep their resolution. Raises ModelError when there is nothing to
    quantise.
    """
    nodes = [node.name for node in model.graph.node if _is_quantised(node)]
    if not nodes:
        raise ModelError(
            f"the model has none of the operators that int8 speeds up ({', '.join(sorted(OPERATORS))})"
        )
    source = onnx.ModelProto()
    source.CopyFrom(model)
    # The quantiser asks for a range before each fused activation as well, and then drops it.
    every = {**ranges, **{name: ranges[after] for name, after in _fused(model).items()}}
    observed = TensorsData(
        CalibrationMethod.MinMax,
        {
            name: TensorData(lowest=np.float32(low), highest=np.float32(high))
            for name, (low, high) in every.items()
        },
    )
    quantizer = QDQQuantizer(
        source,
        True,  # per channel: per-tensor weights wreck depthwise networks (agreement 0.71 for 0.90)
        False,
        QuantType.QInt8,
        QuantType.QUInt8,
        observed,
        nodes,
        [],
        sorted(OPERATORS),
        {"ActivationSymmetric": False, "WeightSymmetric": True, "QuantizeBias": False},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantised: onnx.ModelProto = quantizer.model.model
    quantised.ir_version = model.ir_version
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(model.metadata_props)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _is_quantised(node: onnx.NodeProto) -> bool:
    return node.op_type in OPERATORS and OUTPUT not in node.output


def _fused(model: onnx.ModelProto) -> dict[str, str]:
    """Tensors that only an activation reads, each with that activation's output."""
    makers = {node.output[0]: node for node in model.graph.node}
    readers = Counter(name for node in model.graph.node for name in node.input)
    return {
        node.input[0]: node.output[0]
        for node in model.graph.node
        if node.op_type in _ACTIVATIONS
        and readers[node.input[0]] == 1
        and node.input[0] in makers
        and makers[node.input[0]].op_type in _TAKE_ACTIVATION
    }
