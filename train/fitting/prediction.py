"""What a network answers on images of a store, and what would be right."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from train.data.stream import BatchStream, ImageStore
from train.fitting.machine import Machine


def predict(
    network: nn.Module,
    images: ImageStore,
    indices: Sequence[int],
    size: InputSpec,
    machine: Machine,
) -> npt.NDArray[np.float32]:
    """Logits (len(indices), classes) of a network, which is put in eval mode.

    Where processes share a run, each answers for its share and all get the whole.
    """
    mine = np.asarray(indices, np.int64)[machine.ranks.share]
    stream = BatchStream(store=images, order=mine, batch_size=32, size=size, pool=machine.workers)
    network.eval()
    with torch.inference_mode():
        rows = [machine.forward(network, batch.frames, size).cpu().numpy() for batch in stream]
    return machine.ranks.whole(rows, len(indices))


def classes_of(
    images: ImageStore, indices: Sequence[int] | npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """True classes (len(indices),) as positions in the labels."""
    return images.dataset.classes[np.asarray(indices, np.int64)]
