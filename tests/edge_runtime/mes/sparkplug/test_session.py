"""The edge node's rules without a network: births, data, deaths, rebirths, and numbers that wrap."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.verdict import Verdict
from edge_runtime.errors import UsageError
from edge_runtime.mes.sparkplug.bd_seq import BirthDeathSequence
from edge_runtime.mes.sparkplug.session import EdgeNode, SparkplugMessage, SparkplugSession
from tests.sample_verdicts import sample_verdict
from tests.sparkplug_host import Host, decode, rebirth_command

NODE = EdgeNode(group="VoltForge", node="L07-S3")
NOW = 1_768_466_000_000


def hear(host: Host, messages: Sequence[SparkplugMessage]) -> list[str]:
    return [host.hear(message.topic, message.payload) for message in messages]


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def session(host: Host) -> SparkplugSession:
    """Connected for the first time, births heard."""
    session = SparkplugSession(NODE)
    session.begin(0, now=NOW)
    assert hear(host, session.births(now=NOW, clock=0.0)) == ["NBIRTH", "DBIRTH"]
    return session


def test_a_verdict_arrives_with_all_its_fields(session: SparkplugSession, host: Host) -> None:
    verdict = sample_verdict(7)
    hear(host, session.data(verdict, now=NOW, clock=1.0))
    (part,) = host.parts
    expected = json.loads(verdict.to_json())
    assert expected.pop("views") == []
    for name in ("thresholds", "timings_ms", "scores"):
        nested = expected.pop(name)
        expected |= {f"{name}/{key}": value for key, value in nested.items()}
    for name in ("captured_at", "decided_at"):
        expected[name] = int(getattr(verdict, name).timestamp() * 1000)
    assert part == expected | {"historical": False}


def test_before_the_first_verdict_everything_is_null(session: SparkplugSession, host: Host) -> None:
    assert host.device_online
    assert host.current
    assert set(host.current.values()) == {None}


def test_classes_become_metrics_by_new_births_when_they_appear(
    session: SparkplugSession, host: Host
) -> None:
    first = sample_verdict(1)
    assert hear(host, session.data(first, now=NOW, clock=1.0)) == ["NBIRTH", "DBIRTH", "DDATA"]
    assert hear(host, session.data(sample_verdict(2), now=NOW, clock=2.0)) == ["DDATA"]
    other = first.model_copy(update={"scores": {"micro_crack": 0.5, "spatter": 0.5}})
    assert hear(host, session.data(other, now=NOW, clock=3.0)) == ["NBIRTH", "DBIRTH", "DDATA"]
    assert host.parts[-1]["scores/spatter"] == 0.5
    assert host.parts[-1]["scores/no_defect"] is None


def test_the_will_and_the_birth_carry_the_same_bd_seq(host: Host) -> None:
    session = SparkplugSession(NODE)
    will = session.begin(41, now=NOW)
    hear(host, session.births(now=NOW, clock=0.0))
    assert (host.bd_seq, host.online) == (41, True)
    host.hear(will.topic, will.payload)
    assert not host.online


def test_a_will_of_an_earlier_connection_does_not_end_the_present_one(host: Host) -> None:
    session = SparkplugSession(NODE)
    late = session.begin(41, now=NOW)
    session.begin(42, now=NOW)
    hear(host, session.births(now=NOW, clock=0.0))
    host.hear(late.topic, late.payload)
    assert host.online


def test_a_clean_end_says_that_device_and_node_are_gone(
    session: SparkplugSession, host: Host
) -> None:
    assert hear(host, session.deaths(now=NOW)) == ["DDEATH", "NDEATH"]
    assert not host.online


def test_a_rebirth_repeats_the_current_values_under_the_same_bd_seq(
    session: SparkplugSession, host: Host
) -> None:
    hear(host, session.data(sample_verdict(5), now=NOW, clock=1.0))
    session.receive(rebirth_command())
    assert session.rebirth_wanted
    late = Host()
    hear(late, session.births(now=NOW, clock=9.0))
    assert late.current["part_id"] == "P-5"
    assert late.bd_seq == 0
    assert not session.rebirth_wanted


def test_births_that_are_asked_for_in_a_hurry_wait_a_second(session: SparkplugSession) -> None:
    session.receive(rebirth_command())
    assert session.rebirth_due_in(0.25) == 0.75
    assert session.rebirth_due_in(1.0) == 0.0


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x12\xff", "not a Sparkplug B payload"),
        (b"", "only command"),
        (rebirth_command(value=False), "only command"),
        (rebirth_command() + b"\x2a\x88\x27" + bytes(5000), "5033 bytes, and a command has"),
    ],
)
def test_a_command_that_is_none_is_refused_with_the_reason(
    session: SparkplugSession, payload: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        session.receive(payload)
    assert not session.rebirth_wanted


@given(st.binary(max_size=200))
def test_no_command_can_break_the_session(payload: bytes) -> None:
    session = SparkplugSession(NODE)
    try:
        session.receive(payload)
    except ValueError:
        assert not session.rebirth_wanted


@pytest.mark.parametrize("group", ["", "a/b", "a+", "#"])
def test_an_id_that_would_break_the_topic_is_refused(group: str) -> None:
    with pytest.raises(UsageError, match=r"without '\+', '/' and '#'"):
        EdgeNode(group=group, node="L07-S3")


STEPS = st.lists(
    st.sampled_from(["data", "new class", "history", "rebirth", "reconnect"]), max_size=400
)


@given(STEPS)
def test_a_host_believes_every_course_of_events(steps: list[str]) -> None:
    session, host = SparkplugSession(NODE), Host()
    attempts = 0
    session.begin(0, now=NOW)
    hear(host, session.births(now=NOW, clock=0.0))
    for seq, step in enumerate(steps, start=1):
        verdict = sample_verdict(seq)
        if step == "new class":
            verdict = verdict.model_copy(update={"scores": {f"class-{seq}": 1.0}})
        if step == "reconnect":
            attempts = (attempts + 1) % 256
            session.begin(attempts, now=NOW)
            hear(host, session.births(now=NOW, clock=seq, current=verdict))
            assert host.current["seq"] == seq
        elif step == "rebirth":
            session.receive(rebirth_command())
            hear(host, session.births(now=NOW, clock=seq))
        else:
            historical = step == "history"
            hear(host, session.data(verdict, now=NOW, clock=seq, historical=historical))
            assert host.parts[-1]["part_id"] == f"P-{seq}"
            assert host.parts[-1]["historical"] == historical
        assert host.bd_seq == attempts
    hear(host, session.deaths(now=NOW))
    assert not host.online


def test_the_host_of_these_tests_notices_a_message_that_is_missing(
    session: SparkplugSession, host: Host
) -> None:
    session.data(sample_verdict(1), now=NOW, clock=1.0)
    with pytest.raises(AssertionError):
        hear(host, session.data(sample_verdict(2), now=NOW, clock=1.0))


def test_times_are_milliseconds_of_the_decision_and_of_the_sending(
    session: SparkplugSession,
) -> None:
    verdict = sample_verdict(1)
    *_, data = session.data(verdict, now=NOW, clock=1.0)
    payload = decode(data.payload)
    assert payload.timestamp == NOW
    decided = int(verdict.decided_at.timestamp() * 1000)
    assert {metric.timestamp for metric in payload.metrics} == {decided}


def test_every_field_of_a_verdict_has_a_metric(session: SparkplugSession, host: Host) -> None:
    fields = {field.alias or name for name, field in Verdict.model_fields.items()}
    assert fields - {"scores", "views"} == {name.partition("/")[0] for name in host.current}


def test_the_connection_number_goes_on_where_the_last_run_left_off(tmp_path: Path) -> None:
    path = tmp_path / "sparkplug.bdseq"
    sequence = BirthDeathSequence(path)
    assert [sequence.next() for _ in range(3)] == [0, 1, 2]
    assert BirthDeathSequence(path).next() == 3
    path.write_text("255\n", encoding="ascii")
    assert BirthDeathSequence(path).next() == 0


@pytest.mark.parametrize("content", ["256", "-1", "many", "", "\u0663"])
def test_a_connection_number_that_is_none_counts_from_0(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sparkplug.bdseq"
    path.write_text(content, encoding="utf-8")
    assert BirthDeathSequence(path).next() == 0
    assert str(path) in caplog.text


def test_a_connection_number_that_cannot_be_kept_still_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sequence = BirthDeathSequence(tmp_path / "missing" / "sparkplug.bdseq")
    assert [sequence.next(), sequence.next()] == [0, 1]
    assert "cannot keep" in caplog.text


def test_names_aliases_and_datatypes_stay_as_they_are(session: SparkplugSession) -> None:
    golden = Path(__file__).parents[3] / "golden" / "sparkplug.json"
    _, birth, _ = session.data(sample_verdict(1), now=NOW, clock=1.0)
    metrics = {
        metric.name: {"alias": metric.alias, "datatype": metric.datatype}
        for metric in decode(birth.payload).metrics
    }
    assert json.loads(golden.read_text(encoding="utf-8")) == metrics
