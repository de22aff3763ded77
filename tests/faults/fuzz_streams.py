"""Damaged HTTP MJPEG streams through a camera's process, as the daemon reads them.

    python -m tests.faults.fuzz_streams --streams 400 --out docs/results/fuzz-streams.json

A server on loopback sends each connection another stream: sound parts, damaged JPEGs, parts that are cut
off, boundaries and lengths that are wrong, and then it hangs up. FFmpeg reads that in a process of its
own, which may fail as it likes. Looked at are: every read comes back in its time, the process's memory
stays, a sound stream afterwards is read again, and nothing is left behind.
"""

import argparse
import itertools
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.setting import setting, write_json
from edge_runtime.capture.camera import CaptureCamera
from edge_runtime.capture.supervision import Limits
from edge_runtime.contracts.frame import Unreadable
from tests.faults.belongings import Belongings
from tests.faults.fuzz_images import genuine, mutated

_LOG = logging.getLogger(__name__)
LIMITS = Limits(longest_pause_s=0.1, silence_s=4.0)
READ_S = 0.1
LATE_S = 2.5
"""What a read may take longer than it was allowed: a process is ended and another started within it."""
MEMORY_MB = 400.0
"""Of the camera's process; reading a sound stream takes about 130."""
BACK_S = 60.0
"""How long a sound stream may take until its first frame, on a machine that is busy."""
_PARTS = 12


class StreamServer:
    """Sends damaged streams, another for each connection, until it is told to send sound ones."""

    def __init__(self, seed: int) -> None:
        self.sound = threading.Event()
        self.sent = 0
        numbers = itertools.count()
        serving = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                damaged = not serving.sound.is_set()
                for piece in stream(seed, next(numbers), damaged=damaged):
                    if not damaged and not serving.sound.is_set():
                        break
                    try:
                        self.wfile.write(piece)
                    except OSError:  # the reader has had enough
                        break
                    if not damaged:
                        time.sleep(0.02)
                serving.sent += damaged

            def log_message(self, *_: object) -> None:
                """Keep the output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """What to read."""
        return f"http://127.0.0.1:{self._server.server_port}/cam"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve for the length of the block."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def stream(seed: int, number: int, *, damaged: bool) -> Iterator[bytes]:
    """The parts of one stream; always the same."""
    chance = random.Random(f"{seed}/{number}")
    jpegs = [data for kind, data in genuine() if kind == "jpeg"][:2]
    for count in range(_PARTS if damaged else 1000):
        jpeg = jpegs[count % len(jpegs)]
        if damaged and chance.random() < 0.1:
            yield _spoilt(_part(mutated(jpeg, chance)), chance)
        else:
            yield _part(jpeg)
    if damaged:
        last = _part(jpegs[0])
        yield last[: chance.randrange(len(last))]


def _part(jpeg: bytes) -> bytes:
    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
    return head + jpeg + b"\r\n"


def _spoilt(part: bytes, chance: random.Random) -> bytes:
    match chance.randrange(5):
        case 0:
            return part[: chance.randrange(len(part))]
        case 1:
            return part.replace(b"Content-Length: ", b"Content-Length: 9", 1)
        case 2:
            return part.replace(b"--frame", chance.choice((b"--fram", b"", b"--frame" * 50)), 1)
        case 3:
            return mutated(part, chance)
        case _:
            return part


@dataclass(slots=True, kw_only=True)
class Found:
    """What was seen."""

    streams: int
    outcomes: Counter[str] = field(default_factory=Counter)
    latest_s: float = 0.0
    """What a read took longer than it was allowed."""
    most_mb: float = 0.0
    restarts: int = 0
    back_s: float | None = None
    left_behind: str | None = None

    @property
    def defects(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        found = []
        if self.latest_s > LATE_S:
            found.append(f"a read came back {self.latest_s:.1f} s late")
        if self.most_mb > MEMORY_MB:
            found.append(f"the camera's process took {self.most_mb:.0f} MB")
        if self.back_s is None:
            found.append(f"a sound stream gave no frame within {BACK_S:g} s")
        if self.left_behind is not None:
            found.append(self.left_behind)
        return tuple(found)


def fuzz(streams: int, *, seed: int, limits: Limits = LIMITS) -> Found:
    """Read so many damaged streams, one after the other, and a sound one at last."""
    genuine()
    found, server = Found(streams=streams), StreamServer(seed)
    before = Belongings.count()
    with server.running():
        server.sound.set()
        with closing(CaptureCamera(server.address, limits=limits)) as camera:
            _read(camera, found)
            server.sound.clear()
            while server.sent < streams:
                _read(camera, found)
            server.sound.set()
            asked, restarts = time.monotonic(), camera.state.restarts
            while time.monotonic() - asked < BACK_S and found.back_s is None:
                if _read(camera, found) and camera.state.restarts > restarts:
                    found.back_s = time.monotonic() - asked
            found.restarts = camera.state.restarts
    after = Belongings.count()
    if after.children != before.children or after.mappings != before.mappings:
        found.left_behind = f"left behind: {before} before, {after} after"
    return found


def _read(camera: CaptureCamera, found: Found) -> bool:
    """One read, and what it shows; whether it gave a picture."""
    began = time.monotonic()
    frame = camera.read(READ_S)
    found.latest_s = max(found.latest_s, time.monotonic() - began - READ_S)
    if camera.pid is not None:
        found.most_mb = max(found.most_mb, _resident_mb(camera.pid))
    if frame is None:
        return False
    unreadable = isinstance(frame.image, Unreadable)
    found.outcomes["not inspected" if unreadable else "pixels"] += 1
    return not unreadable


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # it has ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """The long form."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--streams", type=int, default=400)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, help="JSON file for the result")
    arguments = options.parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(message)s")
    result: dict[str, object] = setting("opencv-python-headless")
    began = time.monotonic()
    found = fuzz(arguments.streams, seed=arguments.seed)
    result |= {
        "seconds": round(time.monotonic() - began),
        "streams": found.streams,
        "frames": dict(found.outcomes),
        "restarts": found.restarts,
        "latest_read_s": round(found.latest_s, 2),
        "late_allowed_s": LATE_S,
        "most_memory_mb": round(found.most_mb),
        "memory_allowed_mb": MEMORY_MB,
        "back_s": None if found.back_s is None else round(found.back_s, 2),
        "defects": found.defects,
    }
    _LOG.error("%s", result)
    if arguments.out is not None:
        write_json(arguments.out, result)
    return 1 if found.defects else 0


if __name__ == "__main__":
    sys.exit(main())
