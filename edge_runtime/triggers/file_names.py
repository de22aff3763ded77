"""Files that belong together by their names: `P123_left.jpg` and `P123_right.jpg` are part `P123`.

The first file announces the part. A further file of a part that has all it waits for, or was
answered, is the first of another part of the same name.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from edge_runtime.contracts.frame import Frame
from edge_runtime.triggers.base import Announcement, Shown


class FileNames:
    """`rule` is matched against a frame's id without its suffix; its group `part` names the part.

    A frame that does not match is of a part of its own name.
    """

    ignored = 0

    def __init__(self, rule: re.Pattern[str]) -> None:
        self._rule = rule

    def arrived(self) -> Sequence[Announcement]:
        return ()

    def shown(self, frame: Frame) -> Shown:
        stem = str(PurePosixPath(frame.part_id).with_suffix(""))
        match = self._rule.fullmatch(stem)
        part = match["part"] if match else stem
        return Shown(
            announced=(
                Announcement(
                    key=part, part_id=part, at=frame.arrived, triggered_at=None, once=False
                ),
            ),
            key=part,
        )
