"""Engines that fail and lie: no part is called good, every part is answered, and it heals by itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import policy
from edge_runtime.assembly import engine as assembly
from edge_runtime.assembly.station import open_station
from edge_runtime.cli.main import main
from edge_runtime.config import StationConfig
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.verdict import Outcome, VerdictMessage
from edge_runtime.engines import recovering
from edge_runtime.engines.base import Inference
from edge_runtime.engines.null import NullEngine
from edge_runtime.engines.recovering import RecoveringEngine
from edge_runtime.errors import BundleError, EngineError
from edge_runtime.mes.base import Message
from edge_runtime.mes.links import open_subscriber
from edge_runtime.station import Station
from tests.faults.belongings import Belongings
from tests.faults.engines import FAULTS, FaultyEngine, break_engines
from tests.patience import listen_until
from tests.received import verdicts
from tests.tiny_bundle import GREEN, SIDE, colour, model_spec, png

WORDS = {
    "returns NaN": "the model answered with NaN or infinity",
    "returns infinity": "the model answered with NaN or infinity",
    "returns all NaN": "the model answered with NaN or infinity",
    "returns a wrong shape": "the model answered with shape",
    "returns too few": "the model answered with shape",
    "returns nothing": "AttributeError: 'NoneType' object has no attribute 'logits'",
    "returns words": "AttributeError: 'str' object has no attribute 'logits'",
    "raises": "RuntimeError: CUDA error: an illegal memory access was encountered",
    "raises its own error": "the device was reset",
    "has no memory": "MemoryError: 2.1 GiB for an array",
    "fails while it is closed": "RuntimeError: CUDA error",
}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The engine is broken while this file is there."""
    return tmp_path / "broken"


@pytest.fixture
def config(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StationConfig:
    """A station of good parts, as many as are asked for, that says at once how it is."""
    monkeypatch.setattr(assembly, "open_engine", assembly.open_engine)  # and put back afterwards
    monkeypatch.setattr("edge_runtime.station._STATES_EVERY_S", 0.05)
    monkeypatch.setattr(assembly, "RecoveringEngine", partial(RecoveringEngine, first_pause_s=0.02))
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "good.png").write_bytes(png(colour(*GREEN)))
    recorded = tmp_path / "recorded"
    assert main(["record", "--source", f"dir:{parts}", "--out", str(recorded)]) == 0
    return StationConfig(
        station="L07-S3",
        bundle=str(make_bundle()),
        source=f"recording:{recorded}?speed=0&loop=1",
        broker=f"memory://{tmp_path.name}",
        state_dir=tmp_path / "state",
        max_batch=4,
    )


