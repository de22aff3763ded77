"""The keeper beside a station: never in its way, every loss counted, whatever the disk does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.sample import Reason
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import Folder
from edge_runtime.samples.keeper import QUEUE, SampleKeeper
from edge_runtime.samples.rules import Rules
from tests.edge_runtime.samples.parts import BEGAN, MODEL, part
from tests.patience import eventually


class Told:
    """What a station is told of its samples."""

    kept = lost = 0
    problem: str | None = None

    def __call__(self, kept: int, lost: int, problem: str | None) -> None:
        self.kept, self.lost, self.problem = kept, lost, problem


def report(level: DriftLevel = DriftLevel.NOT_MONITORED) -> DriftReport:
    return DriftReport(
        boot_id="b",
        site="plant",
        line="L07",
        station="S3",
        at=datetime.now(UTC),
        bundle="tiny/1.0.0",
        level=level,
        since=None,
        summary="",
        parts=0,
        moved=(),
    )


@contextmanager
def keeping(
    folder: Folder, told: Told, *, level: DriftLevel = DriftLevel.NOT_MONITORED
) -> Iterator[SampleKeeper]:
    collection = Collection(folder, quota=10**9, least_free=0, most_likely=0.0)
    rules = Rules(MODEL, most_likely=0.0, spacing_s=0.0)
    with SampleKeeper(collection, rules, drift=lambda: report(level), tell=told) as keeper:
        yield keeper


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "samples")


@pytest.fixture
def told() -> Told:
    return Told()


def review(seq: int) -> list[object]:
    return [part(seq, defect=0.5, outcome=Outcome.REVIEW)]


def test_what_the_rules_want_is_on_the_disk_when_the_keeper_is_closed(
    folder: Folder, told: Told
) -> None:
    with keeping(folder, told) as keeper:
        keeper.observe([part(1), *review(2), part(3)])
        keeper.observe(review(4))
    assert [sample.verdict.seq for sample in folder.samples()] == [2, 4]
    assert (told.kept, told.lost, told.problem) == (2, 0, None)


def test_a_sample_says_how_the_station_stood_to_its_reference(folder: Folder, told: Told) -> None:
    with keeping(folder, told, level=DriftLevel.WARNING) as keeper:
        keeper.observe([part(1)])
    (sample,) = folder.samples()
    assert sample.has(Reason.DRIFTED)
    assert sample.drift is not None
    assert sample.drift.level is DriftLevel.WARNING


def test_a_disk_that_hangs_costs_samples_and_not_the_stations_time(
    folder: Folder, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    write = Folder.write

    def hang(*arguments: object) -> None:
        answers.wait(60)
        write(*arguments)

    monkeypatch.setattr(Folder, "write", hang)
    with keeping(folder, told) as keeper:
        keeper.observe(review(1))
        assert eventually(keeper._queue.empty)
        for seq in range(2, 2 + QUEUE + 5):
            keeper.observe(review(seq))  # would wait for a minute if it waited at all
        assert not answers.is_set()
        answers.set()
    assert told.lost == 5
    assert len(folder.names()) == 1 + QUEUE


def test_a_disk_that_refuses_is_said_and_tried_again(
    folder: Folder, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    with keeping(folder, told) as keeper:
        with monkeypatch.context() as disk:
            disk.setattr(Folder, "write", refuse)
            keeper.observe([*review(1), *review(2)])
            assert eventually(lambda: told.lost == 2)
            assert told.problem == "no samples are kept: No space left on device"
        keeper.observe(review(3))
    assert (told.kept, told.lost, told.problem) == (1, 2, None)


def refuse(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_fault_of_ours_is_logged_and_does_not_end_the_keeping(
    folder: Folder, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object) -> None:
        raise ValueError("not foreseen")

    with keeping(folder, told) as keeper:
        with monkeypatch.context() as broken:
            broken.setattr(Folder, "write", fail)
            keeper.observe(review(1))
            assert eventually(lambda: told.lost == 1)
        keeper.observe(review(2))
    assert told.kept == 1
    assert "not foreseen" in caplog.text


def test_labels_come_back_through_the_same_queue(folder: Folder, told: Told) -> None:
    with keeping(folder, told) as keeper:
        keeper.observe(review(1))
        keeper.take_label(1, "stain")
        keeper.take_label(99, "stain")
    (sample,) = folder.samples()
    assert sample.returned_label == "stain"
    assert sample.has(Reason.DISAGREEING)
    assert told.lost == 0


def test_random_parts_that_were_lost_are_remembered_with_the_random_ones(
    folder: Folder, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection(folder, quota=10**9, least_free=0, most_likely=1.0)
    rules = Rules(MODEL, most_likely=1.0)
    with SampleKeeper(collection, rules, drift=report, tell=told) as keeper:
        with monkeypatch.context() as disk:
            disk.setattr(Folder, "write", refuse)
            keeper.observe([part(1), part(2)])
            assert eventually(lambda: told.lost == 2)
        keeper.observe([part(3, at=BEGAN)])
    share = folder.random_share()
    assert share is not None
    assert share.lost == 2
