"""The simulated line as a camera: `simulated:gen3?seed=7&rate=20`.

Renders on demand in the caller's thread and paces on the monotonic clock. It hands files over as the
line delivers them, damaged ones included: judging them is the frame gate's work. For real pictures
take `directory.py` or `opencv.py`.
"""

import threading
import time
from datetime import UTC, datetime

from edge_runtime.cameras.base import WELL
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import CameraError, UsageError
from edge_runtime.simulation.generations import DEFECTS, NO_DEFECT
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import CROPS_PER_MODULE

_UNPACED_RATE = 20.0  # frames a second that process drift assumes when nothing paces the frames


class SimulatedCamera:
    """An endless source of encoded crops; part i of a seed is always the same picture.

    `rate` is in frames per second, 0 for as fast as they are asked for. A reader that falls behind gets
    the next part at once, and no part is left out: this camera never drops. `corrupt=False` leaves out
    damaged files. `defects` is the share of defective parts, spread evenly over the five defects; None
    keeps the generation's own.
    """

    state = WELL

    def __init__(
        self,
        generation: str = "gen3",
        seed: int = 0,
        rate: float = 0.0,
        *,
        corrupt: bool = True,
        defects: float | None = None,
    ) -> None:
        if not 0 <= rate < float("inf"):
            raise CameraError(
                f"simulated camera: rate {rate:g} must be 0 (unpaced) or more per second"
            )
        if defects is not None and not 0 <= defects <= 1:
            raise CameraError(f"simulated camera: defects={defects:g} must lie between 0 and 1")
        try:
            line = SimulatedLine(
                generation,
                seed,
                class_shares=None
                if defects is None
                else {NO_DEFECT: 1 - defects} | dict.fromkeys(DEFECTS, defects / len(DEFECTS)),
                corrupt=None if corrupt else 0.0,
                module_interval_s=CROPS_PER_MODULE / (rate or _UNPACED_RATE),
                stations=(StationId(line="L07", station="S3"),),
            )
        except UsageError as exc:
            raise CameraError(f"simulated camera: {exc}") from exc
        self._parts = iter(line)
        self._period = 1 / rate if rate else 0.0
        self._due = time.monotonic()
        self._closed = threading.Event()

    def read(self, timeout_s: float) -> Frame | None:
        """The next part; None when it is not due within `timeout_s`, and at once after `close`."""
        wait = self._due - time.monotonic()
        if self._closed.wait(min(max(wait, 0.0), max(timeout_s, 0.0))) or wait > timeout_s:
            return None
        if self._period:
            # A reader that was away does not get the missed time back as a burst without end.
            self._due = max(self._due + self._period, time.monotonic() - 1.0)
        part = next(self._parts)
        return Frame(
            part_id=part.part_id,
            captured_at=datetime.now(UTC),
            arrived=time.monotonic(),
            image=part.encoded,
        )

    def close(self) -> None:
        """End a wait that is under way, and deliver nothing more."""
        self._closed.set()
