"""Frames of the simulated line for the benchmarks of the quality gate, and the model to judge them."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np

from edge_runtime import policy
from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.decoding import decode
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.simulation.generations import DEFECTS, NO_DEFECT
from edge_runtime.simulation.line import SimulatedLine
from optimize.data.images import Image

_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A frame of the simulated line, with what only a simulation knows."""

    pixels: Pixels
    label: str
    module: str
    smeared: bool

    @property
    def good(self) -> bool:
        """Whether the part has no defect."""
        return self.label == NO_DEFECT

    def image(self) -> Image:
        """As a build would read it."""
        return Image(path="", label=self.label, group=self.module, pixels=self.pixels)


def shots(
    seed: int,
    count: int,
    *,
    smeared: float | None = None,
    defects: float | None = None,
    size: int = 256,
    stride: int = 1,
) -> list[Shot]:
    """Every `stride`-th frame of Gen-3; smears and classes as the line has them unless told so."""
    shares = None
    if defects is not None:
        shares = {label: defects / len(DEFECTS) for label in DEFECTS} | {NO_DEFECT: 1 - defects}
    line = SimulatedLine("gen3", seed, corrupt=0.0, blurred=smeared, class_shares=shares, size=size)
    parts = (line.part(index * stride) for index in range(count))
    return [
        Shot(
            pixels=decode(part.encoded),
            label=part.true_label,
            module=part.serial,
            smeared=part.blurred,
        )
        for part in parts
    ]


class Model:
    """The shipped int8 model with its decision rule."""

    def __init__(self, spec: ModelSpec, engine: InferenceEngine) -> None:
        self._spec = spec
        self._engine = engine

    def outcomes(self, frames: Sequence[Pixels]) -> list[Outcome]:
        """What is answered for each frame."""
        decided: list[Outcome] = []
        for start in range(0, len(frames), _BATCH):
            logits = self._engine.infer(np.stack(frames[start : start + _BATCH])).logits
            rows = policy.probabilities(logits, self._spec.decision.temperature)
            decided += [each.outcome for each in policy.decide(rows, self._spec)]
        return decided


@contextmanager
def open_model() -> Iterator[Model]:
    """The shipped bundle's int8 variant on one thread."""
    bundle = open_bundle("demo")
    spec, file = bundle.manifest.model, bundle.model_file(bundle.variant("int8"))
    with closing(open_engine("onnxruntime", file, spec, 1)) as engine:
        yield Model(spec, engine)
