"""Admission: whether a frame is a picture at all, brought to the size that the model sees.

Owns the decision whether a frame can be inspected at all. Values in, values out; no clock, no counters,
any thread. Every rejection becomes a verdict `not_inspected` with the reason, never silence.

A reason begins with a code that does not change (`unreadable`, `undecodable`, `memory`, `tiny`,
`blank`), then a colon and what was seen. Whether the picture is good enough is asked afterwards, in
`judging`: limits of that kind must come from the model's own images.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.contracts.frame import Frame, Pixels, Unreadable
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.preprocessing import fit

MIN_SIDE = 16
"""Pixels. Below this on the shorter side no seam can be seen, whatever the model."""
MIN_DEVIATION = 1.0
"""Grey levels of 255. A lens cap, a dead light or a saturated sensor stays below; metal never does."""
_BLACK_BELOW = 16
_WHITE_ABOVE = 239
_STRIDE = 4
"""Contrast is judged on every fourth pixel both ways: 0.04 ms a frame in place of 0.12."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A frame that can be inspected."""

    pixels: Pixels
    """At the model's input size: (height, width, 3) uint8 RGB."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame that cannot be inspected."""

    reason: str
    """`code: what was seen`."""


def admit(frame: Frame, spec: InputSpec) -> Admitted | Rejected:
    """Decode, check and resize one frame; raises nothing for whatever image it holds."""
    match frame.image:
        case Unreadable(reason):
            return Rejected(f"unreadable: {reason}")
        case bytes(data):
            try:
                pixels = decode(data)
            except Undecodable as error:
                return Rejected(f"undecodable: {error.reason}")
            except MemoryError:
                return Rejected(f"memory: no room to decode a file of {len(data)} bytes")
        case _:
            pixels = frame.image
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        return Rejected(f"tiny: {width}x{height} pixels, shorter side below {MIN_SIDE}")
    return _judge_contrast(fit(pixels, spec))


def _judge_contrast(pixels: Pixels) -> Admitted | Rejected:
    """Blank when no channel varies; judged at the input size, where the cost is the same for all."""
    means, deviations = cv2.meanStdDev(np.ascontiguousarray(pixels[::_STRIDE, ::_STRIDE]))
    deviation = float(np.max(deviations))
    if deviation >= MIN_DEVIATION:
        return Admitted(pixels)
    mean = float(np.mean(means))
    shade = "black" if mean < _BLACK_BELOW else "white" if mean > _WHITE_ABOVE else "one shade"
    return Rejected(
        f"blank: all {shade}, mean {mean:.0f}, deviation {deviation:.1f} below {MIN_DEVIATION:.1f}"
    )
