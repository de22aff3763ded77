"""What the monitors are told of a part: a value, made once it is decided."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.statistics import FrameStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is known of a part once it is decided."""

    at: datetime
    """When it was decided; UTC."""
    statistics: FrameStatistics | None
    """None where nothing could be seen."""
    outcome: Outcome
    label: str | None
    score: float | None
    """Defect score, 0..1; None where nothing was inspected."""
    further: tuple[FrameStatistics, ...] = ()
    """Of the part's other views: each is measured, the part counts once."""
    certain: float | None = None
    """Probability of `label`, 0..1; None where nothing was inspected or nobody noted it."""
    features: npt.NDArray[np.float32] | None = None
    """(features,) as the model told them, for `EmbeddingMonitor`; None where it did not."""
    cameras: tuple[int, ...] = (0,)
    """Of which camera each view is, in the order of `measured`."""

    @property
    def measured(self) -> tuple[FrameStatistics, ...]:
        """Of all views that could be seen."""
        return (() if self.statistics is None else (self.statistics,)) + self.further
