"""The gate's findings as one JSON document, written whether a bundle came of them or not."""

from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from edge_runtime.contracts.manifest import ModelSpec
from optimize.gates import Judgement, Limits
from optimize.sensitivity import LayerCost

GATE_SCHEMA: Literal["edge-inspect/gate/1"] = "edge-inspect/gate/1"


class Attempt(Contract):
    """A variant with some of its layers left float."""

    restored: int
    """Layers left float, the costliest first."""
    flips: int
    sqnr_db: float
    speed_up: float | None
    """Of a batch of one, against float32 in the same run; null where the target is another machine."""
    passed: bool


class VariantReport(Contract):
    """One variant, as it was judged last."""

    precision: str
    target: str
    passed: bool
    faults: tuple[str, ...]
    """What speaks against it, a sentence each."""
    calibration: str | None
    """How its ranges were taken; null where nothing is quantised."""
    judgement: Judgement
    sensitivity: tuple[LayerCost, ...]
    """Its layers, the costliest first; empty where they were not ranked."""
    attempts: tuple[Attempt, ...]
    """With ever more layers float, in the order tried; empty where all could be quantised."""
    float_layers: tuple[str, ...]


class Excluded(Contract):
    """A validation image that could not be used."""

    path: str
    reason: str


class GateReport(Contract):
    """Everything that was judged in one build."""

    schema_: Annotated[Literal["edge-inspect/gate/1"], Field(alias="schema")] = GATE_SCHEMA
    name: str
    version: str
    made_at: UtcTime
    source_sha256: Sha256
    """Of the float ONNX file."""
    model: ModelSpec
    validation: str
    """Name and content hash of the images that were judged on."""
    calibration: str
    """The same of those that int8 was fitted to."""
    limits: Limits
    variants: tuple[VariantReport, ...]
    """float32 first: the reference, held against the same bounds."""
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every variant may go on the line."""
        return all(variant.passed for variant in self.variants)
