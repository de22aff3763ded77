"""Two models side by side: bundles, variants of one, or one variant on two engines.

Owns what a side is, and the counting. Both sides judge by their own decision rule, as they would on the
line; so two bundles may differ in labels, sizes and thresholds, and their verdicts are compared all the
same.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.manifest import AccuracyRecord, LatencyRecord, ModelSpec, Variant
from edge_runtime.engines.base import Inference, InferenceEngine
from edge_runtime.engines.catalogue import ENGINES, open_engine
from optimize import gates, latency
from optimize.answers import Answers, answer
from optimize.data.dataset import Dataset
from optimize.data.images import Image, read_images
from optimize.data.manifest import Sample
from optimize.errors import GateFailed
from optimize.gates import Flip

DEFAULT_ENGINE = "onnxruntime"
_FRAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: a variant of a bundle on an engine."""

    bundle: Bundle
    variant: Variant
    engine: str

    @classmethod
    def parse(cls, text: str) -> "Side":
        """From `BUNDLE[:VARIANT][@ENGINE]`; raises BundleError where there is no such thing."""
        place, at, engine = text.rpartition("@")
        if not at or engine not in ENGINES:
            place, engine = text, DEFAULT_ENGINE
        precision: str | None = None
        if not Path(place).exists() and ":" in place:
            place, _, precision = place.rpartition(":")
        bundle = open_bundle(place)
        return cls(bundle=bundle, variant=bundle.variant(precision), engine=engine)

    @property
    def title(self) -> str:
        """`weld-seam/1.0.0 int8 on onnxruntime`."""
        return f"{self.bundle.title} {self.variant.precision} on {self.engine}"

    @property
    def spec(self) -> ModelSpec:
        """Labels, input and decision rule of this side."""
        return self.bundle.manifest.model

    def open(self, threads: int) -> InferenceEngine:
        """Its model, loaded."""
        model = self.bundle.model_file(self.variant)
        return open_engine(self.engine, model, self.spec, threads)


class Comparison(Contract):
    """What differs between two sides."""

    a: str
    b: str
    dataset: str
    images: int
    unusable: int
    flips: tuple[Flip, ...]
    """Images whose verdict differs; `before` is A's."""
    sqnr_db: float | None
    """Of B's logits against A's; null where their labels differ."""
    accuracy: Mapping[str, AccuracyRecord]
    """By `a` and `b`; a side is absent where the images have labels that it does not know."""
    timed: Mapping[str, tuple[LatencyRecord, ...]]
    """By `a` and `b`, measured in one run; empty where nothing was timed."""


def compare(
    a: Side,
    b: Side,
    answers: Mapping[str, Answers],
    dataset: str,
    timed: Mapping[str, tuple[LatencyRecord, ...]],
) -> Comparison:
    """Count what differs; `answers` has those of `a` and `b` on the same images.

    Raises GateFailed without images.
    """
    ours, theirs = answers["a"], answers["b"]
    if not len(ours):
        raise GateFailed(f"no image of {dataset} can be used: there is nothing to compare on")
    alike = a.spec.labels == b.spec.labels
    before, after = (
        gates.decisions(seen.logits[""], side.spec) for seen, side in ((ours, a), (theirs, b))
    )
    flips = tuple(
        Flip(
            path=path,
            label=label,
            before=gates.Answer.of(old, a.spec),
            after=gates.Answer.of(new, b.spec),
        )
        for path, label, old, new in zip(ours.paths, ours.labels, before, after, strict=True)
        if old.outcome is not new.outcome or (alike and gates.differ(old, new, a.spec))
    )
    known = {
        name: gates.accuracy(dataset, seen.labels, decided, len(flips), side.spec)
        for name, side, seen, decided in (("a", a, ours, before), ("b", b, theirs, after))
        if set(seen.labels) <= set(side.spec.labels)
    }
    return Comparison(
        a=a.title,
        b=b.title,
        dataset=dataset,
        images=len(ours),
        unusable=len(ours.faults),
        flips=flips,
        sqnr_db=gates.sqnr_db(ours.logits[""], theirs.logits[""]) if alike else None,
        accuracy=known,
        timed=timed,
    )


def ask(side: Side, images: Dataset, threads: int, advanced: Callable[[int], None]) -> Answers:
    """What a side says of all images, at its own size."""
    with closing(side.open(threads)) as engine:
        shown = read_images(images, side.spec.input)
        return answer(shown, {"": engine}, len(side.spec.labels), advanced)


def golden(side: Side) -> Dataset:
    """A side's golden frames as a data set: few, and all of them easy."""
    frames = side.bundle.manifest.golden
    return Dataset(
        root=side.bundle.path,
        samples=tuple(Sample(path=f.file, label=f.label, group=f.file) for f in frames),
    )


def time(
    sides: Mapping[str, Side],
    images: Dataset,
    *,
    threads: int,
    batches: Sequence[int],
    samples: int,
    advanced: Callable[[int], None],
) -> dict[str, tuple[LatencyRecord, ...]]:
    """Latency of all sides, taking turns on the first of the images, each side at its own size.

    Raises GateFailed where no image can be used.
    """
    with ExitStack() as stack:
        engines = {
            key: _AtItsSize(
                stack.enter_context(closing(side.open(threads))), _frames(images, side.spec)
            )
            for key, side in sides.items()
        }
        return latency.measure(
            engines,
            next(iter(engines.values())).frames,
            threads=threads,
            batches=batches,
            samples=samples,
            advanced=advanced,
        )


class _AtItsSize:
    """An engine that is shown frames of its own size, whatever the size of those it is handed."""

    def __init__(self, engine: InferenceEngine, frames: npt.NDArray[np.uint8]) -> None:
        self._engine, self.frames = engine, frames
        self._batches: dict[int, npt.NDArray[np.uint8]] = {}

    @property
    def name(self) -> str:
        return self._engine.name

    def infer(self, batch: npt.NDArray[np.uint8]) -> Inference:
        count = len(batch)
        if count not in self._batches:  # made while warming up
            self._batches[count] = np.take(self.frames, np.arange(count), axis=0, mode="wrap")
        return self._engine.infer(self._batches[count])

    def close(self) -> None:
        self._engine.close()


def _frames(images: Dataset, spec: ModelSpec) -> npt.NDArray[np.uint8]:
    usable = (item for item in read_images(images, spec.input) if isinstance(item, Image))
    pixels = [image.pixels for image in islice(usable, _FRAMES)]
    if not pixels:
        raise GateFailed(f"no image of {images.root} can be used: there is nothing to measure with")
    return np.stack(pixels)
