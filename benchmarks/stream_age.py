"""How old frames of an RTSP camera are when they arrive: `python -m benchmarks.stream_age`.

GStreamer's RTSP server writes into each picture when it was taken (`tests/rtsp_server.py`; 384x336, 25 a
second, over TCP on loopback), so an age counts encoding, sending, FFmpeg and decoding, and no network.
The sides take turns: OpenCV as it comes, OpenCV as it comes on a machine of 16 cores, and a station's
camera in its own process. "before it was open" are frames that were taken while the stream was being
opened and handed over after it: a station takes them for frames of that moment.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import cv2
import numpy as np

from benchmarks.setting import setting, write_result
from edge_runtime.capture.camera import open_camera
from tests.rtsp_camera import RtspCamera
from tests.rtsp_picture import stamp
from tests.rtsp_server import CODECS

SETTLED_S = 2.0
"""Frames that come so long after the opening are no longer of it."""
Reader = Callable[[], tuple[float, float]]
"""When the next frame was taken and when it arrived, monotonic seconds."""


@contextmanager
def opencv(address: str, threads: int | None = None) -> Iterator[Reader]:
    """`cv2.VideoCapture` and its defaults, but for the number of threads."""
    settings = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, settings)

    def read() -> tuple[float, float]:
        _, image = capture.read()
        return stamp(np.asarray(image, dtype=np.uint8))[1], time.monotonic()

    try:
        yield read
    finally:
        capture.release()


@contextmanager
def station(address: str) -> Iterator[Reader]:
    """As a station reads it."""
    with closing(open_camera(address)) as camera:

        def read() -> tuple[float, float]:
            while (frame := camera.read(1.0)) is None:
                pass
            return stamp(np.asarray(frame.image, dtype=np.uint8))[1], frame.arrived

        yield read


SIDES = {
    "OpenCV": opencv,
    "OpenCV, 16 threads": lambda address: opencv(address, 16),
    "edge-inspect": station,
}


def turn(side: str, address: str, frames: int) -> list[tuple[float, float]]:
    """When each frame was taken and when it arrived, seconds since the stream was open."""
    with SIDES[side](address) as read:
        opened = time.monotonic()
        seen = [read() for _ in range(frames)]
    return [(taken - opened, arrived - opened) for taken, arrived in seen]


def row(turns: list[list[tuple[float, float]]]) -> dict[str, float]:
    """Over all turns; ages in milliseconds."""
    ages = [(a - t) * 1000 for turn in turns for t, a in turn if a > SETTLED_S]
    p50, p99 = np.percentile(ages, (50, 99))
    return {
        "frames_from_before_it_was_open": max(sum(t < 0 for t, _ in turn) for turn in turns),
        "first_frame_age_ms": round(max((turn[0][1] - turn[0][0]) * 1000 for turn in turns), 1),
        "settled_frames": len(ages),
        "age_p50_ms": round(float(p50), 1),
        "age_p99_ms": round(float(p99), 1),
        "age_max_ms": round(max(ages), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=250, help="frames of a turn")
    arguments = parser.parse_args()
    about = setting("numpy", "opencv-python-headless")
    results: dict[str, dict[str, dict[str, float]]] = {}
    for codec in CODECS:
        turns: dict[str, list[list[tuple[float, float]]]] = {side: [] for side in SIDES}
        for number in range(arguments.rounds):
            for side in list(SIDES)[:: 1 if number % 2 else -1]:
                with RtspCamera(codec) as camera:
                    turns[side].append(turn(side, camera.address, arguments.frames))
        results[codec] = {side: row(turns[side]) for side in SIDES}
        for side in SIDES:
            print(f"{codec:<6} {side:<20} {results[codec][side]}")
    path = write_result("stream-age", {**about, "options": vars(arguments), "results": results})
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
