"""Whether an ONNX file keeps TensorRT's rules, without TensorRT: a table of rules, and what breaks them.

Owns which rules there are, why, and where each was read; what a rule looks for stands in `rules`. A file
that passes is not thereby known to build; only a build on a device says that. One that does not pass is
refused by TensorRT's parser, or loses what it was written for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import onnx

from optimize.tensorrt import rules
from optimize.tensorrt.wiring import Wiring, wire


class Weight(StrEnum):
    """What a broken rule means."""

    ERROR = "error"
    """TensorRT refuses the file, or answers or runs unlike what the file is for."""
    ADVICE = "advice"
    """It may be slower than it could be, or build with newer versions only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of TensorRT's."""

    id: str
    what: str
    """What a file must keep."""
    why: str
    """What TensorRT does otherwise."""
    source: str
    """Where that was read."""
    find: Callable[[Wiring], rules.Found]
    weight: Weight = Weight.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A place where a rule is broken."""

    rule: Rule
    where: str
    """A node's or tensor's name."""
    seen: str

    def __str__(self) -> str:
        return f"{self.rule.id}: {self.where}: {self.seen}; {self.rule.what}: {self.rule.why}"


_GUIDE = "TensorRT documentation, Working with Quantized Types: Explicit Quantization"
_PARSER = "onnx-tensorrt 10.15, onnxOpImporters.cpp: QuantDequantLinearHelper"
_OPERATORS = "onnx-tensorrt 10.15, docs/operators.md"
_TYPES = "TensorRT documentation, Strongly Typed Networks"

RULES = (
    Rule(
        id="opset",
        what="opset 13 to 24",
        why="13 brought scales per channel, and the parser of TensorRT 10.15 ends at 24",
        source=_OPERATORS,
        find=rules.opset,
    ),
    Rule(
        id="newer-opset",
        what="opset 20 or lower",
        why="the parser of TensorRT 10.0 ends there",
        source="onnx-tensorrt 10.0, docs/operators.md",
        find=rules.newer_opset,
        weight=Weight.ADVICE,
    ),
    Rule(
        id="operator",
        what="only operators of image networks that the parser supports",
        why="it refuses others unless a plugin brings them",
        source=_OPERATORS,
        find=rules.operators,
    ),
    Rule(
        id="free-axis",
        what="only the batch, axis 0, is free",
        why="the engine is built for one height and width, its profile ranges over batches",
        source="the input contract of this project's bundles",
        find=rules.axes,
    ),
    Rule(
        id="frames",
        what="a uint8 input goes into a Cast to float and nowhere else",
        why="uint8 is a type of network inputs and outputs only, and no quantised type",
        source="TensorRT Python API, DataType.UINT8; " + _OPERATORS,
        find=rules.frames,
    ),
    Rule(
        id="int8",
        what="quantised tensors are int8",
        why="uint8 is for DLA alone, int32 is refused, other types have other kernels",
        source=_PARSER,
        find=rules.int8,
    ),
    Rule(
        id="zero-point",
        what="zero points are constant and zero",
        why="the parser refuses others: quantisation is symmetric",
        source=_PARSER,
        find=rules.zero_points,
    ),
    Rule(
        id="scale",
        what="scales are constant, positive, finite, float32 or float16",
        why="the parser refuses others",
        source=_PARSER,
        find=rules.scales,
    ),
    Rule(
        id="per-channel",
        what="int8 weights have one scale per output channel",
        why="with one for all, networks with depthwise layers lose their accuracy",
        source=_GUIDE,
        find=rules.per_channel,
    ),
    Rule(
        id="channel-axis",
        what="the scales of weights lie along their output channels",
        why="along another axis the kernel cannot apply them to its sums",
        source=_GUIDE,
        find=rules.channel_axis,
    ),
    Rule(
        id="per-tensor",
        what="an activation has one scale",
        why="scales per channel are for weights",
        source=_GUIDE,
        find=rules.per_tensor,
    ),
    Rule(
        id="bias",
        what="biases are float",
        why="a DequantizeLinear of int32 is refused, and int8 is too coarse for a bias",
        source=_PARSER,
        find=rules.biases,
    ),
    Rule(
        id="pair",
        what="every QuantizeLinear is read by DequantizeLinear of its own scale, and none stands alone",
        why="TensorRT fuses pairs, and runs halves as layers of their own",
        source=_GUIDE,
        find=rules.pairs,
    ),
    Rule(
        id="gap",
        what="nothing between a layer and its activation",
        why="a pair there keeps the two from becoming one kernel",
        source=_GUIDE,
        find=rules.gaps,
    ),
    Rule(
        id="weighted",
        what="of a weighted layer both inputs are quantised, or neither",
        why="with one alone it runs in float and pays for the conversion",
        source=_GUIDE,
        find=rules.weighted,
    ),
    Rule(
        id="sum",
        what="two quantised inputs of an Add have one scale",
        why="codes of unlike scales cannot be added: one of them is converted first",
        source="inferred from " + _GUIDE,
        find=rules.sums,
    ),
    Rule(
        id="residual",
        what="beside an int8 convolution the other input of an Add is quantised",
        why="the fused kernel answers in the type of its residual, in float here",
        source=_GUIDE,
        find=rules.residuals,
        weight=Weight.ADVICE,
    ),
    Rule(
        id="double",
        what="no 64-bit floats",
        why="TensorRT casts them to float32 and clips their range",
        source=_OPERATORS,
        find=rules.doubles,
    ),
    Rule(
        id="int64",
        what="int64 for shapes, axes and indices only",
        why="image networks compute in floats; this comes of an export that traced Python's numbers",
        source="inferred from " + _OPERATORS,
        find=rules.whole_numbers,
        weight=Weight.ADVICE,
    ),
    Rule(
        id="mixed",
        what="the float inputs of a node are of one type",
        why="a strongly typed network is refused otherwise; only a Cast changes types",
        source=_TYPES,
        find=rules.mixed,
    ),
    Rule(
        id="grouped",
        what="int8 convolutions in groups of a multiple of 4 channels",
        why="other groups, depthwise ones among them, may gain nothing: measure with and without",
        source="TensorRT API, IConvolutionLayer::setNbGroups",
        find=rules.grouped,
        weight=Weight.ADVICE,
    ),
)


def check(model: onnx.ModelProto) -> tuple[Finding, ...]:
    """Everything that breaks a rule, in the order of `RULES`; advice is among it."""
    graph = wire(model)
    return tuple(
        Finding(rule=rule, where=where, seen=seen)
        for rule in RULES
        for where, seen in rule.find(graph)
    )


def errors(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those findings that are more than advice."""
    return tuple(finding for finding in findings if finding.rule.weight is Weight.ERROR)
