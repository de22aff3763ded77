"""What keeping samples costs, and whether a long run stays small: `python -m benchmarks.sample_keeping`.

Microseconds a part on the station's thread; a million parts through rules and disk, with a small quota,
watching memory and bytes on disk; and the daemon with and without samples, the same crops and broker,
taking turns. Throughput is what a subscriber at the MES sees.
"""

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2

from benchmarks.daemon_turns import on_and_off
from benchmarks.line_speed import write_crops
from benchmarks.setting import setting, write_result
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.inspection import Answered
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import Folder
from edge_runtime.samples.rules import Rules
from tests.edge_runtime.samples.parts import BEGAN, MODEL, part, picture

_QUOTA = 5_000_000
_LOOK_EVERY = 10_000
_PER_S = 10.0
"""Parts a second of the long run: a million are 28 hours."""


def parts(count: int) -> Iterator[Answered]:
    """A line on which one part in 20 is for review, one in 100 a defect, and every picture differs."""
    draw = random.Random(1)
    pool = [
        part(
            seq,
            image=cv2.imencode(".jpg", picture(seq), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes(),
        )
        for seq in range(1, 2001)
    ]
    for seq in range(1, count + 1):
        drawn, like = draw.random(), pool[seq % len(pool)]
        outcome, defect = (
            (Outcome.REVIEW, 0.5)
            if drawn < 0.05
            else (Outcome.DEFECT, 0.99)
            if drawn < 0.06
            else (Outcome.OK, 0.01)
        )
        label = "no_defect" if outcome is Outcome.OK else draw.choice(("crack", "stain"))
        at = BEGAN + timedelta(seconds=seq / _PER_S)
        update = {
            "seq": seq,
            "result_id": f"{like.verdict.boot_id}:{seq}",
            "captured_at": at,
            "decided_at": at,
            "verdict": outcome,
            "label": label,
            "scores": {"no_defect": 1 - defect, "crack": defect * 0.9, "stain": defect * 0.1},
        }
        view = replace(like.views[0], decided=seq / _PER_S)
        yield Answered(verdict=like.verdict.model_copy(update=update), views=(view,))


def microseconds(repeats: int) -> float:
    """Of the rules on a plain good part, median over rounds."""
    rules = Rules(MODEL)
    some = [each for each in parts(2000) if each.verdict.verdict is Outcome.OK]
    found = []
    for _ in range(repeats):
        began = time.process_time()
        for each in some:
            rules.claims(each)
        found.append((time.process_time() - began) / len(some) * 1e6)
    return statistics.median(found)


def long_run(folder: Path, count: int) -> dict[str, object]:
    """Memory and disk while `count` parts pass."""
    collection = Collection(Folder(folder), quota=_QUOTA, least_free=0)
    collection.open()
    rules = Rules(MODEL)
    wanted = highest = 0
    resident = []
    for number, answered in enumerate(parts(count), start=1):
        if claims := rules.claims(answered):
            wanted += 1
            collection.keep(answered, claims, None)
        if number % _LOOK_EVERY == 0:
            with os.scandir(folder) as files:
                highest = max(highest, sum(file.stat().st_size for file in files))
            resident.append(_resident_mb())
    half = len(resident) // 2
    return {
        "parts": count,
        "wanted_by_a_rule": wanted,
        "samples_at_the_end": len(collection),
        "quota_bytes": _QUOTA,
        "highest_bytes_on_disk": highest,
        "resident_mb_at_the_half": resident[half],
        "resident_mb_at_the_end": resident[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    about = setting("onnxruntime", "numpy", "opencv-python-headless", "paho-mqtt")
    folder = Path(tempfile.mkdtemp(prefix="sample-keeping-"))
    try:
        cost = microseconds(15)
        long = long_run(folder / "samples", arguments.parts)
        (crops := folder / "crops").mkdir()
        write_crops(crops, arguments.frames)
        daemons = on_and_off(
            *(crops, arguments.frames),
            on=["--samples-mb", "1000"],
            off=["--samples-mb", "0"],
            rounds=arguments.rounds,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "rules_us_per_part": cost,
        "long_run": long,
        **daemons,
    }
    for key in list(result)[len(about) + 1 : -1]:
        print(f"{key:<24} {result[key]}")
    print(f"written to {os.path.relpath(write_result('sample-keeping', result))}")


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    main()
