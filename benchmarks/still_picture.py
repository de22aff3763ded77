"""A source of one picture, as cheap as a source can be, for what is measured around it."""

import time
from datetime import UTC, datetime

import numpy as np

from edge_runtime.cameras.base import WELL
from edge_runtime.contracts.frame import Frame


class StillPicture:
    """Gives one picture again and again, `rate` times a second or (0) as fast as it is asked."""

    state = WELL

    def __init__(self, height: int, width: int, rate: float) -> None:
        self._image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
        self._period_s = 1 / rate if rate else 0.0
        self._due = time.monotonic()
        self._given = 0

    def read(self, timeout_s: float) -> Frame | None:
        if self._period_s:
            wait_s = self._due - time.monotonic()
            time.sleep(max(0.0, min(wait_s, timeout_s)))
            if wait_s > timeout_s:
                return None
            self._due = max(self._due + self._period_s, time.monotonic() - 1.0)
        self._given += 1
        return Frame(
            part_id=str(self._given),
            captured_at=datetime.now(UTC),
            arrived=time.monotonic(),
            image=self._image,
        )

    def close(self) -> None:
        """Nothing is held."""


def open_still(text: str) -> StillPicture:
    """From `HEIGHT WIDTH RATE`."""
    height, width, rate = text.split()
    return StillPicture(int(height), int(width), float(rate))
