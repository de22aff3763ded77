"""The memory that a camera's process shares with the station: slots for frames, and a heartbeat.

Owns the layout and the proof that a record is whole. Pixels are copied in once and out once, never
pickled. There is no lock that a killed process could leave held: two pipes carry one byte for every
record posted and one for every slot given back, and whoever holds no byte touches no slot.

The memory is a memfd: it has no name, so that nothing has to be unlinked; the kernel frees it with the
last process that maps it, also after SIGKILL of both. Slots are as large as the largest image that the
frame gate takes, and cost memory only as far as frames have filled them.

    heartbeat, lost | slot 0: header, text, image | slot 1: ...

One process writes, one reads. Times are CLOCK_MONOTONIC, which is one clock for all processes of a
machine.
"""

import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Self

import numpy as np

from edge_runtime.contracts.frame import Pixels, Unreadable
from edge_runtime.image_header import MAX_PIXELS

SLOTS = 8
"""Frames that may wait between the two processes; network cameras send in bursts."""
CAPACITY = 3 * MAX_PIXELS
"""Bytes of an image at most, pixels or encoded."""
_TEXT = 16 * 1024
"""Bytes of a part id or a reason at most; a path of the system's greatest length fits, escaped."""

_BEAT = struct.Struct("d")  # native and aligned: one store, so that no half of it is ever read
_LOST = struct.Struct("Q")
_SLOTS_AT = mmap.PAGESIZE
_HEADER = struct.Struct("<4sIQqqddIIQI")
_CHECKSUM = struct.Struct("<I")
_TEXT_AT = _HEADER.size + _CHECKSUM.size
_IMAGE_AT = -(-(_TEXT_AT + _TEXT) // mmap.PAGESIZE) * mmap.PAGESIZE
_SLOT = -(-(_IMAGE_AT + CAPACITY) // mmap.PAGESIZE) * mmap.PAGESIZE
_MAGIC = b"edge"
_UNCOUNTED = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RingDamaged(Exception):  # noqa: N818 - an observation about the other process, not our error
    """What the memory holds is no record: the process that writes there has lost its mind."""


class Kind(IntEnum):
    """What a record says."""

    OPENED = 1
    """The source is open."""
    PIXELS = 2
    ENCODED = 3
    UNREADABLE = 4
    """A part without a picture."""
    ENDED = 5
    """The source has given its last frame."""
    FAILED = 6
    """The source failed, and its process ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One message of a camera's process."""

    kind: Kind
    text: str = ""
    """The part id of a frame, the reason of a failure."""
    image: bytes | Pixels | Unreadable = b""
    captured_at: datetime = _EPOCH
    arrived: float = 0.0
    """When the source had the frame, seconds."""
    posted: float = 0.0
    """When it was put into the memory, seconds."""
    counter: int | None = None
    """The number of the exposure as the camera counts, from 0; None if it does not."""


class Ring:
    """The memory, mapped; the same class on both sides, each of which uses its half of it."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._number = 0

    @classmethod
    def make(cls) -> tuple[Self, int]:
        """A new ring, and the descriptor to be passed on and closed."""
        descriptor = os.memfd_create("edge-inspect-capture", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _SLOTS_AT + SLOTS * _SLOT)
        return cls.attach(descriptor), descriptor

    @classmethod
    def attach(cls, descriptor: int) -> Self:
        """Map the ring behind a descriptor, which may be closed afterwards."""
        return cls(mmap.mmap(descriptor, _SLOTS_AT + SLOTS * _SLOT))

    def close(self) -> None:
        """Unmap; what was taken out stays."""
        self._memory.close()

    # --- written by the camera's process, read by the station --------------------------------------

    @property
    def beat(self) -> float:
        """When the camera's process last showed that it goes on; any number, if it has gone mad."""
        (value,) = _BEAT.unpack_from(self._memory, 0)
        return float(value)

    @beat.setter
    def beat(self, now: float) -> None:
        _BEAT.pack_into(self._memory, 0, now)

    @property
    def lost(self) -> int:
        """Frames that found no free slot."""
        (value,) = _LOST.unpack_from(self._memory, _BEAT.size)
        return int(value)

    @lost.setter
    def lost(self, count: int) -> None:
        _LOST.pack_into(self._memory, _BEAT.size, count)

    def post(self, record: Record) -> None:
        """Write the next slot; only for who was given one. Too large an image becomes unreadable."""
        record = _fitting(record)
        text = record.text.encode("utf-8", "backslashreplace")[:_TEXT]
        height, width, image = _flat(record.image)
        at = _SLOTS_AT + self._number % SLOTS * _SLOT
        header = _HEADER.pack(
            _MAGIC,
            record.kind,
            self._number,
            (record.captured_at - _EPOCH) // timedelta(microseconds=1),
            _UNCOUNTED if record.counter is None else record.counter,
            record.arrived,
            record.posted,
            height,
            width,
            len(image),
            len(text),
        )
        start = at + _IMAGE_AT
        self._memory[start : start + len(image)] = image
        self._memory[at + _TEXT_AT : at + _TEXT_AT + len(text)] = text
        self._memory[at : at + _TEXT_AT] = header + _CHECKSUM.pack(
            zlib.crc32(text, zlib.crc32(header))
        )
        self._number += 1

    def take(self) -> Record:
        """Copy the next record out; only for who was told of one. Raises RingDamaged."""
        at = _SLOTS_AT + self._number % SLOTS * _SLOT
        header = self._memory[at : at + _HEADER.size]
        (checksum,) = _CHECKSUM.unpack_from(self._memory, at + _HEADER.size)
        magic, kind, number, captured, counter, arrived, posted, height, width, length, words = (
            _HEADER.unpack(header)
        )
        if magic != _MAGIC or number != self._number or words > _TEXT or length > CAPACITY:
            raise RingDamaged(f"slot {self._number % SLOTS} holds no record")
        text = self._memory[at + _TEXT_AT : at + _TEXT_AT + words]
        if zlib.crc32(text, zlib.crc32(header)) != checksum:
            raise RingDamaged(f"slot {self._number % SLOTS} has a damaged header")
        self._number += 1
        if kind == Kind.PIXELS and height * width * 3 != length:
            raise RingDamaged(f"{length} bytes are no {width}x{height} pixels")
        start = at + _IMAGE_AT
        image: bytes | Pixels | Unreadable
        try:
            if kind == Kind.PIXELS:
                flat = np.frombuffer(self._memory, np.uint8, length, start)
                image = flat.reshape(height, width, 3).copy()
            else:
                image = self._memory[start : start + length]
        except MemoryError:
            image = Unreadable(f"no memory for an image of {length} bytes")
        if kind == Kind.UNREADABLE and isinstance(image, bytes):
            image = Unreadable(image.decode("utf-8", "replace"))
        return Record(
            kind=Kind(kind),
            text=text.decode("utf-8", "replace"),
            image=image,
            captured_at=_EPOCH + timedelta(microseconds=captured),
            arrived=arrived,
            posted=posted,
            counter=None if counter == _UNCOUNTED else counter,
        )


def _flat(image: bytes | Pixels | Unreadable) -> tuple[int, int, bytes | memoryview]:
    """Height and width (0 for what is no pixels) and the bytes in a row; copies only what has gaps."""
    if isinstance(image, np.ndarray):
        height, width = image.shape[:2]
        return height, width, np.ascontiguousarray(image).reshape(-1).data
    if isinstance(image, Unreadable):
        return 0, 0, image.reason.encode("utf-8", "backslashreplace")
    return 0, 0, image


def _fitting(record: Record) -> Record:
    image = record.image
    if isinstance(image, np.ndarray):
        size, seen = image.nbytes, f"{image.shape[1]}x{image.shape[0]} pixels"
    else:
        size = len(image) if isinstance(image, bytes) else 0
        seen = f"a file of {size} bytes"
    if size <= CAPACITY:
        return record
    return Record(
        kind=Kind.UNREADABLE,
        text=record.text,
        image=Unreadable(f"too large: {seen}, limit {CAPACITY} bytes"),
        captured_at=record.captured_at,
        arrived=record.arrived,
        posted=record.posted,
        counter=record.counter,
    )
