"""Layers as an engine runs them: what each computes and what it moves.

Owns the vocabulary of the estimate and its form on disk. Does not know where layers come from
(`fusion`) nor what they cost on a device (`roofline`). Counts are of elements and per image, so that
batch size and precision are chosen afterwards.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Precision(StrEnum):
    """The type in which a layer computes and stores."""

    FLOAT32 = "float32"
    FP16 = "fp16"
    INT8 = "int8"

    @property
    def width(self) -> int:
        """Bytes of one element."""
        return _WIDTHS[self]


_WIDTHS = {Precision.FLOAT32: 4, Precision.FP16: 2, Precision.INT8: 1}


class Kind(StrEnum):
    """What decides how near to its bound a layer comes."""

    CONV = "conv"
    """Dense, kernel larger than 1x1."""
    POINTWISE = "pointwise"
    """Dense, 1x1."""
    DEPTHWISE = "depthwise"
    GROUPED = "grouped"
    GEMM = "gemm"
    POOL = "pool"
    NORM = "norm"
    ELEMENTWISE = "elementwise"
    LAYOUT = "layout"
    """Moves values and computes none."""
    UNKNOWN = "unknown"
    """An operator that is not known here: its traffic is counted, its arithmetic is not."""


Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One fused layer; every count is per image unless it says otherwise."""

    name: str
    """Of the node that the layer was built around."""
    kind: Kind
    operators: tuple[str, ...]
    """ONNX operators that the layer stands for, in order."""
    precision: Precision
    """As the file has it; an estimate for another precision replaces it."""
    taken: Shape
    """Shape of the first input at batch 1."""
    given: Shape
    """Shape of the output at batch 1."""
    macs: int
    """Multiply-accumulates."""
    weights: int
    """Elements of constants, read once per batch."""
    reads: int
    """Elements of activations read, each input once."""
    writes: int
    """Elements of activations written once."""
    frame_bytes: int = 0
    """Bytes of uint8 frames moved, whatever the precision."""

    def weight_bytes(self, precision: Precision | None = None) -> int:
        """Bytes of constants, at the file's own precision unless another is named."""
        return self.weights * (precision or self.precision).width

    def activation_bytes(self, batch: int, precision: Precision | None = None) -> int:
        """Bytes read and written for a batch, weights aside."""
        width = (precision or self.precision).width
        return batch * ((self.reads + self.writes) * width + self.frame_bytes)


def to_json(layers: Sequence[Layer]) -> str:
    """A layer table, one layer a line."""
    rows = ",\n".join(
        json.dumps([getattr(layer, field) for field in _FIELDS], separators=(",", ":"))
        for layer in layers
    )
    return f"[\n{json.dumps(_FIELDS, separators=(',', ':'))},\n{rows}\n]\n"


def from_json(text: str) -> tuple[Layer, ...]:
    """The table that `to_json` wrote; raises ValueError for anything else."""
    heads, *rows = json.loads(text)
    if tuple(heads) != _FIELDS:
        raise ValueError(f"a layer table has the columns {', '.join(_FIELDS)}, seen {heads}")
    return tuple(_layer(**dict(zip(_FIELDS, row, strict=True))) for row in rows)


_FIELDS = tuple(Layer.__dataclass_fields__)


def _layer(
    *,
    kind: str,
    operators: list[str],
    precision: str,
    taken: list[int],
    given: list[int],
    name: str,
    **counts: int,
) -> Layer:
    return Layer(
        name=name,
        kind=Kind(kind),
        operators=tuple(operators),
        precision=Precision(precision),
        taken=tuple(taken),
        given=tuple(given),
        **counts,
    )
