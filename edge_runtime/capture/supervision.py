"""When a camera's process is given up, and when the next is started. Values and times in, values out.

A process shows that it goes on by its heartbeat, and a camera that runs freely by frames that can be
used. What does neither within its limit is to be killed. Starts that lead to nothing are further and
further apart, up to a bound that keeps a camera which has recovered from waiting long.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds throughout. The defaults notice in less than 10 s and are back in less than 5."""

    open_s: float = 8.0
    """How long opening may take; OpenCV itself gives up after 5."""
    hang_s: float = 4.0
    """How long a process may be without a heartbeat; OpenCV gives up waiting for a stream after 3."""
    silence_s: float | None = 8.0
    """How long a camera that runs freely may be without a frame that can be used; None for one that
    waits for something: a trigger, a file."""
    stale_s: float = 2.0
    """How old a frame may be when the source hands it over."""
    first_pause_s: float = 0.1
    longest_pause_s: float = 2.0
    steady_s: float = 10.0
    """A process that has run so long was a success; the next pause is the first again."""


class Supervision:
    """What is known about the present process, and how the last ones went."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failures = 0
        self._started = 0.0
        self._opened: float | None = None
        self._last_good = 0.0

    def started(self, now: float) -> None:
        """A process was started."""
        self._started, self._opened = now, None

    def opened(self, now: float) -> None:
        """It has opened its source."""
        self._opened = self._last_good = now

    def usable(self, now: float) -> None:
        """It gave a frame that can be inspected."""
        self._last_good = now

    def fault(self, now: float, beat: float) -> str | None:
        """Why to kill the process at `now`, its last heartbeat being `beat`; None to let it be."""
        limits = self._limits
        if self._opened is None:
            if now - self._started > limits.open_s:
                return f"it did not open within {limits.open_s:g} s"
            return None
        # A beat from the future is as good as none: the memory was overwritten.
        if not now - limits.hang_s <= beat <= now + limits.hang_s:
            return f"it hangs, no sign of life for {limits.hang_s:g} s"
        if limits.silence_s is not None and now - self._last_good > limits.silence_s:
            return f"it gave no frame that can be used for {limits.silence_s:g} s"
        return None

    def lost(self, now: float) -> float:
        """The process is gone: when the next is to be started."""
        if self._opened is not None and now - self._opened >= self._limits.steady_s:
            self._failures = 0
        pause = min(self._limits.longest_pause_s, self._limits.first_pause_s * 2.0**self._failures)
        self._failures = min(self._failures + 1, 32)
        return now + pause
