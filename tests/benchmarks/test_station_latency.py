"""The benchmark of a station: real daemons on a real broker, in small; what is kept, told and caught."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.paced_stations import KINDS, all_there, paced
from benchmarks.running_stations import FLAGS, Stations, percentiles, write_parts
from benchmarks.station_figures import told
from benchmarks.station_latency import measured
from edge_runtime.mes.private_broker import PrivateBroker, find_mosquitto


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_two_stations_answer_every_part_and_their_cost_is_counted(tmp_path: Path) -> None:
    recording = write_parts(tmp_path / "parts", rate=50.0, count=40)
    with (
        PrivateBroker() as broker,
        Stations(broker.address, [("--source", f"recording:{recording}")] * 2, FLAGS) as stations,
    ):
        stations.listen(parts=10)
        before = stations.usage()
        assert before.cpu_s > 0
        assert before.memory_mb > 20
        stations.wait()
    all_there(stations.parts, 2, 40)
    inspected = [part for part in stations.parts if part.inspected]  # a busy machine may shed some
    assert inspected
    assert all(part.decision >= part.infer > 0 for part in inspected)
    with pytest.raises(SystemExit, match="80 parts went in, 79 verdicts came out"):
        all_there(stations.parts[1:], 2, 40)


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_a_part_that_is_announced_waits_for_its_camera_too(tmp_path: Path) -> None:
    with PrivateBroker() as broker:
        rows = paced(broker.address, tmp_path, (KINDS[0], KINDS[2]), rate=20.0, seconds=3.0)

    arrives, announced = rows
    assert (arrives["begins"], announced["begins"]) == ("arrives", "announced")
    assert arrives["to_decision_ms"] == arrives["from_arrival_ms"]
    for name in ("p50", "max"):
        assert announced["to_decision_ms"][name] > announced["from_arrival_ms"][name] > 0
    assert announced["beside"] == 1
    assert min(row["cpu_ms_per_part"] for row in rows) > 0


def test_a_run_that_was_stopped_goes_on_with_the_next_case(tmp_path: Path) -> None:
    done: list[str] = []

    def case(name: str, *, breaks: bool = False) -> Any:
        def measure() -> dict[str, Any]:
            if breaks:
                raise SystemExit("stopped")
            done.append(name)
            return {"value": name}

        return measure

    kept = tmp_path / "cases.json"
    with pytest.raises(SystemExit):
        measured({"a": case("a"), "b": case("b", breaks=True)}, kept)
    found = measured({"a": case("a"), "b": case("b")}, kept)
    assert done == ["a", "b"]
    assert [found[name]["value"] for name in "ab"] == ["a", "b"]
    assert json.loads(kept.read_text()) == found


def test_a_percentile_needs_parts_enough() -> None:
    few, many = percentiles([1.0] * 99), percentiles([1.0] * 1000)
    assert (few["p50"], few["p99"], few["p99.9"], few["parts"]) == (1.0, None, None, 99)
    assert None not in many.values()


def test_what_misses_its_aim_is_said_to() -> None:
    def row(p99: float) -> dict[str, float | None]:
        return {"p50": 5.0, "p99": p99, "p99.9": None, "max": p99 + 1, "parts": 500}

    def result(over: float, p99: float) -> dict[str, Any]:
        return {
            "cores": 2,
            "cpu": "a processor",
            "command": "python -m benchmarks.station_latency",
            "engine": [{"rate": 10.0, "bare_engine_ms": row(6.0)}],
            "paced": [
                {
                    "begins": "arrives",
                    "rate": 10.0,
                    "cameras": 1,
                    "beside": 0,
                    "to_decision_ms": row(p99),
                    "from_arrival_ms": row(p99),
                    "cpu_ms_per_part": 7.0,
                    "load_before": 0.1,
                }
            ],
            "sustained": {
                "parts_per_s": 140.0,
                "daemon_over_bare": {"median": over, "low": over, "high": over},
                "bare_beside_a_busy_core_over_bare": {"median": 0.9, "low": 0.8, "high": 1.0},
                "gaps": dict.fromkeys(
                    ("inference_ms", "between_ms", "between_cpu_ms", "other_threads_cpu_ms"), 1.0
                ),
                "load_before": 0.2,
            },
            "stations": [],
            "recovery": {
                "source": "a camera",
                "camera_process_killed_s": [1.0, 2.0],
                "broker_back_s": [1.0],
                "broker_away_s": 2.0,
            },
        }

    good, bad = ("\n".join(told(result(*each))) for each in ((0.96, 15.0), (0.9, 17.0)))
    assert "0.95, is met" in good
    assert "10 ms, is met" in good
    assert "0.95, is missed" in bad
    assert "11.0 ms over that of the engine alone; the aim, 10 ms, is missed" in bad
    assert "| arrives | 10 | 1 | 5.0, 15.0, - (longest of 500: 16.0) |" in good
