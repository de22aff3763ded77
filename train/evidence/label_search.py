"""From a backbone and a surveyed data set to suspected labels: loads the one, runs it over the other.

The chain itself is `label_errors`. Features are made in random order, once, and kept in short form.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import UsageError
from train.data.audit import Suspicions
from train.data.stream import ImageStore
from train.data.survey import Survey
from train.evidence.label_errors import compress, suspect_labels
from train.fitting import backbones
from train.fitting.features import features
from train.fitting.record import read_record
from train.fitting.run import Means
from train.run_folder import RunFolder

_MODEL, _SIDE = "tf_efficientnet_lite0", 160


@dataclass(frozen=True, kw_only=True)
class LabelSearch:
    """A backbone, ready to look for wrong labels."""

    network: nn.Module
    model: str
    origin: str
    """Where its weights came from, in words."""
    size: InputSpec
    means: Means
    folds: int
    seed: int

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "model": self.model,
            "initial_weights": self.origin,
            "img_size": self.size.width,
        }

    def components(
        self, seen: Survey, progress: Callable[[int], object] = lambda _images: None
    ) -> npt.NDArray[np.float32]:
        """What the backbone makes of every usable image, in short form (N, DIMENSIONS or fewer)."""
        images = _usable_images(seen, self.size)
        order = np.random.default_rng(self.seed).permutation(len(images))
        machine = self.means.machine(amp=False)

        def watched() -> Iterator[npt.NDArray[np.float32]]:
            for batch in features(
                self.network, images, order, device=machine.device, pool=machine.workers
            ):
                progress(len(batch))
                yield batch

        with machine.workers:
            return compress(watched())[np.argsort(order)]

    def judge(
        self, components: npt.NDArray[np.float32], seen: Survey, groups: Sequence[str]
    ) -> Suspicions:
        """Judge the labels of all usable images; `groups` are those of every image, after merging."""
        usable = seen.usable
        found = suspect_labels(
            components,
            seen.dataset.classes[usable],
            [groups[index] for index in usable],
            folds=self.folds,
            seed=self.seed,
        )
        return replace(found, images=usable[found.images])


def open_search(
    source: str,
    labels: Sequence[str],
    *,
    model: str | None,
    side: int | None,
    folds: int,
    seed: int,
    device: str,
    workers: int,
) -> LabelSearch:
    """Load the backbone: of an earlier run, where `source` is its folder, else `model` from `source`.

    Raises WeightsError for weights that cannot be had, RunError for a folder that holds no run.
    """
    if source == backbones.SCRATCH:
        raise UsageError(
            "--initial-weights scratch: a network that has learned nothing sees no wrong labels; "
            "give imagenet, a weights file, an earlier run, or --no-label-errors"
        )
    if Path(source).is_dir():
        settings = read_record(RunFolder(path=Path(source))).settings
        model, side = model or settings.model, side or settings.recipe.img_size
    model, side = model or _MODEL, side or _SIDE
    size = InputSpec(height=side, width=side)
    network = backbones.build(model, len(labels), [size])
    origin = backbones.load_initial(network, model, source, labels)
    return LabelSearch(
        network=network,
        model=model,
        origin=origin,
        size=size,
        means=Means(device=device, workers=workers),
        folds=folds,
        seed=seed,
    )


def _usable_images(seen: Survey, size: InputSpec) -> ImageStore:
    """The images that decode, none of them in memory."""
    return ImageStore(
        dataset=seen.dataset.without(seen.reasons),
        size=size,
        quarantined=(),
        sha256=seen.content,
        cached=np.empty((0, size.height, size.width, 3), np.uint8),
    )
