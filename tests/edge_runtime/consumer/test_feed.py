"""What a consumer makes of a station's messages, and of what anybody may publish in its name."""

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.consumer.feed import Feed
from edge_runtime.contracts.replay import ReplayAnswer
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import DeliveryNote, Lane, message
from edge_runtime.mes.topics import Topics, everything_of, matches, station_of
from tests.sample_verdicts import sample_verdict

TOPICS = Topics(site="plant-1", station=StationId.parse("L07-S3"))
LEAVES = ("verdict", "replay", "availability", "health", "journal", "replay/answer", "replay/set")
MUTATIONS = 20_000


def new_feed(remarks: list[str] | None = None) -> Feed:
    said = [] if remarks is None else remarks
    return Feed(TOPICS, requester="mes-1", remark=said.append)


def verdict_message(seq: int = 7, lane: Lane = Lane.LIVE, **changes: object) -> bytes:
    body = sample_verdict(seq).model_copy(update=changes).to_json().encode()
    return message(body, DeliveryNote(lane=lane, waited_ms=1.0))


def health_message(**changes: object) -> bytes:
    health = {
        "schema": "edge-inspect/health/1", "boot_id": "b", "site": "plant-1", "line": "L07",
        "station": "S3", "at": "2026-01-15T08:30:00Z", "uptime_s": 1.0, "bundle": "demo/1",
        "engine": "null", "frames": 1, "verdicts": {}, "acknowledged": 1, "pending": 0,
        "refused": 0, "connections": 1, "latency": None, "problem": None,
    }  # fmt: skip
    return json.dumps(health | changes).encode()


def head_message(**changes: object) -> bytes:
    head = {
        "schema": "edge-inspect/journal/1", "site": "plant-1", "line": "L07", "station": "S3",
        "at": "2026-01-15T08:30:00Z", "first_seq": 1, "last_seq": 9, "sha256": "0" * 64,
    }  # fmt: skip
    return json.dumps(head | changes).encode()


SOUND: tuple[tuple[str, bytes], ...] = (
    (TOPICS.verdict, verdict_message()),
    (TOPICS.replay, verdict_message(6, Lane.REPLAY)),
    (TOPICS.availability, b"online"),
    (TOPICS.health, health_message()),
    (TOPICS.journal, head_message()),
    (
        TOPICS.replay_answer,
        ReplayAnswer(request_id="mes-1:1", from_seq=1, to_seq=2, verdicts=2, refusal=None)
        .to_json()
        .encode(),
    ),
)


def test_sound_messages_are_understood() -> None:
    remarks: list[str] = []
    feed = new_feed(remarks)
    verdicts = [feed.take(topic, payload, 0.0) for topic, payload in SOUND]
    assert [verdict.seq for verdict in verdicts if verdict is not None] == [7]
    assert feed.malformed == 0
    assert (feed.availability, feed.health is not None) == ("online", True)
    assert remarks == ["L07-S3 is online"]


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        (TOPICS.verdict, b"", "Invalid JSON"),
        (TOPICS.verdict, b"\xff\xfe", "Invalid JSON"),
        (TOPICS.verdict, b"[" * 100_000, "Invalid JSON"),
        (TOPICS.verdict, b"x" * (2 << 20), "bytes are more than"),
        (TOPICS.verdict, verdict_message(2**63), "beyond every journal"),
        (TOPICS.verdict, verdict_message(station="S4"), "says to come from plant-1 L07-S4"),
        (TOPICS.verdict, sample_verdict(1).to_json().encode(), "delivery: Field required"),
        (TOPICS.health, health_message(line="L08"), "says to come from plant-1 L08-S3"),
        (TOPICS.health, health_message(at="0001-01-01T00:00:00+23:00"), "at:"),
        (TOPICS.journal, head_message(last_seq=-1), "last_seq"),
        (TOPICS.availability, b"perhaps", "neither online nor stopped nor offline"),
        (TOPICS.replay_answer, b"{}", "request_id: Field required"),
    ],
)
def test_what_is_not_understood_is_counted_and_said_in_one_line(
    topic: str, payload: bytes, words: str
) -> None:
    remarks: list[str] = []
    feed = new_feed(remarks)
    assert feed.take(topic, payload, 0.0) is None
    assert feed.malformed == 1
    (remark,) = remarks
    assert remark.startswith(f"L07-S3 a message on {topic} was set aside: ")
    assert words in remark
    assert remark.isprintable()
    assert feed.sequence.received == 0


