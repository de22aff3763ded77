"""Feed mutated image files and MJPEG videos to the frame gate, as the daemon does.

    python -m tests.faults.fuzz_images --files 100000 --out docs/results/fuzz-images.json

The files are JPEG, PNG, BMP and TIFF in the forms that cameras write, damaged: bits turned, pieces cut
out, doubled and put elsewhere, the end missing, sizes and lengths changed, with checksums made right
again, for what fails its checksum is not decoded. One in two hundred is a bomb, a small file that says
it is large. A twentieth are videos of such JPEGs, read through OpenCV as the source `FILE` is.

Work is done in a process of its own, so that a crash or a hang is a finding and not the end. Each file
must be admitted or refused in the gate's words, within `LONGEST_S` of CPU time, and within `ROOM_MB` of
memory. Two controls must be caught: one that decodes without looking at the header, one that hangs.
"""

import argparse
import json
import logging
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from benchmarks.setting import setting, write_json
from edge_runtime.cameras.base import EndOfStream
from edge_runtime.cameras.opencv import OpenCvCamera
from edge_runtime.contracts.frame import Frame, Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import CameraError
from edge_runtime.inspection import gate
from edge_runtime.simulation.line import SimulatedLine

_LOG = logging.getLogger(__name__)
LONGEST_S = 2.0
"""CPU time that one file may take: the largest that is decoded takes about half a second."""
HANG_S = 120.0
"""Wall time after which a file is called hanging; a busy machine is slow, too."""
ROOM_MB = 700.0
"""Above what the process had before: 40 megapixels, decoded from 16 bits, as BGR and as RGB."""
CONTROL_FILES = 45
"""With the first seed there are videos among them, and an image that says it is large."""
_BLOCK = 200
_ROOT = Path(__file__).parents[2]
_SPEC = InputSpec()


# --- the files -----------------------------------------------------------------------------------


