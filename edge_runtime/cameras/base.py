"""The seam between the station and whatever produces frames."""

from typing import Protocol

from edge_runtime.contracts.frame import Frame


class EndOfStream(Exception):  # noqa: N818 - the end of a folder or file is not an error
    """The source has given its last frame."""


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

    def close(self) -> None:
        """Release the source; safe to call twice."""
        ...
