"""Free run: every frame is a part of its own."""

from collections.abc import Sequence

from edge_runtime.contracts.frame import Frame
from edge_runtime.triggers.base import Announcement, Shown


class FreeRun:
    """Part ids are the frames'; the same id again is another part."""

    ignored = 0

    def __init__(self) -> None:
        self._number = 0

    def arrived(self) -> Sequence[Announcement]:
        return ()

    def shown(self, frame: Frame) -> Shown:
        self._number += 1
        key = str(self._number)
        part = Announcement(key=key, part_id=frame.part_id, at=frame.arrived, triggered_at=None)
        return Shown(announced=(part,), key=key)
