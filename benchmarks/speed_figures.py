"""How fast our int8 is beside what else there is, and what a build costs, in Markdown from the results.

Writes nothing: put `speed_figures.figures` among the `PAGES` of `benchmarks.figures`, under the page
that holds the markers. What misses its aim is said to miss it.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks.contenders import OTHERS
from benchmarks.setting import read_result
from benchmarks.turns import Ratio


def figures() -> str:
    """The comparison of engines, then the cost of `optimize build`."""
    return "\n".join([*_speed(read_result("engine-speed")), "", *_cost(read_result("build-cost"))])


def _speed(result: dict[str, Any]) -> Iterator[str]:
    yield f"| batch, threads | ours: ms/image, engine | {' | '.join(OTHERS)} |"
    yield "|---" * (len(OTHERS) + 2) + "|"
    for record in result["settings"]:
        ours = record["ours"]
        cells = " | ".join(str(Ratio(**record["times_as_fast_as"][name])) for name in OTHERS)
        yield (
            f"| {record['batch']}, {record['threads']} | {record['ms_per_image'][ours]:.2f}, "
            f"{ours.removeprefix('ours in ')} | {cells} |"
        )
    yield ""
    yield (
        "By CPU time of one thread, in which other work on the machine hardly counts (threads that spin "
        "while they wait would count, so there is no such figure of two):"
    )
    yield ""
    yield f"| batch, 1 thread | {' | '.join(OTHERS)} |"
    yield "|---" * (len(OTHERS) + 1) + "|"
    for record in result["settings"]:
        if record["threads"] == 1:
            by_cpu = record["times_as_fast_as_by_cpu_time"]
            cells = " | ".join(str(Ratio(**by_cpu[name])) for name in OTHERS)
            yield f"| {record['batch']} | {cells} |"
    yield ""
    yield from _words(result)


def _words(result: dict[str, Any]) -> Iterator[str]:
    verdicts = result["verdicts"]
    changed = ", ".join(f"{name} {count}" for name, count in verdicts["changed"].items())
    loads = [record["load"] for record in result["settings"]]
    yield (
        f"How many times as fast ours is as each, in one run: medians of {result['rounds']} rounds in "
        f"which each takes a turn in its own process, with 95 % intervals; lite0 at {result['side']} "
        f"px on {result['cores']} cores of {result['cpu']}, load {min(loads):.1f} to {max(loads):.1f} "
        "([engine-speed.json](results/engine-speed.json), `python -m benchmarks.engine_speed`). "
        f"Verdicts changed against float32 on {verdicts['images']} calibration images: {changed}."
    )
    missed = [
        f"{name} at batch {record['batch']} with {record['threads']} thread"
        f"{'s' * (record['threads'] > 1)}"
        for record in result["settings"]
        for name, met in record["aims_met"].items()
        if not met
    ]
    yield ""
    yield (
        "The aims, held against the medians, are 8 times PyTorch eager, 2 times ONNX Runtime float32, "
        "and at most 10 % slower than the best of the others: "
        + (f"missed against {', '.join(missed)}." if missed else "met in every setting.")
    )


def _cost(result: dict[str, Any]) -> Iterator[str]:
    yield "| `optimize build --int8`, validation images | seconds | CPU seconds | peak RSS |"
    yield "|---|---|---|---|"
    for case in result["builds"]:
        yield (
            f"| {case['validation_images']:,} | {case['seconds']:.0f} | {case['cpu_seconds']:.0f} | "
            f"{case['peak_rss_mb']:,.0f} MB |"
        )
    yield ""
    yield (
        f"Tenfold validation images take {result['tenfold_mb']:.1f} MB more; kept in memory they would "
        f"take {result['tenfold_if_kept_mb']:,.0f} MB. A command that builds nothing peaks at "
        f"{result['without_a_build']['peak_rss_mb']:,.0f} MB "
        "([build-cost.json](results/build-cost.json), `python -m benchmarks.build_cost`)."
    )
