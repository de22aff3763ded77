"""What is asked of an ONNX file: each thing that can be wrong with it has its own refusal."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.contracts.manifest import MODEL_SPEC_KEY, ModelSpec
from optimize import graph
from optimize.errors import ModelError
from optimize.graph import FloatModel, read_graph, read_model, simplify
from tests.optimize.tiny_network import make_proto

Damage = Callable[[onnx.ModelProto], None]


def set_constant(proto: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(value, name))


def set_input(proto: onnx.ModelProto, kind: int, shape: list[int | str | None]) -> None:
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("frames", kind, shape))


def rename(proto: onnx.ModelProto, before: str, after: str) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = after if value.name == before else value.name
    for node in proto.graph.node:
        node.input[:] = [after if name == before else name for name in node.input]
        node.output[:] = [after if name == before else name for name in node.output]


def without_metadata(proto: onnx.ModelProto) -> None:
    del proto.metadata_props[:]


def with_broken_spec(proto: onnx.ModelProto) -> None:
    helper.set_model_props(proto, {MODEL_SPEC_KEY: '{"labels": ["alone"]}'})


def with_four_labels(proto: onnx.ModelProto) -> None:
    spec = ModelSpec.model_validate_json(proto.metadata_props[0].value)
    more = spec.model_copy(update={"labels": (*spec.labels, "violet")})
    helper.set_model_props(proto, {MODEL_SPEC_KEY: more.to_json()})


def with_other_input_name(proto: onnx.ModelProto) -> None:
    rename(proto, "frames", "images")


def with_other_output_name(proto: onnx.ModelProto) -> None:
    rename(proto, "logits", "scores")


def with_channels_first(proto: onnx.ModelProto) -> None:
    set_input(proto, TensorProto.UINT8, ["n", 3, 16, 16])
    proto.graph.node[1].attribute[0].ints[:] = [0, 1, 2, 3]


def with_float_input(proto: onnx.ModelProto) -> None:
    set_input(proto, TensorProto.FLOAT, ["n", 16, 16, 3])
    proto.graph.node[0].CopyFrom(helper.make_node("Identity", ["frames"], ["floats"]))


def with_fixed_batch(proto: onnx.ModelProto) -> None:
    set_input(proto, TensorProto.UINT8, [1, 16, 16, 3])


def with_other_size(proto: onnx.ModelProto) -> None:
    set_input(proto, TensorProto.UINT8, ["n", 32, 32, 3])


def with_free_size(proto: onnx.ModelProto) -> None:
    set_input(proto, TensorProto.UINT8, ["n", "h", "w", 3])


def with_nan(proto: onnx.ModelProto) -> None:
    set_constant(proto, "pick_bias", np.array([1, np.nan, 1], np.float32))


def with_infinity(proto: onnx.ModelProto) -> None:
    set_constant(proto, "pick_bias", np.array([1, np.inf, 1], np.float32))


def with_other_scale(proto: onnx.ModelProto) -> None:
    set_constant(proto, "scale", np.array(1 / 255, np.float32))


def with_other_zero_point(proto: onnx.ModelProto) -> None:
    set_constant(proto, "zero", np.array(127, np.uint8))


def without_normalisation(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].CopyFrom(
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT)
    )


def with_newer_opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 24


def with_newer_ir(proto: onnx.ModelProto) -> None:
    proto.ir_version = 12


def with_foreign_operator(proto: onnx.ModelProto) -> None:
    proto.opset_import.append(helper.make_opsetid("acme", 1))
    proto.graph.node[5].CopyFrom(
        helper.make_node("Wave", ["blurred"], ["rectified"], domain="acme")
    )


def with_quantised_tensor(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(
        helper.make_node("QuantizeLinear", ["rectified", "scale", "zero"], ["unused"])
    )


def with_two_inputs(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def with_broken_wiring(proto: onnx.ModelProto) -> None:
    proto.graph.node[2].input[0] = "nowhere"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without_metadata, "no labels and no decision rule"),
        (with_broken_spec, "labels: Tuple should have at least 2 items"),
        (with_four_labels, r"its 4 labels ask for \(N, 4\)"),
        (with_other_input_name, "called `images`, expected `frames`"),
        (with_other_output_name, "one output `logits`, it has scores"),
        (with_channels_first, "channels first"),
        (with_float_input, "is float, expected uint8"),
        (with_fixed_batch, "fixed batch 1"),
        (with_other_size, r"\(\?, 32, 32, 3\), expected \(N, 16, 16, 3\)"),
        (with_free_size, r"\(\?, \?, \?, 3\), expected \(N, 16, 16, 3\)"),
        (with_nan, "`pick_bias` contain NaN"),
        (with_infinity, "`pick_bias` contain NaN or infinity"),
        (with_other_scale, "scale 0.00392157, its spec says 0.00784314"),
        (with_other_zero_point, "zero point 127, its spec says 128"),
        (without_normalisation, "does not meet a DequantizeLinear"),
        (with_newer_opset, "opset 24, the runtime reads up to 21"),
        (with_newer_ir, "IR version 12"),
        (with_foreign_operator, "outside standard ONNX: acme.Wave"),
        (with_quantised_tensor, "quantised already"),
        (with_two_inputs, "one input `frames`, it has frames, more"),
        (with_broken_wiring, "not a valid ONNX model"),
    ],
)
def test_each_fault_of_a_model_is_refused_in_one_line_that_names_it(
    tmp_path: Path, proto: onnx.ModelProto, damage: Damage, says: str
) -> None:
    damage(proto)
    path = tmp_path / "bad.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=says) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sound_model_is_read_with_its_spec_and_its_hash(
    model_file: Path, spec: ModelSpec
) -> None:
    model = read_model(model_file)
    assert model.spec == spec
    assert len(model.sha256) == 64
    assert model.nodes == 9


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        read_model(tmp_path / "none.onnx")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        read_model(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(64), b"hello"])
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_model(path)


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=10_000))
def test_a_model_cut_short_anywhere_is_refused_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    whole = make_proto().SerializeToString()
    path = tmp_path_factory.mktemp("cut") / "model.onnx"
    path.write_bytes(whole[: cut % len(whole)])
    with pytest.raises(ModelError):
        read_model(path)


def save_with_weights_beside(proto: onnx.ModelProto, path: Path) -> None:
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def test_a_graph_of_any_form_is_read_but_not_half_of_one(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy"]
    path = tmp_path / "theirs.onnx"
    onnx.save(helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])), path)
    assert [node.op_type for node in read_graph(path).graph.node] == ["Relu"]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ModelError, match="not an ONNX file"):
        read_graph(path)


def test_weights_beside_the_model_are_read(tmp_path: Path, proto: onnx.ModelProto) -> None:
    path = tmp_path / "model.onnx"
    save_with_weights_beside(proto, path)
    kernel = graph.initializers(read_model(path).proto)["head"]
    np.testing.assert_array_equal(numpy_helper.to_array(kernel), 6 * np.eye(3))


def test_missing_weights_beside_the_model_are_named(tmp_path: Path, proto: onnx.ModelProto) -> None:
    path = tmp_path / "model.onnx"
    save_with_weights_beside(proto, path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin, which is missing"):
        read_model(path)


def test_weights_outside_the_models_folder_are_refused(
    tmp_path: Path, proto: onnx.ModelProto
) -> None:
    path = tmp_path / "model.onnx"
    save_with_weights_beside(proto, path)
    sly = onnx.load(path, load_external_data=False)
    for tensor in sly.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../etc/passwd"
    path.write_bytes(sly.SerializeToString())
    with pytest.raises(ModelError, match="outside its folder"):
        read_model(path)


def run(proto: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"frames": frames})[0]


def test_simplifying_keeps_every_logit(
    model_file: Path, simplified: FloatModel, images: list[np.ndarray]
) -> None:
    frames = np.stack(images)
    before, after = run(read_model(model_file).proto, frames), run(simplified.proto, frames)
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_simplifying_puts_the_layout_change_before_the_normalisation(
    simplified: FloatModel,
) -> None:
    first, second, third = simplified.proto.graph.node[:3]
    assert [first.op_type, second.op_type, third.op_type] == [
        "Transpose",
        "DequantizeLinear",
        "Conv",
    ]
    assert first.input[0] == "frames"
    assert graph.normalisation(simplified.proto) == second


def test_simplifying_folds_what_is_constant(tmp_path: Path, proto: onnx.ModelProto) -> None:
    proto.graph.node.insert(2, helper.make_node("Neg", ["minus"], ["pick_bias"], "negate"))
    for tensor in proto.graph.initializer:
        if tensor.name == "pick_bias":
            tensor.CopyFrom(numpy_helper.from_array(-np.ones(3, np.float32), "minus"))
    path = tmp_path / "folded.onnx"
    onnx.save(proto, path)
    model = read_model(path)
    assert simplify(model).nodes == model.nodes - 1


def test_simplifying_keeps_the_spec_and_drops_what_exporters_leave_behind(
    tmp_path: Path, proto: onnx.ModelProto
) -> None:
    proto.graph.node[2].doc_string = "File /home/someone/train.py, line 1"
    entry = proto.graph.node[2].metadata_props.add()
    entry.key, entry.value = "stack_trace", "/home/someone"
    path = tmp_path / "talkative.onnx"
    onnx.save(proto, path)
    quiet = simplify(read_model(path)).proto
    assert b"/home/someone" not in quiet.SerializeToString()
    assert [prop.key for prop in quiet.metadata_props] == [MODEL_SPEC_KEY]
