"""What the network sees, watched: no alarm without a change, and one for each kind of change."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edge_runtime.contracts.array import Array
from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.embedding import Embedding
from edge_runtime.drift.embedding_monitor import (
    CENTRE,
    DISTANCE,
    RESIDUAL,
    STATISTICS,
    UNFAMILIAR,
    EmbeddingMonitor,
)
from edge_runtime.drift.evidence_file import EMBEDDING, EvidenceFile
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.part import Part
from edge_runtime.drift.state import named
from edge_runtime.drift.window import BLOCK
from optimize.builder.embedding_reference import reference
from tests.edge_runtime.drift.line import make_reference as make_measures

FEATURES = 40
DAY = 20_000.0
START = datetime(2026, 3, 2, tzinfo=UTC)
CENTRES = np.random.default_rng(1).normal(0, 4, (2, FEATURES))
WIDTHS = np.concatenate((np.linspace(2, 1, 8), np.full(FEATURES - 8, 0.2)))
"""Images of a class differ along eight directions, and a little along all others."""
TURN = np.linalg.qr(np.random.default_rng(2).normal(size=(FEATURES, FEATURES)))[0]

Change = Callable[[np.ndarray], np.ndarray]
"""Made to what is drawn, (parts, FEATURES), along the directions that it varies in."""


def draw(
    rng: np.random.Generator, parts: int, change: Change = lambda own: own, good: float = 0.9
) -> tuple[np.ndarray, list[str]]:
    """Features of parts of modules of four, which are alike, and what each is decided to be."""
    labels = (rng.uniform(size=parts) > good).astype(int)
    module = np.repeat(rng.normal(size=(-(-parts // 4), FEATURES)), 4, axis=0)[:parts]
    own = (np.sqrt(0.4) * module + np.sqrt(0.6) * rng.normal(size=(parts, FEATURES))) * WIDTHS
    features = CENTRES[labels] + change(own) @ TURN.T
    return features.astype(np.float32), [("good", "bad")[label] for label in labels]


def make_reference(images: int = 1600) -> EmbeddingReference:
    features, decided = draw(np.random.default_rng(3), images)
    groups = [str(index // 4) for index in range(images)]
    made = reference("test", features, decided, groups, precision="float32", line_mix=True)
    assert made is not None
    return made


def seen_parts(
    count: int, change: Change = lambda own: own, *, seed: int = 5, good: float = 0.9
) -> Iterator[Part]:
    """Decided parts with features."""
    features, decided = draw(np.random.default_rng(seed), count, change, good)
    for index, (row, label) in enumerate(zip(features, decided, strict=True)):
        yield Part(
            at=START + timedelta(seconds=4 * index),
            statistics=None,
            outcome=Outcome.OK,
            label=label,
            score=0.1,
            features=row,
        )


def stream(
    monitor: EmbeddingMonitor,
    parts: int,
    change: Change = lambda own: own,
    *,
    seed: int = 5,
    good: float = 0.9,
    until: DriftLevel = DriftLevel.ALARM,
) -> int | None:
    """Parts until the level is reached, None where it never is."""
    for index, part in enumerate(seen_parts(parts, change, seed=seed, good=good)):
        monitor.observe(part)
        if monitor.level is until:
            return index + 1
    return None


@pytest.fixture(scope="module")
def made() -> EmbeddingReference:
    return make_reference()


@pytest.fixture
def monitor(made: EmbeddingReference) -> EmbeddingMonitor:
    return EmbeddingMonitor(made, parts_per_day=DAY)


def test_a_held_out_part_lies_as_far_as_the_reference_says(made: EmbeddingReference) -> None:
    embedding = Embedding(made)
    features, decided = draw(np.random.default_rng(4), 2000)
    places = [embedding.place(row, label) for row, label in zip(features, decided, strict=True)]
    seen = [place for place in places if place is not None]
    assert len(seen) == 2000
    along = np.array([place.along for place in seen])
    assert np.abs(along.mean(axis=0)).max() < 0.25
    np.testing.assert_allclose((along**2).mean(), 1, atol=0.1)
    for values in ([p.distance for p in seen], [p.residual for p in seen]):
        assert abs(float(np.mean(values))) < 0.15
        assert 0.8 < float(np.std(values)) < 1.2
    far = np.mean([max(p.distance, p.residual) > made.unfamiliar_from for p in seen])
    assert 0.01 < far < 0.04


def test_a_line_as_in_training_is_quiet(monitor: EmbeddingMonitor) -> None:
    assert stream(monitor, 20_000, until=DriftLevel.WARNING) is None
    assert monitor.parts == 20_000
    assert monitor.moved() == ()


def test_another_mix_of_classes_is_no_change(monitor: EmbeddingMonitor) -> None:
    assert stream(monitor, 20_000, good=0.4, until=DriftLevel.WARNING) is None


@pytest.mark.parametrize(
    ("statistic", "change", "words"),
    [
        (CENTRE, lambda own: own + 3 * WIDTHS * (np.arange(FEATURES) < 2), "has moved"),
        (DISTANCE, lambda own: own * np.where(np.arange(FEATURES) < 8, 1.5, 1), "scatters wider"),
        (RESIDUAL, lambda own: own * np.where(np.arange(FEATURES) < 8, 1, 2), "is new in kind"),
    ],
)
def test_what_changes_is_noticed_and_named(
    monitor: EmbeddingMonitor, statistic: str, change: Change, words: str
) -> None:
    assert stream(monitor, 2_000) is None
    noticed = stream(monitor, 4_000, change, seed=6)
    assert noticed is not None
    assert noticed <= 10 * BLOCK
    first = next(each for each in monitor.moved() if each.statistic == statistic)
    assert first.level is DriftLevel.ALARM
    assert words in first.words
    assert (first.wasserstein is not None) == (statistic == CENTRE)


def test_a_few_parts_unlike_all_of_training_are_noticed(monitor: EmbeddingMonitor) -> None:
    rng = np.random.default_rng(7)

    def strange(own: np.ndarray) -> np.ndarray:
        some = rng.uniform(size=len(own)) < 0.15
        return own + some[:, None] * 4 * np.where(np.arange(FEATURES) < 8, 0, 1)

    assert stream(monitor, 2_000) is None
    noticed = stream(monitor, 8_000, strange, seed=8, until=DriftLevel.WARNING)
    assert noticed is not None
    assert UNFAMILIAR in {each.statistic for each in monitor.moved()} or noticed < 16 * BLOCK


def test_when_the_change_is_gone_so_is_the_level(monitor: EmbeddingMonitor) -> None:
    assert stream(monitor, 4_000, lambda own: own + 3 * WIDTHS) is not None
    assert stream(monitor, 128 * BLOCK, seed=9, until=DriftLevel.OK) is not None
    assert monitor.moved() == ()


def test_a_part_without_features_or_of_a_class_that_is_not_known_says_nothing(
    made: EmbeddingReference,
) -> None:
    monitor = EmbeddingMonitor(made, parts_per_day=DAY)
    for features, label in ((None, "good"), (np.zeros(FEATURES, np.float32), "rare")):
        monitor.observe(
            Part(
                at=START,
                statistics=None,
                outcome=Outcome.OK,
                label=label,
                score=None,
                features=features,
            )
        )
    assert monitor.parts == 0


def test_a_station_s_report_tells_what_the_network_sees_beside_what_is_measured(
    monitor: EmbeddingMonitor,
) -> None:
    log = DriftLog(
        boot_id="b",
        site="plant",
        station=StationId.parse("L07-S3"),
        bundle="weld-seam/1.0.0",
        monitor=Monitor(make_measures(line_mix=False), parts_per_day=DAY),
        embedding=monitor,
    )
    log.observe(seen_parts(2_000))
    quiet = log.snapshot()
    assert quiet.level is DriftLevel.OK
    assert set(STATISTICS) < set(quiet.effects), "told whether it has moved or not"
    assert abs(quiet.effects["features:distance"]) < 0.5
    log.observe(seen_parts(1_000, lambda own: own + 3 * WIDTHS, seed=6))
    report = log.snapshot()
    assert report.level is DriftLevel.ALARM
    assert report.moved[0].statistic.startswith("features:")
    assert report.effects["features:distance"] > 1
    assert "what the network sees" in report.summary


def test_memory_does_not_grow(monitor: EmbeddingMonitor) -> None:
    stream(monitor, 100)
    before = monitor.state_bytes()
    stream(monitor, 5_000)
    assert monitor.state_bytes() == pytest.approx(before, abs=1024)
    assert before < 300_000


def test_a_small_reference_tolerates_more() -> None:
    small, large = make_reference(200), make_reference(1600)
    assert small.centre_error > large.centre_error
    assert small.axes.shape[0] < large.axes.shape[0]


def test_a_reference_that_contradicts_itself_is_refused(made: EmbeddingReference) -> None:
    document = made.model_dump(by_alias=True)
    with pytest.raises(ValidationError, match="scales is"):
        EmbeddingReference.model_validate(document | {"scales": Array.of(np.ones((1, 1)))})
    with pytest.raises(ValidationError, match="bytes for float32 of shape"):
        EmbeddingReference.model_validate(
            document | {"means": {"shape": [2, 3], "float32": "AAAA"}}
        )
    with pytest.raises(ValidationError, match="NaN or infinite"):
        Array.of(np.array([1.0, np.nan]))


def test_a_restart_goes_on_from_what_was_learnt(
    made: EmbeddingReference, monitor: EmbeddingMonitor, tmp_path: Path
) -> None:
    def shifted(own: np.ndarray) -> np.ndarray:
        return own + 3 * WIDTHS * (np.arange(FEATURES) < 2)

    stream(monitor, 40 * BLOCK)
    assert stream(monitor, 40 * BLOCK, shifted, seed=6) is not None
    file = EvidenceFile(tmp_path, learnt_with="this")
    file.write(named(EMBEDDING, monitor.state()))
    again = EvidenceFile(tmp_path, learnt_with="this").embedding(made, parts_per_day=DAY)
    assert again.moved() == monitor.moved()
    assert again.parts == monitor.parts // BLOCK * BLOCK
    # And of another reference it does not.
    other = make_reference(200)
    anew = EvidenceFile(tmp_path, learnt_with="this").embedding(other, parts_per_day=DAY)
    assert (anew.parts, anew.level) == (0, DriftLevel.OK)
