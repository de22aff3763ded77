"""Quantisation imitated while training, so that weights settle where rounding does little harm.

Owns where rounding is imitated: at the input and the weights of every convolution and of every linear
layer but the last, as `optimize.quantize` will place it: uint8 with one range, int8 with one scale per
output channel. A range is that of the batch at hand, so a network has no further state: checkpoints,
averaging and export see the weights they always see. Batch norm need not be folded first, since a scale
per output channel goes through it. Gradients pass the rounding as if it were not there.
"""

import torch
from torch import Tensor, nn

_LEVELS = 255
_LARGEST = 127
_TINY = 1e-8
_KEPT = "_float_weight"


def imitate(network: nn.Module) -> int:
    """Have the network, in place, compute with rounded values from now on; returns how many layers do.

    Copies of it do so as well. Only forward passes change: parameters and `state_dict` stay as they are.
    """
    last = [part for part in network.modules() if isinstance(part, nn.Linear)][-1:]
    layers = [
        part
        for part in network.modules()
        if isinstance(part, nn.Conv2d | nn.Linear) and part not in last
    ]
    for layer in layers:
        layer.register_forward_pre_hook(_enter)
        layer.register_forward_hook(_leave, always_call=True)
    return len(layers)


def rounded_activations(values: Tensor) -> Tensor:
    """Values on a grid of 256 steps between their extremes, zero among them."""
    low = values.detach().amin().clamp(max=0)
    high = values.detach().amax().clamp(min=0)
    step = ((high - low) / _LEVELS).clamp(min=_TINY).float()
    zero = (-low / step).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(values.float(), step, zero, 0, _LEVELS).to(
        values.dtype
    )


def rounded_weights(weights: Tensor) -> Tensor:
    """Weights (out, ...) on a symmetric grid of 255 steps per output channel."""
    largest = weights.detach().abs().flatten(1).amax(dim=1)
    step = (largest / _LARGEST).clamp(min=_TINY).float()
    zeros = torch.zeros_like(step, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weights, step, zeros, 0, -_LARGEST, _LARGEST)


def _enter(layer: nn.Conv2d | nn.Linear, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    layer.__dict__[_KEPT] = weights = layer.weight
    # In place of the parameter, under its name: the order of parameters stays, and the gradient
    # reaches it through the rounding.
    layer._parameters["weight"] = rounded_weights(weights)  # type: ignore[assignment]
    return (rounded_activations(inputs[0]), *inputs[1:])


def _leave(layer: nn.Module, _inputs: tuple[Tensor, ...], _output: Tensor) -> None:
    layer._parameters["weight"] = layer.__dict__.pop(_KEPT)
