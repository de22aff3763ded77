import pytest
import timm
import torch
from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from train.fitting import backbones, layers
from train.fitting.recipe import Recipe

SIZES = [InputSpec(height=32, width=32)]
FAMILIES = ("test_efficientnet", "test_resnet", "test_convnext", "test_mambaout")


def build(model: str) -> nn.Module:
    return backbones.build(model, 3, SIZES)


def learning(network: nn.Module) -> set[str]:
    return {name for name, value in network.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("model", FAMILIES)
def test_stages_hold_every_parameter_but_the_heads_once(model: str) -> None:
    network = build(model)
    ordered = layers.stages(network)
    assert len(ordered) >= 4
    held = [id(parameter) for stage in ordered for parameter in stage]
    head = {id(parameter) for parameter in backbones.head(network).parameters()}
    assert len(held) == len(set(held))
    assert set(held) | head == {id(parameter) for parameter in network.parameters()}
    assert not set(held) & head
    first = timm.models.get_pretrained_cfg(model).first_conv
    assert any(value is network.get_parameter(f"{first}.weight") for value in ordered[0])


def test_stages_join_from_the_top() -> None:
    network = build("test_efficientnet")
    layers.let_learn(network, 0)
    assert learning(network) == {"classifier.weight", "classifier.bias"}
    seen = learning(network)
    for top in range(1, len(layers.stages(network)) + 1):
        layers.let_learn(network, top)
        assert learning(network) > seen
        seen = learning(network)
    assert seen == {name for name, _ in network.named_parameters()}


def test_what_does_not_learn_keeps_its_statistics() -> None:
    network = build("test_efficientnet")
    layers.let_learn(network, 2)
    before = {name: value.clone() for name, value in network.named_buffers()}
    network(torch.randn(4, 3, 32, 32))
    moved = {
        name.rpartition(".")[0]
        for name, value in network.named_buffers()
        if not torch.equal(value, before[name])
    }
    taught = {name.rpartition(".")[0] for name in learning(network)}
    norms = {name for name, part in network.named_modules() if isinstance(part, nn.BatchNorm2d)}
    assert moved == taught & norms
    assert norms - moved


def test_rates_fall_from_layer_to_layer_down_to_the_input() -> None:
    network = build("test_efficientnet")
    groups = layers.parameter_groups(network, Recipe(layer_decay=0.5, weight_decay=0.1))
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    assert scale[id(network.get_parameter("classifier.weight"))] == 1
    lowest = scale[id(network.get_parameter("conv_stem.weight"))]
    assert lowest == min(scale.values())
    assert lowest < 0.1


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_vectors_are_not_decayed(layer_decay: float) -> None:
    network = build("test_efficientnet")
    groups = layers.parameter_groups(network, Recipe(layer_decay=layer_decay, weight_decay=0.1))
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for p in network.parameters() if p.ndim > 1}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
