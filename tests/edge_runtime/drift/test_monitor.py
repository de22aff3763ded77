"""The monitor: what must alarm does, what must not does not, and both are said in words."""

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.part import Part
from edge_runtime.drift.series import watched
from edge_runtime.drift.window import BLOCK
from tests.edge_runtime.drift.line import MEANS, START, make_reference, parts

DAY = 86_400


def watch(monitor: Monitor, stream: Iterable[Part]) -> None:
    for part in stream:
        monitor.observe(part)


@pytest.fixture
def monitor() -> Monitor:
    return Monitor(make_reference(), parts_per_day=DAY)


def test_a_line_as_in_training_stays_ok(monitor: Monitor) -> None:
    for first in range(0, 20_000, 1000):
        watch(monitor, parts(1000, first=first))
        assert monitor.level is DriftLevel.OK
    assert monitor.moved() == ()
    assert monitor.parts == 20_000


@pytest.mark.parametrize("measure", ["brightness", "highlights", "sharpness", "noise", "colour"])
@pytest.mark.parametrize("side", [1, -1])
def test_a_large_shift_alarms_within_some_hundred_parts(
    monitor: Monitor, measure: str, side: int
) -> None:
    watch(monitor, parts(2048))
    watch(monitor, parts(6 * BLOCK, first=2048, shifts={measure: 1.8 * side}))
    assert monitor.level is DriftLevel.ALARM
    (moved,) = monitor.moved()
    assert (moved.statistic, moved.level) == (measure, DriftLevel.ALARM)
    assert moved.effect == pytest.approx(1.8 * side, abs=0.25)
    assert abs(moved.since - (START + timedelta(seconds=2048))) <= timedelta(seconds=BLOCK)


def test_a_shift_between_the_sizes_only_warns(monitor: Monitor) -> None:
    watch(monitor, parts(8000, shifts={"brightness": 0.75}))
    assert monitor.level is DriftLevel.WARNING


def test_a_shift_that_is_certain_and_small_says_nothing(monitor: Monitor) -> None:
    """With so many parts it is significant beyond doubt: the control for effect size first."""
    watch(monitor, parts(30_000, shifts={"brightness": 0.46}))
    assert monitor._evidence.detected()[0, 0]
    assert monitor.level is DriftLevel.OK


def test_a_level_is_left_once_the_line_is_as_before_and_comes_again(monitor: Monitor) -> None:
    watch(monitor, parts(1000, shifts={"colour": 2}))
    assert monitor.level is DriftLevel.ALARM
    watch(monitor, parts(4096, first=1000))
    assert monitor.level is DriftLevel.OK
    watch(monitor, parts(1000, first=5096, shifts={"colour": 2}))
    (moved,) = monitor.moved()
    assert moved.since >= START + timedelta(seconds=5000)


def test_an_effect_that_hovers_about_a_size_does_not_flap(monitor: Monitor) -> None:
    changes, before = 0, monitor.level
    for part in parts(40_000, shifts={"brightness": 1.0}):
        monitor.observe(part)
        changes += monitor.level is not before
        before = monitor.level
    assert changes <= 2


def test_a_doubled_share_of_defects_alarms(monitor: Monitor) -> None:
    watch(monitor, parts(2048))
    watch(monitor, parts(3000, first=2048, defects=0.16))
    assert monitor.level is DriftLevel.ALARM
    words = [moved.words for moved in monitor.moved() if moved.statistic == "class:spatter"]
    assert len(words) == 1
    assert words[0].startswith("spatter: 1")
    assert words[0].endswith(" % of parts, 8.0 % in training") or "in training" in words[0]


@pytest.mark.parametrize(
    ("change", "statistic"), [({"review": 0.12}, "review"), ({"blind": 0.08}, "not_inspected")]
)
def test_review_and_what_cannot_be_inspected_count_too(
    monitor: Monitor, change: dict[str, float], statistic: str
) -> None:
    watch(monitor, parts(3000, **change))  # type: ignore[arg-type]
    assert monitor.level is DriftLevel.ALARM
    assert statistic in {moved.statistic for moved in monitor.moved()}


def test_where_the_images_were_selected_shares_of_classes_are_not_watched() -> None:
    monitor = Monitor(make_reference(line_mix=False), parts_per_day=DAY)
    watch(monitor, parts(6000, defects=0.5))
    assert monitor.level is DriftLevel.OK
    watch(monitor, parts(3000, first=6000, blind=0.1))
    assert [moved.statistic for moved in monitor.moved()] == ["not_inspected"]


def test_that_fewer_cannot_be_seen_is_no_drift_and_that_more_cannot_is() -> None:
    monitor = Monitor(make_reference(line_mix=False, blind=0.08), parts_per_day=DAY)
    watch(monitor, parts(8000, blind=0.0))
    assert monitor.level is DriftLevel.OK
    watch(monitor, parts(4000, first=8000, blind=0.08))
    assert monitor.level is DriftLevel.OK
    watch(monitor, parts(4000, first=12_000, blind=0.25))
    assert [moved.statistic for moved in monitor.moved()] == ["not_inspected"]


