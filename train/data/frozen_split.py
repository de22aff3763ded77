"""A split that was frozen: who taught, who validates, and a test side behind a seal.

Owns the folder that `train split` writes and the way into it. `split.csv` lists the images to teach and
to validate with, `sealed.csv` those of the test set, each with the hash of its content; `split.json`
holds the settings, the counts and one hash over all of it. A split that was enlarged has `exam.csv` too:
what a refreshed model and the one before it are compared on, and what neither teaches nor validates.
What was changed since is refused: the lists when the folder is read, an image when it is opened
(`train.data.stream`).

The test side has one way in: `open_sealed`, which enters the opening in the ledger first. How a split is
made is the business of `train.data.freeze` and `train.data.enlarge`.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from optimize.data.dataset import Dataset
from optimize.data.manifest import OPTIONAL, Sample
from optimize.data.samples import Samples
from optimize.data.sealed import SEALED, Sealed, read_sealed
from train.contract_file import read_contract
from train.data.ledger import LEDGER, Ledger, Opening
from train.data.manifest import Presence, Source
from train.data.split import SIDES, TEST, TRAIN, VALIDATION, Plan, Split
from train.errors import SealError

SPLIT_SCHEMA: Literal["edge-inspect/split/1"] = "edge-inspect/split/1"
RECORD, TAUGHT, EXAM = "split.json", "split.csv", "exam.csv"
QUARANTINE = "quarantine.csv"
COLUMNS = ("path", "label", "group", "side", *OPTIONAL)
"""Of `split.csv`, `sealed.csv` and `exam.csv`."""


class SideCounts(Contract):
    """Images of one class."""

    train: int
    validation: int
    test: int
    exam: int = 0


class Enlargement(Contract):
    """How a split was made of another one by adding labels."""

    of_sha256: Sha256
    """The split before."""
    added: int
    """New images."""
    known: int
    """New rows whose image the split had under the same label."""
    relabelled: int
    """New rows that changed the label of an image which the split had: the newer label counts."""


class SplitRecord(Contract):
    """`split.json`."""

    schema_: Annotated[Literal["edge-inspect/split/1"], Field(alias="schema")] = SPLIT_SCHEMA
    made_at: UtcTime
    command: str
    root: Path
    """What the paths of the images are relative to."""
    source: Source
    plan: Plan | None
    """Null where `side_column` says who stands where."""
    side_column: str | None
    cut: UtcTime | None
    """Nothing captured from here on is taught or validated; null unless the plan is time-ordered."""
    straddling: int
    """Test images captured before the cut, since their group reaches beyond it."""
    merged: int
    """Groups that became one with another, since they hold an image of the very same content."""
    quarantined: int
    """Images that cannot be decoded, or have no label: on no side, listed in `quarantine.csv`."""
    images: Mapping[str, SideCounts]
    """Per class."""
    taught_sha256: Sha256
    """Of `split.csv`."""
    sealed_sha256: Sha256
    """Of `sealed.csv`."""
    exam_sha256: Sha256 | None = None
    """Of `exam.csv`; null where there is none."""
    enlargement: Enlargement | None = None
    """Null for a split that was made of a data set."""
    sha256: Sha256
    """Of these hashes, so of every row and every image's content: what a split is named by."""


