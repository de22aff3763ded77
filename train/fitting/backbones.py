"""Networks: any timm backbone by name, its initial weights, and the one input formula.

`build` makes the network, `load_initial` fills it from where the user says. The head is kept only
when it answers for the same labels in the same order. `normalise` is what the exported graph does in its
one DequantizeLinear.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import first_line
from train.errors import WeightsError
from train.fitting import checkpoint, pretrained
from train.fitting.record import read_record
from train.run_folder import RunFolder

IMAGENET = "imagenet"
SCRATCH = "scratch"

_MEMORY_FORMAT = torch.channels_last
"""Memory format of weights and activations: 96 ms against 204 per image and step on a CPU, 256 px."""


def build(
    model: str, classes: int, sizes: Sequence[InputSpec], *, drop_path: float = 0.0
) -> nn.Module:
    """The timm backbone `model` with a fresh head for `classes` labels, channels last.

    Raises WeightsError for an unknown name, or one that does not take images of these sizes, or has no
    residual blocks to drop.
    """
    if not timm.is_model(model):
        near = difflib.get_close_matches(model, timm.list_models(), n=3)
        raise WeightsError(
            f"timm knows no model {model!r}"
            + (f"; did you mean {' or '.join(near)}?" if near else ": see timm.list_models()")
        )
    extras: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    try:
        network: nn.Module = timm.create_model(model, num_classes=classes, **extras)
    except TypeError as exc:
        raise WeightsError(f"--drop-path {drop_path}: {model} has no paths to drop") from exc
    except RuntimeError as exc:
        raise WeightsError(f"timm cannot make {model}: {first_line(exc)}") from exc
    _start_undecided(head(network))
    network = network.to(memory_format=_MEMORY_FORMAT)
    network.eval()
    for size in sizes:
        try:
            with torch.inference_mode():
                network(torch.zeros(1, 3, size.height, size.width))
        except (AssertionError, RuntimeError) as exc:
            raise WeightsError(
                f"{model} does not take images of {size.width}x{size.height}: {first_line(exc)}"
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
    path = Path(source)
    if path.is_dir():
        return _load_run(network, model, RunFolder(path=path), labels)
    if source == IMAGENET:
        weights, origin = pretrained.from_imagenet(network, model)
    elif path.is_file():
        weights, origin = pretrained.from_file(path)
    else:
        raise WeightsError(
            f"--initial-weights {source!r}: expected {IMAGENET}, {SCRATCH}, a .pth or .safetensors "
            "file, or the folder of an earlier run; no such file or folder exists"
        )
    pretrained.adapt_input(weights, network)
    _fill(network, weights, origin)
    return origin


def _start_undecided(classifier: nn.Module) -> None:
    """Small weights, so that the first loss is that of a guess: timm's own for few classes start it at
    12 and not at 1.8, and the first epochs go by in mending that."""
    for name, parameter in classifier.named_parameters():
        if name.endswith("weight"):
            nn.init.normal_(parameter, std=0.01)
        else:
            nn.init.zeros_(parameter)


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
