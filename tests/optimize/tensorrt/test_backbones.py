"""Networks of other families, exported with random weights: nothing is refused that need not be."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_runtime.contracts.manifest import InputSpec
from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.gates import sqnr_db
from optimize.graph import read_model, simplify
from optimize.tensorrt import half, lint
from optimize.tensorrt.quantize import activations, quantise
from optimize.tensorrt.rehearsal import rehearse
from tests.optimize.tensorrt.networks import logits
from tests.optimize.tiny_network import Pixels, make_spec

SIDE = 64

pytestmark = pytest.mark.slow


def export(name: str, folder: Path) -> onnx.ModelProto:
    torch = pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    from train.export import build_graph

    torch.manual_seed(0)
    spec = make_spec()
    spec = spec.model_copy(update={"input": InputSpec(height=SIDE, width=SIDE)})
    network = timm.create_model(name, num_classes=len(spec.labels), pretrained=False)
    path = folder / f"{name}.onnx"
    onnx.save(build_graph(network, spec), path)
    return simplify(read_model(path)).proto


def noise() -> list[Pixels]:
    return list(np.random.default_rng(1).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 17 kernels read 17 maps, and each of the eight sums answers in int8.
        ("resnet18", {"Add": 8}),
        # Gates of squeeze and excitation, and their Mul, stay float.
        ("efficientnet_b0", {"Add": 9}),
        # Sums behind a layer scale stay float, and so do LayerNormalization and Gelu.
        ("convnext_tiny", {"Add": 0}),
    ],
)
def test_what_is_known_is_quantised_and_the_rest_stays_float(
    name: str, expected: dict[str, int], tmp_path: Path
) -> None:
    model, images = export(name, tmp_path), noise()
    file = quantise(model, observe(model, activations(model), images), Method.MINMAX)
    assert lint.errors(lint.check(file)) == ()
    assert lint.errors(lint.check(half.convert(model))) == ()
    assert lint.errors(lint.check(half.convert(file))) == ()
    decoded = {n.output[0] for n in file.graph.node if n.op_type == "DequantizeLinear"}
    weighted = [n for n in file.graph.node if n.op_type in ("Conv", "MatMul")]
    assert weighted
    assert all({node.input[0], node.input[1]} <= decoded for node in weighted)
    fused = Counter(n.op_type for n in file.graph.node if decoded & set(n.input))
    assert fused["Add"] == expected["Add"]
    assert not {"Gelu", "LayerNormalization", "Mul", "Sigmoid"} & set(fused)
    before = logits(model, images)
    assert sqnr_db(before, logits(file, images)) > 10
    assert sqnr_db(before, logits(rehearse(half.convert(file)), images)) > 10
    assert sqnr_db(before, logits(rehearse(half.convert(model)), images)) > 35
