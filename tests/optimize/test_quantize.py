"""The form of the int8 graph: it decides the speed, so it is pinned."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from optimize import quantize
from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.errors import ModelError
from optimize.graph import FloatModel, initializers, normalisation, read_model, simplify
from tests.optimize.tiny_network import Pixels


@pytest.fixture
def quantised(simplified: FloatModel, images: list[Pixels]) -> onnx.ModelProto:
    seen = observe(simplified.proto, quantize.activations(simplified.proto), images)
    return quantize.quantise(simplified.proto, seen, Method.MINMAX)


def session(proto: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def constants(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {name: numpy_helper.to_array(t) for name, t in initializers(proto).items()}


def test_activations_are_uint8_with_a_zero_point(quantised: onnx.ModelProto) -> None:
    values = constants(quantised)
    quantizers = [n for n in quantised.graph.node if n.op_type == "QuantizeLinear"]
    assert len(quantizers) == 2
    for node in quantizers:
        assert values[node.input[2]].dtype == np.uint8
        assert values[node.input[1]].size == 1


def test_weights_are_int8_per_output_channel_and_symmetric(quantised: onnx.ModelProto) -> None:
    values = constants(quantised)
    weights = [
        node
        for node in quantised.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in values
    ]
    assert len(weights) == 2
    for node in weights:
        assert values[node.input[0]].dtype == np.int8
        assert values[node.input[1]].shape == (values[node.input[0]].shape[0],)
        assert not values[node.input[2]].any()


def test_the_inputs_own_dequantisation_feeds_the_first_convolution(
    simplified: FloatModel, quantised: onnx.ModelProto
) -> None:
    before, after = normalisation(simplified.proto), normalisation(quantised)
    assert before is not None
    assert after is not None
    assert list(after.input) == list(before.input)
    (reader,) = [node for node in quantised.graph.node if after.output[0] in node.input]
    assert reader.op_type == "Conv"


def test_activation_functions_vanish_into_the_ranges(quantised: onnx.ModelProto) -> None:
    assert not {"Clip", "Relu"} & {node.op_type for node in quantised.graph.node}


def test_the_head_and_its_logits_stay_float(quantised: onnx.ModelProto) -> None:
    (head,) = [node for node in quantised.graph.node if node.op_type == "Gemm"]
    assert list(head.output) == ["logits"]
    assert constants(quantised)[head.input[1]].dtype == np.float32


def test_the_runtime_fuses_every_convolution_to_int8(
    quantised: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fused = tmp_path_factory.mktemp("fused") / "fused.onnx"
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(fused)
    options.log_severity_level = 4
    ort.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(fused).graph.node]
    assert operators.count("QLinearConv") == 2
    assert "QuantizeLinear" not in operators


def test_logits_stay_close_to_float(
    simplified: FloatModel, quantised: onnx.ModelProto, images: list[Pixels]
) -> None:
    frames = {"frames": np.stack(images)}
    before, after = (session(p).run(None, frames)[0] for p in (simplified.proto, quantised))
    assert np.abs(before - after).max() < 0.1
    assert np.abs(before - after).max() > 0, "the model was not quantised at all"


def test_biases_take_up_what_rounding_the_weights_shifts_on_average(
    proto: onnx.ModelProto, tmp_path: Path
) -> None:
    """Uncorrected, the mean logits are off by what this compares with: the control."""
    # 3.4 and 1.4 steps of 1/127 round down by 0.4 of a step each, on inputs that are never negative.
    kernel = np.full((3, 1, 3, 3), 3.4 / 127, np.float32)
    kernel[:, :, 0], kernel[:, 0, 1, 1] = 1.4 / 127, 1
    for tensor in proto.graph.initializer:
        if tensor.name == "blur":
            tensor.CopyFrom(numpy_helper.from_array(kernel, tensor.name))
    onnx.save(proto, tmp_path / "odd.onnx")
    # Of all values, so that the rounding of activations cancels.
    images = list(np.random.default_rng(1).integers(0, 256, (16, 16, 16, 3), np.uint8))
    model = simplify(read_model(tmp_path / "odd.onnx")).proto
    seen = observe(model, quantize.activations(model), images)
    blind = {
        name: dataclasses.replace(observation, means=np.zeros_like(observation.means))
        for name, observation in seen.items()
    }
    frames = {"frames": np.stack(images)}
    exact, corrected, uncorrected = (
        session(p).run(None, frames)[0].mean(axis=0)
        for p in (
            model,
            quantize.quantise(model, seen, Method.MINMAX),
            quantize.quantise(model, blind, Method.MINMAX),
        )
    )
    assert np.abs(corrected - exact).max() < 0.2 * np.abs(uncorrected - exact).max()


def test_the_float_model_and_its_metadata_stay_as_they_were(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    before = simplified.proto.SerializeToString()
    seen = observe(simplified.proto, quantize.activations(simplified.proto), images)
    quantised = quantize.quantise(simplified.proto, seen, Method.MINMAX)
    assert simplified.proto.SerializeToString() == before
    assert quantised.metadata_props[0] == simplified.proto.metadata_props[0]
    assert quantised.ir_version == simplified.proto.ir_version


def test_a_model_without_anything_to_quantise_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["frames"], ["logits"])],
        "bare",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
    )
    with pytest.raises(ModelError, match="none of the operators"):
        quantize.quantise(helper.make_model(graph), {}, Method.MINMAX)
