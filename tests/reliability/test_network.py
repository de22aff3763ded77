"""The network between station and broker fails in every way; every verdict arrives all the same."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_runtime.mes.private_broker import find_mosquitto
from tests.reliability.daemon import broken_program
from tests.reliability.network import HOLDS, SHORT_S, UNNOTICED_S, Recovery, endure, endure_all
from tests.reliability.proxy import Fault

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]


@pytest.fixture(scope="module")
def endured(
    tmp_path_factory: pytest.TempPathFactory, bundle: Path
) -> tuple[dict[Fault, Recovery], Recovery]:
    """All faults, and the control, endured at the same time."""
    folder = tmp_path_factory.mktemp("network")
    broken = broken_program("forget-on-break")
    with ThreadPoolExecutor(1) as pool:
        control = pool.submit(
            endure, Fault.BLACK_HOLE, SHORT_S, folder / "control", bundle, program=broken
        )
        return endure_all(folder, bundle), control.result()


@pytest.fixture
def recoveries(endured: tuple[dict[Fault, Recovery], Recovery]) -> dict[Fault, Recovery]:
    return endured[0]


@pytest.mark.parametrize("fault", HOLDS)
def test_no_verdict_is_lost_whatever_the_network_does(
    fault: Fault, recoveries: dict[Fault, Recovery]
) -> None:
    recovery = recoveries[fault]
    assert recovery.faults == ()
    assert recovery.verdicts > 20 * recovery.held_s
    assert recovery.recovery_s is not None
    # The back-off of an outage this long is capped at ten seconds; the rest is a busy machine.
    assert recovery.recovery_s < 20.0, recovery.words


@pytest.mark.parametrize("fault", [fault for fault in HOLDS if HOLDS[fault] == UNNOTICED_S])
def test_a_silence_that_the_system_does_not_report_is_found_out(
    fault: Fault, recoveries: dict[Fault, Recovery]
) -> None:
    said = " ".join(recoveries[fault].words)
    assert "acknowledged nothing" in said or "keep-alive ran out" in said


def test_control_a_station_that_forgets_what_was_on_its_way_is_caught(
    endured: tuple[dict[Fault, Recovery], Recovery],
) -> None:
    _, control = endured
    assert any("never at the consumer" in fault for fault in control.faults), control
