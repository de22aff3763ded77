"""Who makes and who reads each tensor of an ONNX graph, and which kind of layer TensorRT takes it for.

Owns the questions that writing a file and checking it both ask. Changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from optimize.graph import OUTPUT, initializers

ACTIVATIONS = frozenset(
    {"Clip", "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Elu", "Gelu", "Tanh"}
)
"""What TensorRT may fuse into the layer before it."""
WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
"""What TensorRT computes in int8 from two quantised inputs, the second of them constant."""
_POOLING = frozenset({"ReduceMean", "GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool"})
_OF_A_HEAD = WEIGHTED - {"Conv"} | {
    *("Add", "Mul", "Flatten", "Reshape", "Squeeze", "Identity", "Transpose"),
    *("LayerNormalization", "Softmax"),
}
FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})


@dataclass(frozen=True, slots=True)
class Wiring:
    """An ONNX graph, asked by tensor."""

    model: onnx.ModelProto
    constants: Mapping[str, onnx.TensorProto]
    makers: Mapping[str, onnx.NodeProto]
    """By output."""
    readers: Mapping[str, tuple[onnx.NodeProto, ...]]
    """By input, in graph order; a node that reads a tensor twice stands there twice."""
    kinds: Mapping[str, int]
    """Element type (`TensorProto.FLOAT` and so on) of each tensor that it is known of."""

    def value(self, name: str) -> npt.NDArray[np.generic]:
        """The constant of this name."""
        return numpy_helper.to_array(self.constants[name])

    def maker(self, name: str, *operators: str) -> onnx.NodeProto | None:
        """The node that makes a tensor, if it is one of `operators` or none are named."""
        node = self.makers.get(name)
        return node if node is not None and (not operators or node.op_type in operators) else None

    def head(self) -> frozenset[str]:
        """First outputs of the nodes from the last pooling to the logits; they work on one vector."""
        names: set[str] = set()
        name = OUTPUT
        while (node := self.makers.get(name)) is not None:
            if node.op_type not in _OF_A_HEAD | _POOLING:
                break
            if any(other in self.makers for other in node.input[1:]):
                break
            names.add(node.output[0])
            if node.op_type in _POOLING:
                break
            name = node.input[0]
        return frozenset(names)

    def is_depthwise(self, node: onnx.NodeProto) -> bool:
        """Whether a convolution's kernels see one channel each."""
        return self.groups(node) > 1 and self.kernel(node).dims[1] == 1

    def kernel(self, node: onnx.NodeProto) -> onnx.TensorProto:
        """The constant weights of a weighted node, behind their DequantizeLinear where there is one.

        Raises KeyError when they are computed, as in attention.
        """
        name = node.input[1]
        dequantise = self.maker(name, "DequantizeLinear")
        return self.constants[name if dequantise is None else dequantise.input[0]]

    def has_kernel(self, node: onnx.NodeProto) -> bool:
        """Whether a node is weighted and its weights, of at least two axes, are constant."""
        if node.op_type not in WEIGHTED:
            return False
        dequantise = self.maker(node.input[1], "DequantizeLinear")
        name = node.input[1] if dequantise is None else dequantise.input[0]
        return name in self.constants and len(self.constants[name].dims) > 1

    def channel_axis(self, node: onnx.NodeProto) -> int:
        """The axis of a weighted node's weights that its output channels lie on."""
        if node.op_type == "Conv":
            return 0
        if node.op_type == "Gemm":
            return 0 if attribute(node, "transB", 0) else 1
        return len(self.kernel(node).dims) - 1

    @staticmethod
    def groups(node: onnx.NodeProto) -> int:
        """Groups of a convolution."""
        return attribute(node, "group", 1)


def wire(model: onnx.ModelProto) -> Wiring:
    """The wiring of a model as it is now; later changes to the model are not seen."""
    readers: dict[str, tuple[onnx.NodeProto, ...]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers[name] = (*readers.get(name, ()), node)
    return Wiring(
        model=model,
        constants=initializers(model),
        makers={name: node for node in model.graph.node for name in node.output},
        readers=readers,
        kinds=_kinds(model),
    )


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """A whole-number attribute of a node."""
    return next((a.i for a in node.attribute if a.name == name), default)


def _kinds(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in (*inferred.input, *inferred.value_info, *inferred.output)
    }
    return kinds | {tensor.name: tensor.data_type for tensor in inferred.initializer}
