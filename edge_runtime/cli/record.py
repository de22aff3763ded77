"""`edge-inspect record --source S --out FOLDER`: a session of any source, to be replayed later."""

import argparse
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.cameras.address import masked
from edge_runtime.cameras.base import CameraSource, EndOfStream
from edge_runtime.cameras.recording import RecordingWriter
from edge_runtime.cameras.sources import parse_source
from edge_runtime.capture.camera import open_camera
from edge_runtime.cli.run import stop_on_signals
from edge_runtime.errors import CameraError, UsageError

NAME = "record"
HELP = "record a source's frames and their timing, to be replayed as recording:FOLDER"

_EPILOG = """\
examples:
  edge-inspect record --source rtsp://camera/stream --out shift-3 --seconds 600
  edge-inspect record --source 'simulated:gen3?seed=7&rate=20' --out session --frames 200
  edge-inspect --station L07-S3 --bundle demo --source 'recording:session?speed=2'

Frames are kept as the station would get them: the bytes of files untouched, damaged or not, pixels as
PNG without loss. It ends at the first limit, with the source, or at Ctrl-C or SIGTERM; whatever ends it,
what is there can be replayed. A watched folder keeps its files.
"""
_POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """When a recording ends by itself; None for never."""

    frames: int | None
    seconds: float | None
    size: int
    """Bytes of images."""

    def reached(self, writer: RecordingWriter, seconds: float) -> str | None:
        """Which one is, in words."""
        if self.frames is not None and writer.frames >= self.frames:
            return "as many as were asked for"
        if self.seconds is not None and seconds >= self.seconds:
            return "as long as was asked for"
        if writer.size >= self.size:
            return f"the limit of {self.size / 1e6:g} MB is reached (--megabytes)"
        return None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--source", required=True, help="as for a station: opencv:0, gige:SERIAL, ..."
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="a new or empty folder"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="end after N frames")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after S seconds")
    parser.add_argument(
        "--megabytes",
        type=float,
        default=2000.0,
        metavar="M",
        help="end when the images take so much room (default 2000)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Record; returns 0."""
    for name in ("frames", "seconds", "megabytes"):
        value = getattr(arguments, name)
        if value is not None and not value > 0:
            raise UsageError(f"--{name} {value} leaves nothing to record: give more than 0")
    limits = _Limits(
        frames=arguments.frames,
        seconds=arguments.seconds,
        size=round(arguments.megabytes * 1_000_000),
    )
    source, out = arguments.source, arguments.out
    simulated = parse_source(source).simulated
    with (
        stop_on_signals() as stop,
        closing(open_camera(source)) as camera,
        RecordingWriter(out, source=masked(source), is_simulated=simulated) as writer,
    ):
        began = time.monotonic()
        why = _record(camera, writer, limits, stop)
        seconds, lost = time.monotonic() - began, camera.state.lost
    if not writer.frames:
        raise CameraError(f"{masked(source)} gave no frame ({why}): {out} holds an empty recording")
    print(f"{out}: {writer.frames} frames in {seconds:.1f} s, {writer.size / 1e6:.1f} MB; {why}")
    if lost:
        print(f"{lost} frames came while nobody could take them, and are lost", file=sys.stderr)
    return 0


def _record(
    camera: CameraSource, writer: RecordingWriter, limits: _Limits, stop: threading.Event
) -> str:
    """Until a limit is reached, the source ends or somebody stops it: which of them, in words."""
    began = time.monotonic()
    while not stop.is_set():
        why = limits.reached(writer, time.monotonic() - began)
        if why is not None:
            return why
        try:
            frame = camera.read(_POLL_S)
        except EndOfStream:
            return "the source has ended"
        if frame is not None:
            writer.add(frame)
    return "stopped"
