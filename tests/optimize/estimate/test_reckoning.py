"""An estimate and what it says of itself."""

from dataclasses import replace

import pytest

from optimize.estimate.devices import DEVICES, Device
from optimize.estimate.layers import Kind, Precision
from optimize.estimate.network import Network
from optimize.estimate.published import table
from optimize.estimate.reckoning import Estimate, Verdict, estimate
from tests.optimize.estimate.test_layers import LAYER

HEAVY = replace(LAYER, name="heavy", macs=10**9)
NORM = replace(LAYER, name="norm", kind=Kind.NORM, macs=0)


def make(device: Device = DEVICES["t4"], batch: int = 32) -> Estimate:
    network = Network(name="two", taken=(1, 3, 8, 8), layers=(LAYER, HEAVY, NORM))
    return estimate(network, device, Precision.INT8, batch, table.basis())


def test_an_estimate_lies_above_its_bound_and_within_its_interval() -> None:
    found = make()
    assert found.bound_ms <= found.low_ms < found.ms < found.high_ms


def test_the_interval_does_not_reach_below_the_bound() -> None:
    network = Network(name="one", taken=(1, 3, 8, 8), layers=(replace(LAYER, macs=10**12),))
    found = estimate(network, DEVICES["t4"], Precision.INT8, 1, table.basis())
    assert found.ms / table.basis().calibration.factor < found.bound_ms
    assert found.low_ms == found.bound_ms


def test_the_layers_costs_are_the_estimate() -> None:
    found = make()
    assert sum(cost.seconds for cost in found.costs) / 32 * 1000 == pytest.approx(found.ms)
    assert [cost.bound.layer.name for cost in found.dominating(1)] == ["heavy"]


def test_a_small_batch_costs_more_an_image() -> None:
    assert make(batch=1).ms > make(batch=32).ms


def test_kinds_that_the_fit_has_not_seen_are_told() -> None:
    found = make()
    norm = found.costs[-1].seconds / sum(cost.seconds for cost in found.costs)
    assert found.untried == pytest.approx(norm)
    assert 0 < norm < 1


def test_what_the_last_cache_holds_is_told() -> None:
    small = replace(HEAVY, macs=0, reads=10**6, writes=10**6)
    network = Network(name="one", taken=(1, 3, 8, 8), layers=(small,))
    found = [
        estimate(network, DEVICES["t4"], Precision.INT8, batch, table.basis()).cached
        for batch in (1, 32)
    ]
    assert found == [1.0, 0.0]  # 2 MB of 4 MiB, then 64


def test_only_the_t4_is_where_the_fit_was_made() -> None:
    assert make().fitted_here
    assert not make(DEVICES["l4"]).fitted_here


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ((1.0, 1.5, 2.0), Verdict.FITS),
        ((1.0, 1.5, 9.0), Verdict.OPEN),
        ((1.0, 4.0, 9.0), Verdict.TOO_SLOW),
        ((3.5, 4.0, 9.0), Verdict.IMPOSSIBLE),
    ],
)
def test_a_limit_is_held_as_surely_as_the_interval_tells(
    ends: tuple[float, float, float], says: Verdict
) -> None:
    bound, low, high = ends
    found = replace(make(), bound_ms=bound, low_ms=low, high_ms=high)
    assert found.verdict(3.0) is says
