"""The FP16 file for TensorRT: a network's types are those of its file, so they are written into it.

Owns which tensors become float16. All do but: the frames' normalisation, whose first rounding would
otherwise be that of a scale; operators that square or exponentiate (TensorRT itself warns that
LayerNormalization, Pow and Reduce layers may overflow in FP16); and the head, from the last pooling on,
which costs nothing, sums over a map and keeps the logits' resolution. Between the two stand Casts.
A quantised file can be given too: then what did not become int8 becomes float16.

The converters of onnxconverter-common and of onnxruntime.transformers clip what float16 cannot hold
to its range and go on; here such a tensor is named and refused. That, and the choice of what stays, is
all of this module.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optimize.calibration.observation import Observation
from optimize.errors import ModelError
from optimize.graph import normalisation
from optimize.tensorrt import frames
from optimize.tensorrt.wiring import FLOATS, Wiring, wire

_STAY_FLOAT = frozenset(
    {"LayerNormalization", "InstanceNormalization", "GroupNormalization"}
    | {"Softmax", "LogSoftmax", "Exp", "Pow", "ReduceSum", "ReduceL2", "ReduceSumSquare"}
)
"""Operators whose inner sums or powers leave float16's range on values that are well within it."""
_FLOAT_INPUTS: Mapping[str, frozenset[int]] = {"Resize": frozenset({1, 2})}
"""Inputs that are float32 by definition, whatever the rest is."""
_LARGEST = float(np.finfo(np.float16).max)


def convert(
    model: onnx.ModelProto,
    observations: Mapping[str, Observation] | None = None,
    *,
    floats: frozenset[str] = frozenset(),
) -> onnx.ModelProto:
    """The FP16 form of a simplified float model, or of its Q/DQ form; uint8 in, float32 logits out.

    The model that is given stays as it is. `observations` are of any of its tensors, `floats` names
    nodes that stay float32 as well. Raises ModelError when a weight or what a tensor was observed to
    hold does not fit into float16, or when a quantisation step vanishes in it. What the file answers on
    a CPU is only seen through `rehearsal`.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    if normalisation(half) is not None:
        frames.take_frames(half)
    wiring = wire(half)
    stay = _staying(wiring, floats)
    typed = _Typed(wiring)
    for node in half.graph.node:
        typed.add(node, TensorProto.FLOAT if node.output[0] in stay else TensorProto.FLOAT16)
    for name, seen in (observations or {}).items():
        typed.refuse_beyond(name, max(-seen.low, seen.high))
    for value in half.graph.output:
        typed.answer(value.name)
    del half.graph.node[:], half.graph.value_info[:]
    half.graph.node.extend(typed.nodes)
    half.graph.initializer.extend(typed.constants)
    frames.drop_unread(half)
    onnx.checker.check_model(half, full_check=True)
    return half


def _staying(wiring: Wiring, floats: frozenset[str]) -> frozenset[str]:
    """First outputs of the nodes that compute in float32."""
    return wiring.head() | {
        node.output[0]
        for node in wiring.model.graph.node
        if node.op_type in _STAY_FLOAT or node.name in floats or node.name in frames.NODES
    }


class _Typed:
    """A graph that is written anew, node by node, in two float types."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._types: dict[str, int] = {}
        """Of float tensors made so far."""
        self._given: dict[tuple[str, int], str] = {}
        """Names under which a tensor or constant is had in the other type."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, node: onnx.NodeProto, kind: int) -> None:
        """Append a node that computes in `kind`, with Casts ahead of it where its inputs differ."""
        written = onnx.NodeProto()
        written.CopyFrom(node)
        kept = _FLOAT_INPUTS.get(node.op_type, frozenset())
        for index, name in enumerate(node.input):
            if index not in kept and self._wiring.kinds.get(name) in FLOATS:
                written.input[index] = self._as(name, kind)
        for attribute in written.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in FLOATS:
                attribute.i = kind
            elif attribute.HasField("t") and attribute.t.data_type in FLOATS:
                attribute.t.CopyFrom(
                    self._rounded(attribute.t, kind, attribute.t.name or node.name)
                )
        self.nodes.append(written)
        for name in node.output:
            if self._wiring.kinds.get(name) in FLOATS:
                self._types[name] = kind

    def refuse_beyond(self, name: str, limit: float) -> None:
        """Raise ModelError when a float16 tensor reaches a limit that float16 cannot hold."""
        if limit > _LARGEST and self._types.get(name) == TensorProto.FLOAT16:
            raise ModelError(_beyond(name, limit))

    def answer(self, name: str) -> None:
        """See to it that an output of the network is float32 under its own name."""
        if self._types.get(name) != TensorProto.FLOAT16:
            return
        inner = f"{name}_half"
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, used in enumerate(names):
                    if used == name:
                        names[index] = inner
        self.nodes.append(helper.make_node("Cast", [inner], [name], inner, to=TensorProto.FLOAT))

    def _as(self, name: str, kind: int) -> str:
        """The name of a float tensor in a type; the Cast or the constant is added when it is new."""
        constant = self._wiring.constants.get(name)
        present = self._types.get(name, TensorProto.FLOAT)
        if (constant.data_type if constant is not None else present) == kind:
            return name
        if (name, kind) not in self._given:
            new = f"{name}_{'half' if kind == TensorProto.FLOAT16 else 'float'}"
            self._given[name, kind] = new
            if constant is not None:
                rounded = self._rounded(constant, kind, name)
                rounded.name = new
                self.constants.append(rounded)
            else:
                self.nodes.append(helper.make_node("Cast", [name], [new], f"{new}_cast", to=kind))
        return self._given[name, kind]

    def _rounded(self, tensor: onnx.TensorProto, kind: int, name: str) -> onnx.TensorProto:
        """A constant in a type; raises ModelError when float16 cannot hold it."""
        values = numpy_helper.to_array(tensor)
        if kind == TensorProto.FLOAT:
            return numpy_helper.from_array(values.astype(np.float32), tensor.name)
        finite = np.abs(values[np.isfinite(values)])
        if finite.size and finite.max() > _LARGEST:
            raise ModelError(_beyond(name, finite.max()))
        rounded = values.astype(np.float16)
        is_step = any(
            reader.op_type in ("QuantizeLinear", "DequantizeLinear") and reader.input[1] == name
            for reader in self._wiring.readers.get(name, ())
        )
        if is_step and not (rounded > 0).all():
            raise ModelError(
                f"the quantisation step `{name}` is {finite.min():.3g}, which is zero in float16: keep "
                "what is not quantised in float32"
            )
        return numpy_helper.from_array(rounded, tensor.name)


def _beyond(name: str, limit: float) -> str:
    return (
        f"`{name}` reaches {limit:.6g}, float16 ends at {_LARGEST:g}: keep the nodes around it in "
        "float32, or build without --fp16"
    )
