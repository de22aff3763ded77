"""A tiny bundle that really runs, for whatever needs one and not the shipped model's size."""

import functools
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import policy
from edge_runtime.bundle import CLASSIFIER, DRIFT, MANIFEST, MANIFEST_DIGEST, QUALITY, digest_line
from edge_runtime.contracts.array import Array
from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.embedding import Classifier
from edge_runtime.contracts.manifest import (
    BundleManifest,
    DecisionRule,
    GoldenFrame,
    InputSpec,
    ModelSpec,
    Thresholds,
    Variant,
)
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.engines.tensors import FEATURE_MAP, FEATURES

SIDE = 32


def model_spec(labels: tuple[str, ...] = ("no_defect", "red", "blue")) -> ModelSpec:
    return ModelSpec(
        labels=labels,
        input=InputSpec(height=SIDE, width=SIDE),
        decision=DecisionRule(
            ok_labels=labels[:1], thresholds=Thresholds(review_from=0.4, defect_from=0.6)
        ),
        provenance={"origin": "test"},
    )


def likes(classes: int) -> np.ndarray:
    """(classes, 3): what each class thinks of red, green and blue."""
    weights = np.zeros((classes, 3), np.float32)
    weights[0, 1] = 6
    for index in range(1, classes):
        weights[index, 0 if index % 2 else 2] = 6 / ((index + 1) // 2)
    return weights


def write_model(path: Path, classes: int, *, tells: bool = True) -> None:
    """Logits from the mean colour: class 0 likes green, odd classes red, even ones blue.

    `tells` whether it has the outputs `features` and `feature_map` as well, as bundles of today do.
    """
    weights = likes(classes).T
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["frames"], ["nchw"], perm=[0, 3, 1, 2]),
            helper.make_node("DequantizeLinear", ["nchw", "scale", "zero"], [FEATURE_MAP]),
            helper.make_node("ReduceMean", [FEATURE_MAP, "axes"], [FEATURES], keepdims=0),
            helper.make_node("MatMul", [FEATURES, "weights"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
            for name, shape in (
                ("logits", [classes]),
                (FEATURES, [3]),
                (FEATURE_MAP, [3, SIDE, SIDE]),
            )[: 3 if tells else 1]
        ],
        [
            numpy_helper.from_array(np.float32(1 / 127.5), "scale"),
            numpy_helper.from_array(np.uint8(128), "zero"),
            numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path
    )


def colour(red: int, green: int, blue: int) -> np.ndarray:
    """A frame of one colour with enough grain to pass the gate."""
    grain = np.random.default_rng(1).integers(-20, 20, (SIDE, SIDE, 3))
    return np.clip(np.array([red, green, blue]) + grain, 0, 255).astype(np.uint8)


GREEN, RED, BLUE = (40, 220, 40), (220, 40, 40), (40, 40, 220)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()


def write_bundle(
    root: Path,
    spec: ModelSpec | None = None,
    name: str = "tiny",
    drift: DriftReference | None = None,
    quality: QualityReference | None = None,
    *,
    tells: bool = True,
) -> Path:
    """Write a sound bundle below `root` and return its folder."""
    spec = spec or model_spec()
    folder = root / name / "1.0.0"
    (folder / "golden").mkdir(parents=True)
    write_model(folder / "float32.onnx", len(spec.labels), tells=tells)
    if tells:
        classifier = Classifier(weights=Array.of(likes(len(spec.labels))), normalised=None)
        (folder / CLASSIFIER).write_text(classifier.to_json(), encoding="utf-8")
    if drift is not None:
        (folder / DRIFT).write_text(drift.to_json(), encoding="utf-8")
    if quality is not None:
        (folder / QUALITY).write_text(quality.to_json(), encoding="utf-8")
    frame = colour(*GREEN)
    (folder / "golden" / "00.png").write_bytes(png(frame))
    engine = OnnxRuntimeEngine(folder / "float32.onnx", spec)
    row = policy.probabilities(engine.infer(frame[None]).logits, spec.decision.temperature)[0]
    manifest = BundleManifest(
        name=name,
        version="1.0.0",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        model=spec,
        variants=(Variant(precision="float32", file="float32.onnx", accuracy=None, latency=()),),
        default_variant="float32",
        golden=(
            GoldenFrame(
                file="golden/00.png",
                label=spec.labels[0],
                probabilities={"float32": tuple(map(float, row))},
            ),
        ),
        files={
            file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
            for file in ("float32.onnx", "golden/00.png", CLASSIFIER, DRIFT, QUALITY)
            if (folder / file).exists()
        },
    )
    written = manifest.to_json(indent=2).encode()
    (folder / MANIFEST).write_bytes(written)
    (folder / MANIFEST_DIGEST).write_text(digest_line(written))
    return folder


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sound bundle and returns its folder, with the arguments of `write_bundle`."""
    return functools.partial(write_bundle, tmp_path)


@pytest.fixture
def folder_of_parts(tmp_path: Path) -> Path:
    """Six good parts, three red ones, two blue ones and two that cannot be seen."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for index, (count, shade) in enumerate(((6, GREEN), (3, RED), (2, BLUE))):
        for number in range(count):
            (folder / f"{index}-{number}.png").write_bytes(png(colour(*shade)))
    (folder / "3-empty.jpg").write_bytes(b"")
    (folder / "4-garbage.jpg").write_bytes(b"this is no image")
    return folder
