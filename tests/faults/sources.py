"""Sources with one fault each, opened in a camera's process by `open_faulty`.

The text is `FAULT:FOLDER`. The fault shows after GOOD frames, and as long as FOLDER/broken exists; a new
process asks again, so that a test heals the camera by taking the file away.
"""

import ctypes
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge_runtime.cameras.base import WELL
from edge_runtime.capture import ring
from edge_runtime.capture.child import POSTED
from edge_runtime.capture.ring import CAPACITY, SLOTS
from edge_runtime.contracts.frame import Frame, Pixels
from edge_runtime.errors import CameraError

GOOD = 10
"""Frames before the fault: more than the golden frame is learnt from."""
PERIOD_S = 0.01


def scene(number: int) -> Pixels:
    """A fixture on a belt: neither grey nor symmetric, with noise as a sensor has it."""
    noise = np.random.default_rng(number).integers(0, 8, (96, 128, 3), dtype=np.uint8)
    pixels = noise + np.array((110, 70, 40), dtype=np.uint8)
    pixels[10:50, 8:40] = (220, 190, 60)
    pixels[70:90, 60:120] = (30, 20, 90)
    return pixels


class FaultySource:
    """Gives the scene a hundred times a second, until its fault shows."""

    state = WELL

    def __init__(self, fault: str, broken: Path) -> None:
        self._fault = fault
        self._broken = broken
        self._given = 0
        if fault == "hangs while opening" and self._is_broken():
            _hang()

    def _is_broken(self) -> bool:
        return self._broken.exists()

    def read(self, timeout_s: float) -> Frame | None:  # noqa: ARG002 - a bad source
        time.sleep(PERIOD_S)
        self._given += 1
        if self._given > GOOD and self._is_broken():
            return (FAULTS | FAULTS_OF_MEMORY)[self._fault](self._given)
        pixels = scene(self._given)
        if self._fault == "grey":
            pixels = np.repeat(pixels[..., :1], 3, axis=2)
        return frame(self._given, pixels)

    def close(self) -> None:
        if self._fault == "hangs while closing":
            _hang()


class Reopened(FaultySource):
    """Sound at first; after a crash its pictures come back as `how` makes them."""

    def __init__(self, how: str, broken: Path) -> None:
        super().__init__("crashes", broken)
        opened = broken.with_name("opened")
        self._changed = opened.exists() and broken.exists()
        self._how = CHANGES[how]
        opened.touch()

    def read(self, timeout_s: float) -> Frame | None:
        if not self._changed:
            return super().read(timeout_s)
        time.sleep(PERIOD_S)
        self._given += 1
        return frame(self._given, np.ascontiguousarray(self._how(scene(self._given))))


def open_faulty(text: str) -> FaultySource:
    fault, _, folder = text.partition(":")
    kind = Reopened if fault in CHANGES else FaultySource
    return kind(fault, Path(folder) / "broken")


def frame(number: int, pixels: Pixels, *, age_s: float = 0.0) -> Frame:
    return Frame(
        part_id=f"part-{number}",
        captured_at=datetime.now(UTC),
        arrived=time.monotonic() - age_s,
        image=pixels,
    )


def _hang(_: int = 0) -> None:
    while True:
        time.sleep(3600)


def _hang_with_the_interpreter(_: int) -> None:
    ctypes.PyDLL(None).sleep(3600)  # a call that keeps the interpreter's lock, as a bad driver does


def _crash(_: int) -> None:
    raise RuntimeError("the driver is confused")


def _fail(_: int) -> None:
    raise CameraError("camera 0 gave no frame after 10: check its power and cable")


def _exit(_: int) -> None:
    os._exit(7)


def _segfault(_: int) -> None:
    ctypes.string_at(0)


def _none(_: int) -> None:
    time.sleep(0.02)


def _eat_memory(_: int) -> None:
    """Take more and more of it, as a driver that leaks does, until somebody ends this process."""
    eaten = []
    while True:
        eaten.append(np.ones(1 << 20, dtype=np.uint8))


_SWOLLEN: list[Pixels] = []


def _swell(number: int) -> Frame:
    """Go on, with half a gigabyte that nobody needs."""
    if not _SWOLLEN:
        _SWOLLEN.append(np.ones((1 << 29, 1, 1), dtype=np.uint8))
    return frame(number, scene(number))


def _old(number: int) -> Frame:
    return frame(number, scene(number), age_s=3600)


def _wrong_shape(number: int) -> Frame:
    bent = frame(number, scene(number))
    object.__setattr__(bent, "image", np.zeros((96, 128), dtype=np.uint16))
    return bent


def _no_frame(_: int) -> Frame:
    return "frame"  # type: ignore[return-value]


def _other_size(number: int) -> Frame:
    return frame(number, scene(number)[:48, :64].copy())


def _huge(number: int) -> Frame:
    height = CAPACITY // 3 // 8192 + 1
    return frame(number, np.zeros((height, 8192, 3), dtype=np.uint8))


def _scribble(_: int) -> None:
    """Overwrite every slot, as a driver with a wild pointer does, and post what lies there then."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "edge-inspect-capture" in line:
            start = int(line.partition("-")[0], 16)
            for slot in range(SLOTS):
                ctypes.memset(start + ring._SLOTS_AT + slot * ring._SLOT, 0xA5, 64)
    _write_into_every_pipe(POSTED)
    _hang()


def _chatter(_: int) -> None:
    """Tell of records with bytes that mean nothing."""
    _write_into_every_pipe(b"garbage")
    _hang()


def _write_into_every_pipe(data: bytes) -> None:
    for entry in Path("/proc/self/fd").iterdir():
        if int(entry.name) > 2 and "pipe" in str(entry.readlink()):
            os.write(int(entry.name), data)


FAULTS: dict[str, Callable[[int], Frame | None]] = {
    "hangs": _hang,
    "hangs with the interpreter": _hang_with_the_interpreter,
    "hangs while opening": _exit,
    "hangs while closing": _fail,
    "crashes": _crash,
    "fails": _fail,
    "exits": _exit,
    "segfaults": _segfault,
    "gives None": _none,
    "gives old frames": _old,
    "gives a wrong shape": _wrong_shape,
    "gives no frame": _no_frame,
    "gives another size": _other_size,
    "gives huge frames": _huge,
    "scribbles": _scribble,
    "chatters": _chatter,
}

FAULTS_OF_MEMORY: dict[str, Callable[[int], Frame | None]] = {
    "eats memory": _eat_memory,
    "swells": _swell,
}
"""The first is not for a machine whose memory nobody has limited."""

CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "BGR": lambda pixels: pixels[..., ::-1],
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "half the size": lambda pixels: pixels[::2, ::2],
    "dark": lambda pixels: pixels // 8,
    "the same": lambda pixels: pixels,
}
