"""The measuring protocol, with a clock that the test turns by hand."""

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.engines.base import Inference
from optimize.latency import Machine, images_per_variant, measure, processor, samples_for
from tests.optimize.tiny_network import SIZE

FRAMES = np.zeros((3, SIZE, SIZE, 3), np.uint8)


class Workshop:
    """A clock that two engines advance."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[tuple[str, int]] = []

    def clock(self) -> float:
        return self.now


class TimedEngine:
    def __init__(self, workshop: Workshop, name: str, seconds: float) -> None:
        self._workshop, self._own, self._seconds = workshop, name, seconds
        self.name = "engine 1.2.3"

    def infer(self, batch: np.ndarray) -> Inference:
        self._workshop.now += self._seconds * len(batch)
        self._workshop.turns.append((self._own, len(batch)))
        return Inference(logits=np.zeros((len(batch), 3), np.float32), features=None)

    def close(self) -> None:
        self._seconds = 0.0


def run(samples: int, batches: tuple[int, ...]) -> tuple[Workshop, dict, list[int]]:
    workshop = Workshop()
    engines = {
        "float32": TimedEngine(workshop, "float32", 0.010),
        "int8": TimedEngine(workshop, "int8", 0.004),
    }
    heard: list[int] = []
    records = measure(
        engines,
        FRAMES,
        threads=2,
        batches=batches,
        samples=samples,
        advanced=heard.append,
        clock=workshop.clock,
    )
    return workshop, records, heard


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
    workshop, _, _ = run(5, (1,))
    assert [name for name, _ in workshop.turns] == ["float32", "int8"] * 8


def test_few_frames_are_repeated_to_fill_a_batch() -> None:
    workshop, _, _ = run(1, (8,))
    assert {size for _, size in workshop.turns} == {8}


def test_progress_adds_up_to_what_was_announced() -> None:
    _, _, heard = run(40, (1, 8, 32))
    assert sum(heard) == images_per_variant((1, 8, 32), 40)


def test_large_batches_take_fewer_samples_but_never_a_handful() -> None:
    assert [samples_for(batch, 3000) for batch in (1, 8, 32)] == [3000, 375, 300]
    assert [samples_for(batch, 200) for batch in (1, 8, 32)] == [200, 25, 20]
    assert samples_for(1, 2) == 2


def test_the_slowest_batch_is_kept_beside_the_percentiles() -> None:
    workshop = Workshop()
    engine = TimedEngine(workshop, "float32", 0.010)
    slow = iter([False] * 10 + [True] + [False] * 200)
    honest = engine.infer

    def stumbling(batch: np.ndarray) -> np.ndarray:
        workshop.now += 0.090 if next(slow) else 0.0
        return honest(batch)

    engine.infer = stumbling  # type: ignore[method-assign]
    records = measure(
        {"float32": engine}, FRAMES, threads=1, batches=(1,), samples=100, clock=workshop.clock
    )
    (record,) = records["float32"]
    assert record.max_ms == pytest.approx(100)
    assert record.p50_ms == pytest.approx(10)
    assert record.p99_ms < 100


def test_a_record_says_what_ran_and_in_which_state() -> None:
    machine = Machine(
        device="T4", driver="550.54", clock_mhz=1590, governor="performance", load=0.1
    )
    workshop = Workshop()
    engines = {"float32": TimedEngine(workshop, "float32", 0.010)}
    records = measure(
        engines, FRAMES, threads=1, batches=(1,), samples=2, clock=workshop.clock, machine=machine
    )
    (record,) = records["float32"]
    assert (record.device, record.driver, record.clock_mhz) == ("T4", "550.54", 1590)
    assert (record.governor, record.load) == ("performance", 0.1)


def test_the_processor_is_named_as_the_system_names_it(tmp_path: Path) -> None:
    cpuinfo, governor = tmp_path / "cpuinfo", tmp_path / "scaling_governor"
    cpuinfo.write_text(
        "processor : 0\nmodel name\t: Intel(R) Atom(TM) x6425E\ncpu MHz\t\t: 1996.25\n\n"
        "processor : 1\nmodel name\t: Intel(R) Atom(TM) x6425E\ncpu MHz\t\t: 800.00\n"
    )
    governor.write_text("powersave\n")
    seen = processor(cpuinfo, governor)
    assert seen.device == "Intel(R) Atom(TM) x6425E"
    assert (seen.clock_mhz, seen.governor) == (1996.25, "powersave")
    assert seen.load is not None


def test_a_processor_without_a_name_still_has_one(tmp_path: Path) -> None:
    seen = processor(tmp_path / "absent", tmp_path / "absent")
    assert seen.device
    assert (seen.clock_mhz, seen.governor) == (None, None)
