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


UNNOTICED = [fault for fault in HOLDS if HOLDS[fault] == UNNOTICED_S]
FORGETFUL, TRUSTFUL = "send-and-forget", "never-doubt"
CONTROLS = {
    **{(TRUSTFUL, fault): UNNOTICED_S for fault in UNNOTICED},
    **{(FORGETFUL, fault): SHORT_S for fault in HOLDS},
}
"""How long each mistake meets each fault, seconds; the longest first."""
_AT_A_TIME = 8


@pytest.fixture(scope="module")
def endured(
    tmp_path_factory: pytest.TempPathFactory, bundle: Path
) -> tuple[dict[Fault, Recovery], dict[tuple[str, Fault], Recovery]]:
    """All faults, and the controls, endured at the same time; the one without a fault by itself."""
    folder = tmp_path_factory.mktemp("network")
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        controls = {
            (mistake, fault): pool.submit(
                endure,
                fault,
                held_s,
                folder / f"{mistake}-{fault}".replace(" ", "-"),
                bundle,
                program=broken_program(mistake),
            )
            for (mistake, fault), held_s in CONTROLS.items()
        }
        recoveries = endure_all(folder, bundle)
        caught = {control: running.result() for control, running in controls.items()}
    # A machine that is busy with all the others is a fault, too.
    caught[FORGETFUL, Fault.NONE] = endure(
        Fault.NONE, SHORT_S, folder / "none", bundle, program=broken_program(FORGETFUL)
    )
    return recoveries, caught


@pytest.fixture
def recoveries(
    endured: tuple[dict[Fault, Recovery], dict[tuple[str, Fault], Recovery]],
) -> dict[Fault, Recovery]:
    return endured[0]


@pytest.fixture
def controls(
    endured: tuple[dict[Fault, Recovery], dict[tuple[str, Fault], Recovery]],
) -> dict[tuple[str, Fault], Recovery]:
    return endured[1]


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


@pytest.mark.parametrize("fault", UNNOTICED)
def test_a_silence_that_the_system_does_not_report_is_found_out(
    fault: Fault, recoveries: dict[Fault, Recovery]
) -> None:
    assert found_out(recoveries[fault])


def found_out(recovery: Recovery) -> bool:
    said = " ".join(recovery.words)
    return "acknowledged nothing" in said or "keep-alive ran out" in said


@pytest.mark.parametrize("fault", HOLDS)
def test_control_a_station_that_clears_on_send_is_caught(
    fault: Fault, controls: dict[tuple[str, Fault], Recovery]
) -> None:
    lost_to_nothing = controls[FORGETFUL, Fault.NONE].lost
    assert controls[FORGETFUL, fault].lost > lost_to_nothing, controls[FORGETFUL, fault].faults


@pytest.mark.parametrize("fault", UNNOTICED)
def test_control_a_station_that_never_doubts_a_silence_is_caught(
    fault: Fault, controls: dict[tuple[str, Fault], Recovery]
) -> None:
    assert not found_out(controls[TRUSTFUL, fault]), controls[TRUSTFUL, fault]
