"""The tiny network as a file and simplified, and folders of coloured images."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from edge_runtime.contracts.manifest import ModelSpec
from optimize.graph import FloatModel, read_model, simplify
from tests.optimize.tiny_network import LABELS, Pixels, make_image, make_proto, make_spec, png


@pytest.fixture
def spec() -> ModelSpec:
    return make_spec()


@pytest.fixture
def proto() -> onnx.ModelProto:
    return make_proto()


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    onnx.save(make_proto(), path)
    return path


@pytest.fixture
def simplified(model_file: Path) -> FloatModel:
    return simplify(read_model(model_file))


@pytest.fixture
def images() -> list[Pixels]:
    return [make_image(label, seed) for seed in range(4) for label in LABELS]


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """`make_folder(name, per_class=12, labels=...)`: a class-folder data set; returns its path."""

    def make(name: str, per_class: int = 12, labels: tuple[str, ...] = LABELS) -> Path:
        root = tmp_path / name
        for label in labels:
            (root / label).mkdir(parents=True)
            for seed in range(per_class):
                (root / label / f"{seed:02d}.png").write_bytes(png(make_image(label, seed)))
        return root

    return make
