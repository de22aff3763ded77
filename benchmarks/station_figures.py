"""What a station's figures say, in Markdown from the result of `benchmarks.station_latency`.

Writes nothing: `station_figures.figures` is among the `PAGES` of `benchmarks.figures`. What was not
measured yet, or misses its aim, is said so.
"""

from collections.abc import Iterator
from typing import Any, Final

from benchmarks.paced_stations import CAMERA_RATE
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
    alone = {case["rate"]: case["bare_engine_ms"] for case in result["engine"]}
    yield (
        "| a part | parts/s | cameras | trigger to decision: p50, p99, p99.9 ms | of which from the "
        "frame's arrival | engine alone | CPU ms/part |"
    )
    yield "|---|---|---|---|---|---|---|"
    for case in result["paced"]:
        announced = case["begins"] == "announced"
        yield (
            f"| {case['begins']} | {case['rate']:g} | {case['cameras']} | "
            f"{_row(case['to_decision_ms'])} | "
            f"{_row(case['from_arrival_ms']) if announced else ''} | "
            f"{_row(alone[case['rate']])} | {case['cpu_ms_per_part']:.1f} |"
        )
    yield ""
    for case in result["paced"]:
        ours, bare = case["to_decision_ms"]["p99"], alone[case["rate"]]["p99"]
        if (case["begins"], case["rate"], case["cameras"]) == ("arrives", 10, 1):
            over = ours - bare
            yield (
                f"At 10 parts/s the p99 is {over:.1f} ms over that of the engine alone; the aim, "
                f"{MOST_OVER_THE_ENGINE_MS:g} ms, is {_met(over <= MOST_OVER_THE_ENGINE_MS)}. "
                "5 ms of it are the batch's wait for company (`max_wait_ms`)."
            )
    beside = max(case["beside"] for case in result["paced"])
    yield (
        "A part that arrives is a frame, as from a camera on a hardware trigger. One that is announced "
        f"is a message on `.../trigger`, and its frames are the next of cameras that run at "
        f"{CAMERA_RATE:g} frames a second (MJPEG over HTTP): up to {1000 / CAMERA_RATE:.0f} ms of it "
        "are the wait for the camera, and its CPU is that of all the frames between. With four cameras "
        "a part that is announced has four frames, a part that arrives one frame of one of them. A "
        "dash: too few parts for the percentile. "
        f"The {beside + 1} stations with 1 part/s ran beside each other."
    )


def _throughput(result: dict[str, Any]) -> Iterator[str]:
    case, gaps = result["sustained"], result["sustained"]["gaps"]
    over, machine = case["daemon_over_bare"], case["bare_beside_a_busy_core_over_bare"]
    yield (
        f"As fast as it goes: {case['parts_per_s']:.0f} parts/s, {_interval(over)} of the bare engine's "
        f"loop, in turns; the aim, {LEAST_OF_THE_BARE_LOOP}, is "
        f"{_met(over['median'] >= LEAST_OF_THE_BARE_LOOP)}. The control: the bare loop itself comes to "
        f"{_interval(machine)} of its own rate while a process that shares nothing with it keeps this "
        f"machine's other core busy. Of each part's time the inspecting thread is "
        f"{gaps['inference_ms']:.2f} ms in the engine and {gaps['between_ms']:.2f} ms between two "
        f"inferences, {gaps['between_cpu_ms']:.2f} ms of it at work; all other threads take "
        f"{gaps['other_threads_cpu_ms']:.2f} ms of CPU."
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


def _interval(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def _row(found: dict[str, float | None]) -> str:
    values = [found[name] for name in ("p50", "p99", "p99.9")]
    told = ", ".join("-" if value is None else f"{value:.1f}" for value in values)
    if found["p99"] is None or found["p99.9"] is not None:
        return told
    return f"{told} (longest of {found['parts']:.0f}: {found['max']:.1f})"


def _span(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def _met(met: bool) -> str:
    return "met" if met else "missed"
