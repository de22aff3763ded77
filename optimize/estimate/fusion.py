"""From an ONNX graph to the layers that an engine would run.

Owns the rules of fusion: a convolution or matrix product takes with it the bias, the normalisation,
the activation and one residual addition that follow it; neighbouring elementwise operators are one
layer; reshapes, and quantise-dequantise pairs, are none. Whether a given engine fuses all of this is
not known here: the result is what it has to do at the least.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto

from optimize.estimate.layers import Kind, Layer, Precision, Shape

_VIEWS = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast"}
    | {"QuantizeLinear", "DequantizeLinear"}
)
"""Nothing is moved: another name, another shape, or a type that the layer before can write itself."""
_ABOUT_SHAPES = frozenset({"Constant", "ConstantOfShape", "Shape", "Size"})
"""Known before anything runs, since every shape is."""
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_PRODUCTS = frozenset({"Gemm", "MatMul"})
_POOLS = frozenset(
    {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"}
    | {"ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin", "ReduceL2", "ArgMax"}
)
_NORMS = frozenset(
    {"LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"}
    | {"LpNormalization", "Softmax", "LogSoftmax", "LRN"}
)
_ELEMENTWISE = frozenset(
    {"Relu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Mish", "Tanh", "Erf", "Gelu"}
    | {"Elu", "Selu", "Celu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Softplus", "Softsign"}
    | {"Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Reciprocal", "Neg", "Abs", "Exp", "Log"}
    | {"Min", "Max", "Mean", "Sum", "Floor", "Ceil", "Round", "Sign", "Where", "Not"}
    | {"BatchNormalization"}
)
_LAYOUT = frozenset(
    {"Transpose", "Concat", "Slice", "Split", "Pad", "Resize", "Upsample", "Gather", "Tile"}
    | {"Expand", "DepthToSpace", "SpaceToDepth"}
)
_FLOATS = frozenset(
    {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
)
_EIGHT_BITS = frozenset({TensorProto.INT8, TensorProto.UINT8})
_CHANNELS_MOVED = frozenset({(0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1)})
# A GELU written out is six operators long; nothing that is fused is longer than this.
_LOOK_AHEAD = 8


def fuse(graph: onnx.GraphProto) -> tuple[Layer, ...]:
    """The layers of a graph whose every shape is known, in the order in which they run.

    Counts are divided by the batch that the shapes were inferred for.
    """
    return tuple(_Fusion(graph).layers())


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: Shape
    element: int
    """As of TensorProto.DataType."""


@dataclass(slots=True)
class _Group:
    """Nodes that run as one layer."""

    nodes: list[onnx.NodeProto]
    external: list[str] = field(default_factory=list)
    """Activations read from outside."""


class _Fusion:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._tensors = dict(_tensors(graph))
        self._constants = {tensor.name for tensor in graph.initializer}
        self._same: dict[str, str] = {}
        self._eight_bit: set[str] = set()
        self._quantised: set[str] = set()
        self._nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            self._sort(node)
        self._readers: dict[str, list[int]] = {}
        for index, node in enumerate(self._nodes):
            for name in self._activations(node):
                self._readers.setdefault(name, []).append(index)
        frames = [v.name for v in graph.input if v.name not in self._constants]
        self._batch = max(1, self._tensors[frames[0]].shape[0]) if frames else 1
        self._ready = set(frames)
        self._results = {self._root(value.name) for value in graph.output}

    def layers(self) -> Iterator[Layer]:
        taken: set[int] = set()
        for index, node in enumerate(self._nodes):
            if index in taken:
                continue
            members = self._grow(index)
            taken.update(members)
            group = _Group([self._nodes[i] for i in members])
            made = {out for member in group.nodes for out in member.output}
            for member in group.nodes:
                group.external += [
                    name
                    for name in self._activations(member)
                    if name not in made and name not in group.external
                ]
            self._ready |= made
            yield self._layer(node, group)

    def _sort(self, node: onnx.NodeProto) -> None:
        """Set constants and views aside, keep what runs."""
        if node.op_type in _ABOUT_SHAPES or (
            node.input and all(name in self._constants for name in node.input if name)
        ):
            self._constants.update(node.output)
        elif node.op_type not in _VIEWS and not self._moves_nothing(node):
            self._nodes.append(node)
            return
        if node.input:
            self._same[node.output[0]] = node.input[0]
        if node.op_type == "QuantizeLinear":
            self._quantised.add(self._root(node.input[0]))
        if node.op_type == "DequantizeLinear":
            source = self._tensors.get(node.input[0])
            if source is not None and source.element in _EIGHT_BITS:
                self._eight_bit.add(node.output[0])

    def _moves_nothing(self, node: onnx.NodeProto) -> bool:
        """Whether it is a transposition that an engine spares itself by laying values out at will."""
        if node.op_type != "Transpose":
            return False
        if _permutation(node) in _CHANNELS_MOVED:
            return True
        before, after = (self._tensors[name].shape for name in (node.input[0], node.output[0]))
        return [n for n in before if n > 1] == [n for n in after if n > 1]

    def _root(self, name: str) -> str:
        while name in self._same:
            name = self._same[name]
        return name

    def _activations(self, node: onnx.NodeProto) -> list[str]:
        """What the node reads and did not come with the file."""
        roots = (self._root(name) for name in node.input if name and name not in self._constants)
        return list(dict.fromkeys(roots))

    def _grow(self, index: int) -> list[int]:
        """The node and those behind it that run with it."""
        anchor = self._nodes[index]
        heavy = anchor.op_type in _CONVOLUTIONS | _PRODUCTS
        if not heavy and anchor.op_type not in _ELEMENTWISE:
            return [index]
        size = self._size(anchor.output[0])
        accepted, tried = [index], [index]
        while len(tried) - len(accepted) < _LOOK_AHEAD:
            follower = self._follower(tried, size, heavy=heavy)
            if follower is None:
                break
            tried.append(follower)
            # Only what leaves one tensor behind is one layer: no other may be needed outside.
            if self._leaving(tried) == {self._nodes[follower].output[0]}:
                accepted = list(tried)
        return accepted

    def _follower(self, members: Sequence[int], size: int, *, heavy: bool) -> int | None:
        made = {self._nodes[i].output[0] for i in members}
        foreign = {
            name
            for i in members[1:]
            for name in self._activations(self._nodes[i])
            if name not in made
        }
        for name in made:
            for index in self._readers.get(name, ()):
                node = self._nodes[index]
                if index in members or node.op_type not in _ELEMENTWISE:
                    continue
                others = {read for read in self._activations(node) if read not in made}
                if self._size(node.output[0]) != size or not others <= self._ready:
                    continue
                if heavy and others and not self._is_residual(node, others | foreign, size):
                    continue
                return index
        return None

    def _is_residual(self, node: onnx.NodeProto, foreign: set[str], size: int) -> bool:
        """Whether it is an addition of the one foreign tensor, of equal size."""
        return (
            node.op_type == "Add"
            and len(foreign) == 1
            and all(self._size(name) == size for name in foreign)
        )

    def _size(self, name: str) -> int:
        return math.prod(self._tensors[name].shape)

    def _leaving(self, members: Sequence[int]) -> set[str]:
        inside = set(members)
        return {
            out
            for i in members
            for out in self._nodes[i].output
            if out in self._results or not set(self._readers.get(out, ())) <= inside
        }

    def _layer(self, anchor: onnx.NodeProto, group: _Group) -> Layer:
        constants = dict.fromkeys(
            name
            for node in group.nodes
            for name in node.input
            if name in self._constants and name in self._tensors
        )
        read = [self._tensors[name] for name in group.external]
        # Of a branching operator such as Split every output is written.
        written = [self._tensors[name] for name in group.nodes[-1].output if name]
        frames = sum(math.prod(t.shape) for t in (*read, *written) if _is_frames(t))
        return Layer(
            name=anchor.name or anchor.output[0],
            kind=self._kind(anchor),
            operators=tuple(node.op_type for node in group.nodes),
            precision=self._precision(anchor, group.nodes[-1]),
            taken=self._of_one(self._tensors[(*anchor.input, *anchor.output)[0]].shape),
            given=self._of_one(written[0].shape),
            macs=self._macs(anchor) // self._batch,
            weights=sum(_weights(self._tensors[name]) for name in constants),
            reads=sum(math.prod(t.shape) for t in read if not _is_frames(t)) // self._batch,
            writes=sum(math.prod(t.shape) for t in written if not _is_frames(t)) // self._batch,
            frame_bytes=frames // self._batch,
        )

    def _of_one(self, shape: Shape) -> Shape:
        return (shape[0] // self._batch or 1, *shape[1:]) if shape else shape

    def _kind(self, node: onnx.NodeProto) -> Kind:
        operator = node.op_type
        if operator in _CONVOLUTIONS:
            weights = self._tensors[node.input[1]].shape
            groups = _groups(node)
            channels = self._tensors[node.input[0]].shape[1]
            if groups > 1:
                return Kind.DEPTHWISE if groups == channels else Kind.GROUPED
            return Kind.POINTWISE if math.prod(weights[2:]) == 1 else Kind.CONV
        for kind, operators in _KINDS.items():
            if operator in operators:
                return kind
        return Kind.UNKNOWN

    def _macs(self, node: onnx.NodeProto) -> int:
        if node.op_type not in _CONVOLUTIONS | _PRODUCTS:
            return 0
        given = math.prod(self._tensors[node.output[0]].shape)
        first, second = (self._tensors[name].shape for name in node.input[:2])
        if node.op_type == "Conv":
            return given * math.prod(second[1:])
        if node.op_type == "ConvTranspose":
            return math.prod(first) * math.prod(second[1:])
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return given * first[-2 if transposed else -1]

    def _precision(self, anchor: onnx.NodeProto, last: onnx.NodeProto) -> Precision:
        """Int8 where all that it computes with was dequantised; without weights, its result too."""
        heavy = anchor.op_type in _CONVOLUTIONS | _PRODUCTS
        used = anchor.input[:2] if heavy else [n for n in anchor.input if n not in self._constants]
        result = next(name for name in last.output if name)
        if used and all(map(self._is_eight_bit, used)) and (heavy or result in self._quantised):
            return Precision.INT8
        element = self._tensors[result].element
        return Precision.FP16 if element == TensorProto.FLOAT16 else Precision.FLOAT32

    def _is_eight_bit(self, name: str) -> bool:
        """Whether it was dequantised, at once or ahead of a change of form."""
        while name not in self._eight_bit and name in self._same:
            name = self._same[name]
        return name in self._eight_bit


_KINDS = {
    Kind.GEMM: _PRODUCTS,
    Kind.POOL: _POOLS,
    Kind.NORM: _NORMS,
    Kind.ELEMENTWISE: _ELEMENTWISE,
    Kind.LAYOUT: _LAYOUT,
}


def _tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, _Tensor]]:
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        yield value.name, _Tensor(tuple(d.dim_value for d in kind.shape.dim), kind.elem_type)
    for tensor in graph.initializer:
        yield tensor.name, _Tensor(tuple(tensor.dims), tensor.data_type)


def _is_frames(tensor: _Tensor) -> bool:
    return tensor.element == TensorProto.UINT8


def _weights(tensor: _Tensor) -> int:
    """Elements of a constant that is computed with; a lone number is an operator's setting."""
    size = math.prod(tensor.shape)
    return size if tensor.element in _FLOATS and size > 1 else 0


def _permutation(node: onnx.NodeProto) -> tuple[int, ...]:
    return next((tuple(a.ints) for a in node.attribute if a.name == "perm"), ())


def _groups(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "group"), 1)
