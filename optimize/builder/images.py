"""The images of a build: those that int8 is fitted to, and those that variants are judged on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.contracts.frame import Pixels
from optimize.builder.order import Order
from optimize.calibration.concerns import concerns
from optimize.calibration.strata import thin
from optimize.data.dataset import Dataset, open_dataset
from optimize.data.images import Fault, Image, read_images
from optimize.errors import CalibrationError
from optimize.graph import FloatModel
from optimize.watch import Watch

_NAMED_FAULTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration images in memory: some hundreds at the most."""

    named: str
    """Name and content hash."""
    dataset: Dataset
    images: tuple[Image, ...]

    @property
    def pixels(self) -> list[Pixels]:
        """Each (height, width, 3) uint8 RGB at the model's size."""
        return [image.pixels for image in self.images]


def read_calibration(order: Order, model: FloatModel, watch: Watch) -> Calibration:
    """Read, count and doubt the calibration images; raises CalibrationError where none is of use."""
    dataset = open_dataset(order.calibration, order.columns, order.where)
    chosen = thin([sample.label for sample in dataset.samples])
    if len(chosen) < len(dataset.samples):
        watch.note(f"calibrating on {len(chosen)} of {len(dataset.samples)} images, evenly spread")
    thinned = replace(dataset, samples=tuple(dataset.samples[index] for index in chosen))
    (order.sealed | model.sealed).refuse(thinned, "calibration")
    images: list[Image] = []
    faults: list[Fault] = []
    with watch.stage("reading calibration images", len(thinned.samples)) as advanced:
        for item in read_images(thinned, model.spec.input):
            if isinstance(item, Image):
                images.append(item)
            else:
                faults.append(item)
            advanced(1)
    note_faults(order.calibration, faults, watch)
    if not images:
        raise CalibrationError(
            f"none of the {len(faults)} images listed in {order.calibration} can be used: "
            "see what is said of each above"
        )
    for concern in concerns([image.label for image in images], model.spec.labels):
        watch.note(f"warning: {concern}")
    return Calibration(named=thinned.named(), dataset=dataset, images=tuple(images))


def open_validation(order: Order, model: FloatModel) -> Dataset | None:
    """The labelled images to judge on, none of them read yet; raises CalibrationError where they will
    not do."""
    if order.validation is None:
        return None
    dataset = open_dataset(order.validation, order.columns, order.where)
    known = model.spec.labels
    strange = sorted({label or "(none)" for label in dataset.labels} - set(known))
    if strange:
        raise CalibrationError(
            f"{order.validation} has labels the model does not know: {', '.join(strange)}; "
            f"it knows {', '.join(known)}"
        )
    (order.sealed | model.sealed).refuse(dataset, "validation")
    return dataset


def note_faults(folder: Path, faults: Sequence[Fault], watch: Watch) -> None:
    """Say how many files cannot be used, and of the first few why."""
    if not faults:
        return
    named = "; ".join(f"{fault.path}: {fault.reason}" for fault in faults[:_NAMED_FAULTS])
    rest = len(faults) - _NAMED_FAULTS
    more = f"; and {rest} more" if rest > 0 else ""
    watch.note(f"warning: {len(faults)} files of {folder} cannot be used: {named}{more}")
