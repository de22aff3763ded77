"""A frozen split with newly labelled groups added, so that nothing which was sealed or held back leaks.

Owns who stands where then. Every group of the old split keeps its side; the sealed test side is carried
over unopened and takes new groups beside it. What models are compared on, the exam, stays from one
enlargement to the next; the first one takes half of the old validation side for it, by group. New groups
are drawn by class; a group that is known already joins its own. New images of a sealed group, or with
the content of a sealed image, are refused: they would teach what the test is about.

`newcomers` tells afterwards which images of the exam are new.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from optimize.data.samples import Samples, take
from optimize.data.sealed import SEALED
from train.data.freeze import merge_duplicates
from train.data.frozen_split import (
    EXAM,
    TAUGHT,
    Enlargement,
    FrozenSplit,
    SplitRecord,
    count_sides,
    split_sha256,
)
from train.data.manifest import Source
from train.data.split import TEST, TRAIN, VALIDATION, split_dataset, spread
from train.data.split_folder import look_at, refuse_existing, rows_of, written_split
from train.errors import DatasetError, SealError

JUDGED = "exam"
"""The side that models are compared on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How new groups are spread; what is left teaches. Shares are of all new images."""

    validation: float = 0.15
    exam: float = 0.3
    test: float = 0.1

    def __post_init__(self) -> None:
        for flag, share in (
            ("validation-share", self.validation),
            ("exam-share", self.exam),
            ("test-share", self.test),
        ):
            if not 0 <= share < 1:
                raise UsageError(f"--{flag} {share}: expected a share from 0 to below 1")
        if self.validation + self.exam + self.test >= 1:
            raise UsageError(
                "--validation-share, --exam-share and --test-share leave nothing to teach with: their "
                "sum must stay below 1"
            )


def enlarge(
    split: FrozenSplit,
    labelled: Source,
    out: Path,
    shares: Shares,
    *,
    seed: int,
    command: str,
    workers: int = 2,
    started: Callable[[int], object] = lambda _images: None,
    advanced: Callable[[int], object] = lambda _images: None,
) -> FrozenSplit:
    """Write the folder `out`: the split and the new labels, under the folder above both.

    `started` and `advanced` tell how many new images there are and of each that was opened. Raises
    SealError where a new image is of the sealed side or `out` exists, DatasetError for labels that the
    split has not or that cannot be read, RunError where it cannot be written; nothing is left behind
    then.
    """
    refuse_existing(out)
    added = labelled.read()
    _require_classes(added, split)
    root, old_way, new_way = _common_root(split.root, added.root)
    started(len(added.samples))
    hashes, faults = look_at(added, workers, advanced)
    usable = [index for index in range(len(hashes)) if index not in faults]
    clean, _ = merge_duplicates(replace(added, samples=take(added.samples, usable)), hashes[usable])
    coming = [_moved(sample, new_way) for sample in clean.samples]
    sealed = [_moved(sample, old_way) for sample in split.still_sealed()]
    _refuse_sealed(coming, sealed)
    old = _Old(split, old_way, seed)
    fresh, known, relabelled = old.meet(coming)
    everything = Dataset(root=root, samples=Samples.of([*old.samples(), *fresh, *sealed]))
    sides = [*old.sides(), *old.sides_of(fresh, root, shares, seed), *[TEST] * len(sealed)]
    with written_split(out) as lists:
        lists.write(TAUGHT, rows_of(everything, sides, TRAIN, VALIDATION))
        lists.write(EXAM, rows_of(everything, sides, JUDGED))
        lists.write(SEALED, rows_of(everything, sides, TEST))
        quarantined = lists.quarantine(added, faults)
        taught, closed, exam = (lists.sha256(name) for name in (TAUGHT, SEALED, EXAM))
        record = SplitRecord(
            made_at=datetime.now(UTC),
            command=command,
            root=root,
            source=Source(data_dir=root),
            plan=None,
            side_column=None,
            cut=None,
            straddling=0,
            merged=0,
            quarantined=quarantined,
            images=count_sides(everything, sides),
            taught_sha256=taught,
            sealed_sha256=closed,
            exam_sha256=exam,
            enlargement=Enlargement(
                of_sha256=split.record.sha256,
                added=len(fresh),
                known=known,
                relabelled=relabelled,
            ),
            sha256=split_sha256(taught, closed, exam),
        )
        lists.finish(record)
    return FrozenSplit(folder=out, record=record, root=root)


def newcomers(enlarged: FrozenSplit, before: FrozenSplit) -> frozenset[str]:
    """SHA-256 of the images of the exam that the split before did not have."""
    exam = enlarged.exam()
    if exam is None:
        return frozenset()
    had = set(before.teaching()[0].column("sha256"))
    if (earlier := before.exam()) is not None:
        had |= set(earlier.column("sha256"))
    return frozenset(set(exam.column("sha256")) - had)


class _Old:
    """What the split before says of each image, but for the sealed ones."""

    def __init__(self, split: FrozenSplit, way: str, seed: int) -> None:
        teaching, cut = split.teaching()
        held_back = frozenset(cut.validation)
        earlier = split.exam()
        self._side_of: dict[str, str] = {}
        self._samples: list[Sample] = []
        self._places: dict[str, list[int]] = {}
        judged: set[str] = set()
        if earlier is None:
            validation = teaching.at(sorted(held_back))
            half = split_dataset(validation, share=0.5, seed=seed)
            judged = {sample.group for sample in validation.at(half.validation).samples}
        for index, sample in enumerate(teaching.samples):
            side = VALIDATION if index in held_back else TRAIN
            self._take(_moved(sample, way), JUDGED if sample.group in judged else side)
        for sample in earlier.samples if earlier else ():
            self._take(_moved(sample, way), JUDGED)

    def _take(self, sample: Sample, side: str) -> None:
        self._side_of[sample.group] = side
        self._places.setdefault(sample.sha256, []).append(len(self._samples))
        self._samples.append(sample)

    def meet(self, added: Iterable[Sample]) -> tuple[list[Sample], int, int]:
        """The samples that are new; how many were known, and how many of those under another label.

        Content that comes twice is one image.
        """
        fresh: dict[str, Sample] = {}
        known = relabelled = 0
        for sample in added:
            places = self._places.get(sample.sha256, [])
            otherwise = [p for p in places if self._samples[p].label != sample.label]
            if not places:
                fresh[sample.sha256] = sample
            elif not otherwise:
                known += 1
            else:
                relabelled += 1
            for place in otherwise:
                self._samples[place] = replace(self._samples[place], label=sample.label)
        return list(fresh.values()), known, relabelled

    def samples(self) -> list[Sample]:
        """All of them, with the labels that count now."""
        return list(self._samples)

    def sides(self) -> list[str]:
        """Of each of them in turn."""
        return [self._side_of[sample.group] for sample in self._samples]

    def sides_of(self, fresh: list[Sample], root: Path, shares: Shares, seed: int) -> list[str]:
        """Of new samples: their group's side where it is known, else drawn by class."""
        strange = [sample for sample in fresh if sample.group not in self._side_of]
        drawn = spread(
            Dataset(root=root, samples=tuple(strange)),
            {TEST: shares.test, JUDGED: shares.exam, VALIDATION: shares.validation},
            rest=TRAIN,
            seed=seed,
        )
        side_of = self._side_of | {
            sample.group: side for sample, side in zip(strange, drawn, strict=True)
        }
        return [side_of[sample.group] for sample in fresh]


