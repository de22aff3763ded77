"""A station whose engine is too slow for its camera: latency stays bounded, and it recovers by itself.

The camera exposes on time whether or not anybody reads, as a real one does. Times are counted in
inferences of the slowed engine, so that a busy machine does not turn a verdict.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.assembly import station as assembly
from edge_runtime.assembly.station import open_station
from edge_runtime.cameras.base import WELL, EndOfStream
from edge_runtime.config import StationConfig
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.inspection import Answered, Judgement
from tests.tiny_bundle import GREEN, colour

EACH_S = 0.02
"""What the slowed engine takes for a frame: 50 a second."""
SUSTAINABLE = 1 / EACH_S
OVERLOADED_S = 2.0
DEADLINE_S = 0.5


@dataclass
class PacedCamera:
    """Frames at a rate that changes at given moments; what is read late was exposed on time."""

    phases: Sequence[tuple[float, float]]
    """Duration in seconds, frames per second."""
    state: Any = WELL
    exposures: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        at = time.monotonic()
        for duration_s, rate in self.phases:
            self.exposures += [at + number / rate for number in range(int(duration_s * rate))]
            at += duration_s
        self.exposures.reverse()
        self.pixels = colour(*GREEN)

    def read(self, timeout_s: float) -> Frame | None:
        if not self.exposures:
            raise EndOfStream
        wait_s = self.exposures[-1] - time.monotonic()
        if wait_s > timeout_s:
            time.sleep(timeout_s)
            return None
        time.sleep(max(0.0, wait_s))
        return Frame(
            part_id=f"part-{len(self.exposures)}",
            captured_at=datetime.now(UTC),
            arrived=self.exposures.pop(),
            image=self.pixels,
        )

    def close(self) -> None:
        self.exposures.clear()


@dataclass
class Recorder:
    views: list[Judgement] = field(default_factory=list)

    def observe(self, parts: Sequence[Answered]) -> None:
        self.views += [view for part in parts for view in part.views]

    def slowest_s(self) -> float:
        return max(view.decided - view.frame.arrived for view in self.views)


@pytest.fixture
def overloaded(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Health, Recorder]]:
    """Runs a station at three times what its engine can do, then at half of it."""
    infer = OnnxRuntimeEngine.infer

    def slow(self: OnnxRuntimeEngine, batch: np.ndarray) -> Any:
        time.sleep(EACH_S * len(batch))
        return infer(self, batch)

    def run(deadline_ms: float) -> tuple[Health, Recorder]:
        config = StationConfig(
            station="L07-S3",
            bundle=str(make_bundle()),
            source="opencv:0",
            broker="memory://overload",
            state_dir=tmp_path / "state",
            deadline_ms=deadline_ms,
        )
        camera = PacedCamera([(OVERLOADED_S, 3 * SUSTAINABLE), (1.5, SUSTAINABLE / 2)])
        monkeypatch.setattr(assembly, "open_camera", lambda _: camera)
        recorder = Recorder()
        with open_station(config) as station:
            monkeypatch.setattr(OnnxRuntimeEngine, "infer", slow)
            station._committer._observers += (recorder,)
            return station.run(threading.Event()), recorder

    return run


def test_latency_stays_bounded_at_three_times_the_sustainable_rate_and_recovers(
    overloaded: Callable[..., tuple[Health, Recorder]],
) -> None:
    health, recorder = overloaded(deadline_ms=DEADLINE_S * 1000)
    reasons = [view.decision.reason for view in recorder.views]
    assert health.frames == sum(health.verdicts.values()) == len(recorder.views)
    assert recorder.slowest_s() < 2 * DEADLINE_S
    # On a busy machine the engine may have some of them when their time is over.
    unseen = [reason for reason in reasons if reason is not None]
    assert all(reason.startswith(("overload: ", "engine: no answer")) for reason in unseen)
    assert health.shed == sum(reason.startswith("overload: ") for reason in unseen)
    assert len(unseen) == health.verdicts[Outcome.NOT_INSPECTED]
    # A third could be inspected at the best.
    overload = int(OVERLOADED_S * 3 * SUSTAINABLE)
    inspected = sum(reason is None for reason in reasons[:overload])
    assert inspected > overload / 3 / 3, "the engine is kept busy meanwhile"
    assert health.shed > overload / 3
    assert not any(reasons[-int(SUSTAINABLE / 2) :]), "it recovers without a restart"


def test_control_without_shedding_the_same_overload_exceeds_the_bound(
    overloaded: Callable[..., tuple[Health, Recorder]],
) -> None:
    health, recorder = overloaded(deadline_ms=0)
    assert health.shed == 0
    assert recorder.slowest_s() > 3 * DEADLINE_S
