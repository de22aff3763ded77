"""Evidence about drift through kills: a real daemon goes on from it, and loses a few blocks at most."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.contracts.drift import DriftReport
from edge_runtime.drift.log import SAVED_EVERY
from edge_runtime.drift.window import BLOCK
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from tests.edge_runtime.drift.line import make_reference
from tests.patience import listen_until
from tests.reliability.daemon import TOPICS, Station
from tests.tiny_bundle import write_bundle

pytestmark = pytest.mark.slow
_RATE = 150.0
_STATES_EVERY_S = 5.0


@pytest.fixture
def watched(station: Callable[..., Station], tmp_path: Path) -> Station:
    bundle = write_bundle(tmp_path / "watched", drift=make_reference(line_mix=False))
    return station(bundle=bundle, rate=_RATE)


def reports(mes: Subscriber, enough: Callable[[DriftReport], bool]) -> list[DriftReport]:
    """What is said of drift until it is enough."""

    def heard(messages: list[Message]) -> list[DriftReport]:
        return [
            DriftReport.model_validate_json(m.payload)
            for m in messages
            if m.topic == f"{TOPICS}/drift" and not m.retained
        ]

    def done(messages: list[Message]) -> bool:
        return any(enough(report) for report in heard(messages))

    found = heard(listen_until(mes, done, 60.0))
    assert any(enough(report) for report in found)
    return found


def test_a_kill_costs_a_few_blocks_and_a_clean_stop_less_than_one(
    watched: Station, broker: PrivateBroker
) -> None:
    with closing(open_subscriber(broker.address, f"{TOPICS}/#")) as mes:
        with watched.start() as daemon:
            before = reports(mes, lambda report: report.parts > 2 * SAVED_EVERY)[-1]
            # The next one is written down after the one before it was published.
            before = reports(mes, lambda report, b=before: report.parts > b.parts)[-1]
            daemon.kill()
        with watched.start() as daemon:
            first = reports(mes, lambda report: report.boot_id != before.boot_id)[-1]
            assert f"evidence of {first.parts} parts is gone on from" in daemon.words()
            # Between two states a part may be late: twice the interval is more than any.
            lost = before.parts - first.parts
            assert lost <= SAVED_EVERY + 2 * _RATE * _STATES_EVERY_S
            assert first.parts > SAVED_EVERY
            assert daemon.stop() == 0
        last = reports(mes, lambda report: report.parts > first.parts)[-1]
        with watched.start() as daemon:
            again = reports(
                mes, lambda report: report.boot_id not in (before.boot_id, last.boot_id)
            )[-1]
            assert last.parts - BLOCK < again.parts <= last.parts


def test_another_configuration_begins_anew(watched: Station, broker: PrivateBroker) -> None:
    """The control: what was learnt otherwise is not gone on from, and that is logged."""
    with closing(open_subscriber(broker.address, f"{TOPICS}/#")) as mes:
        with replace(watched, flags={"frames": "300"}).start() as daemon:
            assert daemon.wait() == 0
        last = reports(mes, lambda report: report.parts == 300)[-1]
        with watched.start() as daemon:
            first = reports(mes, lambda report: report.boot_id != last.boot_id)[0]
            assert first.parts == 0
            assert "learnt with another bundle or configuration" in daemon.words()
