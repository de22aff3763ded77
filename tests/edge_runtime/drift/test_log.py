"""The state that a station publishes: with a monitor, without one, and what it logs."""

import logging

import pytest

from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.performance import AnswerCell, AnswerReference
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.estimate import FEWEST_PARTS
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.window import BLOCK
from tests.edge_runtime.drift.line import make_reference, parts


def make_log(monitor: Monitor | None, instead: str = "") -> DriftLog:
    return DriftLog(
        boot_id="b",
        site="plant",
        station=StationId.parse("L07-S3"),
        bundle="weld-seam/1.0.0",
        monitor=monitor,
        instead=instead,
    )


def test_a_change_of_level_is_logged_once_in_words(caplog: pytest.LogCaptureFixture) -> None:
    log = make_log(Monitor(make_reference(), parts_per_day=86_400))
    with caplog.at_level(logging.WARNING):
        for first in range(0, 2048, 8):
            log.observe(parts(8, first=first, shifts={"colour": -3}))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith("drift: alarm: since 2026-03-02 06:00 UTC: frames are ")
    assert "K colder (bluer) than in training" in said[0]


def test_a_report_reads_back_and_has_the_gravest_first() -> None:
    log = make_log(Monitor(make_reference(), parts_per_day=86_400))
    log.observe(parts(2048, shifts={"colour": -3, "noise": 0.8}))
    report = log.snapshot()
    assert DriftReport.model_validate_json(report.to_json()) == report
    assert (report.level, report.parts) == (DriftLevel.ALARM, 2048)
    assert [(each.statistic, each.level.value) for each in report.moved] == [
        ("colour", "alarm"),
        ("noise", "warning"),
    ]
    assert report.since == min(each.since for each in report.moved)


def test_as_in_training_is_said_too() -> None:
    log = make_log(Monitor(make_reference(), parts_per_day=86_400))
    log.observe(parts(500))
    report = log.snapshot()
    assert (report.level, report.summary) == (DriftLevel.OK, "as in training")
    assert (report.since, report.moved, report.parts) == (None, (), 500)


def test_without_a_monitor_nothing_is_watched_and_the_reason_is_said() -> None:
    log = make_log(None, "switched off")
    assert not log.watching
    log.observe(parts(500, shifts={"colour": -3}))
    assert log.snapshot().level is DriftLevel.NOT_MONITORED
    assert log.snapshot().summary == "not monitored: switched off"


def answers() -> AnswerReference:
    """Two answers whose truths are known well."""
    cells = ((Outcome.OK, "no_defect", (1830, 2)), (Outcome.DEFECT, "spatter", (6, 162)))
    return AnswerReference(
        labels=("no_defect", "spatter"),
        ok_labels=("no_defect",),
        alike=(1, 1),
        cells=tuple(
            AnswerCell(
                label=label, outcome=outcome, certain_from=0, truths=truths, expected=(1.0, 1.0)
            )
            for outcome, label, truths in cells
        ),
    )


def test_what_can_be_estimated_is_told_with_what_has_moved() -> None:
    reference = make_reference().model_copy(update={"answers": answers()})
    log = make_log(Monitor(reference, parts_per_day=86_400))
    log.observe(parts(FEWEST_PARTS - BLOCK))
    assert log.snapshot().estimated is None
    log.observe(parts(2048))
    found = log.snapshot().estimated
    assert found is not None
    assert found.unreliable is None
    assert found.defect_recall is not None
    assert 0.9 < found.defect_recall.low < found.defect_recall.value < found.defect_recall.high
    log.observe(parts(4096, first=2048, shifts={"brightness": 4}))
    moved = log.snapshot().estimated
    assert moved is not None
    assert "brightness has moved by " in str(moved.unreliable)


def test_of_selected_images_nothing_is_estimated() -> None:
    reference = make_reference(line_mix=False).model_copy(update={"answers": answers()})
    log = make_log(Monitor(reference, parts_per_day=86_400))
    log.observe(parts(2048))
    assert log.snapshot().estimated is None
