"""The files made of the shipped lite0, run on the CPU: they must judge as the float model does.

Calibrated on the default set, compared on images of the same line that are not in it.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime.contracts.manifest import MODEL_SPEC_KEY, ModelSpec
from optimize.calibration import default_set
from optimize.calibration.observation import Observation, observe
from optimize.calibration.ranges import Method
from optimize.gates import count_flips, decisions, sqnr_db
from optimize.tensorrt import half, lint
from optimize.tensorrt.quantize import activations, quantise, weighted
from optimize.tensorrt.rehearsal import rehearse
from tests.optimize.tensorrt.networks import logits
from tests.optimize.tiny_network import Pixels

ROOT = Path(__file__).parents[3]
CALIBRATION = 48
HELD_OUT = 60
HELD_OUT_SEED = 77

pytestmark = pytest.mark.slow


def decode(data: bytes) -> Pixels:
    encoded = np.frombuffer(data, np.uint8)
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.fixture(scope="module")
def lite0() -> onnx.ModelProto:
    return onnx.load(ROOT / "edge_runtime/bundles/weld-seam/1.0.0/float32.onnx")


@pytest.fixture(scope="module")
def spec(lite0: onnx.ModelProto) -> ModelSpec:
    (text,) = [p.value for p in lite0.metadata_props if p.key == MODEL_SPEC_KEY]
    return ModelSpec.model_validate_json(text)


@pytest.fixture(scope="module")
def seen(lite0: onnx.ModelProto) -> Mapping[str, Observation]:
    files = sorted((ROOT / "calibration_data").glob("*/*.jpg"))
    chosen = files[:: len(files) // CALIBRATION]
    return observe(lite0, activations(lite0), [decode(file.read_bytes()) for file in chosen])


@pytest.fixture(scope="module")
def held_out() -> list[Pixels]:
    return [decode(image.data) for image in default_set.draw(HELD_OUT, HELD_OUT_SEED)]


@pytest.fixture(scope="module")
def reference(lite0: onnx.ModelProto, held_out: list[Pixels]) -> np.ndarray:
    return logits(lite0, held_out)


def flips(spec: ModelSpec, before: np.ndarray, after: np.ndarray) -> int:
    return count_flips(decisions(before, spec), decisions(after, spec), spec)


@pytest.mark.parametrize("depthwise", [True, False])
def test_the_int8_file_flips_at_most_one_verdict_in_sixty(
    lite0: onnx.ModelProto,
    spec: ModelSpec,
    seen: Mapping[str, Observation],
    held_out: list[Pixels],
    reference: np.ndarray,
    depthwise: bool,
) -> None:
    file = quantise(lite0, seen, Method.MINMAX, depthwise=depthwise)
    assert lint.errors(lint.check(file)) == ()
    answers = logits(file, held_out)
    assert flips(spec, reference, answers) <= 1
    assert sqnr_db(reference, answers) > 25


@pytest.mark.parametrize("count", [1, 3, 7, 20, 48])
def test_whatever_layers_are_left_float_the_file_keeps_the_rules(
    lite0: onnx.ModelProto, seen: Mapping[str, Observation], count: int
) -> None:
    layers = np.random.default_rng(count).permutation(weighted(lite0))
    for alone in (layers[:count], set(weighted(lite0)) - set(layers[:count])):
        if len(alone) < len(layers):
            file = quantise(lite0, seen, Method.MINMAX, floats=frozenset(map(str, alone)))
            assert [str(found) for found in lint.errors(lint.check(file))] == []


def test_the_fp16_file_flips_none(
    lite0: onnx.ModelProto, spec: ModelSpec, held_out: list[Pixels], reference: np.ndarray
) -> None:
    file = half.convert(lite0)
    assert lint.check(file) == ()
    answers = logits(rehearse(file), held_out)
    assert flips(spec, reference, answers) == 0
    assert sqnr_db(reference, answers) > 50


def test_steps_a_quarter_as_wide_are_noticed(
    lite0: onnx.ModelProto,
    spec: ModelSpec,
    seen: Mapping[str, Observation],
    held_out: list[Pixels],
    reference: np.ndarray,
) -> None:
    """The control: maps clipped at a quarter of their range break both budgets."""
    file = quantise(lite0, seen, Method.MINMAX)
    steps = {n.input[1] for n in file.graph.node if n.op_type == "QuantizeLinear"}
    for tensor in file.graph.initializer:
        if tensor.name in steps:
            quarter = numpy_helper.to_array(tensor) / 4
            tensor.CopyFrom(numpy_helper.from_array(quarter, tensor.name))
    answers = logits(file, held_out)
    assert flips(spec, reference, answers) > 1
    assert sqnr_db(reference, answers) < 25
