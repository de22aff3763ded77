"""Whatever can move, there are words for it, either way."""

import pytest

from edge_runtime.contracts.drift import DriftLevel, Moved
from edge_runtime.drift.series import CERTAINTY
from edge_runtime.drift_report.advice import cause, what_to_do
from tests.edge_runtime.drift.line import START
from tests.edge_runtime.drift_history.course import reference

NAMES = [each.name for each in (*reference().measures, *reference().shares)]
NAMES.append(f"{CERTAINTY}spatter")


def moved(statistic: str, effect: float, level: DriftLevel = DriftLevel.ALARM) -> Moved:
    return Moved(
        statistic=statistic,
        level=level,
        since=START,
        reference=1.0,
        now=2.0,
        unit="-",
        effect=effect,
        psi=None,
        wasserstein=None,
        affected=None,
        words="-",
    )


@pytest.mark.parametrize("statistic", NAMES)
def test_every_statistic_has_advice_and_another_one_for_each_direction(statistic: str) -> None:
    up, down = (
        what_to_do(DriftLevel.ALARM, [moved(statistic, effect)])[1] for effect in (0.9, -0.9)
    )
    assert up != down
    assert min(len(up), len(down)) > 20


def test_classes_are_looked_at_once_and_in_the_place_of_the_first() -> None:
    steps = what_to_do(
        DriftLevel.WARNING,
        [moved("class:spatter", 0.4), moved("colour", -2), moved("class:no_defect", -0.4)],
    )
    assert len(steps) == 3
    assert "finds spatter more often, no defect less often" in steps[0]


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        ((), None),
        (("colour",), "verdicts have not yet"),
        (("review", "class:spatter"), "look as in training"),
        (("colour", "review"), "changed together"),
    ],
)
def test_the_kind_of_change_follows_from_what_moved_and_what_did_not(
    statistics: tuple[str, ...], words: str | None
) -> None:
    said = cause([moved(name, 1.0) for name in statistics])
    assert said is None if words is None else words in str(said)


def test_only_an_alarm_asks_for_parts_to_be_inspected_again() -> None:
    for level in DriftLevel:
        said = " ".join(what_to_do(level, [moved("colour", -2, level)]))
        assert ("inspected again" in said) == (level is DriftLevel.ALARM)
