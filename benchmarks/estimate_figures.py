"""What networks are estimated to cost, and how far off estimates are, in Markdown from results alone.

Writes nothing: `benchmarks.figures` puts it between the markers of `docs/estimate.md`.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from benchmarks.setting import read_result
from optimize.estimate.layers import Precision


def figures() -> str:
    """The page's tables."""
    made, here = read_result("estimate"), read_result("estimate-cpu")
    return "\n".join([*_backbones(made), "", *_fit(made), "", *_here(here)])


def _backbones(made: dict[str, Any]) -> Iterator[str]:
    yield f"### Six backbones on a {_short(made['device'])}: estimates, not measurements"
    yield ""
    precisions = [precision.value for precision in reversed(Precision)]
    yield (
        f"| {made['side']}x{made['side']}, batch {made['batch']}, ms/image | MMACs | "
        f"{' | '.join(precisions)} |"
    )
    yield "|---" * (2 + len(precisions)) + "|"
    for row in made["backbones"]:
        cells = " | ".join(_cell(row[precision]) for precision in precisions)
        mark = " *" if row["untried"] else ""
        yield f"| {row['network']}{mark} | {row['mmacs']:,} | {cells} |"
    yield ""
    yield (
        f"Estimate, {made['fit']['coverage']:.0%} interval in brackets, bound after it. No "
        f"{_short(made['device'])} was measured. *: has layers of kinds that no published result has "
        "([estimate.json](results/estimate.json), `python -m benchmarks.estimate`)."
    )


def _fit(made: dict[str, Any]) -> Iterator[str]:
    fit = made["fit"]
    yield "### The fit, and what it misses"
    yield ""
    yield (
        f"{fit['results']} results of {fit['networks']} networks: {fit['per_layer_us']:.1f} us a layer, "
        f"{fit['slowdown']:.2f} times the bound, {fit['per_copied_image_us']:.0f} us for each image "
        f"where the harness copies it. A result left out is missed by a factor of "
        f"{fit['point_error']:.2f}, one whose network is left out by {fit['network_error']:.2f} (root "
        f"mean square of logarithms); the interval is the estimate times and over "
        f"{fit['interval_factor']:.2f}. From PaddleClas's results alone, MLPerf's four are predicted "
        f"{', '.join(f'{ratio:.2f}' for ratio in made['mlperf_from_paddleclas'])} times what they are."
    )
    yield ""
    yield "| published | batch | ms per batch | bound | predicted without its network | ratio |"
    yield "|---|---|---|---|---|---|"
    for (network, precision, source), rows in groupby(made["published"], _subject):
        together = list(rows)
        yield (
            f"| {network}, {precision}, {source.partition(',')[0]} | "
            f"{_list(together, lambda row: str(row['batch']))} | "
            f"{_list(together, lambda row: format(row['published_ms'], '.2f'))} | "
            f"{_list(together, lambda row: format(row['bound_ms'], '.2f'))} | "
            f"{_list(together, lambda row: format(_predicted(row), '.2f'))} | "
            f"{_list(together, lambda row: format(row['without_network'], '.2f'))} |"
        )
    odd = made["resnet18_fp16_batch_32"]
    yield ""
    yield (
        f"ResNet-18, FP16, batch 32, is also said to take {odd['published_ms']:.1f} ms. It is not in "
        "the fit, since neither its source nor its harness is known: the fit says "
        f"{odd['predicted_ms']:.1f} ms, and {odd['predicted_with_copies_ms']:.1f} with the frames "
        "copied."
    )


def _here(here: dict[str, Any]) -> Iterator[str]:
    fit, rows = here["fit"], here["networks"]
    yield "### Where we can measure: one thread of a CPU"
    yield ""
    yield "| float32, ONNX Runtime | batch | bound | estimate without it | measured | ratio |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        yield (
            f"| {row['network']} | {row['batch']} | {row['bound_ms']:.1f} | {row['estimate_ms']:.1f} | "
            f"{row['measured_ms']:.1f} | {row['estimate_over_measured']:.2f} |"
        )
    yield ""
    slow = statistics.median(row["wall_ms"] / row["measured_ms"] for row in rows)
    worst = max((row["estimate_over_measured"] for row in rows), key=lambda r: abs(math.log(r)))
    yield (
        f"{here['cpu']}, {here['side']}x{here['side']}, ms/image, each estimate from a fit to the other "
        f"networks alone: {fit['per_layer_us']:.0f} us a layer, {fit['slowdown']:.2f} times the bound. "
        f"Typical miss {fit['network_error']:.2f}, worst {worst:.2f}. The machine's row was measured in "
        f"the same run ({max(here['gflops'].values()):.0f} GFLOPS, {here['gb_per_s']:.0f} GB/s); times "
        f"are CPU time of the thread, since others were at work on the machine (wall clock: {slow:.2f} "
        "times as long) ([estimate-cpu.json](results/estimate-cpu.json), "
        "`python -m benchmarks.estimate_cpu`)."
    )


def _subject(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["network"], row["precision"], row["source"]


def _list(rows: Iterable[dict[str, Any]], written: Callable[[dict[str, Any]], str]) -> str:
    return " / ".join(map(written, rows))


def _predicted(row: dict[str, Any]) -> float:
    return float(row["published_ms"] * row["without_network"])


def _cell(found: dict[str, float]) -> str:
    return (
        f"{found['estimate_ms']:.3f} [{found['low_ms']:.3f}, {found['high_ms']:.3f}], "
        f"{found['bound_ms']:.3f}"
    )


def _short(device: str) -> str:
    return device.removeprefix("NVIDIA ")
