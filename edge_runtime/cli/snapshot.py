"""`edge-inspect snapshot SOURCE --out FILE`: one frame of any source, as a file."""

import argparse
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.cameras.address import masked
from edge_runtime.cameras.base import EndOfStream
from edge_runtime.capture.camera import open_camera
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError, UsageError
from edge_runtime.written_aside import written_aside

NAME = "snapshot"
HELP = "grab one frame of a source to a file"

_EPILOG = """\
examples:
  edge-inspect snapshot opencv:0 --out first.png
  edge-inspect snapshot rtsp://camera/stream --out first.jpg --skip 20
  edge-inspect snapshot 'simulated:gen3?seed=7' --out crop.jpg

Pixels are written in the format of FILE's suffix. A source of files gives its file as it is, so that the
suffix must be the file's own. A watched folder keeps its file.
"""
_FRAME_WITHIN_S = 10.0
_WRITTEN = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "source", metavar="SOURCE", help="as for a station: opencv:0, gige:SERIAL, ..."
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--skip", type=int, default=0, metavar="N", help="leave out N frames first (default 0)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file; returns 0."""
    out: Path = arguments.out
    if out.suffix.lower() not in _WRITTEN:
        raise UsageError(
            f"--out {out} has no suffix of an image: choose from {', '.join(_WRITTEN)}"
        )
    frame = _grab(arguments.source, arguments.skip)
    data = _encoded(frame, out)
    with written_aside(out) as aside:
        aside.write_bytes(data)
    print(f"{out}: part {frame.part_id}, {_described(frame)}, {frame.captured_at.isoformat()}")
    return 0


def _grab(source: str, skip: int) -> Frame:
    deadline = time.monotonic() + _FRAME_WITHIN_S
    with closing(open_camera(source)) as camera:
        while time.monotonic() < deadline:
            try:
                frame = camera.read(0.5)
            except EndOfStream:
                break
            if frame is None:
                continue
            if skip == 0:
                return frame
            skip -= 1
        problem = camera.state.problem
    why = f": {problem}" if problem else f" within {_FRAME_WITHIN_S:.0f} s"
    raise CameraError(f"{masked(source)} gave no frame{why}")


def _encoded(frame: Frame, out: Path) -> bytes:
    match frame.image:
        case Unreadable(reason):
            raise CameraError(f"part {frame.part_id} has no picture: {reason}")
        case bytes(data):
            return data
        case pixels:
            done, encoded = cv2.imencode(
                out.suffix.lower(), cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
            )
            if not done:
                raise CameraError(f"part {frame.part_id} cannot be written as {out.suffix}")
            return bytes(encoded)


def _described(frame: Frame) -> str:
    if isinstance(frame.image, np.ndarray):
        height, width = frame.image.shape[:2]
        return f"{width}x{height} pixels"
    return f"{len(frame.image)} bytes as they came" if isinstance(frame.image, bytes) else ""
