"""Static quantisation for TensorRT: explicit Q/DQ, signed and symmetric int8, weights per channel.

Owns where the pairs stand and which steps they have, after TensorRT's "Q/DQ Layer-Placement
Recommendations" (Explicit Quantization, inference library): both inputs of a weighted layer are
quantised and its output is not; nothing stands between a layer and its activation; of an Add behind a
convolution only the residual input is quantised, as NVIDIA's ModelOpt does it, so that convolution, Add
and activation become one kernel, and whatever reads the sum reads it quantised, since that kernel
answers in the type of its residual. Pooling is left alone: TensorRT moves a pair across a MaxPool by
itself. Everything that is not named here stays float32; `half.convert` makes it float16. The CPU wants
another file: `optimize.quantize`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from optimize.calibration.observation import Observation
from optimize.calibration.ranges import Method, choose_symmetric
from optimize.errors import ModelError
from optimize.graph import OUTPUT, normalisation
from optimize.quantize import mean_shift
from optimize.tensorrt.frames import drop_unread, take_frames
from optimize.tensorrt.wiring import ACTIVATIONS, WEIGHTED, Wiring, wire

_LEVELS = 127
"""Steps on either side of zero; TensorRT's weights end at -127."""
_ZERO = "int8_zero"
_SMALLEST = np.finfo(np.float16).smallest_subnormal.astype(np.float32)
_LARGEST = np.finfo(np.float16).max.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is quantised, by output name of the nodes and by tensor."""

    weighted: frozenset[str]
    """First outputs of the layers that compute in int8."""
    places: frozenset[tuple[str, str]]
    """(tensor, first output of a node): where the node reads the dequantised tensor."""

    @property
    def tensors(self) -> frozenset[str]:
        return frozenset(tensor for tensor, _reader in self.places)


def activations(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the float tensors that `quantise` needs observed, in graph order.

    They are enough for every choice of `floats` and `depthwise`.
    """
    wiring = wire(model)
    everything = _plan(wiring, frozenset(), depthwise=True)
    # Of a sum of two convolutions the other one is the residual when the first stays float.
    either = {
        name
        for node in model.graph.node
        if node.op_type == "Add" and everything.weighted.issuperset(node.input)
        for name in node.input
    }
    needed = everything.tensors | either
    return tuple(name for node in model.graph.node for name in node.output if name in needed)


