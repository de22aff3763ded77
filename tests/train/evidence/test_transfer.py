"""Networks compared layer by layer, on images whose differences are known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch

from edge_runtime.contracts.manifest import InputSpec
from tests.train.conftest import LABELS, SIDE, draw
from train.data.manifest import read_class_folders
from train.data.stream import ImageStore, open_images
from train.errors import DatasetError
from train.evidence.transfer import Layer, Transfer, compare
from train.fitting.machine import Machine


def camera(root: Path, first: int, light: int) -> ImageStore:
    """Ten images of each class, `light` grey levels brighter than they are drawn."""
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(first, first + 10):
            image = np.clip(draw(label, number).astype(int) + light, 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / label / f"{number}.png"), image[..., ::-1])
    size = InputSpec(height=SIDE, width=SIDE)
    return open_images(read_class_folders(root), size, workers=1, memory_limit=1 << 20)


@pytest.fixture
def new(tmp_path: Path) -> ImageStore:
    return camera(tmp_path / "new", 0, 0)


def network(model: str, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    made: torch.nn.Module = timm.create_model(model, num_classes=3)
    return made.eval()


@pytest.mark.parametrize("model", ["test_efficientnet", "test_convnext", "test_resnet"])
def test_a_network_is_wholly_like_itself_and_less_like_another(
    model: str, new: ImageStore, machine: Machine
) -> None:
    same, other = network(model, 0), network(model, 1)
    found = compare({"same": same, "other": other, "finished": same}, new, None, machine)
    assert found.layers[0] == "stage 1"
    assert found.layers[-1] == "last"
    assert found.images == 30
    assert [layer.likeness for layer in found.networks["same"]] == pytest.approx(
        [1] * len(found.layers), abs=1e-6
    )
    assert min(layer.likeness for layer in found.networks["other"]) < 0.999
    assert all(0.1 < layer.kind < 1 for layer in found.networks["finished"])
    assert all(layer.camera is None for layer in found.networks["finished"])


def test_another_light_is_a_camera_of_its_own_and_the_same_light_is_none(
    tmp_path: Path, new: ImageStore, machine: Machine
) -> None:
    networks = {"finished": network("test_resnet", 0)}
    alike = compare(networks, new, camera(tmp_path / "alike", 20, 0), machine)
    apart = compare(networks, new, camera(tmp_path / "apart", 20, 60), machine)
    for quiet, loud in zip(alike.networks["finished"], apart.networks["finished"], strict=True):
        assert quiet.camera is not None
        assert loud.camera is not None
        assert quiet.camera < 0.01
        assert loud.camera > 0.02
    assert apart.old_images == 30


def test_too_few_images_of_a_class_are_named(
    tmp_path: Path, new: ImageStore, machine: Machine
) -> None:
    lone = new.dataset.without(
        i for i, sample in enumerate(new.dataset.samples) if sample.label != "crack"
    )
    old = open_images(lone, new.size, workers=1, memory_limit=0)
    with pytest.raises(DatasetError, match="two classes"):
        compare({"finished": network("test_resnet", 0)}, new, old, machine)


def told(kind: float, camera: float | None) -> list[str]:
    """The sentences on a source network whose last layer has these shares."""

    def layers(likeness: float, kind: float, camera: float | None) -> tuple[Layer, Layer]:
        first = Layer(likeness=0.98, camera=camera, kind=0.01)
        return first, Layer(likeness=likeness, camera=camera, kind=kind)

    return Transfer(
        layers=("stage 1", "last"),
        networks={
            "ImageNet": layers(0.2, 0.02, camera),
            "Gen-2": layers(0.6, kind, camera),
            "Gen-3": layers(1.0, 0.5, None if camera is None else 0.03),
        },
        images=100,
        old_images=0,
    ).sentences()


def test_the_sentences_say_what_the_figures_say() -> None:
    kept, worth, learned = told(0.3, 0.2)
    assert "most like Gen-2 in stage 1 (similarity 0.98)" in kept
    assert "least in the last layer (0.60)" in kept
    assert "30% of what differs between them in the last layer of Gen-2" in worth
    assert "in that of ImageNet 2%" in worth
    assert worth.endswith("this head start is what was transferred.")
    assert "from 30% to 50%" in learned
    assert "from 20% to 3%" in learned


def test_no_head_start_is_said_too() -> None:
    _, worth, learned = told(0.03, None)
    assert worth.endswith("no head start here.")
    assert "camera" not in learned
