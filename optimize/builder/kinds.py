"""The kinds of variants that a build can make of one float model: a table of rows.

A kind says what it is made for and how its file comes about; which files are good enough is judged
elsewhere, alike for all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import onnx

from edge_runtime.errors import UsageError
from optimize import quantize
from optimize.calibration.observation import Observation
from optimize.calibration.ranges import Method
from optimize.tensorrt import half, lint
from optimize.tensorrt import quantize as tensorrt_quantize
from optimize.tensorrt.rehearsal import rehearse

FLOAT = "float32"
INT8 = "int8"

Target = Literal["cpu", "tensorrt"]
Make = Callable[
    [onnx.ModelProto, Mapping[str, Observation], Method | None, frozenset[str]], onnx.ModelProto
]
"""From the simplified float model, what its activations hold, the method, and nodes to leave float."""


def _as_it_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


def _none(_model: onnx.ModelProto) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One form that a model can take."""

    precision: str
    target: Target
    calibrated: bool
    """Whether its ranges are taken from calibration images."""
    activations: Callable[[onnx.ModelProto], tuple[str, ...]]
    """Names of the float tensors that it needs observed."""
    layers: Callable[[onnx.ModelProto], tuple[str, ...]]
    """Names of the nodes with weights that it quantises, in graph order."""
    make: Make
    rehearse: Callable[[onnx.ModelProto], onnx.ModelProto] = _as_it_is
    """What a CPU runs in its place when it is judged: the same values, where its engine would differ."""
    faults: Callable[[onnx.ModelProto], tuple[str, ...]] = _none
    """Rules of its target that a file breaks, a sentence each."""


def _int8(
    model: onnx.ModelProto,
    observations: Mapping[str, Observation],
    method: Method | None,
    floats: frozenset[str],
) -> onnx.ModelProto:
    return quantize.quantise(model, observations, method or Method.MINMAX, floats)


def _int8_tensorrt(
    model: onnx.ModelProto,
    observations: Mapping[str, Observation],
    method: Method | None,
    floats: frozenset[str],
) -> onnx.ModelProto:
    return tensorrt_quantize.quantise(model, observations, method or Method.MINMAX, floats=floats)


def _fp16_tensorrt(
    model: onnx.ModelProto,
    observations: Mapping[str, Observation],
    _method: Method | None,
    floats: frozenset[str],
) -> onnx.ModelProto:
    return half.convert(model, observations, floats=floats)


def _broken_rules(model: onnx.ModelProto) -> tuple[str, ...]:
    return tuple(map(str, lint.errors(lint.check(model))))


CPU_INT8 = Kind(
    precision=INT8,
    target="cpu",
    calibrated=True,
    activations=quantize.activations,
    layers=quantize.weighted,
    make=_int8,
)
TENSORRT_INT8 = Kind(
    precision="int8-tensorrt",
    target="tensorrt",
    calibrated=True,
    activations=tensorrt_quantize.activations,
    layers=tensorrt_quantize.weighted,
    make=_int8_tensorrt,
    faults=_broken_rules,
)
TENSORRT_FP16 = Kind(
    precision="fp16-tensorrt",
    target="tensorrt",
    calibrated=False,
    activations=quantize.activations,  # to see whether what they hold fits
    layers=_none,
    make=_fp16_tensorrt,
    rehearse=rehearse,
    faults=_broken_rules,
)
KINDS: tuple[Kind, ...] = (CPU_INT8, TENSORRT_INT8, TENSORRT_FP16)


def choose_kinds(target: str, *, int8: bool, fp16: bool) -> tuple[Kind, ...]:
    """The kinds that the flags of a build ask for; raises UsageError where they contradict each other.

    `target` is `cpu`, `tensorrt`, or `auto` for both.
    """
    if fp16 and target == "cpu":
        raise UsageError(
            "--fp16 with --target cpu: half precision gains nothing on a CPU; use --int8, or --target "
            "tensorrt"
        )
    asked = {"int8": int8, "fp16": fp16}
    return tuple(
        kind
        for kind in KINDS
        if asked[kind.precision.partition("-")[0]] and target in {"auto", kind.target}
    )
