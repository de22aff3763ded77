"""The processes that share one run, as `torchrun` starts them; without it, one that is alone.

Each shows the network its share of every batch, and gradients are averaged (DistributedDataParallel),
so that a batch means the same however many share it. The first process, the leader, alone writes and
speaks; what it must decide for all (what there is to resume, when a checkpoint is due) it tells the
others. A process that fails ends; `torchrun` then ends the rest.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edge_runtime.errors import UsageError

T = TypeVar("T")

_PATIENCE = timedelta(hours=4)
"""How long a process waits for another: the leader may be opening millions of images. One that has died
is noticed by `torchrun` at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """One process among those of a run."""

    rank: int = 0
    count: int = 1
    local: int = 0
    """Among those on this machine: the number of its GPU."""
    local_count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.count == 1

    @property
    def share(self) -> slice:
        """This process's part of a batch, or of whatever all of them go through."""
        return slice(self.rank, None, self.count)

    def tell(self, find: Callable[[], T]) -> T:
        """What the leader finds, to every process; `find` is called by the leader alone."""
        if self.alone:
            return find()
        told: list[Any] = [find() if self.leads else None]
        distributed.broadcast_object_list(told, src=0)
        return cast("T", told[0])

    def total(self, values: Tensor) -> Tensor:
        """The sum over the processes, alike in each to the last bit."""
        if not self.alone:
            distributed.all_reduce(values)
        return values

    def whole(self, rows: Sequence[npt.NDArray[np.float32]], count: int) -> npt.NDArray[np.float32]:
        """The rows of all `count` indices as one array, from the pieces that each has of its `share`."""
        if self.alone:
            return np.concatenate(rows)
        parts: list[Any] = [None] * self.count
        distributed.all_gather_object(parts, [*rows])
        shares = [np.concatenate(part) for part in parts if part]
        merged = np.empty((count, *shares[0].shape[1:]), np.float32)
        for rank, part in enumerate(shares):
            merged[rank :: self.count] = part
        return merged

    def align(self, network: nn.Module) -> None:
        """Give the network the leader's weights and statistics."""
        if self.alone:
            return
        for value in network.state_dict().values():
            distributed.broadcast(value, src=0)

    def joined(self, network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The network as a part of the whole: its gradients become the mean over the processes.

        To be made anew when other parts of it learn.
        """
        if self.alone:
            return network
        return DistributedDataParallel(cast("nn.Module", network), gradient_as_bucket_view=True)

    def gathering(
        self, network: Callable[[Tensor], Tensor], *, last: bool
    ) -> AbstractContextManager[None]:
        """Around a batch: gradients stay here until the last batch of an update."""
        if last or not isinstance(network, DistributedDataParallel):
            return nullcontext()
        return cast("AbstractContextManager[None]", network.no_sync())

    def with_common_statistics(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Batch norm over all processes' shares of a batch on GPUs. On a CPU, where torch has no such
        layer, each takes its own share's statistics, and the leader's are kept."""
        if self.alone or device.type != "cuda":
            return network
        return cast("nn.Module", convert_sync_batchnorm(network))  # type: ignore[no-untyped-call]

    def require_enough(self, images: int) -> None:
        """Raise UsageError when a batch of so many images leaves a process with less than two, of which
        batch norm can make nothing."""
        if not self.alone and images < 2 * self.count:
            raise UsageError(
                f"a batch of {images} images cannot be shared by {self.count} processes, two images or "
                "more for each: give a larger --batch-size, or torchrun fewer processes"
            )


ALONE = Ranks()


@contextmanager
def shared_run() -> Iterator[Ranks]:
    """Join the processes that `torchrun` started, if it started this one."""
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    ranks = Ranks(
        rank=int(os.environ["RANK"]),
        count=int(os.environ["WORLD_SIZE"]),
        local=int(os.environ["LOCAL_RANK"]),
        local_count=int(os.environ["LOCAL_WORLD_SIZE"]),
    )
    if torch.cuda.is_available():
        torch.cuda.set_device(ranks.local % torch.cuda.device_count())
        distributed.init_process_group("cpu:gloo,cuda:nccl", timeout=_PATIENCE)
    else:
        distributed.init_process_group("gloo", timeout=_PATIENCE)
    yield ranks
    # Only after success: one that has failed would wait here for the others.
    distributed.destroy_process_group()
