"""A picture that says in its pixels which it is and when it was taken, whatever codec it passed."""

import numpy as np

from edge_runtime.contracts.frame import Pixels
from tests.faults.sources import scene

_EDGE = 16
"""Pixels of a bit's side: whole blocks of every codec, so that their losses do not reach it."""
_COLUMNS = 24
_NUMBER, _TIME = 24, 48
"""Bits of the number, and of the milliseconds."""
_ROWS = (_NUMBER + _TIME) // _COLUMNS
_LARGER = 3
"""The scene's pixels, so often in both directions."""
WIDTH = _COLUMNS * _EDGE
HEIGHT = _ROWS * _EDGE + 96 * _LARGER


def stamped(number: int, taken: float) -> Pixels:
    """The scene below its number and its time, monotonic seconds, which are bits in black and white."""
    value = number << _TIME | round(taken * 1000) % (1 << _TIME)
    bits = np.array([value >> bit & 1 for bit in range(_NUMBER + _TIME)], dtype=np.uint8) * 255
    strip = np.kron(bits.reshape(_ROWS, _COLUMNS), np.ones((_EDGE, _EDGE), np.uint8))
    below = scene(number).repeat(_LARGER, axis=0).repeat(_LARGER, axis=1)
    return np.concatenate([np.repeat(strip[..., np.newaxis], 3, axis=2), below])


def stamp(pixels: Pixels) -> tuple[int, float]:
    """The number and the time of a picture that `stamped` made."""
    strip = pixels[: _ROWS * _EDGE].reshape(_ROWS, _EDGE, _COLUMNS, _EDGE, 3)
    light = strip.mean(axis=(1, 3, 4)).ravel() > 127
    value = sum(1 << bit for bit in np.flatnonzero(light).tolist())
    return value >> _TIME, value % (1 << _TIME) / 1000
