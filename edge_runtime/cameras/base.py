"""The seam between the station and whatever produces frames."""

from dataclasses import dataclass
from typing import Protocol

from edge_runtime.contracts.frame import Frame


class EndOfStream(Exception):  # noqa: N818 - the end of a folder or file is not an error
    """The source has given its last frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How a source is doing."""

    problem: str | None = None
    """What is wrong at present, in one line; None when nothing is."""
    restarts: int = 0
    """How often it had to be opened anew."""
    lost: int = 0
    """Frames that it gave and nobody could take in."""


WELL = SourceState()
"""The state of a source that raises CameraError for all that could be wrong with it."""


class CameraSource(Protocol):
    """A source of frames. Opened by its constructor, used by one thread, closed exactly once.

    The constructor raises CameraError when the source cannot be opened. A source judges nothing: what it
    cannot decode it hands over as it came, so that the frame gate answers for it.
    """

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None when none came within `timeout_s` (so that the caller can stop).

        Raises EndOfStream after the last frame, CameraError when the source failed for good.
        """
        ...

    @property
    def state(self) -> SourceState:
        """How it is doing, for any thread."""
        ...

    def close(self) -> None:
        """Release the source; safe to call twice."""
        ...
