"""What a drift history gives to those who read it: frozen values, no file and no thread."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from edge_runtime.contracts.drift import DriftReference, DriftReport, Moved
from edge_runtime.contracts.performance import Estimated, Measured
from edge_runtime.drift_history.period import Period


class KeptMoved(Moved, extra="ignore"):
    """A statistic that had moved, perhaps as a newer version described it."""


class KeptEstimated(Estimated, extra="ignore"):
    """Figures that were estimated."""


class KeptMeasured(Measured, extra="ignore"):
    """Figures that were measured."""


class KeptReport(DriftReport, extra="ignore"):
    """A report as it was published, perhaps by a newer version."""

    moved: tuple[KeptMoved, ...]
    estimated: KeptEstimated | None = None
    measured: KeptMeasured | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """From `began` until the next one the same statistics had moved, to the same levels."""

    began: datetime
    report: KeptReport
    """The last one of that time."""


class Role(StrEnum):
    """What a picture shows."""

    TRAINING = "training"
    """A golden frame of the bundle."""
    RECENT = "recent"
    """A part of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A frame as the model saw it."""

    role: Role
    at: datetime
    """When the part was decided; of a golden frame when the bundle was first used here. UTC."""
    caption: str
    image: bytes
    """An encoded file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was read, each in the order of time."""

    periods: tuple[Period, ...]
    standings: tuple[Standing, ...]
    reference: DriftReference | None
    """What the newest period was held against; None where there was nothing."""
    pictures: tuple[Picture, ...]
    """Golden frames of the bundle that decided last, and recent parts."""
    unreadable: int = 0
    """Rows that this version cannot read."""
