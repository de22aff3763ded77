"""Lines that scroll by, with a foot below them that is drawn anew in place.

On a terminal only: in a pipe or a file there is no place to draw in, and no foot.
"""

import shutil
from collections.abc import Sequence
from typing import TextIO


class Screen:
    """Writes to `stream`; used by one thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._foot: tuple[str, ...] = ()
        self._drawn = 0

    @property
    def interactive(self) -> bool:
        """Whether a person watches."""
        return self._in_place

    @property
    def width(self) -> int:
        """Columns at present; wide where nobody counts them."""
        return shutil.get_terminal_size().columns if self._in_place else 120

    def write(self, line: str) -> None:
        """One line above the foot."""
        self._erase()
        self._stream.write(line + "\n")
        self._draw()

    def set_foot(self, lines: Sequence[str]) -> None:
        """What stands below from now on."""
        if self._in_place and tuple(lines) != self._foot:
            self._erase()
            self._foot = tuple(lines)
            self._draw()

    def _erase(self) -> None:
        if self._drawn:
            # Up to the foot's first line, and clear from there to the end of the screen.
            self._stream.write(f"\033[{self._drawn}F\033[J")
            self._drawn = 0

    def _draw(self) -> None:
        if self._in_place:
            room = max(1, shutil.get_terminal_size().lines - 2)
            lines = self._foot[:room]
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._drawn = len(lines)
        self._stream.flush()
