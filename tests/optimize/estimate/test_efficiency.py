"""The fit: what it finds, and whether its error can be believed."""

import math

import pytest

from optimize.estimate.efficiency import Efficiency, Result, calibrate, fit
from optimize.estimate.layers import Precision

TRUE = Efficiency(per_layer=2e-5, slowdown=1.4, per_copied_image=3e-4)
NETWORKS = {"small": (20, 1e-4), "middle": (50, 4e-4), "large": (60, 2e-3), "deep": (200, 6e-4)}


def results(factors: dict[str, float] | None = None, *, copied: bool = True) -> list[Result]:
    """As TRUE has them, each network's times multiplied by its factor."""
    return [
        Result(
            network=name,
            precision=Precision.FP16,
            batch=batch,
            seconds=TRUE.seconds(layers, bound * batch, batch * (copied and batch > 1))
            * (factors or {}).get(name, 1.0),
            copied=copied and batch > 1,
            source="made up",
            layers=layers,
            bound=bound * batch,
        )
        for name, (layers, bound) in NETWORKS.items()
        for batch in (1, 4, 8)
    ]


def test_the_numbers_behind_exact_results_are_found() -> None:
    found = fit(results())
    assert found.per_layer == pytest.approx(TRUE.per_layer, rel=1e-4)
    assert found.slowdown == pytest.approx(TRUE.slowdown, rel=1e-4)
    assert found.per_copied_image == pytest.approx(TRUE.per_copied_image, rel=1e-4)


def test_what_no_result_includes_is_no_part_of_the_fit() -> None:
    assert fit(results(copied=False)).per_copied_image == 0


def test_exact_results_leave_no_error() -> None:
    found = calibrate(results())
    assert found.point_error == pytest.approx(1, abs=1e-3)
    assert found.network_error == pytest.approx(1, abs=1e-3)
    assert found.factor == pytest.approx(1, abs=1e-2)


def test_a_network_that_runs_unlike_the_others_shows_in_the_error() -> None:
    found = calibrate(results({"deep": 3.0}))
    missed = [
        ratio
        for ratio, result in zip(found.without_network, found.results, strict=True)
        if result.network == "deep"
    ]
    assert all(ratio == pytest.approx(1 / 3, rel=1e-3) for ratio in missed)
    assert found.network_error > found.point_error > 1
    assert found.factor > math.sqrt(3)


def test_the_interval_widens_with_the_error() -> None:
    assert calibrate(results({"deep": 2.0})).factor < calibrate(results({"deep": 4.0})).factor
