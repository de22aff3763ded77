"""Whatever says which parts there are keeps the same promises."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.mes.base import Message
from edge_runtime.triggers.base import TriggerSource
from edge_runtime.triggers.counter import FrameCounter
from edge_runtime.triggers.file_names import FileNames
from edge_runtime.triggers.free_run import FreeRun
from edge_runtime.triggers.messages import TriggerMessages


def told() -> TriggerMessages:
    messages = TriggerMessages()
    messages.hear(Message(topic="t", payload=b'{"part_id": "M7"}', retained=False))
    return messages


MAKERS: dict[str, Callable[[], TriggerSource]] = {
    "free": FreeRun,
    "camera": FrameCounter,
    "folder": lambda: FileNames(re.compile("(?P<part>.+)_[^_]+")),
    "mqtt": told,
}


@pytest.fixture(params=sorted(MAKERS))
def source(request: pytest.FixtureRequest) -> TriggerSource:
    return MAKERS[request.param]()


def frame(number: int) -> Frame:
    return Frame(
        part_id=f"cam-{number:08d}_left",
        captured_at=datetime.now(UTC),
        arrived=time.monotonic(),
        image=Unreadable("nobody looks at it"),
        counter=number,
    )


def test_a_part_is_announced_from_outside_or_by_its_frame_and_by_one_of_them_alone(
    source: TriggerSource,
) -> None:
    shown = source.shown(frame(1))
    from_outside = source.arrived()
    assert bool(from_outside) != bool(shown.announced)
    for announced in (*from_outside, *shown.announced):
        assert announced.part_id
        assert announced.at <= time.monotonic()
        assert (announced.triggered_at is None) == (not from_outside)


def test_a_frame_that_announces_parts_belongs_to_the_last_of_them(source: TriggerSource) -> None:
    for number in (1, 2, 5):
        shown = source.shown(frame(number))
        if shown.announced:
            assert shown.announced[-1].key == shown.key
            assert shown.announced[-1].lost is None
        else:
            assert shown.key is None


def test_what_came_from_outside_is_handed_over_once(source: TriggerSource) -> None:
    source.arrived()
    assert source.arrived() == ()


def test_keys_of_different_parts_differ(source: TriggerSource) -> None:
    keys = [
        announced.key
        for number in (1, 2, 5)
        for announced in source.shown(replace(frame(number), part_id=f"p{number}_left")).announced
    ]
    assert len(set(keys)) == len(keys)
    assert source.ignored == 0
