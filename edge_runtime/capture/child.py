"""What runs in a camera's process: open the source, read it, put its frames into the ring.

Started as `python -m edge_runtime.capture.child DESCRIPTOR` by `process.py`. Standard input brings the
order, one line of JSON (it may hold a camera's password, so it is no argument), then a byte for every
slot given back; its end means that the station is gone. Standard output carries a byte for every record.

It never outlives the station for long: it looks for the end of its input between two reads, and a timer
of the kernel ends it when no look has come about for long, whatever holds the interpreter then.
"""

import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from edge_runtime.cameras.base import CameraSource, EndOfStream
from edge_runtime.capture.ring import SLOTS, Kind, Record, Ring
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import EdgeInspectError

READ_S = 0.2
"""What a read is allowed; the source beats as often, if it keeps to it."""
POSTED = b"\x01"
FIRST_TO_GO = 500
"""The kernel chooses as if it used so many thousandths of the machine's memory more than it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the process is told."""

    path: tuple[str, ...]
    """The station's `sys.path`."""
    opener: str
    """`MODULE:FUNCTION` that opens a source from its text."""
    source: str
    waits: bool
    """With every slot taken, wait for one, because the source can; else the newest frame is dropped."""
    limit_s: float
    """No longer may one step take before the process ends itself."""

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode() + b"\n"


class StationGone(Exception):  # noqa: N818 - a reason to end, not an error
    """Nobody takes the frames any more."""


class Outbound:
    """The ring's writing side with its pipes."""

    def __init__(self, ring: Ring, limit_s: float, taken: int, posted: int) -> None:
        self._ring = ring
        self._limit_s = limit_s
        self._taken = taken
        self._posted = posted
        self._free = SLOTS
        self._dropped = self._source_lost = 0

    def beat(self, source_lost: int = 0) -> None:
        """Show that the process goes on, and put off its end; tell what the source itself has lost."""
        # The default action of SIGALRM ends the process without asking the interpreter.
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        self._ring.beat = time.monotonic()
        self._source_lost = max(self._source_lost, source_lost)
        self._ring.lost = self._dropped + self._source_lost

    def room(self, timeout_s: float) -> bool:
        """Whether a slot is free, or becomes so within the time. Raises StationGone."""
        ready, _, _ = select.select([self._taken], [], [], 0 if self._free else timeout_s)
        if ready:
            given_back = os.read(self._taken, SLOTS)
            if not given_back:
                raise StationGone
            self._free += len(given_back)
        return self._free > 0

    def post(self, record: Record, *, wait: bool) -> None:
        """Hand a record over; without `wait` it is dropped and counted where no slot is free."""
        self.beat()
        while not self.room(READ_S if wait else 0):
            if not wait:
                self._dropped += 1
                return
            self.beat()
        self._free -= 1
        self._ring.post(record)
        try:
            os.write(self._posted, POSTED)
        except BrokenPipeError:
            raise StationGone from None


def serve(order: Order, outbound: Outbound) -> None:
    """Read the source until it ends or fails, and say how it came; raises StationGone."""
    with ExitStack() as resources:  # the source may hang when it is closed: so say it first
        try:
            outbound.beat()
            source = resources.enter_context(closing(_opener(order.opener)(order.source)))
            outbound.post(Record(kind=Kind.OPENED), wait=True)
            while True:
                outbound.beat(source.state.lost)
                outbound.room(0)
                frame = source.read(READ_S)
                if frame is not None:
                    outbound.post(_record(frame), wait=order.waits)
        except StationGone:
            raise
        except EndOfStream:
            outbound.post(Record(kind=Kind.ENDED), wait=True)
        except EdgeInspectError as exc:
            outbound.post(Record(kind=Kind.FAILED, text=str(exc)), wait=True)
        except Exception as exc:  # supervision edge: the station is told and starts anew
            logging.exception("the source failed")
            outbound.post(Record(kind=Kind.FAILED, text=f"{type(exc).__name__}: {exc}"), wait=True)


def _opener(name: str) -> Callable[[str], CameraSource]:
    module, _, function = name.partition(":")
    opener: Callable[[str], CameraSource] = getattr(import_module(module), function)
    return opener


def _record(frame: Frame) -> Record:
    if not isinstance(frame, Frame):
        raise TypeError(f"the source gave {type(frame).__name__} in place of a frame")
    frame.__post_init__()  # no adapter may get around it: the shape is what the station relies on
    match frame.image:
        case np.ndarray():
            kind = Kind.PIXELS
        case bytes():
            kind = Kind.ENCODED
        case Unreadable():
            kind = Kind.UNREADABLE
        case _:
            raise TypeError(f"the source gave {type(frame.image).__name__} in place of an image")
    return Record(
        kind=kind,
        text=frame.part_id,
        image=frame.image,
        captured_at=frame.captured_at,
        arrived=frame.arrived,
        posted=time.monotonic(),
        counter=frame.counter,
    )


def main() -> None:
    """Take the order and serve it."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece:
            return
        line += piece
    order = Order(**json.loads(line))
    sys.path[:] = order.path
    # Where memory runs out, this process is to go first: it is started anew, the station's is not.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(f"{FIRST_TO_GO}\n", encoding="ascii")
    # What a vendor's library prints goes to standard error; the byte per record has a pipe of its own.
    posted = os.dup(1)
    os.dup2(2, 1)
    descriptor = int(sys.argv[1])
    ring = Ring.attach(descriptor)
    os.close(descriptor)
    outbound = Outbound(ring, order.limit_s, taken=0, posted=posted)
    with suppress(StationGone):
        serve(order, outbound)


if __name__ == "__main__":
    main()
