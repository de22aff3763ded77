"""How long an inference of n frames takes, learnt from those that were measured.

Measurements in, expectations out; no clock, no thread. An inference is taken to cost something by itself
and something for each frame. Both are fitted to what was measured, older measurements counting less and
less, so that an engine that becomes slower, or quick again, is known after a few batches.
"""

_FADING = 0.875
"""Weight of a measurement after the next one: half of it is gone after five."""
_ALIKE = 1e-6
"""Variance of batch sizes, frames squared, below which they do not tell the two costs apart."""


class Pace:
    """The pace of one engine; used by one thread at a time."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._frames = self._seconds = 0.0
        """Weighted sums, as the two below."""
        self._frames_squared = self._frames_by_seconds = 0.0

    def learn(self, frames: int, seconds: float) -> None:
        """An inference of so many frames, one at least, took so long."""
        self._weight = _FADING * self._weight + 1
        self._frames = _FADING * self._frames + frames
        self._seconds = _FADING * self._seconds + seconds
        self._frames_squared = _FADING * self._frames_squared + frames * frames
        self._frames_by_seconds = _FADING * self._frames_by_seconds + frames * seconds

    def expected_s(self, frames: int) -> float:
        """How long so many frames are expected to take; 0 before anything was learnt.

        More frames never take less. There is no margin in it: one saves parts where inferences take as
        long as they have frames, and costs more where they all take the same (`benchmarks/overload.py`).
        """
        if not self._weight:
            return 0.0
        mean_frames, mean_s = self._frames / self._weight, self._seconds / self._weight
        each = mean_s / mean_frames
        variance = self._frames_squared / self._weight - mean_frames**2
        if variance > _ALIKE:
            slope = (self._frames_by_seconds / self._weight - mean_frames * mean_s) / variance
            # Neither cost is negative, whatever the noise says.
            each = min(max(slope, 0.0), each)
        return mean_s + each * (frames - mean_frames)
