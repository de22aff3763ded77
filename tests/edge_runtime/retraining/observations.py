"""What a station knows, hour by hour, for the tests of its rules."""

from datetime import UTC, datetime, timedelta

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.retraining.rules import Bounds, Limits, Observation
from edge_runtime.retraining.triggers import Memory, Triggers

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
ONLY_DRIFT = Limits(min_recall=0, max_false_positives=0, labels=0, cool_down_hours=0)


def seen(
    hours: float,
    level: DriftLevel | None = DriftLevel.OK,
    *,
    recall: float | None = None,
    false_positives: float | None = None,
    labels: int | None = None,
    made_at: datetime = START,
) -> Observation:
    """An observation; bounds lie 0.05 (recall) and 0.01 (false positives) around the value."""
    return Observation(
        at=START + timedelta(hours=hours),
        level=level,
        summary="frames are 600 K colder",
        recall=None if recall is None else Bounds(low=recall - 0.05, value=recall, high=1.0),
        false_positives=None
        if false_positives is None
        else Bounds(low=false_positives - 0.01, value=false_positives, high=1.0),
        labels=labels,
        model_made_at=made_at,
    )


def triggers(limits: Limits = ONLY_DRIFT, memory: Memory | None = None) -> Triggers:
    """The rules of a station, from nothing or from what was remembered."""
    return Triggers(limits, memory or Memory(bundle="weld/1", model_sha256="a" * 64))
