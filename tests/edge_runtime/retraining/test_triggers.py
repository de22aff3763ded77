from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.retraining.rules import Limits
from edge_runtime.retraining.triggers import Memory
from tests.edge_runtime.retraining.observations import ONLY_DRIFT, START, seen, triggers

OK, WARNING, ALARM = DriftLevel.OK, DriftLevel.WARNING, DriftLevel.ALARM


def hours_of_firing(levels: list[DriftLevel | None], limits: Limits = ONLY_DRIFT) -> list[int]:
    """At which hours the drift rule fires, an observation every hour."""
    rules = triggers(limits)
    return [hour for hour, level in enumerate(levels) if rules.observe(seen(hour, level))]


def test_a_warning_asks_after_a_day_and_an_alarm_after_an_hour() -> None:
    assert hours_of_firing([OK, *[WARNING] * 30]) == [25]
    assert hours_of_firing([OK, *[ALARM] * 30]) == [2]
    assert hours_of_firing([OK, *[WARNING] * 23, OK]) == []


def test_a_warning_that_becomes_an_alarm_asks_once() -> None:
    assert hours_of_firing([*[WARNING] * 5, *[ALARM] * 60, *[WARNING] * 60]) == [5]


def test_a_level_that_flickers_neither_starts_anew_nor_asks_again() -> None:
    flickering = [WARNING if hour % 6 else OK for hour in range(80)]
    assert hours_of_firing(flickering) == [25]


def test_it_asks_again_only_after_the_cause_was_gone_as_long_as_it_had_to_hold() -> None:
    assert hours_of_firing([*[WARNING] * 30, *[OK] * 20, *[WARNING] * 60]) == [24]
    assert hours_of_firing([*[WARNING] * 30, *[OK] * 26, *[WARNING] * 60]) == [24, 80]


def test_the_cool_down_holds_a_second_request_back() -> None:
    limits = Limits(min_recall=0, max_false_positives=0, labels=0, cool_down_hours=72)
    assert hours_of_firing([*[WARNING] * 30, *[OK] * 26, *[WARNING] * 60], limits) == [24, 96]


def test_what_is_not_known_changes_nothing() -> None:
    assert hours_of_firing([*[WARNING] * 20, *[None] * 40, *[WARNING] * 2]) == [60]
    assert hours_of_firing([None] * 100) == []


@pytest.mark.parametrize("restart_at", range(0, 40, 3))
def test_a_restart_neither_forgets_nor_asks_twice(restart_at: int) -> None:
    rules = triggers()
    fired = []
    for hour in range(60):
        if hour == restart_at:
            rules = triggers(memory=Memory.model_validate_json(rules.memory.to_json()))
        if rules.observe(seen(hour, WARNING)):
            fired.append(hour)
    assert fired == [24]


def test_without_its_memory_a_restart_would_ask_again() -> None:
    """The control of the test above."""
    rules = triggers()
    assert any(rules.observe(seen(hour, WARNING)) for hour in range(30))
    forgetful = triggers()
    assert any(forgetful.observe(seen(hour, WARNING)) for hour in range(30, 60))


def test_recall_asks_early_and_false_positives_ask_late() -> None:
    rules = triggers(Limits(labels=0))
    fired = [
        (hour, name)
        for hour in range(10)
        for name in rules.observe(seen(hour, recall=0.88, false_positives=0.035))
    ]
    assert fired == [(4, "recall")]  # 0.83 at least; false positives are 0.025 at least
    rules = triggers(Limits(labels=0))
    fired = [
        (hour, name)
        for hour in range(10)
        for name in rules.observe(seen(hour, recall=0.95, false_positives=0.045))
    ]
    assert fired == [(4, "false_positives")]


def test_labels_and_the_calendar_ask_at_once() -> None:
    rules = triggers(Limits(labels=500, days=30))
    assert not rules.observe(seen(0, labels=499))
    assert list(rules.observe(seen(1, labels=500))) == ["labels"]
    assert not rules.observe(seen(2, labels=900))
    old = START - timedelta(days=29)
    assert not rules.observe(seen(3, made_at=old))
    assert rules.observe(seen(24, made_at=old)) == {
        "calendar": "the bundle is 30 days old; asked 30"
    }


def test_a_rule_that_is_switched_off_says_so_and_never_asks() -> None:
    off = Limits(warning_hours=0, alarm_hours=0, min_recall=0, max_false_positives=0, labels=0)
    rules = triggers(off)
    assert not any(rules.observe(seen(hour, ALARM, recall=0.1)) for hour in range(200))
    assert {standing.standing for standing in rules.standings()} == {"off"}


def test_the_standings_tell_what_holds_and_what_is_not_known() -> None:
    rules = triggers(Limits())
    rules.observe(seen(0, WARNING))
    standings = {each.rule: each for each in rules.standings()}
    assert (standings["drift"].standing, standings["drift"].since) == ("pending", START)
    assert standings["recall"].standing == "unknown"
    assert standings["calendar"].standing == "off"
    for hour in range(30):
        rules.observe(seen(hour, WARNING))
    assert {each.rule: each for each in rules.standings()}["drift"].standing == "requested"


@given(st.lists(st.sampled_from([OK, WARNING, ALARM, None]), max_size=120))
def test_whatever_the_levels_do_two_requests_lie_a_hold_apart(levels: list[DriftLevel]) -> None:
    hours = hours_of_firing(levels)
    assert all(later - earlier > 24 for earlier, later in pairwise(hours))
    if not any(level in (WARNING, ALARM) for level in levels):
        assert hours == []
