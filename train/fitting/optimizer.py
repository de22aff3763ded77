"""From losses to new weights: gradients gathered over batches, scaled for float16, clipped, applied."""

from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from torch import Tensor, nn

from edge_runtime.errors import UsageError
from train.fitting.layers import parameter_groups
from train.fitting.machine import Machine
from train.fitting.recipe import Recipe

_FUSED = frozenset({"adamw", "adam", "sgd"})
"""torch's own, which have one kernel for all parameters."""


class Optimizer:
    """An optimiser of timm's with the state that goes on with a run."""

    def __init__(self, network: nn.Module, recipe: Recipe, machine: Machine) -> None:
        """Raises UsageError for a name that timm does not know."""
        known = [str(name) for name in list_optimizers()]
        if recipe.opt not in known:
            raise UsageError(f"--opt {recipe.opt}: expected one of {', '.join(known)}")
        self.rate = recipe.lr
        """The learning rate of the last update."""
        self._clip = recipe.clip_grad
        extras: dict[str, Any] = {"fused": True} if recipe.opt in _FUSED else {}
        self._torch: torch.optim.Optimizer = create_optimizer_v2(
            parameter_groups(network, recipe),
            opt=recipe.opt,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            **extras,
        )
        self._scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.scales_gradients)

    def gather(self, loss: Tensor) -> None:
        """Add the loss's gradients to those of the coming update."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(self, rate: float) -> None:
        """Apply what was gathered at that learning rate. A float16 overflow skips the update."""
        self.rate = rate
        for group in self._torch.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        if self._clip is not None:
            self._scaler.unscale_(self._torch)
            parameters = [p for group in self._torch.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self._clip)
        self._scaler.step(self._torch)
        self._scaler.update()
        self._torch.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Moments and the scale of the gradients."""
        return {"optimizer": self._torch.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self._torch.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
