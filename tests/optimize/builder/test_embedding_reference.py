"""What a build writes about features: the reference for drift, and what heat maps are drawn by."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime.bundle import open_bundle
from edge_runtime.drift.embedding import Embedding
from edge_runtime.engines.catalogue import open_engine
from optimize.builder.embedding_reference import FEWEST_OF_CLASS, reference
from optimize.classifier import classifier
from optimize.cli.main import main
from tests.optimize.tiny_network import LABELS, make_image

MakeFolder = Callable[..., Path]


def test_a_build_writes_where_its_validation_images_lie(
    model_file: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    validation = make_folder("validation", per_class=FEWEST_OF_CLASS)
    done = main(
        [
            *("build", str(model_file), "--validation", str(validation)),
            *("--calibration", str(make_folder("calibration", per_class=2))),
            *("--out", str(tmp_path / "out"), "--latency-samples", "2"),
            *("--max-false-positives", "0.5", "--min-recall", "0.5"),
        ]
    )
    assert done == 0
    bundle = open_bundle(tmp_path / "out" / "weld-seam" / "1.0.0")
    made = bundle.embedding_reference()
    assert made is not None
    assert made.labels == tuple(sorted(LABELS))
    assert (made.images, made.precision) == (60, "float32")
    model = bundle.manifest.model
    frames = np.stack([make_image(label, 99) for label in LABELS])
    with closing(
        open_engine("onnxruntime", bundle.model_file(bundle.variant(None)), model, 1)
    ) as engine:
        features = engine.infer(frames).features
    assert features is not None
    embedding = Embedding(made)
    own = [embedding.place(row, label) for row, label in zip(features, LABELS, strict=True)]
    others = [embedding.place(row, label) for row, label in zip(features, LABELS[1:], strict=False)]
    nearest = [place.residual for place in others if place is not None]
    assert all(place is not None and place.residual < min(nearest) for place in own)
    read = bundle.classifier()
    assert read is not None
    np.testing.assert_allclose(read.weights.values(), 6 * np.eye(3), atol=1e-6)


def test_the_classifier_of_a_gemm_that_is_not_transposed_is_turned(
    proto: onnx.ModelProto,
) -> None:
    (head,) = [tensor for tensor in proto.graph.initializer if tensor.name == "head"]
    weights = np.arange(9, dtype=np.float32).reshape(3, 3)
    head.CopyFrom(numpy_helper.from_array(weights, "head"))
    np.testing.assert_array_equal(classifier(proto).weights.values(), weights.T)


def test_held_out_images_and_not_fitted_ones_say_how_far_is_usual() -> None:
    """With few images and many features a fitted image lies far nearer than a new one."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(100, 200)).astype(np.float32)
    made = reference("noise", features, ["a"] * 100, [""] * 100, precision="float32", line_mix=True)
    assert made is not None
    embedding = Embedding(made)
    fresh = rng.normal(size=(400, 200)).astype(np.float32)

    def usual(rows: np.ndarray) -> float:
        places = [embedding.place(row, "a") for row in rows]
        return float(np.mean([place.residual for place in places if place is not None]))

    assert abs(usual(fresh)) < 0.5
    assert usual(features) < -1  # the control: the fitted ones would have set another standard


@pytest.mark.parametrize("line_mix", [True, False])
def test_where_the_line_s_mix_is_not_known_the_rarest_class_says_how_well_means_are(
    line_mix: bool,
) -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(420, 30)).astype(np.float32)
    decided = ["a"] * 400 + ["b"] * 20
    made = reference("noise", features, decided, [""] * 420, precision="float32", line_mix=line_mix)
    assert made is not None
    assert made.mean_error == pytest.approx((1 / 420 if line_mix else 1 / 20) ** 0.5, rel=0.1)


def test_classes_of_too_few_images_are_left_out_and_where_all_are_there_is_none() -> None:
    features = np.random.default_rng(3).normal(size=(45, 12)).astype(np.float32)
    decided = ["a"] * 40 + ["b"] * 5
    made = reference("x", features, decided, [""] * 45, precision="int8", line_mix=True)
    assert made is not None
    assert made.labels == ("a",)
    assert (
        reference("x", features[:9], ["a"] * 9, [""] * 9, precision="int8", line_mix=True) is None
    )
