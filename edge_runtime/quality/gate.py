"""The quality gate of one camera: the bundle's limits and the memory of the frame before.

Owns that a frame is measured once, for the gate and for the drift monitor. One object a camera, one
thread; the limits behind it may be shared.
"""

from dataclasses import dataclass

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.drift.statistics import FrameStatistics
from edge_runtime.quality.judging import Judge
from edge_runtime.quality.measures import read
from edge_runtime.quality.stuck import StuckPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the gate found out about a frame."""

    statistics: FrameStatistics
    rejection: str | None
    """`code: what was seen, the limit`; None for a frame that may be judged."""


class QualityGate:
    """Holds the frames of one camera to a bundle's limits."""

    def __init__(self, reference: QualityReference, *, live: bool) -> None:
        """`live`: each frame is an exposure of its moment, so that none may repeat."""
        self._judge = Judge(reference)
        self._stuck = StuckPicture() if live else None

    def examine(self, pixels: Pixels) -> Examined:
        """Measure and judge the camera's next frame, at the model's size."""
        readings = read(pixels)
        repeated = self._stuck.rejection(pixels) if self._stuck is not None else None
        return Examined(
            statistics=readings.statistics,
            rejection=repeated or self._judge.rejection(readings),
        )
