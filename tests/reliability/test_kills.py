"""Station and broker die at random moments while parts flow; no verdict is lost, doubled or changed."""

import sys
from collections.abc import Callable

import pytest

from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.daemon import Station, broken_program
from tests.reliability.kills import OF_THE_BROKER, OF_THE_STATION, REPLAYING, Kill, Outcome, run

pytestmark = pytest.mark.slow


def kill_the_station(station: Station, broker: PrivateBroker, kills: int) -> Outcome:
    (outcome,) = run(station, broker, [(OF_THE_STATION, kills)], seed=5)
    sys.stdout.write(f"{outcome}\n")
    return outcome


def test_a_station_killed_at_random_loses_no_verdict(
    station: Callable[..., Station], broker: PrivateBroker
) -> None:
    outcome = kill_the_station(station(), broker, kills=15)
    assert outcome.faults == ()
    assert outcome.kills_while_parts_flowed >= 8


def test_what_a_killed_broker_has_lost_is_had_again_on_request(
    station: Callable[..., Station], mosquitto: Callable[..., PrivateBroker]
) -> None:
    forgetful = mosquitto(persistence=True)
    replaying = station(broker=forgetful.address, environment=REPLAYING)
    (outcome,) = run(replaying, forgetful, [(OF_THE_BROKER, 10)], seed=6)
    sys.stdout.write(f"{outcome}\n")
    assert outcome.faults == ()
    assert outcome.kills_while_parts_flowed >= 5
    assert outcome.lost_by_the_broker, "there was something to ask for"


def test_control_a_station_that_forgets_what_the_broker_took_is_caught(
    station: Callable[..., Station], mosquitto: Callable[..., PrivateBroker]
) -> None:
    forgetful = mosquitto(persistence=True)
    broken = station(
        broker=forgetful.address,
        environment=REPLAYING,
        program=broken_program("forget-the-answered"),
    )
    plan = [((Kill.BROKER_WHILE_AWAY,), 1)]
    (outcome,) = run(broken, forgetful, plan, seed=6, replayed_within_s=3.0)
    assert outcome.lost_by_the_broker, "there was something to ask for"
    assert any("never at the consumer" in found for found in outcome.faults), outcome


@pytest.mark.parametrize(
    ("mistake", "fault"),
    [
        ("publish-before-commit", "sent with two different contents"),
        ("clear-on-send", "never at the consumer"),
    ],
)
def test_control_a_broken_station_is_caught(
    mistake: str, fault: str, station: Callable[..., Station], broker: PrivateBroker
) -> None:
    broken = station(program=broken_program(mistake))
    outcome = kill_the_station(broken, broker, kills=8)
    assert any(fault in found for found in outcome.faults), outcome
