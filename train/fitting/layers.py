"""A backbone's stages from bottom to top: which of them learn, and at what rate.

The order is timm's own (`group_matcher`), so it holds for any backbone that timm knows.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from timm.models import group_parameters
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from train.fitting import backbones
from train.fitting.recipe import Recipe


def stages(network: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each stage, from the input upwards, without the head; none is empty."""
    head = {id(parameter) for parameter in backbones.head(network).parameters()}
    parameters = dict(network.named_parameters())
    matcher = getattr(network, "group_matcher", None)
    grouped: Mapping[int, Sequence[str]] = (
        group_parameters(network, matcher(coarse=True)) if matcher else {0: list(parameters)}
    )
    found = [
        [parameters[name] for name in names if id(parameters[name]) not in head]
        for _, names in sorted(grouped.items())
    ]
    return [stage for stage in found if stage]


def let_learn(network: nn.Module, top: int) -> None:
    """Let the head and the `top` uppermost stages learn. What does not learn keeps its batch statistics
    too, and drops nothing."""
    network.train().requires_grad_(requires_grad=True)
    ordered = stages(network)
    for stage in ordered[: len(ordered) - top]:
        for parameter in stage:
            parameter.requires_grad = False
    for module in network.modules():
        held = list(module.parameters())
        if held and not any(parameter.requires_grad for parameter in held):
            module.eval()


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """For an optimiser: vectors (biases, norms) are not decayed; `lr_scale` falls with depth."""
    spared: Collection[str] = getattr(network, "no_weight_decay", tuple)()
    grouped: Callable[..., list[dict[str, Any]]] = param_groups_weight_decay
    if recipe.layer_decay < 1:
        grouped = partial(param_groups_layer_decay, layer_decay=recipe.layer_decay)
    return grouped(network, recipe.weight_decay, no_weight_decay_list=spared)