def test_a_journal_that_was_moved_away_is_said_and_its_verdicts_are_taken() -> None:
    remarks: list[str] = []
    feed = new_feed(remarks)
    feed.take(TOPICS.verdict, verdict_message(500), 0.0)
    assert feed.take(TOPICS.verdict, verdict_message(1, boot_id="another"), 0.0) is not None
    (remark,) = remarks
    assert "numbers from 1 again" in remark


def test_a_verdict_that_contradicts_another_is_said_and_not_passed_on() -> None:
    remarks: list[str] = []
    feed = new_feed(remarks)
    feed.take(TOPICS.verdict, verdict_message(5, part_id="P-5"), 0.0)
    assert feed.take(TOPICS.verdict, verdict_message(5, part_id="forged"), 0.0) is None
    (remark,) = remarks
    assert "contradicts another one" in remark
    assert feed.sequence.conflicts == 1


def test_the_same_verdict_in_another_lane_is_a_repetition() -> None:
    feed = new_feed()
    body = sample_verdict(5).to_json().encode()
    for lane in Lane:
        feed.take(TOPICS.verdict, message(body, DeliveryNote(lane=lane, waited_ms=9.0)), 0.0)
    assert (feed.sequence.received, feed.sequence.duplicates) == (1, 2)


def withstands(feed: Feed, topic: str, payload: bytes) -> None:
    """Taking it raises nothing, and whatever it was, requests can still be made."""
    feed.take(topic, payload, 0.0)
    for now in (0.0, 10.0, 100.0, 1000.0):
        feed.request(now)


@given(st.sampled_from(LEAVES), st.binary(max_size=200))
def test_any_bytes_are_withstood(leaf: str, payload: bytes) -> None:
    withstands(new_feed(), f"inspection/plant-1/L07/S3/{leaf}", payload)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", 2**63, 2**200]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@settings(max_examples=400)
@given(st.sampled_from([pair for pair in SOUND if pair[1] != b"online"]), st.data())
def test_any_value_of_any_field_is_withstood(sound: tuple[str, bytes], data: st.DataObject) -> None:
    topic, payload = sound
    fields = json.loads(payload)
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(JSON)
    withstands(new_feed(), topic, json.dumps(fields).encode())


def test_mutated_messages_are_withstood() -> None:
    dice = random.Random(7)
    remarks: list[str] = []
    feed = new_feed(remarks)
    for _ in range(MUTATIONS):
        topic, payload = dice.choice(SOUND)
        withstands(feed, topic, mutated(payload, dice))
    assert feed.malformed > MUTATIONS // 2
    assert all(remark.isprintable() and len(remark) < 1000 for remark in remarks)


def mutated(payload: bytes, dice: random.Random) -> bytes:
    """A sound payload with up to four bytes changed, a piece cut out, or a piece doubled."""
    changed = bytearray(payload)
    at, until = sorted(dice.randrange(len(changed) + 1) for _ in range(2))
    change: Callable[[], None] = dice.choice(
        [
            lambda: changed.__delitem__(slice(at, until)),
            lambda: changed.__setitem__(slice(until, until), changed[at:until]),
            lambda: None,
        ]
    )
    change()
    for _ in range(dice.randrange(5)):
        if changed:
            changed[dice.randrange(len(changed))] = dice.choice(b'\x00"\\{}[],:019.eE-\x1b\xff')
    return bytes(changed)


@given(st.text(max_size=60))
def test_a_topic_is_a_stations_or_nobodys(text: str) -> None:
    for topic in (text, f"inspection/{text}", f"inspection/plant-1/{text}/S3/verdict"):
        found = station_of(topic)
        assert found is None or matches(everything_of(found.site, found.station), topic)


def test_topics_lead_back_to_their_station() -> None:
    for topic in (TOPICS.verdict, TOPICS.health, TOPICS.replay_set, TOPICS.replay_answer):
        assert station_of(topic) == TOPICS
        assert matches(everything_of("plant-1"), topic)
        assert matches(everything_of("plant-1", "L07"), topic)
        assert matches(everything_of("plant-1", TOPICS.station), topic)
    assert not matches(everything_of("plant-1", "L08"), TOPICS.verdict)
