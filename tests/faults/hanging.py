"""The daemon with a part that hangs as long as a file exists, in this process alone.

    HANG_WHILE=FILE python -m tests.faults.hanging PART -- <daemon arguments>

PART is `source`, `engine` or `sync`. Others are `disk`, which does not hang but refuses; `blind`, an
engine that hangs under a watchdog that is pinged because the process lives, which is what a watchdog
must not be; `loyal`, an engine that hangs and is waited for at the end; and `forgetful`, which loses its
last parts.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_runtime import pipeline
from edge_runtime.assembly import engine as engine_room
from edge_runtime.assembly import station as station_room
from edge_runtime.cli.main import main
from edge_runtime.contracts.frame import Frame
from edge_runtime.errors import DiskFullError
from edge_runtime.health import HealthLog
from edge_runtime.inspection import Moment
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.parts import Parts

_MARK = Path(os.environ["HANG_WHILE"])


def _hang() -> None:
    while _MARK.exists():
        time.sleep(0.01)


def source() -> None:
    """As a camera driver blocks: no frame, no error, and the timeout is not kept."""
    open_camera = station_room.open_camera

    def open_hanging(text: str) -> Any:
        camera = open_camera(text)
        read = camera.read

        def hanging(timeout_s: float) -> Frame | None:
            _hang()
            return read(timeout_s)

        camera.read = hanging  # type: ignore[method-assign]
        return camera

    station_room.open_camera = open_hanging


def engine() -> None:
    """As a driver of an accelerator blocks."""
    open_engine = engine_room.open_engine

    def open_hanging(*arguments: Any) -> Any:
        opened = open_engine(*arguments)
        infer = opened.infer

        def hanging(batch: Any) -> Any:
            _hang()
            return infer(batch)

        opened.infer = hanging  # type: ignore[method-assign]
        return opened

    engine_room.open_engine = open_hanging


def sync() -> None:
    """As a dying disk blocks: the commit neither succeeds nor fails."""
    append = Journal.append

    def hanging(self: Journal, entries: Sequence[Entry]) -> None:
        _hang()
        append(self, entries)

    Journal.append = hanging  # type: ignore[method-assign]


def disk() -> None:
    """As a full disk answers: at once, and by refusing."""
    append = Journal.append

    def refusing(self: Journal, entries: Sequence[Entry]) -> None:
        if _MARK.exists():
            raise DiskFullError("no room, says the test")
        append(self, entries)

    Journal.append = refusing  # type: ignore[method-assign]


def blind() -> None:
    """The engine hangs, and the watchdog is pinged because the process lives."""
    engine()
    HealthLog.stalled_s = lambda _self: 0.0  # type: ignore[method-assign]


def loyal() -> None:
    """The engine hangs, and a station that stops waits for it."""
    engine()
    pipeline._LET_GO_S = 1e6


def forgetful() -> None:
    """Nothing hangs; parts that wait for the engine when the last frame has come are forgotten."""

    def forget(self: Parts, _now: Moment) -> None:
        for waiting in self._batcher._waiting:
            self._open.pop(waiting.item.part, None)
            waiting.item.part.open = False
        self._batcher._waiting.clear()

    Parts.end = forget  # type: ignore[method-assign]


_PARTS: dict[str, Callable[[], None]] = {
    "source": source,
    "engine": engine,
    "sync": sync,
    "disk": disk,
    "blind": blind,
    "loyal": loyal,
    "forgetful": forgetful,
}

if __name__ == "__main__":
    part, separator, *words = sys.argv[1:]
    assert separator == "--", sys.argv
    _PARTS[part]()
    sys.exit(main(words))
