"""The watch: what it asks for, writes and publishes, and what it does where the disk refuses."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_runtime.contracts.drift import DriftLevel, DriftReport, Moved
from edge_runtime.contracts.performance import Estimated, Figure, Measured
from edge_runtime.contracts.retrain import EvidencePack, RetrainState
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import StateError, UsageError
from edge_runtime.retraining.memory import NAME, read_memory
from edge_runtime.retraining.pack import EVIDENCE, KEPT, Attachment, open_pack, packs, zip_pack
from edge_runtime.retraining.rules import Limits
from edge_runtime.retraining.triggers import Triggers
from edge_runtime.retraining.watch import EVERY_S, RetrainWatch, Subject, observation, pace_s
from tests.patience import eventually

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
STATION = StationId(line="L07", station="S3")
LIMITS = Limits(min_recall=0, max_false_positives=0, labels=0, alarm_hours=1, cool_down_hours=0)


def report(statistic: str = "colour", level: DriftLevel = DriftLevel.ALARM) -> DriftReport:
    moved = Moved(
        statistic=statistic,
        level=level,
        since=START,
        reference=0.1,
        now=0.4,
        unit="K",
        effect=1.4,
        psi=None,
        wasserstein=None,
        affected=None,
        words="frames are 600 K colder",
    )
    return DriftReport(
        boot_id="b",
        site="site",
        line="L07",
        station="S3",
        at=START,
        bundle="weld/1",
        level=level,
        since=START,
        summary="since 06:00: frames are 600 K colder",
        parts=640,
        moved=(moved,),
    )


class Line:
    """A watch over a report that a test changes, and what it published."""

    def __init__(self, state_dir: Path, *, bundle: str = "weld/1", every_s: float = 30.0) -> None:
        self.report = report()
        self.fault: Exception | None = None
        self.published: list[RetrainState] = []
        self.problems: list[str | None] = []
        memory = read_memory(state_dir, bundle=bundle, model_sha256="a" * 64)
        self.watch = RetrainWatch(
            subject=Subject(
                boot_id="b",
                site="site",
                station=STATION,
                bundle=bundle,
                model_sha256="a" * 64,
                source_sha256="b" * 64,
                made_at=START,
            ),
            triggers=Triggers(LIMITS, memory),
            state_dir=state_dir,
            report=self._report,
            attachments=self._attachments,
            publish=lambda body: self.published.append(RetrainState.model_validate_json(body)),
            every_s=every_s,
            on_problem=self.problems.append,
        )

    def _report(self) -> DriftReport:
        if self.fault is not None:
            raise self.fault
        return self.report

    def at(self, minutes: float) -> RetrainState:
        return self.watch.look(START + timedelta(minutes=minutes))

    def _attachments(self, now: DriftReport) -> Iterator[Attachment]:
        yield Attachment(name="drift.json", content=now.to_json().encode())
        yield Attachment(name="reference.json", content=None, reason="the bundle has none")


def test_an_alarm_that_holds_is_asked_once_with_its_evidence(tmp_path: Path) -> None:
    line = Line(tmp_path)
    assert line.at(0).requests == ()
    (request,) = line.at(60).requests
    assert request.rule == "drift"
    assert request.words == "drift alarm: since 2026-03-02 06:00 UTC: frames are 600 K colder"
    pack = open_pack(tmp_path / EVIDENCE / str(request.evidence))
    assert (pack.request, list(pack.files)) == (request, ["drift.json"])
    assert pack.missing == ("reference.json: the bundle has none",)
    assert line.at(120).requests == (request,)
    assert len(line.published) == 2  # what has not changed is not said again
    assert line.published[-1].requests == (request,)


def test_a_batch_that_is_simply_bad_is_no_reason_to_retrain(tmp_path: Path) -> None:
    line = Line(tmp_path)
    for statistic in ("class:porosity", "defect_score", "review", "not_inspected"):
        line.report = report(statistic)
        for minute in range(0, 3000, 30):
            assert line.at(minute).requests == ()
    line.report = report("sharpness")  # the control
    assert not line.at(4000).requests
    assert line.at(4060).requests


def test_a_request_tells_of_the_pictures_and_not_of_a_bad_batch_beside_them(tmp_path: Path) -> None:
    line = Line(tmp_path)
    (colder,) = report("colour").moved
    spatter = colder.model_copy(
        update={
            "statistic": "class:spatter",
            "since": START - timedelta(days=1),
            "words": "spatter: 30.0 % of parts, 2.0 % in training",
        }
    )
    line.report = report().model_copy(update={"moved": (spatter, colder)})
    line.at(0)
    (request,) = line.at(60).requests
    assert request.words == "drift alarm: since 2026-03-02 06:00 UTC: frames are 600 K colder"


def test_a_restart_keeps_the_request_and_another_bundle_answers_it(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.at(0)
    (request,) = line.at(60).requests
    assert Line(tmp_path).at(61).requests == (request,)
    assert Line(tmp_path, bundle="weld/2").at(62).requests == ()


def test_a_disk_that_refuses_holds_no_request_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / EVIDENCE).write_text("in the way")
    line = Line(tmp_path)
    line.at(0)
    (request,) = line.at(60).requests
    assert request.evidence is None
    assert any("goes out without it" in record.message for record in caplog.records)


def test_a_damaged_memory_is_put_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_text("{")
    with caplog.at_level(logging.ERROR):
        assert Line(tmp_path).at(0).requests == ()
    assert (tmp_path / f"{NAME}.damaged").exists()
    assert "begun anew" in caplog.text


def test_the_thread_looks_by_itself_and_ends(tmp_path: Path) -> None:
    line = Line(tmp_path, every_s=0.01)
    line.report = report(level=DriftLevel.OK)
    line.watch.start()
    assert [each.rules[0].standing for each in line.published] == ["quiet"]
    try:
        line.report = report()
        assert eventually(lambda: line.published[-1].rules[0].standing == "pending")
    finally:
        line.watch.close()
    line.watch.close()


def test_a_fault_is_told_and_the_next_look_is_another_try(tmp_path: Path) -> None:
    line = Line(tmp_path, every_s=0.01)
    line.report = report(level=DriftLevel.OK)
    line.watch.start()
    try:
        line.fault = RuntimeError("out of order")
        assert eventually(lambda: any("out of order" in str(each) for each in line.problems))
        line.fault, line.report = None, report()
        assert eventually(lambda: line.published[-1].rules[0].standing == "pending")
        assert eventually(lambda: line.problems[-1] is None)
    finally:
        line.watch.close()


def test_it_looks_four_times_in_the_shortest_hold_and_no_more_than_once_a_second() -> None:
    assert pace_s(Limits()) == EVERY_S
    assert pace_s(Limits(warning_hours=0, alarm_hours=0.01)) == 9.0
    assert pace_s(Limits(alarm_hours=0.0001)) == 1.0
    assert pace_s(Limits(warning_hours=0, alarm_hours=0)) == EVERY_S


def test_only_the_newest_packs_are_kept(tmp_path: Path) -> None:
    line = Line(tmp_path)
    for round_ in range(KEPT + 3):
        begin = round_ * 10_000
        line.report = report()
        line.at(begin)
        line.at(begin + 61)
        line.report = report(level=DriftLevel.OK)
        line.at(begin + 100)
        line.at(begin + 2000)
    names = packs(tmp_path)
    assert len(names) == KEPT
    assert names == sorted(names)


def figures(recall: float, spread: float) -> dict[str, object]:
    """What a report says of recall, and nothing of the rest."""
    figure = Figure(value=recall, low=recall - spread, high=min(1.0, recall + spread))
    return {
        "macro_f1": None,
        "defect_recall": figure,
        "false_positive_rate": None,
        "confidence": 0.95,
        "words": "",
    }


def test_measured_figures_count_before_estimates_and_doubtful_ones_not_at_all() -> None:
    estimated = Estimated(parts=4096, unreliable=None, **figures(0.9, 0.02))
    doubtful = estimated.model_copy(update={"unreliable": "the mix of classes moved"})
    measured = Measured(labels=300, random=120, since=START, received={}, **figures(0.8, 0.04))

    def recall(**update: object) -> float | None:
        found = observation(report().model_copy(update=update), START, START).recall
        return found and found.value

    assert recall() is None
    assert recall(estimated=estimated) == 0.9
    assert recall(estimated=doubtful) is None
    assert recall(estimated=doubtful, measured=measured) == recall(measured=measured) == 0.8
    seen = observation(report().model_copy(update={"measured": measured}), START, START)
    assert (seen.labels, seen.false_positives) == (300, None)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    line = Line(tmp_path)
    line.at(0)
    (request,) = line.at(60).requests
    return tmp_path / EVIDENCE / str(request.evidence)


def test_a_pack_is_the_same_as_a_folder_and_as_a_zip_file(pack: Path, tmp_path: Path) -> None:
    zip_pack(pack, tmp_path / "pack.zip")
    assert open_pack(tmp_path / "pack.zip") == open_pack(pack)


def test_a_pack_that_was_changed_is_refused(pack: Path, tmp_path: Path) -> None:
    (pack / "drift.json").write_text("{}")
    with pytest.raises(StateError, match=r"drift\.json is missing or was changed"):
        open_pack(pack)
    zip_pack(pack, tmp_path / "pack.zip")
    with pytest.raises(StateError, match=r"drift\.json"):
        open_pack(tmp_path / "pack.zip")


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no evidence pack at"):
        open_pack(tmp_path / "none.zip")
    with pytest.raises(UsageError, match=r"holds no pack\.json"):
        open_pack(tmp_path)
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(StateError, match="is no evidence pack"):
        open_pack(tmp_path / "text.zip")


def test_the_pack_says_what_it_holds(pack: Path) -> None:
    made = EvidencePack.model_validate(json.loads((pack / "pack.json").read_text()))
    assert (made.line, made.station) == ("L07", "S3")
