"""The station's memory does not grow with the parts it has seen."""

from pathlib import Path

import pytest

from edge_runtime.mes.private_broker import find_mosquitto
from tests.reliability.daemon import PRODUCT, broken_program
from tests.reliability.soak import Soak, soak

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]
LIMIT_MB = 4.0
"""For so short a time; the leak of the control comes to some 20 MB on two cores."""


def short_soak(folder: Path, bundle: Path, program: tuple[str, ...]) -> Soak:
    return soak(folder, bundle, rate=250.0, warm_up_s=12.0, seconds=8.0, program=program)


def test_memory_stays_while_parts_flow(tmp_path: Path, bundle: Path) -> None:
    seen = short_soak(tmp_path, bundle, PRODUCT)
    assert seen.faults(LIMIT_MB) == (), seen
    assert seen.reckoning.last_seq > 1000


def test_control_a_leaking_station_is_caught(tmp_path: Path, bundle: Path) -> None:
    seen = short_soak(tmp_path, bundle, broken_program("leak"))
    assert any("memory grew" in fault for fault in seen.faults(LIMIT_MB)), seen
