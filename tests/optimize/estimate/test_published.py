"""The published results and what was fitted to them."""

import pytest

from benchmarks.estimate import BACKBONES, backbone
from benchmarks.setting import read_result
from optimize.estimate.layers import Kind, Precision
from optimize.estimate.published import table


def test_the_results_are_those_that_were_published() -> None:
    rate = {
        (r.network, r.source[:21]): r.batch / r.seconds
        for r in table.results()
        if r.source.startswith("MLPerf") and r.batch == 32
    }
    assert rate["resnet50", "MLPerf Inference v0.7"] == pytest.approx(6035.6, rel=1e-4)
    assert rate["resnet50", "MLPerf Inference v0.5"] == pytest.approx(44977.8 / 8, rel=1e-4)
    assert rate["mobilenet_v1", "MLPerf Inference v0.5"] == pytest.approx(141807 / 8, rel=1e-4)


def test_no_result_is_faster_than_its_bound() -> None:
    assert all(result.seconds > result.bound for result in table.results())


def test_every_layer_table_has_results() -> None:
    assert {result.network for result in table.results()} == set(table.NETWORKS)
    assert {result.precision for result in table.results()} == set(Precision)
    assert Kind.DEPTHWISE in table.basis().kinds
    assert Kind.NORM not in table.basis().kinds


def test_the_fit_comes_out_the_same_everywhere() -> None:
    found = table.basis().calibration
    assert found.efficiency.per_layer * 1e6 == pytest.approx(21.0, abs=0.5)
    assert found.efficiency.slowdown == pytest.approx(1.248, abs=0.02)
    assert found.efficiency.per_copied_image * 1e6 == pytest.approx(260, abs=5)
    assert found.point_error == pytest.approx(1.27, abs=0.02)
    assert found.network_error == pytest.approx(1.34, abs=0.02)


def test_the_page_shows_what_the_code_estimates() -> None:
    shown = {row["network"]: row for row in read_result("estimate")["backbones"]}
    for model in BACKBONES:
        made = backbone(model, Precision.INT8)
        told = shown[model][Precision.INT8]
        assert told["estimate_ms"] == pytest.approx(made.ms, rel=2e-3)
        assert told["bound_ms"] == pytest.approx(made.bound_ms, rel=5e-3)


def test_the_interval_holds_at_least_its_share_of_left_out_results() -> None:
    found = table.basis().calibration
    held = [1 / found.factor <= ratio <= found.factor for ratio in found.without_network]
    assert sum(held) / len(held) >= 0.9
