"""The INT8 file for TensorRT: where the pairs stand, what they hold, and that verdicts stay."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from optimize.calibration.observation import Observation, observe
from optimize.calibration.ranges import Method
from optimize.errors import ModelError
from optimize.gates import decisions, sqnr_db
from optimize.graph import FloatModel
from optimize.tensorrt import lint
from optimize.tensorrt.quantize import activations, quantise
from optimize.tensorrt.wiring import wire
from tests.optimize.tensorrt.networks import (
    constants,
    logits,
    make_residual_proto,
    named,
    set_constant,
)
from tests.optimize.tiny_network import Pixels, make_spec

Seen = Mapping[str, Observation]


@pytest.fixture
def seen(residual: onnx.ModelProto, images: list[Pixels]) -> Seen:
    return observe(residual, activations(residual), images)


def pairs(proto: onnx.ModelProto) -> set[str]:
    """The tensors that are quantised."""
    return {node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}


def intermediate(proto: onnx.ModelProto, name: str, kind: int, images: list[Pixels]) -> np.ndarray:
    proto.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run([name], {"frames": np.stack(images)})[0])


def test_codes_are_signed_and_their_zero_is_zero(quantised: onnx.ModelProto) -> None:
    values = constants(quantised)
    nodes = [n for n in quantised.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(nodes) == 11
    for node in nodes:
        assert values[node.input[2]].dtype == np.int8
        assert not values[node.input[2]].any()


def test_kernels_have_a_step_per_output_channel_and_biases_stay_float(
    quantised: onnx.ModelProto,
) -> None:
    values = constants(quantised)
    for name in ("stem", "one", "two"):
        dequantise = wire(quantised).makers[named(quantised, name).input[1]]
        codes, steps = (values[given] for given in dequantise.input[:2])
        assert steps.shape == codes.shape[:1]
        assert np.abs(codes.reshape(len(codes), -1)).max(axis=1).tolist() == [127] * len(codes)
        assert values[named(quantised, name).input[2]].dtype == np.float32


def test_every_grey_level_is_a_code_of_its_own(quantised: onnx.ModelProto) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    codes = intermediate(quantised, "normalised_int8", TensorProto.INT8, [grey])
    assert np.array_equal(codes[0, 0], grey[..., 0].astype(np.int16) - 128)


def test_pairs_stand_behind_activations_and_never_ahead_of_them(quantised: onnx.ModelProto) -> None:
    assert pairs(quantised) == {"normalised", "stem_out", "one_out", "block_out"}
    for name in ("stem_relu", "one_relu", "block_relu"):
        maker = wire(quantised).makers[named(quantised, name).input[0]]
        assert maker.op_type in ("Conv", "Add")


def test_of_a_sum_the_residual_alone_is_quantised(quantised: onnx.ModelProto) -> None:
    """So TensorRT fuses the convolution, the Add and the activation into one int8 kernel."""
    assert list(named(quantised, "add").input) == ["two_sum", "stem_out_dequantised"]
    assert named(quantised, "pool").input[0] == "block_out_dequantised"


def test_the_head_stays_float(quantised: onnx.ModelProto) -> None:
    assert constants(quantised)[named(quantised, "gemm").input[1]].dtype == np.float32
    assert "features" not in pairs(quantised)


def test_a_named_layer_stays_float_and_the_others_do_not(
    residual: onnx.ModelProto, seen: Seen
) -> None:
    mixed = quantise(residual, seen, Method.MINMAX, floats=frozenset({"one"}))
    assert list(named(mixed, "one").input) == ["stem_out", "one_kernel", "one_bias"]
    assert named(mixed, "two").input[0] == "one_out_dequantised"
    assert lint.check(mixed) == ()


def test_a_sum_whose_convolution_stays_float_stays_float(
    residual: onnx.ModelProto, seen: Seen
) -> None:
    mixed = quantise(residual, seen, Method.MINMAX, floats=frozenset({"two"}))
    assert list(named(mixed, "add").input) == ["two_sum", "stem_out"]
    assert "block_out" not in pairs(mixed)
    assert lint.check(mixed) == ()


def test_of_two_convolutions_the_first_takes_the_sum(images: list[Pixels]) -> None:
    model = make_residual_proto(shortcut=True)
    file = quantise(model, observe(model, activations(model), images), Method.MINMAX)
    assert list(named(file, "add").input) == ["two_sum", "short_dequantised"]
    assert lint.check(file) == ()


@pytest.mark.parametrize(
    "names", [{"stem"}, {"one"}, {"two"}, {"short"}, {"add"}, {"two", "short"}]
)
def test_what_is_observed_suffices_whatever_stays_float(
    images: list[Pixels], names: set[str]
) -> None:
    model = make_residual_proto(shortcut=True)
    seen = observe(model, activations(model), images)
    file = quantise(model, seen, Method.MINMAX, floats=frozenset(names))
    assert lint.errors(lint.check(file)) == ()
    assert sqnr_db(logits(model, images), logits(file, images)) > 20


@pytest.mark.parametrize("depthwise", [True, False])
def test_depthwise_layers_are_quantised_as_asked(
    simplified: FloatModel, images: list[Pixels], depthwise: bool
) -> None:
    observed = observe(simplified.proto, activations(simplified.proto), images)
    file = quantise(simplified.proto, observed, Method.MINMAX, depthwise=depthwise)
    convs = [node for node in file.graph.node if node.op_type == "Conv"]
    made = [wire(file).maker(node.input[1], "DequantizeLinear") is not None for node in convs]
    assert made == [True, depthwise]
    assert {f.rule.id for f in lint.check(file)} == ({"grouped"} if depthwise else set())


def test_steps_are_values_of_float16_that_span_what_was_seen(
    residual: onnx.ModelProto, seen: Seen, quantised: onnx.ModelProto
) -> None:
    steps = {n: v for n, v in constants(quantised).items() if n.endswith("_step")}
    assert len(steps) == 7
    for name, values in steps.items():
        if name != "normalised_step":
            assert np.array_equal(values, values.astype(np.float16).astype(np.float32)), name
    limit = max(-seen["one_out"].low, seen["one_out"].high)
    assert limit <= 127 * steps["one_out_step"] < 1.001 * limit


def test_a_channel_of_nothing_but_zeros_keeps_a_positive_step(
    residual: onnx.ModelProto, images: list[Pixels]
) -> None:
    kernel = constants(residual)["one_kernel"].copy()
    kernel[2] = 0
    set_constant(residual, "one_kernel", kernel)
    observed = observe(residual, activations(residual), images)
    file = quantise(residual, observed, Method.MINMAX)
    assert (constants(file)["one_kernel_step"] > 0).all()
    assert not constants(file)["one_kernel_int8"][2].any()


def test_a_gemm_is_scaled_along_its_columns(
    residual: onnx.ModelProto, images: list[Pixels]
) -> None:
    """A hidden layer ahead of an activation; the head behind it stays float."""
    graph = residual.graph
    set_constant(residual, "hidden", np.eye(4, 5, dtype=np.float32))
    set_constant(residual, "head", np.ones((5, 3), np.float32))
    gemm = named(residual, "gemm")
    gemm.input[0] = "hidden_out"
    last = onnx.NodeProto.FromString(gemm.SerializeToString())
    del graph.node[-1]
    graph.node.extend(
        [
            helper.make_node("Gemm", ["features", "hidden"], ["hidden_sum"], "hidden_gemm"),
            helper.make_node("Relu", ["hidden_sum"], ["hidden_out"], "hidden_relu"),
            last,
        ]
    )
    observed = observe(residual, activations(residual), images)
    file = quantise(residual, observed, Method.MINMAX)
    dequantise = named(file, "hidden_dequantise")
    assert [attribute.i for attribute in dequantise.attribute] == [1]
    assert constants(file)["hidden_step"].shape == (5,)
    assert lint.check(file) == ()


def test_biases_take_up_what_rounding_the_weights_shifts_on_average(
    residual: onnx.ModelProto,
) -> None:
    """Uncorrected, the mean of the layer is off by what this compares with: the control."""
    kernel = np.full((4, 4, 3, 3), 3.4 / 127, np.float32)
    kernel[:, 0, 1, 1] = 1
    set_constant(residual, "one_kernel", kernel)
    rng = np.random.default_rng(1)
    images = list(rng.integers(0, 256, (16, 16, 16, 3), np.uint8))
    seen = observe(residual, activations(residual), images)
    blind = {
        name: dataclasses.replace(observation, means=np.zeros_like(observation.means))
        for name, observation in seen.items()
    }
    exact, corrected, uncorrected = (
        intermediate(model, "one_sum", TensorProto.FLOAT, images).mean()
        for model in (
            residual,
            quantise(residual, seen, Method.MINMAX),
            quantise(residual, blind, Method.MINMAX),
        )
    )
    assert abs(corrected - exact) < 0.3 * abs(uncorrected - exact)


@pytest.mark.parametrize("method", Method)
def test_verdicts_stay_and_logits_stay_close(
    simplified: FloatModel, images: list[Pixels], method: Method
) -> None:
    observed = observe(simplified.proto, activations(simplified.proto), images)
    file = quantise(simplified.proto, observed, method)
    before, after = logits(simplified.proto, images), logits(file, images)
    was, now = (decisions(rows, make_spec()) for rows in (before, after))
    assert [d.outcome for d in was] == [d.outcome for d in now]
    assert [d.label for d in was] == [d.label for d in now]
    assert 0 < np.abs(before - after).max() < 0.15


def test_the_float_model_and_its_metadata_stay_as_they_were(
    residual: onnx.ModelProto, seen: Seen
) -> None:
    before = residual.SerializeToString()
    file = quantise(residual, seen, Method.MINMAX)
    assert residual.SerializeToString() == before
    assert file.metadata_props[0] == residual.metadata_props[0]


def test_a_model_with_nothing_left_to_quantise_is_refused(
    residual: onnx.ModelProto, seen: Seen
) -> None:
    with pytest.raises(ModelError, match="nothing is left to quantise"):
        quantise(residual, seen, Method.MINMAX, floats=frozenset({"stem", "one", "two"}))
