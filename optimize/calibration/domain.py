"""Whether the images that int8 was fitted to are of the kind that it will meet.

Owns the figure by which that is told. Of images of one kind, each is as likely as any other to hold a
layer's highest value. So k of m validation images lie above all of n calibration images by chance only
where the k highest of all n + m happen to be validation images, whatever the layer and the distribution;
where more do, they are of another kind.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from edge_runtime.contracts.frame import Pixels
from optimize.calibration.observation import Observation
from optimize.calibration.probe import probe
from optimize.graph import INPUT

ENOUGH = 128
"""Validation images that suffice for the question."""
_HALF_STEP = 0.5 / 255
"""Of a range: what lies beyond by less is rounded to the range's end and loses nothing."""
_CHANCE = 1e-3
"""How often images of one kind may be taken for two, over all layers of a model together."""
_LEAST_ALARMING = 0.2
"""Share of the images: a somewhat other mixture of classes reaches a tenth with many images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """How one activation behaves on other images than those it was observed on."""

    above: float
    """Share of the images, 0..1, with a value above all that were observed."""
    below: float
    """The same for the other end."""
    values: float
    """Share of all values, 0..1, that lie beyond either end: int8 clips them."""

    @property
    def images(self) -> float:
        """Share of the images beyond that end which more of them exceed."""
        return max(self.above, self.below)


def off_domain(
    model: onnx.ModelProto,
    observations: Mapping[str, Observation],
    calibrated_on: int,
    images: Sequence[Pixels],
    advanced: Callable[[int], None] = lambda _images: None,
) -> tuple[str, ...]:
    """A sentence where the images are of another kind than the `calibrated_on` observed ones; else none.

    `observations` are of the float `model`; `ENOUGH` images are enough, a handful says nothing.
    `advanced` hears of each image once.
    """
    if not images:
        return ()
    excesses = measure_excess(model, observations, images, advanced)
    concern = judge_excess(excesses, calibrated_on, len(images))
    return (concern,) if concern else ()


def measure_excess(
    model: onnx.ModelProto,
    observations: Mapping[str, Observation],
    images: Iterable[Pixels],
    advanced: Callable[[int], None] = lambda _images: None,
) -> Mapping[str, Excess]:
    """What the images excite beyond what was observed, per activation; one image in memory at a time."""
    names = list(observations)
    session = probe(model, names)
    ends = [_ends(observations[name]) for name in names]
    found = []
    for pixels in images:
        values = session.run(names, {INPUT: pixels[None]})
        found.append([_beyond(v, *span) for v, span in zip(values, ends, strict=True)])
        advanced(1)
    shares = np.array(found)
    return {
        name: Excess(
            above=float((above > 0).mean()),
            below=float((below > 0).mean()),
            values=float((above + below).mean()),
        )
        for name, (above, below) in zip(names, shares.transpose(1, 2, 0), strict=True)
    }


def judge_excess(excesses: Mapping[str, Excess], calibrated_on: int, images: int) -> str | None:
    """The concern in a sentence; None where as many `images` of the same kind might do the same."""
    limit = max(_LEAST_ALARMING, by_chance(calibrated_on, images, 2 * len(excesses)) / images)
    strange = [name for name, excess in excesses.items() if excess.images > limit]
    if not strange:
        return None
    worst = max(strange, key=lambda name: (excesses[name].images, excesses[name].values))
    beyond, clipped = excesses[worst].images, excesses[worst].values
    return (
        "the validation images are of another kind than the calibration images: in layer "
        f"{worst} {beyond:.0%} of them go beyond all that int8 was fitted to, where of images of the "
        f"same kind {1 / (calibrated_on + 1):.0%} would ({clipped:.2%} of the values there are clipped; "
        f"{len(strange)} of {len(excesses)} layers stand out): calibrate on images of the line as it is "
        "today"
    )


def by_chance(calibrated_on: int, images: int, ends: int) -> int:
    """How many of the images may lie beyond one of so many ends, all being of one kind."""
    likely = 1.0
    for count in range(images):
        likely *= (images - count) / (calibrated_on + images - count)
        if likely * ends < _CHANCE:
            return count
    return images


def _ends(seen: Observation) -> tuple[float, float]:
    slack = (seen.high - seen.low) * _HALF_STEP
    return seen.low - slack, seen.high + slack


def _beyond(values: npt.NDArray[np.float32], low: float, high: float) -> tuple[float, float]:
    """Share of the values above and below."""
    return float((values > high).mean()), float((values < low).mean())
