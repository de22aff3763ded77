"""What a run's best weights answer on the images that the run held back.

The one way from a run folder to validation answers: `train calibrate` and `train export` both decide by
them. Images are those that `split.csv` lists; one that has become undecodable is an error, not a gap.
"""

import csv
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from train.data.split import VALIDATION
from train.data.stream import ImageStore, open_images
from train.errors import DatasetError, RunError
from train.fitting import backbones
from train.fitting.prediction import classes_of, predict
from train.fitting.record import RunRecord
from train.fitting.run import Means
from train.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Validation images and their answers, in the order of `split.csv`."""

    network: nn.Module
    images: ImageStore
    logits: npt.NDArray[np.float32]
    """(N, classes)."""
    truth: npt.NDArray[np.int64]
    """(N,) positions in the run's labels."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each image."""
        return tuple(sample.group for sample in self.images.dataset.samples)


def answer(folder: RunFolder, record: RunRecord, means: Means) -> HeldOut:
    """Load the best weights and run them over the validation side."""
    network = load_network(folder, record)
    images = _validation_images(folder, record, _size(record), means)
    everything = range(len(images))
    machine = means.machine(amp=False)
    with machine.workers:
        logits = predict(network.to(machine.device), images, everything, images.size, machine)
    return HeldOut(
        network=network, images=images, logits=logits, truth=classes_of(images, everything)
    )


def load_network(folder: RunFolder, record: RunRecord) -> nn.Module:
    """The run's backbone with its best weights; raises WeightsError when there are none yet."""
    weights = backbones.load_best(folder)
    network = backbones.build(record.settings.model, len(record.labels), [_size(record)])
    network.load_state_dict(weights)
    return network


def _size(record: RunRecord) -> InputSpec:
    side = record.settings.recipe.img_size
    return InputSpec(height=side, width=side)


def held_back(folder: RunFolder, record: RunRecord) -> Dataset:
    """The validation side of a run, as `split.csv` lists it; opens no image."""
    try:
        with folder.split.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["side"] == VALIDATION]
        samples = tuple(
            Sample(path=row["path"], label=row["label"], group=row["group"]) for row in rows
        )
    except (OSError, KeyError, csv.Error) as exc:
        raise RunError(f"cannot read {folder.split}: {exc}") from exc
    dataset = Dataset(root=record.settings.source.root, samples=samples)
    if dataset.labels != record.labels:
        raise RunError(f"{folder.split} does not belong to {folder.record}: other classes")
    return dataset


def _validation_images(
    folder: RunFolder, record: RunRecord, size: InputSpec, means: Means
) -> ImageStore:
    dataset = held_back(folder, record)
    images = open_images(dataset, size, workers=means.workers, memory_limit=means.cache_bytes)
    if images.quarantined:
        bad = images.quarantined[0]
        raise DatasetError(
            f"{bad.path} could be decoded when the run was started, now: {bad.reason}; "
            "put the data back as it was"
        )
    return images