@dataclass(frozen=True, kw_only=True)
class FrozenSplit:
    """A split's folder that was read and found whole."""

    folder: Path
    record: SplitRecord
    root: Path
    """Where the images lie now."""

    @property
    def source(self) -> Source:
        """The place of the images, for those who need no more than that."""
        return Source(data_dir=self.root)

    @property
    def reference(self) -> "SplitReference":
        """What a run remembers of it."""
        return SplitReference(folder=self.folder.resolve(), sha256=self.record.sha256)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, sorted; every side has each of them."""
        return tuple(sorted(self.record.images))

    @property
    def ledger(self) -> Ledger:
        """Who opened the test set."""
        return Ledger(file=self.folder / LEDGER, split_sha256=self.record.sha256)

    @property
    def sealed(self) -> Sealed:
        """Which contents are the test set's; raises SealError where the list is not as it was frozen."""
        require_content(self.folder / SEALED, self.record.sealed_sha256)
        return read_sealed(self.folder)

    def teaching(self) -> tuple[Dataset, Split]:
        """The images to teach and to validate with, and which are which."""
        train: list[int] = []
        validation: list[int] = []

        def samples() -> Iterator[Sample]:
            for index, (sample, side) in enumerate(self._rows(TAUGHT)):
                (validation if side == VALIDATION else train).append(index)
                yield sample

        dataset = Dataset(root=self.root, samples=Samples.of(samples()))
        return dataset, Split(train=tuple(train), validation=tuple(validation))

    def side(self, name: str) -> Dataset:
        """The images of `train` or of `validation` alone."""
        if name not in {TRAIN, VALIDATION}:
            raise ValueError(f"side {name!r}: {TEST} is sealed, open_sealed opens it")
        return Dataset(
            root=self.root,
            samples=Samples.of(sample for sample, side in self._rows(TAUGHT) if side == name),
        )

    def exam(self) -> Dataset | None:
        """The images that models are compared on; None in a split that was never enlarged."""
        if self.record.exam_sha256 is None:
            return None
        return Dataset(root=self.root, samples=Samples.of(sample for sample, _ in self._rows(EXAM)))

    def still_sealed(self) -> Iterator[Sample]:
        """The rows of the test set, to be refused elsewhere or sealed again in a larger split.

        Opens no image, so it is no opening: nobody may look at the labels on this way.
        """
        require_content(self.folder / SEALED, self.record.sealed_sha256)
        for sample, _ in self._rows(SEALED):
            yield sample

    def open_sealed(
        self, *, model_sha256: str, thresholds_sha256: str, command: str
    ) -> tuple[Dataset, Sequence[Opening]]:
        """Enter an opening in the ledger, then give out the test set; all openings, this one last.

        Raises SealError where the ledger or the list is not as it was; nothing is opened then.
        """
        sealed = self.folder / SEALED
        require_content(sealed, self.record.sealed_sha256)
        presence = Presence(self.root)
        samples = Samples.of(presence.watch(sample for sample, _ in self._rows(SEALED)))
        presence.require(sealed)  # an opening must not be spent on images that are not there
        openings = self.ledger.enter(
            model_sha256=model_sha256, thresholds_sha256=thresholds_sha256, command=command
        )
        return Dataset(root=self.root, samples=samples), openings

    def _rows(self, name: str) -> Iterator[tuple[Sample, str]]:
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                side = row.pop("side")
                yield Sample(**row), side


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReference:
    """A frozen split as a run names it."""

    folder: Path
    sha256: str

    def read(self, root: Path) -> FrozenSplit:
        """Read it; raises SealError where it is another one by now."""
        split = read_split(self.folder, root=root)
        if split.record.sha256 != self.sha256:
            raise SealError(
                f"{self.folder} is not the split that the run was started with (sha256 "
                f"{split.record.sha256[:12]}, then {self.sha256[:12]}): put it back, or start a new run"
            )
        return split


def read_split(folder: Path, *, root: Path | None = None) -> FrozenSplit:
    """Read a split's folder; `root` is where the images lie now, if they were moved.

    Raises SealError where it is none, or was changed. The test side stays closed.
    """
    record = _read_record(folder)
    lists = (record.taught_sha256, record.sealed_sha256, record.exam_sha256)
    if record.sha256 != split_sha256(*lists):
        raise SealError(
            f"{folder / RECORD} was changed since the split was frozen: its hashes differ"
        )
    require_content(folder / TAUGHT, record.taught_sha256)
    if record.exam_sha256 is not None:
        require_content(folder / EXAM, record.exam_sha256)
    return FrozenSplit(folder=folder, record=record, root=root or record.root)


def split_sha256(taught_sha256: str, sealed_sha256: str, exam_sha256: str | None = None) -> str:
    """The hash that a split is named by."""
    lists = (taught_sha256, sealed_sha256, exam_sha256)
    return hashlib.sha256(" ".join(filter(None, lists)).encode()).hexdigest()


def require_content(file: Path, sha256: str) -> None:
    """Raise SealError unless a file of the split has the content that was frozen."""
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as exc:
        raise SealError(
            f"{file} cannot be read: {exc.strerror}; it belongs to the split, fetch it from a backup"
        ) from exc
    if found != sha256:
        raise SealError(
            f"{file} was changed since the split was frozen (sha256 {found[:12]}, then {sha256[:12]}): "
            "put it back, or make a new split into another folder"
        )


def _read_record(folder: Path) -> SplitRecord:
    try:
        return read_contract(SplitRecord, folder / RECORD, error=SealError)
    except FileNotFoundError as exc:
        raise SealError(
            f"{folder} is not a split: it has no {RECORD}; give the folder that "
            "`train split --out` wrote"
        ) from exc


def count_sides(dataset: Dataset, sides: Sequence[str]) -> dict[str, SideCounts]:
    """Images of each class on each side."""
    counts = Counter(zip(dataset.column("label"), sides, strict=True))
    return {
        label: SideCounts(**{side: counts[label, side] for side in (*SIDES, "exam")})
        for label in dataset.labels
    }
