"""The measuring protocol, with a clock that the test turns by hand."""

from pathlib import Path

import numpy as np
import pytest

from optimize.latency import device, images_per_variant, measure, samples_for
from tests.optimize.tiny_network import SIZE

FRAMES = np.zeros((3, SIZE, SIZE, 3), np.uint8)


class Machine:
    """A clock and two engines that advance it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[tuple[str, int]] = []

    def clock(self) -> float:
        return self.now


class TimedEngine:
    def __init__(self, machine: Machine, name: str, seconds: float) -> None:
        self._machine, self._own, self._seconds = machine, name, seconds
        self.name = "engine 1.2.3"

    def infer(self, batch: np.ndarray) -> np.ndarray:
        self._machine.now += self._seconds * len(batch)
        self._machine.turns.append((self._own, len(batch)))
        return np.zeros((len(batch), 3), np.float32)

    def close(self) -> None:
        self._seconds = 0.0


def run(samples: int, batches: tuple[int, ...]) -> tuple[Machine, dict, list[int]]:
    machine = Machine()
    engines = {
        "float32": TimedEngine(machine, "float32", 0.010),
        "int8": TimedEngine(machine, "int8", 0.004),
    }
    heard: list[int] = []
    records = measure(
        engines,
        FRAMES,
        threads=2,
        batches=batches,
        samples=samples,
        advanced=heard.append,
        clock=machine.clock,
    )
    return machine, records, heard


def test_records_are_milliseconds_per_image_with_their_circumstances() -> None:
    _, records, _ = run(40, (1, 8))
    assert [(r.batch, r.samples, r.threads) for r in records["int8"]] == [(1, 40, 2), (8, 20, 2)]
    for record in records["int8"]:
        assert record.p50_ms == pytest.approx(4)
        assert record.p99_ms == pytest.approx(4)
        assert (record.engine, record.engine_version) == ("engine", "1.2.3")
        assert record.device
    assert records["float32"][1].p95_ms == pytest.approx(10)


def test_variants_take_turns_batch_by_batch() -> None:
    machine, _, _ = run(5, (1,))
    assert [name for name, _ in machine.turns] == ["float32", "int8"] * 8


def test_few_frames_are_repeated_to_fill_a_batch() -> None:
    machine, _, _ = run(1, (8,))
    assert {size for _, size in machine.turns} == {8}


def test_progress_adds_up_to_what_was_announced() -> None:
    _, _, heard = run(40, (1, 8, 32))
    assert sum(heard) == images_per_variant((1, 8, 32), 40)


def test_large_batches_take_fewer_samples_but_never_a_handful() -> None:
    assert [samples_for(batch, 200) for batch in (1, 8, 32)] == [200, 25, 20]
    assert samples_for(1, 2) == 2


def test_the_device_is_named_as_the_system_names_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name\t: Intel(R) Atom(TM) x6425E\n")
    assert device(cpuinfo) == "Intel(R) Atom(TM) x6425E"


def test_a_device_without_a_name_still_has_one(tmp_path: Path) -> None:
    assert device(tmp_path / "absent")