class Watched:
    """A station that runs while somebody listens."""

    def __init__(self, config: StationConfig) -> None:
        self.messages: list[Message] = []
        self._config = config
        self._stop = threading.Event()
        self._results: list[Health] = []

    def __enter__(self) -> "Watched":
        self._mes = open_subscriber(self._config.broker, "inspection/#")
        self._opened = open_station(self._config)
        self.station: Station = self._opened.__enter__()
        self._thread = threading.Thread(
            target=lambda: self._results.append(self.station.run(self._stop))
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self.hear(lambda message: message.payload == b"stopped")
        self._opened.__exit__(None, None, None)
        self._mes.close()

    @property
    def last(self) -> Health:
        (health,) = self._results
        return health

    def hear(self, enough: Callable[[Message], bool]) -> list[VerdictMessage]:
        """The verdicts up to a message of that kind."""
        heard = listen_until(self._mes, lambda seen: bool(seen) and enough(seen[-1]), 30.0)
        assert heard, "nothing was said"
        assert enough(heard[-1])
        self.messages += heard
        return verdicts(heard)


def answered(outcome: Outcome) -> Callable[[Message], bool]:
    return lambda message: any(answer.verdict is outcome for answer in verdicts([message]))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_engine_calls_nothing_good_and_is_well_again_once_it_is_mended(
    fault: str, config: StationConfig, broken: Path
) -> None:
    opened = break_engines(fault, broken)
    with Watched(config) as watched:
        watched.hear(answered(Outcome.OK))
        broken.touch()
        watched.hear(answered(Outcome.NOT_INSPECTED))
        during = watched.hear(lambda _: len(opened) > 2)
        reasons = {answer.reason for answer in during}
        assert {answer.verdict for answer in during} == {Outcome.NOT_INSPECTED}
        assert any(WORDS[fault] in str(reason) for reason in reasons)
        assert all(str(reason).startswith("engine: ") for reason in reasons)
        assert watched.station.unready, "and /readyz says so"
        broken.unlink()
        watched.hear(answered(Outcome.OK))
        assert watched.station.unready is None
    assert watched.last.frames == sum(watched.last.verdicts.values())
    assert watched.last.problem is None


@pytest.mark.parametrize("fault", ["returns all NaN", "raises", "has no memory"])
def test_an_engine_that_only_a_new_one_mends_is_opened_anew(
    fault: str, config: StationConfig, broken: Path
) -> None:
    opened = break_engines(f"sick: {fault}", broken)
    with Watched(config) as watched:
        watched.hear(answered(Outcome.OK))
        broken.touch()
        watched.hear(answered(Outcome.NOT_INSPECTED))
        broken.unlink()
        watched.hear(answered(Outcome.OK))
    assert len(opened) > 1
    assert watched.last.problem is None


def test_nan_that_passed_the_engines_check_is_still_not_called_good(
    config: StationConfig, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        recovering,
        "checked",
        lambda logits, features, *_: Inference(logits=logits, features=features),
    )
    break_engines("returns all NaN", broken)
    with Watched(config) as watched:
        watched.hear(answered(Outcome.OK))
        broken.touch()
        during = watched.hear(answered(Outcome.NOT_INSPECTED))[-1]
        assert during.reason == "engine: ValueError: the probabilities are not finite"
        broken.unlink()
        watched.hear(answered(Outcome.OK))


def test_control_nan_would_be_called_good_if_nobody_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.full((1, 3), np.nan, np.float32)
    with pytest.raises(ValueError, match="not finite"):
        policy.decide(rows, SPEC)
    monkeypatch.setattr(np, "isfinite", lambda values: np.ones(np.shape(values), bool))
    assert policy.decide(rows, SPEC)[0].outcome is Outcome.OK


# --- the engine by itself ---------------------------------------------------------------------------

SPEC = model_spec()
BATCH = np.zeros((2, SIDE, SIDE, 3), np.uint8)


class Opener:
    """Opens engines with that fault, or fails where `refusal` says so."""

    def __init__(self, fault: str, broken: Path) -> None:
        self._fault, self._broken = fault, broken
        self.opened = 0
        self.open = 0
        self.refusal: Exception | None = None

    def __call__(self) -> FaultyEngine:
        if self.refusal is not None:
            raise self.refusal
        self.opened += 1
        self.open += 1
        engine = FaultyEngine(NullEngine(SPEC), self._fault, self._broken)
        close = engine.close

        def counted() -> None:
            self.open -= 1
            close()

        engine.close = counted  # type: ignore[method-assign]
        return engine


@pytest.fixture
def opener(broken: Path) -> Opener:
    return Opener("sick: raises", broken)


@pytest.fixture
def engine(opener: Opener) -> Iterator[RecoveringEngine]:
    with closing(RecoveringEngine(opener, SPEC, first_pause_s=0.0, longest_pause_s=0.0)) as engine:
        yield engine
    assert opener.open == 0, "what is opened is closed, whatever happens"


def fail(engine: RecoveringEngine, times: int) -> None:
    for _ in range(times):
        with pytest.raises(EngineError):
            engine.infer(BATCH)


def test_two_failures_are_not_yet_a_reason_and_the_third_batch_is_answered_by_a_new_engine(
    engine: RecoveringEngine, opener: Opener, broken: Path
) -> None:
    broken.touch()
    fail(engine, 2)
    assert (opener.opened, engine.reopened) == (1, 0)
    broken.unlink()
    assert engine.infer(BATCH).logits.shape == (2, 3), "the batch itself, on the new engine"
    assert (opener.opened, opener.open, engine.reopened) == (2, 1, 1)


def test_a_batch_that_is_answered_starts_the_count_anew(opener: Opener, broken: Path) -> None:
    opener._fault = "raises"
    with closing(RecoveringEngine(opener, SPEC)) as engine:
        for _ in range(5):
            broken.touch()
            fail(engine, 2)
            broken.unlink()
            engine.infer(BATCH)
    assert opener.opened == 1


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (BundleError("golden frame 00.png answers 0.9 away"), "golden frame 00.png answers"),
        (MemoryError(), "it could not be opened anew: MemoryError"),
    ],
)
def test_an_engine_that_cannot_be_opened_anew_is_tried_again_later(
    refusal: Exception, words: str, engine: RecoveringEngine, opener: Opener, broken: Path
) -> None:
    broken.touch()
    opener.refusal = refusal
    fail(engine, 2)
    for _ in range(3):
        with pytest.raises(EngineError, match=words):
            engine.infer(BATCH)
    opener.refusal = None
    broken.unlink()
    assert engine.infer(BATCH).logits.shape == (2, 3)


def test_openings_that_help_nothing_are_further_and_further_apart(
    opener: Opener, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(recovering.time, "monotonic", lambda: now[0])
    broken.touch()
    openings = []
    with closing(RecoveringEngine(opener, SPEC)) as engine:
        while now[0] < 1100.0:
            before = opener.opened
            fail(engine, 1)
            if opener.opened > before:
                openings.append(now[0] - 1000.0)
            now[0] += 0.25
    assert openings == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]


def test_a_closed_engine_is_not_opened_again(opener: Opener, broken: Path) -> None:
    engine = RecoveringEngine(opener, SPEC, first_pause_s=0.0)
    engine.close()
    engine.close()
    fail(engine, 5)
    assert opener.opened == 1


def test_a_station_leaves_nothing_behind_however_often_its_engine_is_opened_anew(
    config: StationConfig, broken: Path
) -> None:
    opened = break_engines("raises", broken)
    before = Belongings.count()
    with Watched(config) as watched:
        watched.hear(answered(Outcome.OK))
        broken.touch()
        watched.hear(lambda _: len(opened) > 2)
        broken.unlink()
        watched.hear(answered(Outcome.OK))
    assert Belongings.count() == before
