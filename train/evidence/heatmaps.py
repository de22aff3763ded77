"""Where in an image a network finds its answer: Grad-CAM (Selvaraju et al. 2017) at the last stage.

Owns the maps and how they are laid over a frame. Which frames are shown is the business of those who
call. The last stage is what timm's `forward_features` gives, of any of its convolutional networks, so no
layer is named and no hook is set.
"""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from train.errors import WeightsError
from train.fitting.backbones import normalise

Maps = npt.NDArray[np.float32]


def grad_cam(
    network: nn.Module,
    frames: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.int64],
    size: InputSpec,
) -> Maps:
    """What speaks for `classes` (N,) in `frames` (N, height, width, 3): maps (N, height, width), 0..1.

    Each is scaled to its own maximum; one that is 0 everywhere found nothing that speaks for its class.
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
    coarse = (weights * stage.detach()).sum(dim=1).clamp(min=0).cpu().numpy()
    height, width = frames.shape[1:3]
    # Linear: a cubic would overshoot and show places that the network does not tell apart.
    maps = np.stack([cv2.resize(map_, (width, height)) for map_ in coarse])
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0))


def grid(network: nn.Module, size: InputSpec) -> tuple[int, int]:
    """Rows and columns of the last stage for frames of that size: maps tell places apart no finer."""
    device = next(network.parameters()).device
    with torch.no_grad():
        blank = torch.zeros(1, 3, size.height, size.width, device=device)
        stage: Tensor = network.forward_features(blank)  # type: ignore[operator]
    return int(stage.shape[2]), int(stage.shape[3])


def overlay(frame: Pixels, heat: Maps) -> Pixels:
    """The frame in grey, with the map (height, width) over it: what is hot is yellow, what is cold stays
    as it is."""
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    levels = np.rint(heat * 255).astype(np.uint8)
    # Inferno rises in lightness alone, so it reads without colour vision and in print.
    glow = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    strength = 0.75 * heat[..., None]
    return np.asarray(np.rint(grey * (1 - strength) + glow * strength), dtype=np.uint8)
