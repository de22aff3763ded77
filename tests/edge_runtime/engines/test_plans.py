from pathlib import Path

import pytest

from edge_runtime.engines.plans import Plan, choose_plan
from edge_runtime.errors import EngineError


def plan(device: str = "Tesla T4", capability: str = "7.5", version: str = "10.16.1.11") -> Plan:
    return Plan(
        file=Path(f"{device}.plan"),
        sha256="0" * 64,
        device=device,
        compute_capability=capability,
        tensorrt=version,
    )


def choose(*plans: Plan) -> Plan:
    return choose_plan(plans, device="Tesla T4", compute_capability="7.5", tensorrt="10.16.1.11")


def test_the_plan_of_this_capability_and_version_is_taken() -> None:
    fits = plan()
    assert choose(plan(capability="8.9"), plan(version="11.4.0.106"), fits) is fits


def test_of_two_that_fit_the_one_measured_on_a_device_of_this_name_is_taken() -> None:
    fits = plan()
    assert choose(plan(device="GeForce RTX 2080"), fits) is fits
    other = plan(device="GeForce RTX 2080")
    assert choose(other) is other


def test_none_that_fits_says_what_is_here_what_there_is_and_what_to_do() -> None:
    with pytest.raises(EngineError) as caught:
        choose(plan(device="L4", capability="8.9"), plan(version="10.1.0"))
    assert str(caught.value) == (
        "no TensorRT engine fits Tesla T4 (compute capability 7.5, TensorRT 10.16.1.11); those recorded "
        "are for L4 (compute capability 8.9, TensorRT 10.16.1.11); Tesla T4 (compute capability 7.5, "
        "TensorRT 10.1.0): build one on this machine with `optimize validate BUNDLE --device 0`"
    )


def test_no_plan_at_all_says_what_to_do() -> None:
    with pytest.raises(EngineError, match=r"no TensorRT engine is recorded.*optimize validate"):
        choose()
