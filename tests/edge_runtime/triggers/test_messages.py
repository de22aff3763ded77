import logging
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.mes.base import Message
from edge_runtime.triggers.messages import LARGEST, WAITING, TriggerMessages


def say(payload: bytes) -> Message:
    return Message(topic="inspection/plant/L07/S3/trigger", payload=payload, retained=False)


def test_a_trigger_counts_from_its_arrival_and_may_set_its_own_deadline_and_name() -> None:
    triggers = TriggerMessages()
    before = time.monotonic()
    triggers.hear(say(b'{"part_id": "M1"}'))
    triggers.hear(say(b'{"part_id": "M1", "deadline_ms": 80, "trigger_id": "t-2"}'))
    first, second = triggers.arrived()
    assert (first.key, first.part_id, first.allowed_s) == ("M1", "M1", None)
    assert (second.key, second.part_id, second.allowed_s) == ("t-2", "M1", 0.08)
    assert before <= first.at <= second.at <= time.monotonic()
    assert first.triggered_at is not None


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "payload: Invalid JSON"),
        (b"{}", "part_id: Field required"),
        (b'{"part_id": 7}', "part_id: Input should be a valid string"),
        (b'{"part_id": "M1", "deadline_ms": 0}', "deadline_ms: Input should be greater than 0"),
        (b'{"part_id": "M1", "deadlin_ms": 80}', "deadlin_ms: Extra inputs are not permitted"),
        (b'{"part_id": "' + b"x" * LARGEST + b'"}', "bytes, limit 4096"),
    ],
)
def test_what_cannot_be_read_is_counted_and_said_in_one_line(
    payload: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    triggers = TriggerMessages()
    triggers.hear(say(payload))
    assert (triggers.arrived(), triggers.ignored) == ((), 1)
    (record,) = caplog.records
    assert record.message.startswith("a trigger could not be read: ")
    assert words in record.message
    assert "\n" not in record.message
    with caplog.at_level(logging.INFO):
        triggers.hear(say(payload))
    assert len(caplog.records) == 1, "the counter has the others"


def test_the_newest_trigger_that_finds_no_room_is_dropped_and_counted() -> None:
    triggers = TriggerMessages()
    for number in range(WAITING + 3):
        triggers.hear(say(b'{"part_id": "M%d"}' % number))
    assert triggers.ignored == 3
    assert [part.part_id for part in triggers.arrived()] == [f"M{n}" for n in range(WAITING)]


@given(payload=st.binary(max_size=200))
def test_no_payload_harms_the_publishers_thread(payload: bytes) -> None:
    triggers = TriggerMessages()
    triggers.hear(say(payload))
    assert len(triggers.arrived()) + triggers.ignored == 1
