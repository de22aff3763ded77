"""A minute of parts adds up to one row, and rows to an hour, whatever else a row holds."""

import json
from datetime import timedelta

import numpy as np
import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.statistics import MEASURES
from edge_runtime.drift_history.period import Period, Tally, floored, merged
from tests.edge_runtime.drift.line import START, parts
from tests.edge_runtime.drift_history.course import MODEL, answered, drift_log, reference


def tallied(stream: list, level: DriftLevel = DriftLevel.OK) -> Period:
    tally = Tally(MODEL, reference())
    for part in stream:
        tally.add(answered(part).verdict, [part.statistics])
    report = drift_log().snapshot().model_copy(update={"level": level, "effects": {"noise": 0.1}})
    period = tally.period(report)
    assert period is not None
    return period


def test_a_row_has_the_counts_the_means_and_the_shares_outside() -> None:
    stream = list(parts(60, defects=0.3, blind=0.1))
    period = tallied(stream)
    seen = np.array([part.statistics.row() for part in stream if part.statistics is not None])
    scores = [part.score for part in stream if part.score is not None]
    assert (period.parts, period.seen) == (60, len(seen))
    assert period.outcomes == {
        outcome: sum(part.outcome is outcome for part in stream) for outcome in period.outcomes
    }
    assert sum(period.outcomes.values()) == 60
    assert period.labels["spatter"] == sum(part.label == "spatter" for part in stream)
    assert period.score == pytest.approx(np.mean(scores))
    for index, name in enumerate(MEASURES):
        limits = next(each for each in reference().measures if each.name == name)
        outside = (seen[:, index] < limits.low) | (seen[:, index] > limits.high)
        assert period.measures[name].mean == pytest.approx(seen[:, index].mean())
        assert period.measures[name].affected == pytest.approx(outside.mean())


def test_the_rows_of_an_hour_say_what_one_row_of_all_its_parts_says() -> None:
    stream = list(parts(300, blind=0.1))
    several = [tallied(stream[first : first + 50]) for first in range(0, 300, 50)]
    hour, whole = merged(several), tallied(stream)
    assert hour.model_dump(exclude={"measures", "score"}) == whole.model_dump(
        exclude={"measures", "score"}
    )
    assert hour.score == pytest.approx(whole.score)
    for name, course in whole.measures.items():
        assert hour.measures[name].mean == pytest.approx(course.mean)
        assert hour.measures[name].affected == pytest.approx(course.affected)


def test_an_hour_is_as_grave_as_its_gravest_minute() -> None:
    levels = (DriftLevel.OK, DriftLevel.ALARM, DriftLevel.WARNING)
    stream = list(parts(30))
    minutes = [tallied(stream[10 * i : 10 * i + 10], level) for i, level in enumerate(levels)]
    assert merged(minutes).level is DriftLevel.ALARM


def test_nothing_that_was_seen_means_no_measures_and_no_score() -> None:
    period = tallied(list(parts(5, blind=1.0)))
    assert (period.seen, period.measures, period.score) == (0, {}, None)
    assert period.outcomes == {Outcome.NOT_INSPECTED: 5}
    assert merged([period, period]).measures == {}


def test_a_minute_of_the_clock_takes_what_was_decided_in_it() -> None:
    tally = Tally(MODEL, None)
    assert tally.takes(START)
    tally.add(answered(next(parts(1))).verdict, [])
    assert tally.takes(START + timedelta(seconds=59.9))
    assert not tally.takes(START + timedelta(seconds=60))
    assert not tally.takes(START - timedelta(hours=1))  # a clock that was set back
    assert Tally(MODEL, None).period(drift_log().snapshot()) is None


def test_a_row_of_a_newer_version_is_read_without_what_it_adds() -> None:
    row = json.loads(tallied(list(parts(10))).to_json())
    known = Period.model_validate_json(json.dumps(row))
    row["humidity"] = 0.4
    row["measures"]["noise"]["skew"] = 1.5
    assert Period.model_validate_json(json.dumps(row)) == known


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        (timedelta(minutes=1), "06:07:00"),
        (timedelta(hours=1), "06:00:00"),
        (timedelta(days=1), "00:00:00"),
    ],
)
def test_a_moment_lies_in_the_step_that_began_before_it(step: timedelta, wanted: str) -> None:
    assert f"{floored(START + timedelta(minutes=7, seconds=59.5), step):%H:%M:%S}" == wanted
