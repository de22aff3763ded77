"""A map must peak where the evidence is, and must not where the weights mean nothing."""

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from edge_runtime.contracts.manifest import InputSpec
from train.errors import WeightsError
from train.evidence.heatmaps import grad_cam, grid
from train.fitting.backbones import normalise

SIDE = 64
SIZE = InputSpec(height=SIDE, width=SIDE)
RED, BLUE = 0, 1
NOTHING = 2
"""A class that nothing speaks for."""


class Seeker(nn.Module):
    """Knows red from blue by what its two feature channels sum up to, shaped as timm's networks are."""

    num_features = 2

    def __init__(self) -> None:
        super().__init__()
        self.seek = nn.Conv2d(3, 2, 8, stride=8, bias=False)
        self.answer = nn.Linear(2, 3, bias=False)
        with torch.no_grad():
            self.seek.weight.zero_()
            self.seek.weight[0, 0], self.seek.weight[0, 2] = 1, -1
            self.seek.weight[1, 2], self.seek.weight[1, 0] = 1, -1
            self.answer.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, -1]]))

    def forward_features(self, pixels: Tensor) -> Tensor:
        return torch.relu(self.seek(pixels))

    def forward_head(self, stage: Tensor) -> Tensor:
        return self.answer(stage.mean(dim=(2, 3)))


def scene(random: np.random.Generator) -> tuple[np.ndarray, dict[int, tuple[int, int]]]:
    """Grey noise with a red and a blue patch of 8 pixels, and the row and column of each patch."""
    frame = random.integers(90, 110, (SIDE, SIDE, 3), dtype=np.uint8)
    spots = random.choice(64, 2, replace=False)
    where = {}
    for kind, spot in zip((RED, BLUE), spots, strict=True):
        row, column = divmod(int(spot), 8)
        frame[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, 0 if kind == RED else 2] = 250
        where[kind] = (row, column)
    return frame, where


def peaks_on_the_evidence(network: nn.Module, scenes: int = 20) -> float:
    """Share of the maps whose highest point lies within the patch of the class that was asked for."""
    random = np.random.default_rng(1)
    hits = []
    for _ in range(scenes):
        frame, where = scene(random)
        asked = np.array([RED, BLUE])
        maps = grad_cam(network, np.stack([frame, frame]), asked, SIZE)
        for kind, found in zip(asked.tolist(), maps, strict=True):
            row, column = divmod(int(found.argmax()), SIDE)
            hits.append((row // 8, column // 8) == where[kind])
    return float(np.mean(hits))


def test_the_map_peaks_where_the_evidence_is() -> None:
    assert peaks_on_the_evidence(Seeker()) == 1


def test_with_shuffled_weights_it_does_not() -> None:
    shares = []
    for seed in range(10):
        network = Seeker()
        torch.manual_seed(seed)
        with torch.no_grad():
            for weights in network.parameters():
                weights.copy_(weights.flatten()[torch.randperm(weights.numel())].view_as(weights))
        shares.append(peaks_on_the_evidence(network, scenes=10))
    assert np.mean(shares) < 0.4  # some by luck: there are but two patches to be drawn to


def test_what_nothing_speaks_for_has_an_empty_map() -> None:
    frame, _ = scene(np.random.default_rng(2))
    assert not grad_cam(Seeker(), frame[None], np.array([NOTHING]), SIZE).any()


@pytest.mark.parametrize("model", ["test_efficientnet", "test_convnext", "test_resnet"])
def test_every_family_of_convolutional_networks_has_maps(model: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(model, num_classes=3).eval()
    frames = np.stack([scene(np.random.default_rng(seed))[0] for seed in range(3)])
    maps = grad_cam(network, frames, np.array([0, 1, 2]), SIZE)
    assert maps.shape == (3, SIDE, SIDE)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() == pytest.approx(1)
    assert all(parameter.grad is None for parameter in network.parameters())
    # The way through features and head is the network's own.
    pixels = normalise(torch.from_numpy(frames), SIZE)
    with torch.no_grad():
        through = network.forward_head(network.forward_features(pixels))
        assert torch.equal(through, network(pixels))


def test_a_network_without_places_is_refused() -> None:
    network = timm.create_model("test_vit", num_classes=3)
    size = InputSpec(height=160, width=160)
    with pytest.raises(WeightsError, match="convolutional"):
        grad_cam(network, np.zeros((1, 160, 160, 3), np.uint8), np.array([0]), size)


def test_the_grid_is_that_of_the_last_stage() -> None:
    assert grid(Seeker(), SIZE) == (SIDE // 8, SIDE // 8)
    small = timm.create_model("test_efficientnet", num_classes=3)
    assert grid(small, InputSpec(height=64, width=96)) == (2, 3)
