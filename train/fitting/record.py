"""What `run.json` says: the settings of a run, and the facts it started from.

The settings are all that shapes the weights. The record adds what one needs to repeat the run, or to
doubt it: data hash, counts, versions, the command. No torch here, so that a command can read flags and
records before it pays for the import.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field, TypeAdapter

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from edge_runtime.errors import UsageError
from train.contract_file import read_contract, write_contract
from train.data.augment import Augmentation
from train.data.frozen_split import SplitReference
from train.data.manifest import Source
from train.errors import RunError
from train.fitting.recipe import Recipe
from train.run_folder import RunFolder

RUN_SCHEMA: Literal["edge-inspect/run/1"] = "edge-inspect/run/1"
GOOD_LABEL = "no_defect"
"""The class that is good unless the user says otherwise."""
VAL_SPLIT = 0.2
"""Share of the images that a draw holds back, unless the user says otherwise."""

AmpDtype = Literal["bfloat16", "float16"]


class Precision(TypedDict):
    """How a network computes while it learns."""

    amp: bool
    amp_dtype: AmpDtype | None
    torchcompile: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that shapes a run's weights."""

    source: Source
    split: SplitReference | None = None
    """The frozen split that says who teaches and who validates, in place of a draw."""
    val_split: float = VAL_SPLIT
    """Share held back by the draw."""
    ok_labels: tuple[str, ...] | None = None
    """Labels of good parts; None means `no_defect` where there is such a class."""
    model: str = "tf_efficientnet_lite0"
    initial_weights: str = "imagenet"
    recipe: Recipe = field(default_factory=Recipe)
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    bn_dir: Path | None = None
    """Folder of the unlabelled images that batch norm is estimated on; None takes those that teach."""
    amp: bool = False
    amp_dtype: AmpDtype | None = None
    """None takes bfloat16 where the device computes it, else float16."""
    torchcompile: bool = False

    @property
    def precision(self) -> Precision:
        """How the network computes."""
        return Precision(amp=self.amp, amp_dtype=self.amp_dtype, torchcompile=self.torchcompile)


class Counts(Contract):
    """Images of one class."""

    train: int
    validation: int


class RunRecord(Contract):
    """`run.json`."""

    schema_: Annotated[Literal["edge-inspect/run/1"], Field(alias="schema")] = RUN_SCHEMA
    started_at: UtcTime
    command: str
    settings: Settings
    labels: tuple[str, ...]
    """In the order of the model's outputs."""
    ok_labels: tuple[str, ...]
    initial_weights: str
    """Where they came from, in words."""
    data_name: str
    data_sha256: Sha256
    """Over path, label, group and bytes of every image that could be decoded."""
    bn_sha256: Sha256 | None = None
    """Over the unlabelled images that batch norm was estimated on."""
    images: Mapping[str, Counts]
    quarantined: int
    device: str
    threads: int
    """Of torch: the same number gives the same weights on one machine."""
    versions: Mapping[str, str]


def write_record(folder: RunFolder, record: RunRecord) -> None:
    """Write `run.json`."""
    write_contract(folder.record, record)


def read_record(folder: RunFolder) -> RunRecord:
    """Read `run.json`; raises RunError when there is none, or one that does not fit."""
    try:
        return read_contract(RunRecord, folder.record)
    except FileNotFoundError as exc:
        raise RunError(
            f"{folder.path} is not a run folder: it has no {folder.record.name}; "
            "give the folder that `train fit --output` wrote"
        ) from exc


_SETTINGS = TypeAdapter(Settings)


def dump_settings(settings: Settings) -> dict[str, Any]:
    """As JSON values."""
    dumped: dict[str, Any] = _SETTINGS.dump_python(settings, mode="json")
    return dumped


def resolve_ok_labels(wanted: Sequence[str] | None, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels of good parts; raises UsageError when one is unknown or no defect is left."""
    if wanted is None:
        return (GOOD_LABEL,) if GOOD_LABEL in labels else ()
    unknown = sorted(set(wanted) - set(labels))
    if unknown:
        raise UsageError(
            f"--ok-label {', '.join(unknown)}: no such class; there are {', '.join(labels)}"
        )
    if set(wanted) == set(labels):
        raise UsageError("--ok-label names every class: at least one must be a defect")
    return tuple(label for label in labels if label in wanted)
