"""Where a part lies among the images of training, as the network sees them: its features, measured.

Owns the space that a reference spans and what is measured in it; the tests are `embedding_monitor`'s.
A part is compared with the training images that were decided alike: how far from their mean it lies
along the axes in which they differ (Lee et al., "A simple unified framework for detecting
out-of-distribution samples", 2018), and how much of it lies beyond all axes. Values in, values out, any
thread. `benchmarks/drift_cost.py` times it.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.embedding import EmbeddingReference

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

_LEAST = 1e-12
"""Keeps the logarithm of a part that lies on its mean finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one part lies, each value in standard deviations of the training images decided alike."""

    along: Floats
    """(axes,) from their mean, along each axis."""
    distance: float
    """How much further from the mean than they are, along all axes together; of the logarithm."""
    residual: float
    """How much more of it lies beyond the axes than of them, likewise."""
    nearer: tuple[float, float]
    """The same two as natural logarithms of ratios: 0.69 is twice as far as training images."""


class Embedding:
    """The space of a reference."""

    def __init__(self, reference: EmbeddingReference) -> None:
        self._classes = {label: index for index, label in enumerate(reference.labels)}
        self._means = reference.means.values()
        self._axes = reference.axes.values()
        self._scales = reference.scales.values().astype(np.float64)
        self._distances = reference.distances.values().tolist()
        self._residuals = reference.residuals.values().tolist()

    @property
    def axes(self) -> int:
        """How many there are."""
        return len(self._axes)

    @property
    def features(self) -> int:
        """How many a model must have."""
        return int(self._axes.shape[1])

    def place(self, features: Features, label: str | None) -> Place | None:
        """Where a part with these features (features,) lies that was decided to be `label`.

        None where too few training images were decided so.
        """
        index = self._classes.get(label) if label is not None else None
        if index is None:
            return None
        along, residual = split(features - self._means[index], self._axes)
        along = along / self._scales[index]
        logs = log_length(along) - 0.5 * math.log(len(along)), residual
        (m, s), (rm, rs) = self._distances[index], self._residuals[index]
        apart = logs[0] - m, logs[1] - rm
        return Place(along=along, distance=apart[0] / s, residual=apart[1] / rs, nearer=apart)

    def state_bytes(self) -> int:
        """Bytes of numbers held."""
        return self._means.nbytes + self._axes.nbytes + self._scales.nbytes


def split(centred: Features, axes: Features) -> tuple[Floats, float]:
    """Of centred features (features,): (axes,) along each axis, and the log length of the rest."""
    along = axes @ centred
    rest = max(float(centred @ centred) - float(along @ along), _LEAST)
    return along.astype(np.float64), 0.5 * math.log(rest)


def log_length(along: Floats) -> float:
    """Natural logarithm of a vector's length."""
    return 0.5 * math.log(max(float(along @ along), _LEAST))