@cache
def genuine() -> tuple[tuple[str, bytes], ...]:
    """Kind and bytes of sound files, in the forms that cameras write."""
    line = SimulatedLine("gen3", 5, corrupt=0.0)
    crops = [cv2.imdecode(np.frombuffer(next(iter(line)).encoded, np.uint8), 1) for _ in range(2)]
    small = cv2.resize(crops[0], (96, 64))
    grey, deep = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), small.astype(np.uint16) * 257
    alpha = cv2.cvtColor(small, cv2.COLOR_BGR2BGRA)
    uncompressed, lzw, deflate, packbits = 1, 5, 8, 32773
    made: list[tuple[str, bytes]] = [("jpeg", _encoded(".jpg", crop)) for crop in crops]
    made += [
        ("jpeg", _encoded(".jpg", small, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        ("jpeg", _encoded(".jpg", small, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
        ("jpeg", _encoded(".jpg", grey)),
    ]
    made += [("png", _encoded(".png", image)) for image in (small, grey, deep, alpha)]
    made += [("png", _encoded(".png", grey > 90, cv2.IMWRITE_PNG_BILEVEL, 1))]
    made += [("bmp", _encoded(".bmp", image)) for image in (small, grey, alpha)]
    made += [
        ("tiff", _encoded(".tiff", image, cv2.IMWRITE_TIFF_COMPRESSION, how))
        for how in (uncompressed, lzw, deflate, packbits)
        for image in (small, grey, deep)
    ]
    return tuple(made)


def _encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    image = image.astype(np.uint8) * 255 if image.dtype == np.bool_ else image
    done, data = cv2.imencode(suffix, image, options)
    assert done, suffix
    return bytes(data)


@cache
def bombs() -> tuple[tuple[str, bytes], ...]:
    """Kind and bytes of small files that say they are large; the first is as large as is decoded."""
    empty = _encoded(".png", np.zeros((6000, 6600, 3), np.uint8), cv2.IMWRITE_PNG_COMPRESSION, 9)
    files = dict(genuine())
    return (
        ("png", empty),
        ("png", _sized(empty, 16, ">II", 16000, 16000)),
        ("png", _sized(files["png"], 16, ">II", 60000, 60000)),
        ("jpeg", _jpeg_sized(files["jpeg"], 65500, 65500)),
        ("jpeg", _jpeg_sized(files["jpeg"], 6000, 6600)),
        ("bmp", _sized(files["bmp"], 18, "<ii", 60000, 60000)),
        ("tiff", _tiff_sized(files["tiff"], 60000, 60000)),
        ("tiff", _tiff_sized(files["tiff"], 6600, 6000)),
    )


def _sized(data: bytes, at: int, form: str, width: int, height: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, width, height)
    return _summed(bytes(changed)) if data.startswith(b"\x89PNG") else bytes(changed)


def _jpeg_sized(data: bytes, width: int, height: int) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def _tiff_sized(data: bytes, width: int, height: int) -> bytes:
    changed = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    for entry in range(start + 2, start + 2 + 12 * entries, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in (256, 257):
            struct.pack_into("<HII", changed, entry + 2, 4, 1, width if tag == 256 else height)
    return bytes(changed)


def _summed(png: bytes) -> bytes:
    """The PNG with every checksum right, as far as its chunks go."""
    changed, at = bytearray(png), 8
    while at + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        end = at + 12 + length
        if end > len(png):
            break
        struct.pack_into(">I", changed, end - 4, zlib.crc32(png[at + 4 : end - 4]))
        at = end
    return bytes(changed)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with one to eight changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        size = len(changed)
        # Half of the changes go where headers are.
        reach = size if chance.random() < 0.5 else min(size, 200)
        at = chance.randrange(max(reach, 1))
        piece = slice(at, at + chance.choice((1, 2, 4, 40, 400)))
        match chance.randrange(8):
            case 0 if size:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[piece] = b""
            case 2:
                changed[at:at] = changed[piece]
            case 3:
                changed[piece] = chance.randbytes(len(changed[piece]))
            case 4 if chance.random() < 0.3:
                del changed[at:]
            case 5:
                changed[at : at + 4] = struct.pack(
                    chance.choice("<>") + "I", chance.choice((0, 1, 0xFF, 0x7FFF, 0xFFFF, 1 << 31))
                )
            case 6:
                changed[at : at + 2] = struct.pack(">H", chance.randrange(1 << 16))
            case _:
                changed[at:at] = bytes(changed[slice(0, 40)])
    if data.startswith(b"\x89PNG") and chance.random() < 0.7:
        return _summed(bytes(changed))
    return bytes(changed)


def file(seed: int, number: int) -> tuple[str, bytes]:
    """Kind and bytes of one file; always the same."""
    chance = random.Random(f"{seed}/{number}")
    if number % 200 == 199:
        kind, data = bombs()[number // 200 % len(bombs())]
        return f"bomb {kind}", data
    if number % 20 == 1:
        jpegs = [data for kind, data in genuine() if kind == "jpeg"]
        parts = [
            mutated(jpeg, chance) if chance.random() < 0.5 else jpeg
            for jpeg in chance.choices(jpegs, k=6)
        ]
        data = b"".join(parts)
        return "mjpeg", data[: chance.randrange(len(data))] if chance.random() < 0.7 else data
    kind, data = chance.choice(genuine())
    return kind, mutated(data, chance)


# --- what is done with them ----------------------------------------------------------------------


def through_the_gate(kind: str, data: bytes, folder: Path) -> Iterator[str]:
    """What the daemon makes of a file or a video: the code of each refusal, or `admitted`."""
    if kind != "mjpeg":
        yield _gated(data)
        return
    path = folder / "video.mjpeg"
    path.write_bytes(data)
    with suppress(EndOfStream, CameraError), closing(OpenCvCamera(str(path))) as camera:
        while True:
            frame = camera.read(1.0)
            if frame is not None:
                yield _gated(frame.image)  # type: ignore[arg-type]


def _gated(image: bytes | Pixels) -> str:
    frame = Frame(part_id="f", captured_at=datetime.now(UTC), arrived=time.monotonic(), image=image)
    gated = gate(frame, _SPEC)
    return "admitted" if gated.rejection is None else gated.rejection.partition(":")[0]


def without_a_look(kind: str, data: bytes, folder: Path) -> Iterator[str]:
    """A control: decodes whatever it is given, as large as OpenCV itself allows."""
    with suppress(cv2.error):
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    yield "decoded"


def hanging(kind: str, data: bytes, folder: Path) -> Iterator[str]:
    """A control: one file in it is never done."""
    while kind == "mjpeg":
        time.sleep(1)
    yield "decoded"


WAYS: dict[str, Callable[[str, bytes, Path], Iterator[str]]] = {
    "gate": through_the_gate,
    "control: decodes without a look at the header": without_a_look,
    "control: hangs": hanging,
}


@dataclass(slots=True, kw_only=True)
class Found:
    """What became of the files."""

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    most_mb: float = 0.0
    """The most that one file took, above what the process had before."""
    defects: list[str] = field(default_factory=list)

    def add(self, other: "Found") -> None:
        """Take the findings of another part of the files."""
        self.files += other.files
        self.outcomes.update(other.outcomes)
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.most_mb = max(self.most_mb, other.most_mb)
        self.defects += other.defects


def work(way: str, seed: int, first: int, last: int, say: Callable[[str], None]) -> None:
    """Do the files in this process, saying each number before and what was found after each block."""
    with tempfile.TemporaryDirectory() as name:
        folder, found = Path(name), Found()
        genuine()
        for _ in WAYS["gate"](*genuine()[0], folder):
            before_kb = _peak_kb()
        for number in range(first, last):
            say(f"{number}\n")
            kind, data = file(seed, number)
            _forget_peak()
            began = time.process_time()
            try:
                found.outcomes.update(f"{kind} {code}" for code in WAYS[way](kind, data, folder))
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is the finding
                found.defects.append(f"file {number} ({kind}): {type(exc).__name__}: {exc}"[:300])
            spent, took_mb = time.process_time() - began, (_peak_kb() - before_kb) / 1000
            found.files += 1
            found.slowest_s = max(found.slowest_s, spent)
            found.most_mb = max(found.most_mb, took_mb)
            if spent > LONGEST_S:
                found.defects.append(f"file {number} ({kind}): took {spent:.1f} s of CPU time")
            if took_mb > ROOM_MB:
                found.defects.append(f"file {number} ({kind}): took {took_mb:.0f} MB")
            if found.files == _BLOCK or number == last - 1:
                say(json.dumps({name: getattr(found, name) for name in Found.__slots__}) + "\n")
                found = Found()


def _peak_kb() -> int:
    with Path("/proc/self/status").open(encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


# --- those who look after it ---------------------------------------------------------------------


def fuzz(way: str, *, files: int, seed: int, hang_s: float = HANG_S) -> Found:
    """Have the files done by processes that may crash and hang; what was found in all."""
    found, at = Found(), 0
    while at < files:
        part, ended = _one_process(way, seed, at, files, hang_s)
        found.add(part)
        at = ended + 1
    return found


def _one_process(way: str, seed: int, first: int, last: int, hang_s: float) -> tuple[Found, int]:
    """What one process found until it ended, and the number of its last file."""
    words = [sys.executable, "-m", "tests.faults.fuzz_images", "--work", way]
    found, number = Found(), first
    with subprocess.Popen(
        [*words, "--seed", str(seed), "--range", str(first), str(last)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where the libraries complain
        cwd=_ROOT,
    ) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        heard, pending, begun = time.monotonic(), b"", False
        while True:
            piece = process.stdout.read()
            if piece:
                heard, begun = time.monotonic(), True
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    if line.startswith(b"{"):
                        told = json.loads(line)
                        found.add(Found(**{**told, "outcomes": Counter(told["outcomes"])}))
                    else:
                        number = int(line)
            elif piece == b"":
                break
            elif time.monotonic() - heard > (hang_s if begun else HANG_S):
                process.kill()
                found.defects.append(f"file {number}: not done after {hang_s:g} s")
                break
            else:
                time.sleep(0.005)
        process.wait()
    if process.returncode < 0 and not any("not done" in defect for defect in found.defects):
        found.defects.append(f"file {number}: ended the process by signal {-process.returncode}")
    elif process.returncode > 0:
        raise RuntimeError(f"the worker failed with exit code {process.returncode}")
    return found, number


def main() -> int:
    """The long form."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, help="JSON file for the result")
    options.add_argument("--work", choices=list(WAYS), help=argparse.SUPPRESS)
    options.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.work is not None:
        # A process that runs away is ended before the machine is.
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        work(arguments.work, arguments.seed, *arguments.range, _say)
        return 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    result: dict[str, object] = setting("opencv-python-headless", "numpy")
    began = time.monotonic()
    found = fuzz("gate", files=arguments.files, seed=arguments.seed)
    result |= {"seconds": round(time.monotonic() - began), **_summary(found)}
    _LOG.info("gate: %s", result)
    controls = {}
    for way in list(WAYS)[1:]:
        seen = fuzz(way, files=CONTROL_FILES, seed=arguments.seed, hang_s=15.0)
        controls[way] = _summary(seen)
        _LOG.info("%s: %s", way, controls[way])
    if arguments.out is not None:
        write_json(arguments.out, {**result, "controls": controls})
    caught = all(control["defects"] for control in controls.values())
    return 0 if caught and not found.defects else 1


def _say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


def _summary(found: Found) -> dict[str, object]:
    return {
        "files": found.files,
        "outcomes": dict(sorted(found.outcomes.items())),
        "slowest_cpu_s": round(found.slowest_s, 3),
        "longest_allowed_s": LONGEST_S,
        "most_memory_mb": round(found.most_mb),
        "memory_allowed_mb": ROOM_MB,
        "defects": len(found.defects),
        "examples": found.defects[:5],
    }


if __name__ == "__main__":
    sys.exit(main())
