"""Features of the float model, by ONNX Runtime alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contracts.manifest import ModelSpec
from optimize.calibration.embedding import embed
from optimize.data.dataset import open_dataset
from optimize.errors import CalibrationError
from optimize.graph import FloatModel
from tests.optimize.tiny_network import LABELS

MakeFolder = Callable[..., Path]


def test_images_of_a_class_lie_beside_each_other(
    simplified: FloatModel, spec: ModelSpec, make_folder: MakeFolder
) -> None:
    dataset = open_dataset(make_folder("looks", per_class=4))
    embedded = embed(dataset, simplified.proto, spec.input)
    features = embedded.features
    assert embedded.dataset.samples == dataset.samples
    assert embedded.faults == ()
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    same = dataset.classes[:, None] == dataset.classes[None]
    assert distances[same].max() < 0.1 < distances[~same].min()


def test_a_corrupt_file_is_named_and_the_others_keep_their_places(
    simplified: FloatModel, spec: ModelSpec, make_folder: MakeFolder
) -> None:
    root = make_folder("damaged", per_class=2)
    (root / LABELS[2] / "00.png").write_bytes(b"garbage")
    heard: list[int] = []
    dataset = open_dataset(root)
    embedded = embed(dataset, simplified.proto, spec.input, heard.append)
    (fault,) = embedded.faults
    assert fault.path == f"{LABELS[2]}/00.png"
    kept = [path for path in dataset.column("path") if path != fault.path]
    assert list(embedded.dataset.column("path")) == kept
    assert len(embedded.features) == 5
    assert sum(heard) == 6


def test_nothing_that_can_be_read_is_an_error(
    simplified: FloatModel, spec: ModelSpec, tmp_path: Path
) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "a.png").write_bytes(b"garbage")
    with pytest.raises(CalibrationError, match=r"none of the 1 images .* red/a\.png"):
        embed(open_dataset(tmp_path), simplified.proto, spec.input)
