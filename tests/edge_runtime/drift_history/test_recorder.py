"""The recorder never holds the station up: minutes go to the disk or are counted as lost."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.part import Part
from edge_runtime.drift_history.recorder import HistoryRecorder, Watched
from edge_runtime.drift_history.records import Role
from edge_runtime.drift_history.store import NAME, read_history
from edge_runtime.errors import StateError
from tests.edge_runtime.drift.line import parts
from tests.edge_runtime.drift_history.course import (
    BUNDLE,
    MODEL,
    answered,
    drift_log,
    reference,
    spread,
)
from tests.patience import eventually
from tests.reliability.disk import small_disk, why_no_small_disk
from tests.tiny_bundle import GREEN, RED, colour, png


class Losses:
    """What a station hears from its recorder."""

    def __init__(self) -> None:
        self.lost = 0
        self.problem: str | None = None

    def count(self) -> None:
        self.lost += 1

    def note(self, problem: str | None) -> None:
        self.problem = problem


@pytest.fixture
def losses() -> Losses:
    return Losses()


def recorder(
    folder: Path, losses: Losses, drift: DriftLog | None = None, **about: Any
) -> HistoryRecorder:
    return HistoryRecorder(
        folder,
        Watched(bundle=BUNDLE, model=MODEL, reference=reference(), **about),
        (drift or drift_log()).snapshot,
        on_lost=losses.count,
        on_problem=losses.note,
    )


def minutes(count: int) -> Iterator[Part]:
    """One part a minute."""
    return spread(parts(count, blind=0), 60.0)


def test_parts_become_minutes_and_the_one_that_was_begun_is_written_at_the_end(
    tmp_path: Path, losses: Losses
) -> None:
    golden = []
    for number, shade in enumerate((GREEN, GREEN, RED)):
        golden.append((str(shade), tmp_path / f"{number}.png"))
        golden[-1][1].write_bytes(png(colour(*shade)))
    drift = drift_log()
    with closing(recorder(tmp_path / "state", losses, drift, golden=golden)) as history:
        for number, part in enumerate(parts(150, blind=0)):
            drift.observe([part])
            history.observe([answered(part, number)])
    found = read_history(tmp_path / "state")
    assert [period.parts for period in found.periods] == [60, 60, 30]
    assert found.periods[-1].effects.keys() == drift.snapshot().effects.keys() != set()
    recent = [picture for picture in found.pictures if picture.role is Role.RECENT]
    assert [picture.caption.partition(":")[0] for picture in recent] == ["P-0", "P-60", "P-120"]
    first_of_each = [p.caption for p in found.pictures if p.role is Role.TRAINING][:2]
    assert first_of_each == [str(GREEN), str(RED)]
    assert (losses.lost, losses.problem) == (0, None)


def test_a_disk_that_does_not_keep_up_costs_minutes_and_no_time(
    tmp_path: Path, losses: Losses
) -> None:
    history = recorder(tmp_path, losses)
    with closing(history):
        for part in minutes(3):
            history.observe([answered(part)])
        assert eventually(lambda: _written(tmp_path) == 2)
        with closing(sqlite3.connect(tmp_path / NAME, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            cpu = time.thread_time()
            for part in list(minutes(43))[3:]:
                history.observe([answered(part)])
            assert time.thread_time() - cpu < 2.0
            # Of forty that ended eight wait, and one may be in the writer's hands.
            assert losses.lost in (31, 32)
            somebody.execute("ROLLBACK")
        assert eventually(lambda: _written(tmp_path) >= 10)
    assert len(read_history(tmp_path).periods) + losses.lost == 43


def test_control_without_a_bound_nothing_would_be_lost(tmp_path: Path, losses: Losses) -> None:
    history = recorder(tmp_path, losses)
    with closing(history):
        for number, part in enumerate(minutes(20)):
            history.observe([answered(part)])
            assert eventually(lambda: number == 0 or _written(tmp_path) == number)  # noqa: B023
    assert (losses.lost, _written(tmp_path)) == (0, 20)


def test_a_folder_that_cannot_be_is_told_once_and_every_minute_counted(
    tmp_path: Path, losses: Losses, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.ERROR), closing(recorder(tmp_path / "file", losses)) as history:
        for number, part in enumerate(minutes(5)):
            history.observe([answered(part)])
            assert eventually(lambda: losses.lost == number)  # noqa: B023
    assert losses.lost == 5
    assert losses.problem is not None
    assert "cannot be opened" in losses.problem
    assert len(caplog.records) == 1


@pytest.mark.skipif(why_no_small_disk() is not None, reason=str(why_no_small_disk()))
def test_a_full_disk_loses_minutes_until_it_has_room_again(tmp_path: Path, losses: Losses) -> None:
    with small_disk(tmp_path / "disk", 4) as disk, closing(recorder(disk.path, losses)) as history:
        stream = minutes(400)
        history.observe([answered(next(stream))])
        history.observe([answered(next(stream))])
        assert eventually(lambda: _written(disk.path) == 1)
        disk.fill()
        for _ in range(200):
            before = losses.lost + _written(disk.path)
            history.observe([answered(next(stream))])
            assert eventually(lambda: losses.lost + _written(disk.path) > before)  # noqa: B023
            if losses.lost:
                break
        assert losses.problem is not None
        disk.free()
        assert eventually(lambda: _goes_on(history, stream, losses))


def _goes_on(history: HistoryRecorder, stream: Iterator[Part], losses: Losses) -> bool:
    history.observe([answered(next(stream))])
    time.sleep(0.1)
    return losses.problem is None


def _written(folder: Path) -> int:
    if not (folder / NAME).exists():
        return 0
    try:
        return len(read_history(folder).periods)
    except StateError:  # it is being made
        return 0
