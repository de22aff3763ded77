"""Where in an image a network finds its answer: Grad-CAM (Selvaraju et al. 2017) at the last stage.

Owns the slopes, of any network there is; how a map is scaled and laid over a frame stands in
`edge_runtime.explanation.heatmaps`, which draws the same without torch where the head allows it. Which
frames are shown is the business of those who call. The last stage is what timm's `forward_features`
gives, of any of its convolutional networks, so no layer is named and no hook is set.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.explanation.heatmaps import Maps, scaled
from train.errors import WeightsError
from train.fitting.backbones import normalise


def grad_cam(
    network: nn.Module,
    frames: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.int64],
    size: InputSpec,
) -> Maps:
    """What speaks for `classes` (N,) in `frames` (N, height, width, 3): `scaled` maps.

    Raises WeightsError for a network whose last stage is no picture.
    """
    device = next(network.parameters()).device
    network.eval()
    pixels = normalise(torch.from_numpy(frames).to(device), size)
    with torch.no_grad():
        stage: Tensor = network.forward_features(pixels)  # type: ignore[operator]
    if stage.ndim != 4 or stage.shape[1] != network.num_features:
        raise WeightsError(
            f"{type(network).__name__} has no last stage with a place for each feature "
            f"(its shape is {tuple(stage.shape)}): heat maps need a convolutional network"
        )
    stage.requires_grad_()
    logits: Tensor = network.forward_head(stage)  # type: ignore[operator]
    asked = logits[torch.arange(len(frames)), torch.from_numpy(classes).to(device)]
    (slopes,) = torch.autograd.grad(asked.sum(), stage)
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    evidence = (weights * stage.detach()).sum(dim=1).cpu().numpy()
    return scaled(evidence, *frames.shape[1:3])


def grid(network: nn.Module, size: InputSpec) -> tuple[int, int]:
    """Rows and columns of the last stage for frames of that size: maps tell places apart no finer."""
    device = next(network.parameters()).device
    with torch.no_grad():
        blank = torch.zeros(1, 3, size.height, size.width, device=device)
        stage: Tensor = network.forward_features(blank)  # type: ignore[operator]
    return int(stage.shape[2]), int(stage.shape[3])
