"""What a run works on, and how a network is run on it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_runtime.contracts.manifest import InputSpec
from train.fitting import backbones
from train.fitting.ranks import ALONE, Ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Device, number format and threads; none of it is meant to change the result."""

    device: torch.device
    amp: bool
    """Autocast: for GPUs and for CPUs with AMX; slower on others."""
    workers: ThreadPoolExecutor
    amp_dtype: torch.dtype = torch.bfloat16
    """Of autocast: bfloat16, or float16 with scaled gradients for GPUs that compute no other."""
    compiled: bool = False
    """Whether training runs through `torch.compile`."""
    ranks: Ranks = ALONE
    """This process among those of the run."""

    @property
    def scales_gradients(self) -> bool:
        """float16 has no room for small gradients: they are scaled up, and down again for the update."""
        return self.amp and self.amp_dtype is torch.float16

    def prepared(
        self, network: nn.Module, stages: int, size: InputSpec
    ) -> Callable[[Tensor], Tensor]:
        """The network as training runs it: sharing its weights, compiled where that was asked for, anew
        when other stages learn or the size changes."""
        return _compiled(network, stages, size) if self.compiled else network

    def forward(
        self, network: Callable[[Tensor], Tensor], frames: npt.NDArray[np.uint8], size: InputSpec
    ) -> Tensor:
        """float32 logits (N, classes) for frames (N, height, width, 3) uint8."""
        pixels = backbones.normalise(torch.from_numpy(frames).to(self.device), size)
        with torch.autocast(self.device.type, self.amp_dtype, enabled=self.amp):
            return network(pixels).float()


@lru_cache(maxsize=1)
def _compiled(network: nn.Module, stages: int, size: InputSpec) -> Callable[[Tensor], Tensor]:  # noqa: ARG001
    # Graphs of earlier epochs count towards a limit of torch's, beyond which it would not compile.
    torch.compiler.reset()
    return torch.compile(network, dynamic=False)
