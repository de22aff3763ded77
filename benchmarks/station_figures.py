"""What a station's figures say, in Markdown from the result of `benchmarks.station_latency`.

Writes nothing: `station_figures.figures` is among the `PAGES` of `benchmarks.figures`. What was not
measured yet, or misses its aim, is said so.
"""

from collections.abc import Iterator
from typing import Any, Final

from benchmarks.setting import RESULTS, read_result

NAME: Final = "station-latency"
LEAST_OF_THE_BARE_LOOP: Final = 0.95
MOST_OVER_THE_ENGINE_MS: Final = 10.0


def figures() -> str:
    """All tables of the page."""
    if not (RESULTS / f"{NAME}.json").exists():
        return "Not measured yet: `python -m benchmarks.station_latency` does."
    return "\n".join(told(read_result(NAME)))


def told(result: dict[str, Any]) -> Iterator[str]:
    """The lines for a result."""
    for part in (_latency, _throughput, _growth, _recovery):
        yield from part(result)
        yield ""
    cases = (result["sustained"], *result["paced"], *result["stations"])
    loads = [case["load_before"] for case in cases]
    yield (
        f"On {result['cores']} cores of {result['cpu']}, load {min(loads):.1f} to {max(loads):.1f}, "
        "int8 on ONNX Runtime with one thread, durable journal, private mosquitto "
        f"([{NAME}.json](results/{NAME}.json), `{result['command']}`)."
    )


def _latency(result: dict[str, Any]) -> Iterator[str]:
    yield "| parts/s, cameras | to the decision: p50, p99, p99.9 ms | engine alone | CPU ms/part |"
    yield "|---|---|---|---|"
    for case in result["paced"]:
        yield (
            f"| {case['rate']:g}, {case['cameras']} | {_row(case['arrival_to_decision_ms'])} | "
            f"{_row(case['bare_engine_ms'])} | {case['cpu_ms_per_part']:.1f} |"
        )
    yield ""
    for case in result["paced"]:
        ours, alone = case["arrival_to_decision_ms"]["p99"], case["bare_engine_ms"]
        bare = None if alone is None else alone["p99"]
        if case["rate"] == 10 and ours is not None and bare is not None:
            yield (
                f"At 10 parts/s the p99 is {ours - bare:.1f} ms over that of the engine alone; the aim, "
                f"{MOST_OVER_THE_ENGINE_MS:g} ms, is {_met(ours - bare <= MOST_OVER_THE_ENGINE_MS)}. "
                "5 ms of it are the batch's wait for company (`max_wait_ms`)."
            )
    yield "From a frame's arrival; a dash where there were too few parts for the percentile."


def _throughput(result: dict[str, Any]) -> Iterator[str]:
    case, gaps = result["sustained"], result["sustained"]["gaps"]
    over = case["daemon_over_bare"]
    yield (
        f"As fast as it goes: {case['parts_per_s']:.0f} parts/s, {over['median']:.2f} "
        f"({over['low']:.2f} to {over['high']:.2f}) of the bare engine's loop, in turns; the aim, "
        f"{LEAST_OF_THE_BARE_LOOP}, is {_met(over['median'] >= LEAST_OF_THE_BARE_LOOP)}. Of each part's "
        f"time the inspecting thread is {gaps['inference_ms']:.2f} ms in the engine and "
        f"{gaps['between_ms']:.2f} ms between two inferences, {gaps['between_cpu_ms']:.2f} ms of it at "
        f"work; all other threads take {gaps['other_threads_cpu_ms']:.2f} ms of CPU."
    )


def _growth(result: dict[str, Any]) -> Iterator[str]:
    yield (
        "| stations, 1 part/s each | p50, p99, p99.9 ms | CPU ms/part | cores in use | "
        "broker's CPU ms/part | MB each |"
    )
    yield "|---|---|---|---|---|---|"
    for case in result["stations"]:
        yield (
            f"| {case['stations']} | {_row(case['arrival_to_decision_ms'])} | "
            f"{case['cpu_ms_per_part']:.1f} | {case['cpu_cores']:.2f} | "
            f"{case['broker_cpu_ms_per_part']:.2f} | {case['memory_mb_per_station']:.0f} |"
        )
    yield ""
    yield "Memory is the proportional set size: pages that several stations share count once in all."


def _recovery(result: dict[str, Any]) -> Iterator[str]:
    case = result["recovery"]
    yield (
        f"Until verdicts flow again: {_span(case['camera_process_killed_s'])} s after the camera's "
        f"process was killed ({case['source']}), {_span(case['broker_back_s'])} s after a broker that "
        f"was away for {case['broker_away_s']:g} s is back."
    )


def _row(found: dict[str, float | None] | None) -> str:
    if found is None:
        return ""
    values = [found[name] for name in ("p50", "p99", "p99.9")]
    return ", ".join("-" if value is None else f"{value:.1f}" for value in values)


def _span(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def _met(met: bool) -> str:
    return "met" if met else "missed"
