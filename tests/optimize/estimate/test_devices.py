"""The table of devices."""

import pytest

from optimize.estimate.devices import DEVICES, Device
from optimize.estimate.layers import Precision


@pytest.mark.parametrize("device", DEVICES.values(), ids=list(DEVICES))
def test_a_row_is_complete_and_narrower_types_are_quicker(device: Device) -> None:
    peaks = [device.peaks[precision] for precision in Precision]
    assert peaks == sorted(peaks)
    assert 1e12 < peaks[0] < peaks[-1] < 1e15
    assert 5e10 < device.bandwidth < 1e12
    assert device.source


def test_the_t4_is_as_its_data_sheet_has_it() -> None:
    t4 = DEVICES["t4"]
    assert [t4.peaks[precision] / 1e12 for precision in Precision] == [8.1, 65, 130]
    assert t4.bandwidth == 320e9
