"""The daemon with one of its features on and off, in turns: what the feature costs as a whole.

Owns the turns and the form in which a result holds them. The order is drawn anew each round; ratios are
made round by round. Throughput is what a subscriber at the MES sees; memory is the daemon's peak.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.line_speed import daemon
from benchmarks.turns import ratio
from edge_runtime.mes.private_broker import PrivateBroker

_FIGURES = ("images_per_s", "cpu_ms_per_image", "peak_rss_mb")


def on_and_off(
    crops: Path,
    frames: int,
    *,
    on: Sequence[str],
    off: Sequence[str],
    rounds: int,
) -> dict[str, object]:
    """Ratios of throughput and CPU time, on over off, and the rounds that they come from.

    `on` and `off` are the flags of the daemon that make the difference; `crops` holds `frames` files.
    """
    sides: Mapping[str, Sequence[str]] = {"on": on, "off": off}
    rows: dict[str, list[float]] = {f"{name}_{side}": [] for name in _FIGURES for side in sides}
    draw = random.Random(1)
    with PrivateBroker() as broker:
        for _ in range(rounds):
            for side in draw.sample(list(sides), 2):
                seen = daemon(
                    *(crops, frames, broker.address, "int8", "onnxruntime", 8, 1),
                    flags=sides[side],
                )
                seen["cpu_ms_per_image"] = seen["cpu_s"] / frames * 1e3
                for name in _FIGURES:
                    rows[f"{name}_{side}"].append(seen[name])
    return {
        "throughput_on_over_off": asdict(ratio(rows["images_per_s_on"], rows["images_per_s_off"])),
        "cpu_on_over_off": asdict(ratio(rows["cpu_ms_per_image_on"], rows["cpu_ms_per_image_off"])),
        "rounds": rows,
    }
