"""What a network makes of images before it names a class: the input of its last layer."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from train.data.stream import BatchStream, ImageStore
from train.fitting import backbones

_BATCH = 32


def features(
    network: nn.Module,
    images: ImageStore,
    order: Sequence[int] | npt.NDArray[np.int64],
    *,
    device: torch.device,
    pool: ThreadPoolExecutor,
) -> Iterator[npt.NDArray[np.float32]]:
    """Batches (N, channels) of a timm network's pooled features, in `order`; the network is put in eval
    mode on `device`, `pool` decodes."""
    network = network.to(device).eval()
    stream = BatchStream(store=images, order=order, batch_size=_BATCH, size=images.size, pool=pool)
    for batch in stream:
        with torch.inference_mode():
            frames = torch.from_numpy(batch.frames).to(device)
            maps = network.forward_features(backbones.normalise(frames, images.size))  # type: ignore[operator]
            pooled = network.forward_head(maps, pre_logits=True)  # type: ignore[operator]
            yield pooled.float().cpu().numpy()
