"""Features and picture are found by a graph's structure, in every form that a build gives it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.engines.tensors import FEATURE_MAP, FEATURES
from optimize import quantize
from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.classifier import classifier
from optimize.errors import ModelError
from optimize.features import Located, expose, locate
from optimize.graph import FloatModel, read_model
from optimize.tensorrt import half
from optimize.tensorrt import quantize as tensorrt_quantize
from tests.optimize.tensorrt.test_backbones import SIDE, export
from tests.optimize.tiny_network import Pixels


def answers(
    model: onnx.ModelProto, images: list[Pixels], outputs: list[str] | None = None
) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(outputs, {"frames": np.stack(images)})


def outputs(model: onnx.ModelProto) -> dict[str, int]:
    """Names of the outputs, each with its number of axes."""
    return {v.name: len(v.type.tensor_type.shape.dim) for v in model.graph.output}


def test_features_are_what_the_last_gemm_reads_and_the_picture_what_is_pooled(
    proto: onnx.ModelProto,
) -> None:
    assert locate(proto) == Located(features="features", feature_map="rectified")


def test_a_scaling_behind_the_gemm_is_passed_over(proto: onnx.ModelProto) -> None:
    (gemm,) = [node for node in proto.graph.node if node.op_type == "Gemm"]
    gemm.output[0] = "raw"
    proto.graph.node.append(helper.make_node("Mul", ["raw", "scale"], ["logits"], "scaled"))
    assert locate(proto).features == "features"


def test_a_model_without_a_gemm_is_refused(proto: onnx.ModelProto) -> None:
    kept = [node for node in proto.graph.node if node.op_type != "Gemm"]
    kept[-1].output[0] = "logits"
    del proto.graph.node[:]
    proto.graph.node.extend(kept)
    with pytest.raises(ModelError, match="ends in no Gemm"):
        locate(proto)


def test_a_model_that_pools_nothing_has_features_and_no_picture(proto: onnx.ModelProto) -> None:
    nodes = {node.name: node for node in proto.graph.node}
    proto.graph.node.remove(nodes["pool"])
    nodes["flatten"].input[0] = "rectified"
    (head,) = [tensor for tensor in proto.graph.initializer if tensor.name == "head"]
    head.CopyFrom(numpy_helper.from_array(np.ones((3 * 14 * 14, 3), np.float32), "head"))
    assert locate(proto) == Located(features="features", feature_map=None)
    assert outputs(expose(proto, feature_map=True)) == {"logits": 2, FEATURES: 2}


def test_another_tensor_gives_up_the_name(proto: onnx.ModelProto, images: list[Pixels]) -> None:
    for node in proto.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = {"features": "flat", "clipped": FEATURES}.get(name, name)
    exposed = expose(proto, feature_map=True)
    assert outputs(exposed) == {"logits": 2, FEATURES: 2, FEATURE_MAP: 4}
    logits, features, _ = answers(exposed, images)
    np.testing.assert_allclose(6 * features, logits, rtol=1e-5)


def test_what_a_bundle_tells_is_told_again_when_its_file_is_built_from(
    simplified: FloatModel, tmp_path: Path
) -> None:
    exposed = expose(simplified.proto, feature_map=True)
    onnx.save(exposed, tmp_path / "float32.onnx")
    again = read_model(tmp_path / "float32.onnx")
    assert outputs(again.proto) == {"logits": 2}
    assert outputs(expose(again.proto, feature_map=True)) == outputs(exposed)


def test_the_picture_s_mean_is_the_features_and_the_logits_stay_what_they_were(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    logits, features, picture = answers(expose(simplified.proto, feature_map=True), images)
    np.testing.assert_allclose(picture.mean(axis=(2, 3)), features, rtol=1e-5)
    np.testing.assert_array_equal(logits, answers(simplified.proto, images)[0])


@pytest.fixture(scope="module")
def noise() -> list[Pixels]:
    return list(np.random.default_rng(1).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_efficientnet", "mobilenetv4_conv_small", "test_convnext"])
def test_every_form_of_every_family_of_convolutional_networks_tells_the_same(
    name: str, tmp_path: Path, noise: list[Pixels]
) -> None:
    model = export(name, tmp_path)
    if name == "mobilenetv4_conv_small":
        with pytest.raises(ModelError, match=r"a hidden \w+ stands between"):
            classifier(model)
    signed = observe(model, tensorrt_quantize.activations(model), noise)
    kinds = {
        "float32": model,
        "int8-tensorrt": tensorrt_quantize.quantise(model, signed, Method.MINMAX),
        "fp16-tensorrt": half.convert(model),
    }
    if name != "test_convnext":  # whose sums of whole numbers the CPU's int8 does not take
        seen = observe(model, quantize.activations(model), noise)
        kinds["int8"] = quantize.quantise(model, seen, Method.MINMAX)
    floats: list[np.ndarray] = []  # what the first form tells
    for kind, proto in kinds.items():
        has_picture = not kind.endswith("tensorrt")
        exposed = expose(proto, feature_map=has_picture)
        assert list(outputs(exposed).values()) == [2, 2, 4][: 2 + has_picture], kind
        logits, *told = answers(exposed, noise)
        np.testing.assert_allclose(logits, answers(proto, noise)[0], atol=1e-4)
        floats = floats or told
        for ours, theirs in zip(told, floats, strict=False):
            assert ours.dtype == np.float32
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95, kind


def test_a_row_for_each_place_is_no_row_of_features(proto: onnx.ModelProto) -> None:
    nodes = {node.name: node for node in proto.graph.node}
    for name in ("pool", "flatten", "gemm"):
        proto.graph.node.remove(nodes[name])
    proto.graph.node.extend(
        [
            helper.make_node("Transpose", ["rectified"], ["places"], perm=[0, 2, 3, 1]),
            helper.make_node("MatMul", ["places", "head"], ["votes"]),
            helper.make_node("ReduceMean", ["votes", "axes"], ["logits"], keepdims=0),
        ]
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.int64), "axes"))
    assert proto.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    with pytest.raises(ModelError, match="no row of features"):
        expose(proto, feature_map=True)
