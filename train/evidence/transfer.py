"""What a network took over from the one it started from, and what that is worth on the new camera.

Owns which networks and images are compared, and the sentences that follow from the figures. Networks
answer to held-back images only, those that neither was taught with. The figures are
`train.evidence.similarity`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from optimize.data.dataset import Dataset
from train.data.stream import BatchStream, ImageStore
from train.errors import DatasetError
from train.evidence.similarity import Features, cka, parts
from train.fitting.backbones import normalise
from train.fitting.machine import Machine

_GRID = 4
"""A stage is compared as it is on a grid of so many places a side: where things are counts too."""
PER_CLASS = 60
"""Images of each class and camera that are compared at most; three networks answer to each."""
_HEAD_START = 0.02
"""Share of the differences; less lies within the luck of which images were drawn."""
LAST = "last"
"""The layer that the answer is read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One network at one layer."""

    likeness: float
    """CKA to the finished network at the same layer, on images of the new camera; 1 is the same."""
    camera: float | None
    """Share of what differs between images that goes with their camera; None without the old one's."""
    kind: float
    """Share of what differs between images of the new camera that goes with their class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Networks layer by layer, from the one that is oldest to the finished one."""

    layers: tuple[str, ...]
    networks: Mapping[str, tuple[Layer, ...]]
    """By name, in the order of their making; the last one is the finished one."""
    images: int
    """Of the new camera."""
    old_images: int
    """Of the old camera; 0 where there are none."""

    def sentences(self) -> list[str]:
        """What the figures say, for people."""
        *starts, finished = self.networks
        said = [self._kept(start, finished) for start in starts[-1:]]
        if len(starts) > 1:
            said.append(self._worth(starts[-1], starts[0]))
        if starts:
            said.append(self._learned(starts[-1], finished))
        return said

    def _kept(self, start: str, finished: str) -> str:
        likeness = [layer.likeness for layer in self.networks[start]]
        most, least = int(np.nanargmax(likeness)), int(np.nanargmin(likeness))
        return (
            f"On the same {self.images} images, {finished} still sees most like {start} in "
            f"{_place(self.layers[most])} (similarity {likeness[most]:.2f}) and least in "
            f"{_place(self.layers[least])} ({likeness[least]:.2f}); 1 is the same, 0 unrelated."
        )

    def _worth(self, start: str, first: str) -> str:
        mine, theirs = self.networks[start][-1].kind, self.networks[first][-1].kind
        return (
            f"Before any of the new images taught it, {mine:.0%} of what differs between them in the "
            f"last layer of {start} went with their class, in that of {first} {theirs:.0%}: "
            + (
                "this head start is what was transferred."
                if mine >= theirs + _HEAD_START
                else "the earlier images brought no head start here."
            )
        )

    def _learned(self, start: str, finished: str) -> str:
        before, after = self.networks[start][-1], self.networks[finished][-1]
        said = (
            f"Teaching with the new images took the share of the class in the last layer from "
            f"{before.kind:.0%} to {after.kind:.0%}"
        )
        if before.camera is None or after.camera is None:
            return f"{said}."
        return (
            f"{said}, and the share that only tells which camera an image is from, from "
            f"{before.camera:.0%} to {after.camera:.0%}."
        )


def choose(dataset: Dataset, seed: int = 0) -> list[int]:
    """Positions of up to `PER_CLASS` images of each class, by lot: enough to compare networks on."""
    random = np.random.default_rng(seed)
    chosen = [
        random.permutation(np.flatnonzero(dataset.classes == position))[:PER_CLASS]
        for position in range(len(dataset.labels))
    ]
    return sorted(np.concatenate(chosen).tolist())


def compare(
    networks: Mapping[str, nn.Module],
    new: ImageStore,
    old: ImageStore | None,
    machine: Machine,
    *,
    seed: int = 0,
) -> Transfer:
    """Let every network answer to images of the new and, where there are any, the old camera.

    The last network is the finished one. Raises DatasetError where fewer than two classes have two
    images of each camera.
    """
    chosen = choose(new.dataset, seed)
    old_chosen = choose(old.dataset, seed) if old else []
    kinds = [new.dataset.samples[i].label for i in chosen]
    old_kinds = [old.dataset.samples[i].label for i in old_chosen] if old else []
    finished = list(networks)[-1]
    on_new = {name: _answers(net, new, chosen, machine) for name, net in networks.items()}
    on_old = {
        name: _answers(net, old, old_chosen, machine) if old else []
        for name, net in networks.items()
    }
    sources = ["new"] * len(kinds) + ["old"] * len(old_kinds)
    try:
        layers = {
            name: tuple(
                Layer(
                    likeness=cka(mine.placed, theirs.placed),
                    kind=parts(mine.pooled, kinds, sources[: len(kinds)]).kind,
                    camera=parts(
                        np.concatenate([mine.pooled, on_old[name][at].pooled]),
                        kinds + old_kinds,
                        sources,
                    ).source
                    if old
                    else None,
                )
                for at, (mine, theirs) in enumerate(
                    zip(on_new[name], on_new[finished], strict=True)
                )
            )
            for name in networks
        }
    except ValueError as exc:
        raise DatasetError(f"the networks' features cannot be compared: {exc}") from exc
    stages = len(on_new[finished]) - 1
    return Transfer(
        layers=(*(f"stage {at}" for at in range(1, stages + 1)), LAST),
        networks=layers,
        images=len(chosen),
        old_images=len(old_chosen),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """Of one layer to N images."""

    placed: Features
    """(N, channels x places): what is where."""
    pooled: Features
    """(N, channels): what is there at all."""


def _answers(
    network: nn.Module, images: ImageStore, chosen: Sequence[int], machine: Machine
) -> list[_Answers]:
    """Of every stage, and of the layer before the answer."""
    network = network.to(machine.device).eval()
    stream = BatchStream(
        store=images, order=chosen, batch_size=16, size=images.size, pool=machine.workers
    )
    found: list[list[tuple[Tensor, Tensor]]] = []
    with torch.inference_mode():
        for batch in stream:
            pixels = normalise(torch.from_numpy(batch.frames).to(machine.device), images.size)
            final, stages = network.forward_intermediates(pixels)  # type: ignore[operator]
            last = network.forward_head(final, pre_logits=True)  # type: ignore[operator]
            found.append([_pooled(stage) for stage in stages] + [(last, last)])
    return [
        _Answers(
            placed=torch.cat([placed for placed, _ in layer]).cpu().numpy(),
            pooled=torch.cat([pooled for _, pooled in layer]).cpu().numpy(),
        )
        for layer in zip(*found, strict=True)
    ]


def _pooled(stage: Tensor) -> tuple[Tensor, Tensor]:
    placed = functional.adaptive_avg_pool2d(stage.float(), min(_GRID, *stage.shape[2:]))
    return placed.flatten(1), stage.float().mean(dim=(2, 3))


def _place(layer: str) -> str:
    return "the last layer" if layer == LAST else layer
