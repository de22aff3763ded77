"""A camera that gives what a test tells it to, when it is told."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from edge_runtime.cameras.base import WELL, EndOfStream
from edge_runtime.contracts.frame import Frame, Pixels


class ScriptedCamera:
    """Give it frames from any thread; `ends` after the last one."""

    state = WELL

    def __init__(self, name: str = "cam") -> None:
        self._name = name
        self._frames: queue.Queue[Frame | None] = queue.Queue()
        self._given = 0

    def give(self, pixels: Pixels, *, age_s: float = 0.0, counter: int | None = None) -> None:
        """A frame that was exposed so long ago, as the source knows."""
        self._given += 1
        self._frames.put(
            Frame(
                part_id=f"{self._name}-{self._given:08d}",
                captured_at=datetime.now(UTC) - timedelta(seconds=age_s),
                arrived=time.monotonic(),
                image=pixels,
                counter=counter,
            )
        )

    def ends(self) -> None:
        self._frames.put(None)

    @contextmanager
    def running(
        self, pixels: Pixels, *, period_s: float = 0.02, age_s: float = 0.0
    ) -> Iterator[None]:
        """Give the same picture again and again, as a camera that runs freely does."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(period_s):
                self.give(pixels, age_s=age_s)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def read(self, timeout_s: float) -> Frame | None:
        try:
            frame = self._frames.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if frame is None:
            raise EndOfStream
        return frame

    def close(self) -> None:
        """Nothing is held."""
