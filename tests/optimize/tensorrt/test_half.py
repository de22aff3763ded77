"""The FP16 file: which types it has, what it refuses, and that verdicts stay."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from optimize.calibration.observation import observe
from optimize.errors import ModelError
from optimize.gates import decisions, sqnr_db
from optimize.graph import FloatModel
from optimize.tensorrt import half, lint
from optimize.tensorrt.rehearsal import rehearse
from optimize.tensorrt.wiring import wire
from tests.optimize.tensorrt.networks import constants, logits, named, set_constant
from tests.optimize.tiny_network import Pixels, make_spec


def test_weights_and_maps_are_float16(residual: onnx.ModelProto) -> None:
    file = half.convert(residual)
    kinds = wire(file).kinds
    for name in ("stem_sum", "stem_out", "one_sum", "added", "block_out"):
        assert kinds[name] == TensorProto.FLOAT16
    for name in ("stem", "one", "two"):
        assert {kinds[given] for given in named(file, name).input} == {TensorProto.FLOAT16}


def test_frames_come_as_uint8_and_logits_go_as_float32(residual: onnx.ModelProto) -> None:
    graph = half.convert(residual).graph
    assert graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_the_head_and_the_normalisation_stay_float32(residual: onnx.ModelProto) -> None:
    kinds = wire(half.convert(residual)).kinds
    for name in ("frames_centred", "pooled", "features", "logits", "head"):
        assert kinds[name] == TensorProto.FLOAT


def test_operators_that_overflow_within_stay_float32_between_casts(
    residual: onnx.ModelProto,
) -> None:
    named(residual, "one_relu").op_type = "Exp"
    file = half.convert(residual)
    kinds = wire(file).kinds
    assert kinds[named(file, "one_relu").input[0]] == TensorProto.FLOAT
    assert kinds["one_out"] == TensorProto.FLOAT
    assert kinds[named(file, "two").input[0]] == TensorProto.FLOAT16
    assert lint.check(file) == ()


def test_a_named_node_stays_float32(residual: onnx.ModelProto) -> None:
    kinds = wire(half.convert(residual, floats=frozenset({"one"}))).kinds
    assert kinds["one_sum"] == TensorProto.FLOAT
    assert kinds["two_sum"] == TensorProto.FLOAT16


def test_an_answer_that_would_be_float16_is_cast(residual: onnx.ModelProto) -> None:
    gemm = named(residual, "gemm")
    gemm.output[0] = "scores"
    residual.graph.node.append(helper.make_node("Sigmoid", ["scores"], ["logits"], "sigmoid"))
    file = half.convert(residual)
    assert file.graph.node[-1].op_type == "Cast"
    assert wire(file).kinds["logits"] == TensorProto.FLOAT


def test_a_weight_beyond_float16_is_refused_by_name(residual: onnx.ModelProto) -> None:
    kernel = constants(residual)["one_kernel"].copy()
    kernel[0, 0, 0, 0] = -1e5
    set_constant(residual, "one_kernel", kernel)
    with pytest.raises(ModelError, match="`one_kernel` reaches 100000, float16 ends at 65504"):
        half.convert(residual)
    half.convert(residual, floats=frozenset({"one"}))


def test_a_map_that_was_seen_beyond_float16_is_refused_by_name(
    residual: onnx.ModelProto, images: list[Pixels]
) -> None:
    set_constant(residual, "one_bias", np.full(4, 6e4, np.float32))
    set_constant(residual, "one_kernel", 1e4 * constants(residual)["one_kernel"])
    seen = observe(residual, ["stem_out", "one_out", "pooled"], images)
    assert seen["one_out"].high > 65504
    half.convert(residual)
    with pytest.raises(ModelError, match=r"`one_out` reaches [\d.]+, float16 ends at 65504"):
        half.convert(residual, seen)


def test_the_open_end_of_a_clip_is_not_beyond_float16(simplified: FloatModel) -> None:
    clip = next(node for node in simplified.proto.graph.node if node.op_type == "Clip")
    set_constant(simplified.proto, clip.input[2], np.array(np.inf, np.float32))
    half.convert(simplified.proto)


def test_a_step_that_vanishes_in_float16_is_refused_by_name(quantised: onnx.ModelProto) -> None:
    set_constant(quantised, "one_out_step", np.array(1e-9, np.float32))
    with pytest.raises(ModelError, match="step `one_out_step` is 1e-09, which is zero in float16"):
        half.convert(quantised)


def test_verdicts_stay(simplified: FloatModel, images: list[Pixels]) -> None:
    file = rehearse(half.convert(simplified.proto))
    before, after = logits(simplified.proto, images), logits(file, images)
    was, now = (decisions(rows, make_spec()) for rows in (before, after))
    assert [d.outcome for d in was] == [d.outcome for d in now]
    assert [d.label for d in was] == [d.label for d in now]
    assert 0 < np.abs(before - after).max() < 0.02


def test_a_quantised_file_keeps_its_codes_when_its_floats_become_halves(
    quantised: onnx.ModelProto, images: list[Pixels]
) -> None:
    file = half.convert(quantised)
    assert wire(file).kinds["one_out_dequantised"] == TensorProto.FLOAT16
    for name, values in constants(quantised).items():
        if values.dtype == np.int8:
            assert np.array_equal(constants(file)[name], values)
    assert sqnr_db(logits(quantised, images), logits(rehearse(file), images)) > 25


def test_the_float_model_stays_as_it_was(residual: onnx.ModelProto) -> None:
    before = residual.SerializeToString()
    half.convert(residual)
    assert residual.SerializeToString() == before
