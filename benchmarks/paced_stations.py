"""Stations that get parts at an even pace: how long a part waits for its decision, and what it costs.

A part begins in one of two ways:

- its frame **arrives**, as from a camera on a hardware trigger: a recording is played at its pace, each
  frame is a part, and time runs from the frame's arrival;
- it is **announced** over MQTT while cameras run freely (MJPEG over HTTP): its frames are the first that
  each camera exposed afterwards, and time runs from before the message is sent until its verdict is
  heard, less what the verdict says passed between decision and sending. So the broker's way, twice, and
  the wait for the cameras' next frame are in it.

Several stations may be measured beside each other, each with its own kind and its own parts.
"""

import random
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.picture_stream import picture_stream
from benchmarks.running_stations import (
    FLAGS,
    SITE,
    Part,
    Stations,
    percentiles,
    write_parts,
)
from edge_runtime.mes.address import MqttAddress, parse_address

CAMERA_RATE = 61.0
"""Frames a second of a camera that runs freely: no multiple of any rate of parts."""
WARM_UP_S = 3.0
"""The first parts of a run are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How the parts of a station begin."""

    announced: bool
    """Over MQTT; else with the arrival of their frame."""
    cameras: int
    """That share the engine. Of an announced part each gives a view, else the rate is that of all
    together."""

    def __str__(self) -> str:
        return f"{'announced' if self.announced else 'arriving'} {self.cameras}"


KINDS = tuple(Kind(announced=a, cameras=c) for a in (False, True) for c in (1, 4))


def paced(
    broker: str, work: Path, kinds: Sequence[Kind], *, rate: float, seconds: float
) -> list[dict[str, Any]]:
    """One station of each kind, beside each other, at `rate` parts a second; a row for each."""
    count = int(rate * (WARM_UP_S + seconds))
    warm = max(1, min(int(rate * WARM_UP_S), count // 4))
    with ExitStack() as stack:
        sources = [stack.enter_context(_source(kind, work, rate, count)) for kind in kinds]
        stations = stack.enter_context(Stations(broker, sources, FLAGS))
        stations.listen(until=lambda: len(stations.online) == len(kinds))
        lines = [f"L01/S{number + 1}" for number in range(len(kinds))]
        sent = {
            line: stack.enter_context(_announced(broker, line, rate, count))
            if kind.announced
            else {}
            for kind, line in zip(kinds, lines, strict=True)
        }
        stations.listen(parts=warm * len(kinds))
        before, began = stations.usages(), time.monotonic()
        stations.listen(for_s=0.9 * seconds)
        after, took_s = stations.usages(), time.monotonic() - began
        stations.listen(parts=count * len(kinds))
        stations.wait()
    rows = []
    for number, (kind, line) in enumerate(zip(kinds, lines, strict=True)):
        own = [part for part in stations.parts if part.station == line.partition("/")[2]]
        all_there(own, 1, count)
        measured = [part for part in own if part.seq > warm]
        cpu_s = after[number].cpu_s - before[number].cpu_s
        rows.append(
            {
                "begins": "announced" if kind.announced else "arrives",
                "rate": rate,
                "cameras": kind.cameras,
                "beside": len(kinds) - 1,
                "to_decision_ms": percentiles(
                    [_to_decision_ms(part, sent[line]) for part in measured if part.inspected]
                ),
                "from_arrival_ms": percentiles(
                    [part.decision for part in measured if part.inspected]
                ),
                "decision_to_broker_ms": percentiles([part.published for part in measured]),
                "cpu_ms_per_part": cpu_s / took_s / rate * 1000,
                "not_inspected": sum(not part.inspected for part in measured),
            }
        )
    return rows


def all_there(parts: Sequence[Part], stations: int, count: int) -> None:
    """Ends the program where a part that went in has no verdict."""
    found = {(part.station, part.seq) for part in parts}
    if len(found) != stations * count:
        raise SystemExit(f"{stations * count} parts went in, {len(found)} verdicts came out")


def _to_decision_ms(part: Part, sent: dict[str, float]) -> float:
    if not sent:
        return part.decision
    return (part.heard - sent[part.part_id]) * 1000 - part.published


@contextmanager
def _source(kind: Kind, work: Path, rate: float, count: int) -> Iterator[list[str]]:
    """The words of the command line for a station's cameras, which are there meanwhile."""
    with ExitStack() as stack:
        given = []
        folders = [work / f"parts-{camera}-of-{kind}" for camera in range(kind.cameras)]
        for camera, folder in enumerate(folders):
            shutil.rmtree(folder, ignore_errors=True)
            if kind.announced:
                write_parts(folder, rate=rate, count=50)
                pictures = [file.read_bytes() for file in sorted((folder / "frames").iterdir())]
                given.append(stack.enter_context(picture_stream(pictures, CAMERA_RATE)))
            else:
                share = count // kind.cameras + (camera < count % kind.cameras)
                write_parts(folder, rate=rate / kind.cameras, count=share, prefix=f"C{camera}")
                given.append(f"recording:{folder}")
        words = list(chain.from_iterable(("--source", source) for source in given))
        if kind.announced:
            words += ["--trigger", "mqtt", "--frames", str(count)]
        yield words


@contextmanager
def _announced(broker: str, line: str, rate: float, count: int) -> Iterator[dict[str, float]]:
    """Announces parts at a pace; when each was sent, monotonic seconds, by its name."""
    address = parse_address(broker)
    if not isinstance(address, MqttAddress):
        raise SystemExit(f"{broker} is no broker that could be measured")
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(address.host, address.port)
    client.loop_start()
    sent: dict[str, float] = {}
    over, draw = threading.Event(), random.Random(1)
    # Else few parts a second would always find the camera in the same moment of its own pace.
    scatter_s = 1 / CAMERA_RATE if rate < CAMERA_RATE / 3 else 0.0

    def announce() -> None:
        began = time.monotonic()
        for number in range(count):
            due = began + number / rate + draw.uniform(0, scatter_s)
            if over.wait(max(0.0, due - time.monotonic())):
                return
            sent[name := f"P-{number:06}"] = time.monotonic()
            client.publish(f"inspection/{SITE}/{line}/trigger", f'{{"part_id": "{name}"}}', qos=1)

    thread = threading.Thread(target=announce, name="announcer")
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()
        client.loop_stop()
        client.disconnect()
