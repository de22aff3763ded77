"""The form of the int8 graph: it decides the speed, so it is pinned."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from optimize import quantize
from optimize.calibrate import Method, choose_ranges, observe
from optimize.errors import ModelError
from optimize.graph import FloatModel, initializers, normalisation
from tests.optimize.tiny_network import Pixels


@pytest.fixture
def quantised(simplified: FloatModel, images: list[Pixels]) -> onnx.ModelProto:
    seen = observe(simplified.proto, quantize.activations(simplified.proto), images)
    return quantize.quantise(simplified.proto, choose_ranges(seen, Method.MINMAX))


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
    before, after = (
        ort.InferenceSession(p.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, frames
        )[0]
        for p in (simplified.proto, quantised)
    )
    assert np.abs(before - after).max() < 0.1
    assert np.abs(before - after).max() > 0, "the model was not quantised at all"


def test_the_float_model_and_its_metadata_stay_as_they_were(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    before = simplified.proto.SerializeToString()
    seen = observe(simplified.proto, quantize.activations(simplified.proto), images)
    quantised = quantize.quantise(simplified.proto, choose_ranges(seen, Method.MINMAX))
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
        quantize.quantise(helper.make_model(graph), {})
