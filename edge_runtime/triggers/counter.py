"""A camera on a hardware trigger: each exposure is a part, and its counter says which are missing.

A number that did not come is a part that passed unseen, and is announced as one. A counter that goes
back is a camera that was started anew: how many parts passed meanwhile, nobody can tell.
"""

from collections.abc import Sequence

from edge_runtime.contracts.frame import Frame
from edge_runtime.errors import CameraError
from edge_runtime.triggers.base import Announcement, Shown

MOST_LOST = 1000
"""Of one gap so many parts are announced; a wider one is no loss on the way but a camera's confusion."""


class FrameCounter:
    """One part for each number. For one camera: two do not count alike after either was away."""

    ignored = 0

    def __init__(self) -> None:
        self._last: int | None = None
        self._started = 0

    def arrived(self) -> Sequence[Announcement]:
        return ()

    def shown(self, frame: Frame) -> Shown:
        counter = frame.counter
        if counter is None:
            raise CameraError(
                f"frame {frame.part_id} carries no number, which trigger = camera goes by: take a gige: "
                "source, or trigger = free"
            )
        missing = range(0)
        if self._last is not None and counter <= self._last:
            self._started += 1
        elif self._last is not None and counter - self._last <= MOST_LOST + 1:
            missing = range(self._last + 1, counter)
        self._last = counter
        lost = (
            self._part(frame, number, lost=f"frame_lost: number {number} did not come")
            for number in missing
        )
        return Shown(announced=(*lost, self._part(frame, counter)), key=self._key(counter))

    def _key(self, number: int) -> str:
        return f"{self._started}:{number}"

    def _part(self, frame: Frame, number: int, lost: str | None = None) -> Announcement:
        return Announcement(
            key=self._key(number),
            part_id=frame.part_id if lost is None else _renumbered(frame, number),
            at=frame.arrived,
            triggered_at=None,
            lost=lost,
        )


def _renumbered(frame: Frame, number: int) -> str:
    """The id that a frame of this number would have had, where ids hold the number."""
    own = f"{frame.counter:08d}"
    head, found, tail = frame.part_id.rpartition(own)
    return f"{head}{number:08d}{tail}" if found else f"{frame.part_id} lost {number}"
