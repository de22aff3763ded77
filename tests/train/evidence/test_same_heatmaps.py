"""The maps of a bundle, without torch, are those of Grad-CAM on the network that it was built from."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.explanation.heatmaps import ClassActivation
from optimize.classifier import classifier
from optimize.features import expose
from optimize.graph import read_model, simplify
from tests.optimize.tiny_network import make_spec
from train.evidence.heatmaps import grad_cam
from train.export import build_graph

SIDE = 64
SIZE = InputSpec(height=SIDE, width=SIDE)
pytestmark = pytest.mark.slow


def exported(name: str, folder: Path) -> tuple[torch.nn.Module, onnx.ModelProto]:
    """A network of random weights whose classes differ, and its simplified graph."""
    torch.manual_seed(0)
    spec = make_spec().model_copy(update={"input": SIZE})
    network = timm.create_model(name, num_classes=len(spec.labels)).eval()
    torch.nn.init.normal_(network.get_classifier().weight)
    onnx.save(build_graph(network, spec), folder / "model.onnx")
    return network, simplify(read_model(folder / "model.onnx")).proto


@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext"])
def test_a_map_agrees_with_grad_cam(name: str, tmp_path: Path) -> None:
    network, model = exported(name, tmp_path)
    frames = np.random.default_rng(1).integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)
    frames[:, 20:40, 30:50] //= 4
    classes = np.arange(6) % 3
    onnx.save(expose(model, feature_map=True), tmp_path / "exposed.onnx")
    spec = make_spec().model_copy(update={"input": SIZE})
    _, pictures = OnnxRuntimeEngine(tmp_path / "exposed.onnx", spec).infer_picture(frames)
    maps = ClassActivation(classifier(model)).maps(pictures, classes, SIDE, SIDE)
    theirs = grad_cam(network, frames, classes, SIZE)
    for ours, map_ in zip(maps, theirs, strict=True):
        if map_.any():
            np.testing.assert_allclose(ours, map_, atol=0.02)
    assert theirs.any(axis=(1, 2)).sum() >= 3
    # The control: a map of another class is another map.
    others = ClassActivation(classifier(model)).maps(pictures, (classes + 1) % 3, SIDE, SIDE)
    assert np.abs(others - theirs).max() > 0.2
