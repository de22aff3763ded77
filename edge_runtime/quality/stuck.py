"""The stuck picture: a live camera that gives the same frame again.

A live sensor never repeats itself: its noise alone differs. A part whose picture is that of the part
before was therefore not seen, whatever the picture shows. A folder or a video may hold the same picture
twice, so that only live cameras are watched. One object a camera, one thread.
"""

from edge_runtime.contracts.frame import Pixels

_EVERY = 16
"""Every sixteenth row is remembered: 12 kB at 256x256, and no two frames of a sensor agree on it."""


class StuckPicture:
    """Remembers a camera's last frame."""

    def __init__(self) -> None:
        self._last = b""
        self._repeats = 0

    def rejection(self, pixels: Pixels) -> str | None:
        """`stuck: ...` where the frame is that before to the last bit; None for another picture."""
        seen = pixels[::_EVERY].tobytes()
        if seen != self._last:
            self._last, self._repeats = seen, 0
            return None
        self._repeats += 1
        return f"stuck: the same picture as before, {self._repeats + 1} times in a row"
