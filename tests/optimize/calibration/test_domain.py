"""Images of another kind than those calibrated on are noticed, those of the same kind are not."""

import re
from functools import cache

import numpy as np
import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.simulation.line import SimulatedLine
from optimize import quantize
from optimize.calibration.domain import (
    Excess,
    by_chance,
    judge_excess,
    measure_excess,
    off_domain,
)
from optimize.calibration.observation import Observation, observe
from optimize.graph import FloatModel, read_model, simplify
from tests.optimize.tiny_network import LABELS, Pixels, make_image

CALIBRATED_ON, IMAGES = 24, 16


def crops(generation: str, seed: int, count: int) -> list[Pixels]:
    """Sound crops of every class, none of a module with another."""
    line = SimulatedLine(generation, seed)
    labels = ("no_defect", "micro_crack", "contamination", "misaligned_weld", "porosity", "spatter")
    return [line.render(41 * index, labels[index % 6]) for index in range(count)]


@cache
def shipped() -> FloatModel:
    """The float model of the bundle that ships with the package."""
    return simplify(read_model(open_bundle("demo").path / "float32.onnx"))


@cache
def observed(generation: str) -> dict[str, Observation]:
    model = shipped().proto
    # Every third tensor from the input on says as much and costs less.
    some = quantize.activations(model)[::3]
    return dict(observe(model, some, crops(generation, 61, CALIBRATED_ON)))


def test_a_model_calibrated_on_the_old_sensor_and_validated_on_the_new_is_warned_of() -> None:
    today = crops("gen3", 62, IMAGES)
    (concern,) = off_domain(shipped().proto, observed("gen2"), CALIBRATED_ON, today)
    assert "the validation images are of another kind" in concern
    assert re.search(r"in layer \w+ 100% of them go beyond .* the same kind 4% would", concern)


def test_a_model_calibrated_and_validated_on_the_new_sensor_is_not() -> None:
    today = crops("gen3", 62, IMAGES)
    assert off_domain(shipped().proto, observed("gen3"), CALIBRATED_ON, today) == ()


def test_without_validation_images_nothing_is_said(simplified: FloatModel) -> None:
    seen = observe(simplified.proto, ["planes"], [make_image("red", 1)])
    assert off_domain(simplified.proto, seen, 1, []) == ()


def test_what_lies_beyond_is_counted_by_image_and_by_value(simplified: FloatModel) -> None:
    dark = [np.full((16, 16, 3), 100, np.uint8)] * 4
    bright = np.full((16, 16, 3), 100, np.uint8)
    bright[:8] = 255
    seen = observe(simplified.proto, ["planes"], dark)
    heard: list[int] = []
    excess = measure_excess(simplified.proto, seen, [*dark, bright], heard.append)
    assert excess["planes"].above == pytest.approx(1 / 5)
    assert excess["planes"].below == 0
    assert excess["planes"].values == pytest.approx(1 / 10)
    assert sum(heard) == 5


def test_what_rounds_to_the_end_of_the_range_is_not_beyond_it(simplified: FloatModel) -> None:
    images = [make_image(label, seed) for seed in range(4) for label in LABELS]
    seen = observe(simplified.proto, ["planes", "clipped", "rectified"], images)
    excess = measure_excess(simplified.proto, seen, images)
    assert all(found == Excess(above=0.0, below=0.0, values=0.0) for found in excess.values())


def test_what_chance_or_another_mixture_of_classes_explains_is_no_concern() -> None:
    some = {name: Excess(above=0.4, below=0.1, values=0.0) for name in "abc"}
    assert judge_excess(some, calibrated_on=8, images=32) is None
    assert judge_excess(some, calibrated_on=96, images=5) is None
    assert judge_excess(some, calibrated_on=96, images=32) is not None
    few = {name: Excess(above=0.15, below=0.0, values=0.0) for name in "abc"}
    assert judge_excess(few, calibrated_on=500, images=128) is None


def test_the_layer_that_stands_out_most_is_named_with_its_figures() -> None:
    excesses = {
        "a": Excess(above=0.0, below=0.9, values=0.3),
        "b": Excess(above=0.1, below=0.0, values=0.0),
    }
    sentence = judge_excess(excesses, calibrated_on=99, images=64)
    assert sentence is not None
    assert "in layer a 90% of them go beyond" in sentence
    assert "1% would (30.00% of the values there are clipped; 1 of 2 layers" in sentence


def test_images_of_one_kind_are_taken_for_two_as_seldom_as_is_promised() -> None:
    """Of 4 layers, 8 ends, under a heavy tail; with one image fewer allowed it would be more often."""
    rng = np.random.default_rng(1)
    allowed = by_chance(12, 8, ends=8)
    assert allowed < 8
    draws = rng.standard_t(2, (20_000, 4, 20))
    calibration, validation = draws[..., :12], draws[..., 12:]
    above = (validation > calibration.max(-1, keepdims=True)).sum(-1)
    below = (validation < calibration.min(-1, keepdims=True)).sum(-1)
    most = np.maximum(above, below).max(-1)
    assert (most > allowed).mean() <= 1e-3
    assert (most > allowed - 1).mean() > 1e-3
