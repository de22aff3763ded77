"""The networks that a run came from, and images of the camera that the earlier one was taught with.

Owns which they are: the run before this one, and the weights that the first of the two began with. What
cannot be had is counted as missing, what was named and cannot be is an error.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import EdgeInspectError
from optimize.data.samples import take
from optimize.errors import CalibrationError
from train.data.frozen_split import FrozenSplit
from train.data.stream import ImageStore, open_images
from train.errors import DatasetError, RunError, SealError
from train.evidence import transfer
from train.fitting import backbones
from train.fitting.record import RunRecord, read_record
from train.fitting.run import Means, new_network
from train.fitting.validation import held_back, load_network
from train.report.contents import Missing
from train.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """What a run came from."""

    networks: dict[str, nn.Module]
    """By name, the oldest first."""
    images: ImageStore | None
    """Of the earlier camera, held back from the earlier run."""
    missing: tuple[Missing, ...]


def trace(
    folder: RunFolder,
    record: RunRecord,
    size: InputSpec,
    means: Means,
    split: FrozenSplit | None,
    *,
    source_run: RunFolder | None,
    source_data_dir: Path | None,
) -> Lineage:
    """Where a run came from; `source_run` None means the run that it started from.

    No image of the split's sealed side is shown to a network, whichever run held it back. Raises
    RunError for a source run that is none or of another backbone; where it or its images were named,
    DatasetError for images that are not there, SealError for sealed ones.
    """
    missing: list[Missing] = []
    source = source_run or _started_from(folder, record, missing)
    if source is None:
        return Lineage(
            networks=_at_the_start(record, missing),
            images=None,
            missing=tuple(missing),
        )
    before = moved(read_record(source), source_data_dir)
    if before.settings.model != record.settings.model:
        raise RunError(
            f"{source.path} trained {before.settings.model} and not {record.settings.model}: layers of "
            "different networks cannot be compared; name another --source-run"
        )
    networks = _at_the_start(before, missing)
    networks[source.path.resolve().name] = load_network(source, before)
    images = None
    try:
        images = _images(source, before, size, means, split)
    except (DatasetError, SealError) as exc:
        if source_data_dir is not None or source_run is not None:
            raise
        mend = "; say where they are with --source-data-dir"
        why = f"{exc}{'' if isinstance(exc, SealError) else mend}"
        missing.append(Missing(what="images of the earlier camera", why=why))
    return Lineage(networks=networks, images=images, missing=tuple(missing))


def moved(record: RunRecord, data_dir: Path | None) -> RunRecord:
    """The record with its images where they are now; None leaves them where they were."""
    if data_dir is None:
        return record
    source = replace(record.settings.source, data_dir=data_dir)
    return record.model_copy(update={"settings": replace(record.settings, source=source)})


def _started_from(folder: RunFolder, record: RunRecord, missing: list[Missing]) -> RunFolder | None:
    """The earlier run, where its name leads from here or beside the run; None for weights of no run."""
    start = record.settings.initial_weights
    what = "an earlier camera to compare with"
    for place in (Path(start), folder.path.resolve().parent / Path(start).name):
        earlier = RunFolder(path=place)
        if earlier.record.exists():
            return earlier
        if place.is_file() or start in (backbones.IMAGENET, backbones.SCRATCH):
            why = "the run was not started from one on it, and none was named with --source-run"
            missing.append(Missing(what=what, why=why))
            return None
    why = f"{start} is not there; name the run that this one started from with --source-run"
    missing.append(Missing(what=what, why=why))
    return None


def _at_the_start(oldest: RunRecord, missing: list[Missing]) -> dict[str, nn.Module]:
    """The network as the oldest of the runs began with it: of scratch, with those very weights."""
    model, start = oldest.settings.model, oldest.settings.initial_weights
    network = new_network(model, oldest.settings.recipe, len(oldest.labels))
    try:
        backbones.load_initial(network, model, start, oldest.labels)
    except EdgeInspectError as exc:
        missing.append(Missing(what="the network before all teaching", why=str(exc)))
        return {}
    names = {backbones.IMAGENET: "ImageNet", backbones.SCRATCH: "untaught"}
    return {names.get(start, Path(start).name): network}


def _images(
    source: RunFolder, before: RunRecord, size: InputSpec, means: Means, split: FrozenSplit | None
) -> ImageStore:
    """Some that were held back, at the size of the run that is reported."""
    dataset = held_back(source, before)
    some = replace(dataset, samples=take(dataset.samples, transfer.choose(dataset)))
    if split is not None:
        try:
            split.sealed.refuse(some, "earlier run's held-back")
        except CalibrationError as exc:
            raise SealError(str(exc)) from exc
    return open_images(some, size, workers=means.workers, memory_limit=means.cache_bytes)
