"""The seam between the station and whatever says that a part is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from edge_runtime.contracts.frame import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A part is there."""

    key: str
    """Names the trigger. Frames that carry a key find their part by it."""
    part_id: str
    at: float
    """When the station heard of it, monotonic seconds; its frames are exposed after that, if they carry
    no key."""
    triggered_at: datetime | None
    """The same moment in UTC; None where a frame is the trigger."""
    allowed_s: float | None = None
    """From `at` to the answer; None for what the station is configured to."""
    once: bool = True
    """The same key again is the same trigger; else another part, once the first lacks no frame."""
    lost: str | None = None
    """Why its frame will not come, where that is known already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one frame tells about parts."""

    announced: tuple[Announcement, ...] = ()
    key: str | None = None
    """Of the part that the frame belongs to; None: of the part that was in view."""


class TriggerSource(Protocol):
    """Says which parts there are. Used by one thread at a time."""

    @property
    def ignored(self) -> int:
        """Triggers that came and were not taken: not to be read, or too many at once."""
        ...

    def arrived(self) -> Sequence[Announcement]:
        """The parts announced from outside since the last call, in the order they came."""
        ...

    def shown(self, frame: Frame) -> Shown:
        """What a frame tells, before anybody has looked at it. Raises CameraError where it lacks what it
        would take."""
        ...
