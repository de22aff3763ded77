"""The averaged weights: what is validated, kept as the best, and exported."""

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, network: nn.Module, decay: float) -> None:
        """Move by `1 - decay` towards the network; counters are taken over."""
        mine, theirs = self.network.state_dict(), network.state_dict()
        real = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in real], [theirs[n] for n in real], 1 - decay)
        for name in mine.keys() - set(real):
            mine[name].copy_(theirs[name])
