"""What each of TensorRT's rules finds in a graph: one function a rule, a graph in, findings out.

A finding is a pair (where, what was seen there). The reasons and their sources stand in `lint`.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto

from optimize.tensorrt.wiring import ACTIVATIONS, WEIGHTED, Wiring, attribute

OPSETS = range(13, 25)
"""From the first with scales per channel to the newest that TensorRT 10.15 reads, as it documents."""
EVERY_OPSET = 20
"""The newest that TensorRT 10.0 reads as well."""
OPERATORS = frozenset(
    {
        "Conv",
        "Gemm",
        "MatMul",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Sqrt",
        "Exp",
        "Log",
        "Erf",
        "Neg",
    }
    | {"Abs", "Min", "Max", "Reciprocal", "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh"}
    | {"Elu", "Gelu", "HardSigmoid", "HardSwish", "Mish", "Softplus", "Softmax", "LogSoftmax"}
    | {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum"}
    | {"ReduceMax", "ReduceMin", "ReduceL2", "BatchNormalization", "LayerNormalization"}
    | {"InstanceNormalization", "GroupNormalization", "LpNormalization", "Concat", "Split", "Slice"}
    | {
        "Gather",
        "Expand",
        "Pad",
        "Resize",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
    }
    | {
        "Shape",
        "Range",
        "Constant",
        "ConstantOfShape",
        "Identity",
        "Cast",
        "Where",
        "Equal",
        "DepthToSpace",
    }
    | {"SpaceToDepth", "Einsum", "QuantizeLinear", "DequantizeLinear"}
)
"""Of those that the parser supports, the ones that networks for images are made of."""
_ARITHMETIC = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "ReduceMean", "ReduceSum"}
)
_PAIR = ("QuantizeLinear", "DequantizeLinear")
_FLOATS = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
)
_GROUP_MULTIPLE = 4

Found = Iterator[tuple[str, str]]


def opset(graph: Wiring) -> Found:
    """An opset that no parser, or not one of Q/DQ, reads."""
    version = _opset(graph)
    if version not in OPSETS:
        yield "model", f"opset {version}"


def newer_opset(graph: Wiring) -> Found:
    """An opset that only some parsers of 10.x read."""
    if EVERY_OPSET < _opset(graph) <= OPSETS[-1]:
        yield "model", f"opset {_opset(graph)}"


def operators(graph: Wiring) -> Found:
    """Operators that the parser does not know."""
    for node in graph.model.graph.node:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            yield _name(node), f"{node.domain}.{node.op_type}".lstrip(".")


def axes(graph: Wiring) -> Found:
    """Inputs whose height, width or channels are free."""
    for value in graph.model.graph.input:
        if value.name not in graph.constants:
            dims = value.type.tensor_type.shape.dim
            free = [str(i) for i, dim in enumerate(dims) if i > 0 and not dim.dim_value > 0]
            if free or not dims:
                yield value.name, f"free axes {', '.join(free) or 'all'}"


def frames(graph: Wiring) -> Found:
    """uint8 inputs that something else than a Cast to a float type reads."""
    for value in graph.model.graph.input:
        if graph.kinds.get(value.name) == TensorProto.UINT8:
            for node in graph.readers.get(value.name, ()):
                if node.op_type != "Cast" or attribute(node, "to", 0) not in _FLOATS:
                    yield _name(node), f"{node.op_type} reads the uint8 input `{value.name}`"


def int8(graph: Wiring) -> Found:
    """Quantised tensors of another type than int8."""
    inputs = {value.name for value in graph.model.graph.input}
    for node in _nodes(graph, *_PAIR):
        if node.input[0] in inputs:
            continue
        kind = graph.kinds.get(node.input[0], TensorProto.UNDEFINED)
        if node.op_type == "QuantizeLinear":
            default = attribute(node, "output_dtype", 0) or TensorProto.UINT8
            kind = graph.kinds.get(node.input[2], default) if len(node.input) > 2 else default
        if kind != TensorProto.INT8:
            yield _name(node), TensorProto.DataType.Name(kind).lower()


def zero_points(graph: Wiring) -> Found:
    """Zero points that are computed, or not zero."""
    for node in _nodes(graph, *_PAIR):
        if len(node.input) > 2 and node.input[2]:
            if node.input[2] not in graph.constants:
                yield _name(node), "a computed zero point"
            elif np.any(values := graph.value(node.input[2])):
                yield _name(node), f"zero point {np.ravel(values)[np.flatnonzero(values)[0]]}"


def scales(graph: Wiring) -> Found:
    """Scales that are computed, not positive, not finite or of no float type."""
    for node in _nodes(graph, *_PAIR):
        constant = graph.constants.get(node.input[1])
        if constant is None:
            yield _name(node), "a computed scale"
        elif constant.data_type not in (TensorProto.FLOAT, TensorProto.FLOAT16):
            yield _name(node), f"a scale of {TensorProto.DataType.Name(constant.data_type).lower()}"
        else:
            values = np.ravel(graph.value(node.input[1])).astype(np.float64)
            wrong = values[~(np.isfinite(values) & (values > 0))]
            if wrong.size:
                yield _name(node), f"scale {wrong[0]:g}"


def per_channel(graph: Wiring) -> Found:
    """int8 weights whose scales are not one an output channel."""
    for node, dequantise in _kernels(graph):
        channels = graph.kernel(node).dims[graph.channel_axis(node)]
        if (count := _count(graph, dequantise)) != channels:
            yield _name(node), f"{count} scales for {channels} output channels"


def channel_axis(graph: Wiring) -> Found:
    """int8 weights whose scales lie along another axis than their output channels."""
    for node, dequantise in _kernels(graph):
        axis = attribute(dequantise, "axis", 1) % len(graph.kernel(node).dims)
        if _count(graph, dequantise) > 1 and axis != (right := graph.channel_axis(node)):
            yield _name(node), f"axis {axis}, output channels are on {right}"


def per_tensor(graph: Wiring) -> Found:
    """Activations with more than one scale."""
    for node in _nodes(graph, *_PAIR):
        if node.input[0] not in graph.constants and _count(graph, node) > 1:
            yield _name(node), f"{_count(graph, node)} scales"


def biases(graph: Wiring) -> Found:
    """Biases that are quantised."""
    for node in _nodes(graph, "Conv", "Gemm"):
        if len(node.input) > 2 and node.input[2]:
            name = node.input[2]
            if graph.maker(name, *_PAIR) or graph.kinds.get(name, TensorProto.FLOAT) not in _FLOATS:
                yield _name(node), f"the bias `{name}`"


def pairs(graph: Wiring) -> Found:
    """A QuantizeLinear or DequantizeLinear without its other half, or with another scale than it."""
    inputs = {value.name for value in graph.model.graph.input}
    for node in _nodes(graph, *_PAIR):
        if node.op_type == "DequantizeLinear":
            before = graph.maker(node.input[0], "QuantizeLinear")
            if before is None and node.input[0] not in {*graph.constants, *inputs}:
                yield _name(node), "no QuantizeLinear before it"
            elif before is not None and not _same(graph, before.input[1], node.input[1]):
                yield _name(node), "another scale than its QuantizeLinear"
        else:
            readers = graph.readers.get(node.output[0], ())
            if not readers or any(reader.op_type != "DequantizeLinear" for reader in readers):
                yield _name(node), "read by other than DequantizeLinear"


def gaps(graph: Wiring) -> Found:
    """A pair between a layer and the activation that would be fused into it."""
    for node in _nodes(graph, *sorted(ACTIVATIONS)):
        source = _undo(graph, node.input[0])
        if source and graph.maker(source, "Conv", "Gemm", "MatMul", "Add"):
            yield _name(node), f"a pair between `{source}` and its {node.op_type}"


def weighted(graph: Wiring) -> Found:
    """Weighted layers with one of their two inputs quantised."""
    for node in _nodes(graph, *sorted(WEIGHTED)):
        first, second = (bool(graph.maker(node.input[i], "DequantizeLinear")) for i in (0, 1))
        if first != second:
            yield _name(node), f"only its {'activation' if first else 'kernel'} is quantised"


def sums(graph: Wiring) -> Found:
    """Adds of two quantised tensors whose steps differ."""
    for node in _nodes(graph, "Add"):
        one, other = (graph.maker(name, "DequantizeLinear") for name in node.input)
        if one and other and not _same(graph, one.input[1], other.input[1]):
            yield _name(node), "two quantised inputs of unlike scales"


def residuals(graph: Wiring) -> Found:
    """Adds behind an int8 convolution whose other input is float."""
    for node in _nodes(graph, "Add"):
        if any(name not in graph.makers for name in node.input):
            continue
        makers = [graph.makers[name] for name in node.input]
        into = [maker for maker in makers if _is_int8_conv(graph, maker)]
        if into and not any(maker.op_type == "DequantizeLinear" for maker in makers):
            yield _name(node), f"float beside the int8 convolution {_name(into[0])}"


def doubles(graph: Wiring) -> Found:
    """Tensors of 64-bit floats."""
    for name, kind in graph.kinds.items():
        if kind == TensorProto.DOUBLE:
            yield name, "double"


def whole_numbers(graph: Wiring) -> Found:
    """Arithmetic on int64."""
    for node in _nodes(graph, *sorted(_ARITHMETIC)):
        if graph.kinds.get(node.input[0]) == TensorProto.INT64:
            yield _name(node), f"{node.op_type} of int64"


def mixed(graph: Wiring) -> Found:
    """Nodes that read float tensors of unlike types."""
    for node in graph.model.graph.node:
        # The scales of a Resize are float32 by definition.
        names = node.input[:1] if node.op_type == "Resize" else node.input
        kinds = {graph.kinds[name] for name in names if graph.kinds.get(name) in _FLOATS}
        if len(kinds) > 1:
            yield (
                _name(node),
                " and ".join(sorted(TensorProto.DataType.Name(k) for k in kinds)).lower(),
            )


def grouped(graph: Wiring) -> Found:
    """int8 convolutions in groups for which int8 kernels are not documented."""
    for node, _dequantise in _kernels(graph):
        groups = graph.groups(node)
        if node.op_type == "Conv" and groups > 1:
            outputs, inputs = graph.kernel(node).dims[0] // groups, graph.kernel(node).dims[1]
            if inputs % _GROUP_MULTIPLE or outputs % _GROUP_MULTIPLE:
                yield _name(node), f"{inputs} channels in and {outputs} out per group"


def _opset(graph: Wiring) -> int:
    versions = [o.version for o in graph.model.opset_import if o.domain in ("", "ai.onnx")]
    return max(versions, default=0)


def _nodes(graph: Wiring, *kinds: str) -> Iterator[onnx.NodeProto]:
    return (node for node in graph.model.graph.node if node.op_type in kinds)


def _name(node: onnx.NodeProto) -> str:
    return node.name or node.output[0]


def _kernels(graph: Wiring) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Weighted nodes with int8 weights, each with the DequantizeLinear of these."""
    for node in _nodes(graph, *sorted(WEIGHTED)):
        dequantise = graph.maker(node.input[1], "DequantizeLinear")
        if dequantise is not None and graph.has_kernel(node):
            yield node, dequantise


def _count(graph: Wiring, pair: onnx.NodeProto) -> int:
    """Scales of a node; 1 when they are computed."""
    constant = graph.constants.get(pair.input[1])
    return 1 if constant is None else int(np.prod(constant.dims))


def _same(graph: Wiring, one: str, other: str) -> bool:
    if one == other:
        return True
    known = one in graph.constants and other in graph.constants
    return known and np.array_equal(np.ravel(graph.value(one)), np.ravel(graph.value(other)))


def _undo(graph: Wiring, name: str) -> str | None:
    """The tensor that a pair quantises and dequantises into this one."""
    dequantise = graph.maker(name, "DequantizeLinear")
    quantise = dequantise and graph.maker(dequantise.input[0], "QuantizeLinear")
    return quantise.input[0] if quantise else None


def _is_int8_conv(graph: Wiring, node: onnx.NodeProto) -> bool:
    return (
        node.op_type == "Conv"
        and len(graph.readers[node.output[0]]) == 1
        and graph.maker(node.input[1], "DequantizeLinear") is not None
    )