def test_words_name_what_an_engineer_knows(monitor: Monitor) -> None:
    watch(monitor, parts(1024, shifts={"colour": -2}))
    (moved,) = monitor.moved()
    assert moved.words.startswith("frames are 5")
    assert "K colder (bluer) than in training" in moved.words
    assert "% of parts outside the usual range" in moved.words
    assert (moved.unit, moved.reference) == ("K", pytest.approx(7576, abs=20))
    assert moved.psi is not None
    assert moved.psi > 1
    assert moved.wasserstein == pytest.approx(2, abs=0.2)
    assert moved.affected == pytest.approx(0.5, abs=0.1)


def test_a_line_that_stops_being_seen_says_so_and_nothing_of_measures(monitor: Monitor) -> None:
    watch(monitor, parts(1024, blind=1.0))
    assert {moved.statistic for moved in monitor.moved()} >= {"not_inspected"}
    assert not {moved.statistic for moved in monitor.moved()} & {"brightness", "colour"}


def test_memory_does_not_grow(monitor: Monitor) -> None:
    before = monitor.state_bytes()
    watch(monitor, parts(5000, shifts={"colour": 3}))
    assert monitor.state_bytes() == before < 40_000
    assert len(monitor._block) < BLOCK


def test_a_small_reference_tolerates_more() -> None:
    small = Monitor(make_reference(images=40), parts_per_day=DAY)
    watch(small, parts(8000, shifts={"sharpness": 0.6}))
    assert "sharpness" not in {moved.statistic for moved in small.moved()}


def test_a_class_that_the_model_grows_unsure_of_moves_by_itself(monitor: Monitor) -> None:
    """Its share and the mean score stay as they were: only the class's own statistic can tell."""
    watch(monitor, parts(2048))
    watch(monitor, parts(64 * BLOCK, first=2048, certain=0.6))
    (moved,) = monitor.moved()
    assert (moved.statistic, moved.level, moved.unit) == (
        "certainty:spatter",
        DriftLevel.ALARM,
        "probability",
    )
    assert moved.now == pytest.approx(0.6, abs=0.02)
    assert moved.words == "the model is 60.0 % sure of spatter, 90.0 % in training"


def test_a_class_that_no_part_is_of_is_no_evidence(monitor: Monitor) -> None:
    before = monitor.state()["evidence.log"].copy()
    watch(monitor, parts(4 * BLOCK, defects=0.0, blind=0.0))
    index = len(MEANS) + [s.name for s in watched(make_reference())].index("certainty:spatter")
    assert (monitor.state()["evidence.log"][:, index] == before[:, index]).all()
    assert monitor._effect(index, 64) == 0


def seen_by(stream: Iterable[Part], camera: int) -> list[Part]:
    return [replace(part, cameras=(camera,)) for part in stream]


def two_cameras() -> Monitor:
    return Monitor(make_reference(), parts_per_day=DAY, cameras=2)


def test_the_camera_that_has_moved_is_named() -> None:
    """Half of the parts are of each: together they hardly move, the one camera by all of it."""
    monitor = two_cameras()
    watch(monitor, seen_by(parts(2048), 0) + seen_by(parts(2048, first=2048), 1))
    for first in range(4096, 12_000, 128):
        watch(monitor, seen_by(parts(64, first=first), 0))
        watch(monitor, seen_by(parts(64, first=first + 64, shifts={"brightness": 1.5}), 1))
    assert monitor.level is DriftLevel.ALARM
    (moved,) = monitor.moved()
    assert (moved.statistic, moved.camera, moved.level) == ("brightness", 1, DriftLevel.ALARM)
    assert moved.effect == pytest.approx(1.5, abs=0.1)
    assert moved.words.startswith("camera 1: frames are 1")


def test_cameras_as_in_training_stay_ok() -> None:
    monitor = two_cameras()
    watch(monitor, seen_by(parts(10_000), 0) + seen_by(parts(10_000, first=10_000), 1))
    assert (monitor.level, monitor.moved()) == (DriftLevel.OK, ())


def test_all_tests_of_a_station_share_one_allowance(monitor: Monitor) -> None:
    """More tests ask each for more evidence, by the logarithm of how many more there are."""
    own, several = monitor._evidence, two_cameras()._evidence
    count = own.log.shape[1]
    more = math.log((count + 2 * len(MEANS)) / count)
    assert several.threshold == pytest.approx(own.threshold + more)
    assert two_cameras()._by_camera[0]._evidence.threshold == several.threshold


def test_what_a_camera_has_learnt_is_gone_on_from() -> None:
    monitor, resumed = two_cameras(), two_cameras()
    watch(monitor, seen_by(parts(4096, shifts={"brightness": 1.5}), 1))
    resumed.resume(monitor.state())
    assert resumed.moved() == monitor.moved()
    assert resumed.moved()[0].camera == 1


def test_effects_are_told_of_all_that_is_watched_once_a_block_is_full(monitor: Monitor) -> None:
    watch(monitor, parts(63))
    assert monitor.effects() == {}
    watch(monitor, parts(2000, first=63, shifts={"colour": -2}))
    effects = monitor.effects()
    reference = make_reference()
    assert list(effects) == [each.name for each in (*reference.measures, *reference.shares)]
    assert effects["colour"] == pytest.approx(-2, abs=0.1)
    assert {each.statistic: each.effect for each in monitor.moved()} == {
        "colour": effects["colour"]
    }