def _require_classes(added: Dataset, split: FrozenSplit) -> None:
    unknown = sorted(set(added.labels) - set(split.labels))
    if unknown:
        raise DatasetError(
            f"class {unknown[0]!r} of the new labels is none of {', '.join(split.labels)}: a refresh "
            "keeps the classes; correct the label, leave such rows out "
            f"(--where 'label!={unknown[0]}'), or start with a split of all of it (train split)"
        )


def _refuse_sealed(coming: Iterable[Sample], sealed: Iterable[Sample]) -> None:
    groups, contents = set[str](), set[str]()
    for sample in sealed:
        groups.add(sample.group)
        contents.add(sample.sha256)
    leaks = [each for each in coming if each.group in groups or each.sha256 in contents]
    if leaks:
        first = leaks[0]
        why = f"group {first.group}" if first.group in groups else "very content"
        raise SealError(
            f"{len(leaks)} of the new labels are of the sealed test set, first {first.path}, whose "
            f"{why} is sealed: they would teach what the test is about; leave them out "
            f"(--where 'group!={first.group}')"
        )


def _common_root(old: Path, new: Path) -> tuple[Path, str, str]:
    """The folder above both, and the way from it down to each, with a slash at its end."""
    old, new = old.resolve(), new.resolve()
    root = Path(os.path.commonpath((old, new)))
    ways = (place.relative_to(root).as_posix() for place in (old, new))
    old_way, new_way = ("" if way == "." else f"{way}/" for way in ways)
    return root, old_way, new_way


def _moved(sample: Sample, way: str) -> Sample:
    """A sample under the root above its own; what is a group of its own stays one."""
    path = way + sample.path
    return replace(sample, path=path, group=path if sample.group == sample.path else sample.group)