def weighted(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the nodes that multiply by weights and are quantised, in graph order: its layers."""
    plan = _plan(wire(model), frozenset(), depthwise=True)
    return tuple(node.name for node in model.graph.node if node.output[0] in plan.weighted)


def quantise(
    model: onnx.ModelProto,
    observations: Mapping[str, Observation],
    method: Method,
    *,
    floats: frozenset[str] = frozenset(),
    depthwise: bool = True,
) -> onnx.ModelProto:
    """The int8 form of a simplified float model; the model that is given stays as it is.

    `floats` names nodes that stay float, to win back accuracy. Depthwise layers are quantised unless
    `depthwise` is False: NVIDIA's release notes recommend int8 for networks with them, and a map in int8
    is a quarter of the bytes, but int8 kernels are documented for groups of a multiple of 4 channels
    only. So both files are worth measuring on the device; in accuracy they differ little (lite0 on 600
    simulated images, by MinMax: 31.3 dB with them and 33.2 dB without, no verdict flipped by either;
    docs/results/tensorrt-files.json).
    The head, from the last pooling on, stays float: it costs nothing and the logits keep their
    resolution. So do biases, which take up what rounding a kernel shifts on average. The frames lose
    nothing: their step is one grey level.
    Raises ModelError when nothing is left to quantise.
    """
    source = wire(model)
    plan = _plan(source, floats, depthwise=depthwise)
    if not plan.weighted:
        kinds = ", ".join(sorted(WEIGHTED))
        raise ModelError(
            f"nothing is left to quantise: the model has no {kinds} with constant weights ahead of its "
            "head, or all of them are to stay float"
        )
    steps = _steps(source, {name: observations[name] for name in plan.tensors}, method)
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    take_frames(quantised)
    nodes: list[onnx.NodeProto] = []
    kernels: set[str] = set()
    for node in quantised.graph.node:
        before = source.makers.get(node.output[0], node)
        for index, name in enumerate(before.input):
            if (name, node.output[0]) in plan.places:
                node.input[index] = _dequantised(name)
        if node.output[0] in plan.weighted:
            kernel = before.input[1]
            if kernel not in kernels:
                kernels.add(kernel)
                nodes.append(_quantise_kernel(quantised, source, before))
            node.input[1] = _dequantised(kernel)
            if node.op_type == "Conv" and len(source.kernel(before).dims) == 4:
                means = observations[before.input[0]].means
                bias = _corrected_bias(quantised, source, before, means)
                del node.input[2:]
                node.input.append(bias)
        nodes.append(node)
        for name in node.output:
            if name in plan.tensors:
                nodes.extend(_pair(quantised, name, steps[name]))
    quantised.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), _ZERO))
    del quantised.graph.node[:]
    quantised.graph.node.extend(nodes)
    drop_unread(quantised)
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _plan(wiring: Wiring, floats: frozenset[str], *, depthwise: bool) -> _Plan:
    head = wiring.head()
    weighted = {
        node.output[0]
        for node in wiring.model.graph.node
        if wiring.has_kernel(node)
        and node.input[0] in wiring.makers
        and node.output[0] not in head
        and node.name not in floats
        and (depthwise or node.op_type != "Conv" or not wiring.is_depthwise(node))
    }
    places = {(wiring.makers[name].input[0], name) for name in weighted}
    for node in wiring.model.graph.node:
        if node.op_type != "Add" or node.name in floats:
            continue
        residual = _residual(wiring, node, weighted)
        result = _result(wiring, node)
        if residual is not None and result is not None:
            places.add((residual, node.output[0]))
            # A layer that stays float reads the sum as it is: half quantised it would gain nothing.
            places |= {
                (result, reader.output[0])
                for reader in wiring.readers[result]
                if reader.output[0] in weighted or not wiring.has_kernel(reader)
            }
    return _Plan(weighted=frozenset(weighted), places=frozenset(places))


def _residual(wiring: Wiring, add: onnx.NodeProto, weighted: set[str]) -> str | None:
    """The input of an Add that is not fused into it; None when no quantised convolution can be."""
    if any(name not in wiring.makers for name in add.input) or add.input[0] == add.input[1]:
        return None
    for name, other in (add.input, reversed(add.input)):
        if name in weighted and wiring.maker(name, "Conv") and len(wiring.readers[name]) == 1:
            return str(other)
    return None


def _result(wiring: Wiring, add: onnx.NodeProto) -> str | None:
    """What a fused Add gives, behind its activation; None when no int8 can be read there."""
    name = add.output[0]
    readers = wiring.readers.get(name, ())
    if any(reader.op_type in ACTIVATIONS for reader in readers):
        if len(readers) > 1:
            return None
        name = readers[0].output[0]
    return None if name == OUTPUT or not wiring.readers.get(name) else name


def _steps(
    wiring: Wiring, observations: Mapping[str, Observation], method: Method
) -> dict[str, float]:
    limits = choose_symmetric(observations, method)
    steps = {name: _step(np.float64(limit)).item() for name, limit in limits.items()}
    normalise = normalisation(wiring.model)
    if normalise is not None and normalise.output[0] in steps and len(normalise.input) > 2:
        _frames, scale, zero = normalise.input
        # Grey levels less 128 are int8 as they stand.
        if wiring.value(zero).item() == -np.iinfo(np.int8).min:
            steps[normalise.output[0]] = float(wiring.value(scale).item())
    return steps


def _pair(model: onnx.ModelProto, name: str, step: float) -> list[onnx.NodeProto]:
    scale, codes = f"{name}_step", f"{name}_int8"
    model.graph.initializer.append(numpy_helper.from_array(np.array(step, np.float32), scale))
    return [
        helper.make_node("QuantizeLinear", [name, scale, _ZERO], [codes], f"{name}_quantise"),
        helper.make_node(
            "DequantizeLinear", [codes, scale, _ZERO], [_dequantised(name)], f"{name}_dequantise"
        ),
    ]


def _quantise_kernel(
    model: onnx.ModelProto, wiring: Wiring, node: onnx.NodeProto
) -> onnx.NodeProto:
    """Add the codes of a node's weights to the model; the node that turns them back."""
    name, axis = node.input[1], wiring.channel_axis(node)
    codes, steps = _round(wiring.value(name), axis)
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(codes, f"{name}_int8"),
            numpy_helper.from_array(steps, f"{name}_step"),
            # As many zeros as steps: TensorRT's parser compares the two.
            numpy_helper.from_array(np.zeros(len(steps), np.int8), f"{name}_zero"),
        ]
    )
    return helper.make_node(
        "DequantizeLinear",
        [f"{name}_int8", f"{name}_step", f"{name}_zero"],
        [_dequantised(name)],
        f"{name}_dequantise",
        axis=axis,
    )


def _round(
    weights: npt.NDArray[np.generic], axis: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Codes of the weights' shape and the step of each output channel."""
    others = tuple(other for other in range(weights.ndim) if other != axis)
    steps = _step(np.abs(weights).max(axis=others))
    codes = np.round(weights / np.expand_dims(steps, others))
    return np.clip(codes, -_LEVELS, _LEVELS).astype(np.int8), steps


def _step(limits: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The step that spans each limit, rounded up to one of float16's values where it is in its range.

    So the codes fit whether the file's floats are 32 or 16 bits wide. What is zero throughout has no
    step of its own; any that is positive will do.
    """
    steps = np.asarray(limits, np.float32) / np.float32(_LEVELS)
    steps = np.where(steps > 0, steps, np.float32(1))
    halves = np.clip(steps, _SMALLEST, _LARGEST).astype(np.float16)
    above = np.where(halves < steps, np.nextafter(halves, np.float16(np.inf)), halves)
    return np.where(steps < _LARGEST, above.astype(np.float32), steps)


def _corrected_bias(
    model: onnx.ModelProto,
    wiring: Wiring,
    node: onnx.NodeProto,
    means: npt.NDArray[np.float64],
) -> str:
    """Add a convolution's bias less what its rounded kernel adds on average; the bias's name."""
    kernel = wiring.value(node.input[1]).astype(np.float32)
    codes, steps = _round(kernel, 0)
    shift = mean_shift(codes * steps.reshape(-1, 1, 1, 1) - kernel, means, wiring.groups(node))
    bias = wiring.value(node.input[2]).astype(np.float64) if len(node.input) > 2 else 0.0
    name = f"{node.output[0]}_bias"
    corrected = np.asarray(bias - shift, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(corrected, name))
    return name


def _dequantised(name: str) -> str:
    return f"{name}_dequantised"
