"""What a report says: in order, over the right time, about the bundle that runs now."""

from datetime import timedelta
from pathlib import Path

import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.drift_history.store import read_history
from edge_runtime.drift_report.contents import Contents, sentence, tell
from edge_runtime.errors import StateError
from tests.edge_runtime.drift.line import START, parts
from tests.edge_runtime.drift_history.course import drift_log, spread, write_history


@pytest.fixture(scope="module")
def contents(lamp: Path) -> Contents:
    return tell(read_history(lamp))


def test_what_moved_first_comes_first_however_grave_the_others_are(contents: Contents) -> None:
    order = [moved.statistic for moved in contents.first_moved]
    assert set(order[:2]) == {"colour", "brightness"}
    assert {"class:spatter", "defect_score"} <= set(order[2:])
    since = [moved.since for moved in contents.first_moved]
    assert since == sorted(since)
    noon = START + timedelta(hours=12)
    assert all(abs(moment - noon) < timedelta(hours=1) for moment in since[:2])
    assert [course.measure.name for course in contents.courses[:2]] == order[:2]
    assert all(course.moved is None for course in contents.courses[2:])


def test_shares_are_told_for_training_for_before_and_for_since(contents: Contents) -> None:
    rows = {row.name: row for row in contents.shares}
    defect, spatter = rows["defect"], rows["class:spatter"]
    assert defect.training is None  # the reference counts classes, review and not inspected
    assert defect.before == pytest.approx(0.08, abs=0.02)
    assert defect.since == pytest.approx(0.165, abs=0.03)
    assert spatter.training == pytest.approx(0.086, abs=0.01)
    outcomes = [rows[name].since for name in ("ok", "defect", "review", "not_inspected")]
    assert sum(share for share in outcomes if share is not None) == pytest.approx(1)


def test_a_time_line_has_a_few_hundred_points_whatever_it_covers(contents: Contents) -> None:
    assert 100 < len(contents.periods) <= 241
    assert sum(period.parts for period in contents.periods) == contents.parts == 4800


def test_only_what_the_present_bundle_decided_is_told(tmp_path: Path) -> None:
    write_history(tmp_path, parts(300, shifts={"colour": -3}), bundle="old/1").close()
    write_history(tmp_path, spread(parts(120), 1.0, START + timedelta(hours=1))).close()
    told = tell(read_history(tmp_path))
    assert (told.parts, told.report.bundle) == (120, "weld-seam/1.0.0")


def test_the_status_is_one_sentence_at_every_level(contents: Contents, tmp_path: Path) -> None:
    said = sentence(contents.report)
    assert said.startswith("Verdicts may be wrong: since 2026-03-02 17:")
    assert "K colder (bluer) than in training" in said
    assert said.endswith(" more statistics have moved.")
    warned = contents.report.model_copy(
        update={"level": DriftLevel.WARNING, "moved": contents.report.moved[:1]}
    )
    assert sentence(warned).startswith("Something has moved: since ")
    assert "more statistic" not in sentence(warned)
    for watching, words in (
        (True, "Images and verdicts are as in training."),
        (False, "Drift is not monitored: switched off (drift_watch = false)."),
    ):
        folder = tmp_path / str(watching)
        write_history(folder, parts(100), drift_log(watching=watching)).close()
        assert sentence(tell(read_history(folder)).report) == words


def test_a_time_without_a_minute_is_one_line(lamp: Path) -> None:
    with pytest.raises(StateError, match="no minute of that time"):
        tell(read_history(lamp, START + timedelta(days=9)))
