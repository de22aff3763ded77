"""Labels come back to a real daemon over a real broker: answered once kept, and kept through a kill."""

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.label import LabelAnswer
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from tests.patience import listen_until
from tests.reliability.daemon import TOPICS, Station

pytestmark = pytest.mark.slow


def send(mes: Subscriber, request_id: str, **label: Any) -> None:
    given = {"label": "red", "source": "reinspection", "selected": "random"}
    payload = {"request_id": request_id, **given, **label}
    assert mes.publish(f"{TOPICS}/label", json.dumps(payload).encode())


def answers(messages: list[Message]) -> dict[str | None, LabelAnswer]:
    return {
        answer.request_id: answer
        for answer in (
            LabelAnswer.model_validate_json(message.payload)
            for message in messages
            if message.topic == f"{TOPICS}/label/answer"
        )
    }


def hear(mes: Subscriber, *request_ids: str) -> dict[str | None, LabelAnswer]:
    found = answers(listen_until(mes, lambda m: set(request_ids) <= set(answers(m)), 30.0))
    assert set(request_ids) <= set(found)
    return found


def verdicts(mes: Subscriber, count: int) -> list[dict[str, Any]]:
    """So many verdicts of parts that were inspected."""

    def inspected(messages: list[Message]) -> list[dict[str, Any]]:
        heard = [json.loads(m.payload) for m in messages if m.topic == f"{TOPICS}/verdict"]
        return [verdict for verdict in heard if verdict["label"] is not None]

    found = inspected(listen_until(mes, lambda m: len(inspected(m)) >= count, 30.0))
    assert len(found) >= count
    return found


def measured(mes: Subscriber, received: dict[str, int]) -> DriftReport:
    """The state that says so much of labels."""

    def wanted(messages: list[Message]) -> list[DriftReport]:
        reports = [
            DriftReport.model_validate_json(message.payload)
            for message in messages
            if message.topic == f"{TOPICS}/drift" and not message.retained
        ]
        return [r for r in reports if r.measured is not None and r.measured.received == received]

    found = wanted(listen_until(mes, lambda messages: bool(wanted(messages)), 40.0))
    assert found, f"nobody said {received}"
    return found[0]


def test_labels_are_matched_answered_counted_and_outlive_a_kill(
    station: Callable[..., Station], broker: PrivateBroker
) -> None:
    taking = station(rate=50.0, environment={"EDGE_INSPECT_LABELS_ACCEPT": "true"})
    with closing(open_subscriber(broker.address, f"{TOPICS}/#")) as mes:
        with taking.start() as daemon:
            first, second, *_ = verdicts(mes, 2)
            send(mes, "by part", part_id=first["part_id"])
            send(mes, "by seq", seq=second["seq"], label="no_defect")
            send(mes, "stranger", part_id="never made")
            send(mes, "no such class", seq=first["seq"], label="dent")
            found = hear(mes, "by part", "by seq", "stranger", "no such class")
            assert (found["by part"].accepted, found["by part"].seq) == (True, first["seq"])
            assert found["by seq"].part_id == second["part_id"]
            assert found["stranger"].refusal == "no verdict about part_id never made is known here"
            assert "unknown label 'dent'" in str(found["no such class"].refusal)
            counted = {"accepted": 2, "unknown_part": 1, "unknown_label": 1}
            report = measured(mes, counted)
            assert report.measured is not None
            assert report.measured.labels == 2
            assert "are the fewest that tell of missed defects" in report.measured.words
            daemon.kill()
        with taking.start():
            send_once_online(mes)
            send(mes, "again", part_id=first["part_id"])
            send(mes, "corrected", seq=second["seq"], label="blue")
            assert all(answer.accepted for answer in hear(mes, "again", "corrected").values())
            report = measured(mes, {"repeated": 1, "corrected": 1})
            assert report.measured is not None
            assert report.measured.labels == 2


def send_once_online(mes: Subscriber) -> None:
    """Wait for the station: whoever it does not hear is not answered."""
    topic = f"{TOPICS}/availability"

    def online(messages: list[Message]) -> bool:
        return any(m.topic == topic and m.payload == b"online" for m in messages)

    assert online(listen_until(mes, online, 30.0))


def test_a_station_that_takes_no_labels_says_nothing_of_them(
    station: Callable[..., Station], broker: PrivateBroker
) -> None:
    """The control: neither answers nor figures come from anything but the key."""
    with closing(open_subscriber(broker.address, f"{TOPICS}/#")) as mes, station(rate=50.0).start():
        (first, *_) = verdicts(mes, 1)
        send(mes, "nobody", part_id=first["part_id"])
        heard = listen_until(
            mes, lambda m: sum(each.topic == f"{TOPICS}/drift" for each in m) >= 2, 30.0
        )
        assert answers(heard) == {}
        last = [m for m in heard if m.topic == f"{TOPICS}/drift"][-1]
        assert DriftReport.model_validate_json(last.payload).measured is None
