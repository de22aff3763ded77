"""Replay requests: what is granted, what is refused and why, and that no payload does harm."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.replay import LARGEST_REPLAY
from edge_runtime.delivery.replay import LARGEST_PAYLOAD, ReplayDesk
from edge_runtime.journal.chain import Head

HEAD = Head(first_seq=11, last_seq=50_000, sha256=bytes(32))


def request(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_a_range_that_is_kept_is_granted_whole() -> None:
    desk = ReplayDesk(enabled=True)
    answer = desk.ask(request(from_seq=20, to_seq=29, request_id="q7"), HEAD, 0.0)
    assert answer is not None
    assert (answer.request_id, answer.verdicts, answer.refusal) == ("q7", 10, None)
    assert desk.next() == range(20, 30)
    assert desk.next() is None


@pytest.mark.parametrize(
    ("first", "last", "verdicts"),
    [(1, 20, 10), (49_999, 50_001, 2), (1, 10, 0), (60_000, 60_001, 0)],
)
def test_what_is_no_longer_or_not_yet_there_is_said(first: int, last: int, verdicts: int) -> None:
    desk = ReplayDesk(enabled=True)
    answer = desk.ask(request(from_seq=first, to_seq=last), HEAD, 0.0)
    assert answer is not None
    assert answer.verdicts == verdicts
    assert answer.refusal == "the journal holds 11 to 50000"
    granted = desk.next()
    assert (len(granted) if granted else 0) == verdicts


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not a replay request: Invalid JSON"),
        (b"\xff\x00", "not a replay request: Invalid JSON"),
        (b"[]", "not a replay request"),
        (request(from_seq=5), "to_seq: Field required"),
        (request(from_seq=0, to_seq=5), "from_seq: Input should be greater"),
        (request(from_seq=9, to_seq=5), "to_seq 5 lies before from_seq 9"),
        (request(from_seq=1, to_seq=LARGEST_REPLAY + 1), f"at most {LARGEST_REPLAY} at once"),
        (request(from_seq=1, to_seq=2**64), "to_seq: Input should be less"),
        (request(from_seq=1, to_seq=2, colour="red"), "colour: Extra inputs are not permitted"),
        (request(from_seq=1, to_seq=2, request_id="x" * 65), "request_id: String should have"),
        (b" " * (LARGEST_PAYLOAD + 1), f"{LARGEST_PAYLOAD + 1} bytes"),
    ],
)
def test_a_request_that_cannot_be_granted_is_refused_with_the_reason(
    payload: bytes, reason: str
) -> None:
    desk = ReplayDesk(enabled=True)
    answer = desk.ask(payload, HEAD, 0.0)
    assert answer is not None
    assert answer.refusal is not None
    assert reason in answer.refusal
    assert "\n" not in answer.refusal
    assert desk.next() is None


def test_a_station_where_it_is_not_enabled_grants_nothing() -> None:
    desk = ReplayDesk(enabled=False)
    answer = desk.ask(request(from_seq=20, to_seq=29), HEAD, 0.0)
    assert answer is not None
    assert answer.refusal == "replay is not enabled at this station (mqtt_replay)"
    assert desk.next() is None


def test_a_flood_of_requests_becomes_no_flood_of_answers() -> None:
    desk = ReplayDesk(enabled=True)
    answers = [desk.ask(b"nonsense", HEAD, index / 1000) for index in range(10_000)]
    answered = sum(answer is not None for answer in answers)
    assert 20 <= answered <= 45
    assert desk.ignored == 10_000 - answered
    assert desk.ask(request(from_seq=20, to_seq=29), HEAD, 60.0) is not None


def test_granted_requests_that_nobody_fetches_are_bounded() -> None:
    desk = ReplayDesk(enabled=True)
    refusals = [
        answer.refusal
        for second in range(200)
        if (answer := desk.ask(request(from_seq=20, to_seq=29), HEAD, float(second))) is not None
    ]
    assert refusals.count(None) == 64
    assert refusals[-1] == "busy: 64 requests wait, try again later"


@given(st.binary(max_size=2000) | st.text(max_size=500).map(str.encode))
def test_no_payload_does_harm(payload: bytes) -> None:
    desk = ReplayDesk(enabled=True)
    answer = desk.ask(payload, HEAD, 0.0)
    assert answer is not None
    assert answer.verdicts == 0 or answer.from_seq is not None
    assert answer.to_json().isprintable()
