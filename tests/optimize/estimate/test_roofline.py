"""The least time, by hand and against what was reckoned on paper."""

from dataclasses import replace

import pytest

from benchmarks.estimate import BACKBONES, LAYERS
from optimize.estimate.devices import DEVICES
from optimize.estimate.layers import Precision, from_json
from optimize.estimate.roofline import bound, bounds, total
from tests.optimize.estimate.test_layers import LAYER

T4 = DEVICES["t4"]
# Reckoned by other code from other exports, before this was written: MMACs, then ms per image.
ON_PAPER = {
    "tf_efficientnet_lite0": (501, 0.270, 0.114, 0.057),
    "mobilenetv4_conv_small": (241, 0.086, 0.035, 0.017),
    "efficientnet_b0": (502, 0.384, 0.171, 0.085),
    "resnet18": (2369, 0.617, 0.094, 0.047),
    "resnet50": (5338, 1.429, 0.289, 0.144),
    "convnext_tiny": (5818, 1.608, 0.336, 0.168),
}
TOLERANCE = 0.05
"""Of the times: the reckonings differ in how frames enter and in what counts as fused."""


def test_a_bound_is_the_longer_of_computing_and_moving() -> None:
    found = bound(LAYER, T4, 2, Precision.FP16)
    assert found.compute == pytest.approx(2 * 2 * 6912 / 65e12)
    assert found.memory == pytest.approx((112 + 2 * 448) * 2 / 320e9)
    assert (found.seconds, found.limit) == (found.memory, "memory")
    heavy = bound(replace(LAYER, macs=10**9), T4, 2, Precision.FP16)
    assert (heavy.seconds, heavy.limit) == (heavy.compute, "compute")


def test_without_a_precision_the_files_own_counts() -> None:
    layer = replace(LAYER, precision=Precision.INT8)
    assert bound(layer, T4, 1) == bound(layer, T4, 1, Precision.INT8)


def test_an_image_costs_least_in_a_large_batch() -> None:
    each = [total(bounds([LAYER], T4, batch)) / batch for batch in (1, 8, 32)]
    assert each == sorted(each, reverse=True)
    assert each[0] > each[-1]


@pytest.mark.parametrize("model", BACKBONES)
def test_the_t4s_bounds_are_those_reckoned_on_paper(model: str) -> None:
    layers = from_json((LAYERS / f"{model}.json").read_text(encoding="utf-8"))
    macs, *milliseconds = ON_PAPER[model]
    assert sum(layer.macs for layer in layers) / 1e6 == pytest.approx(macs, rel=0.006)
    for precision, expected in zip(Precision, milliseconds, strict=True):
        found = total(bounds(layers, T4, 32, precision)) / 32 * 1000
        assert found == pytest.approx(expected, rel=TOLERANCE), precision
