"""Labels that people gave to a labelling package, applied to the rows of its manifest.

Owns the forms in which they come back (the page's `labels.csv`, or any CSV file with path and label;
Label Studio's export as JSON, JSON-MIN or CSV) and what becomes of contradictions: an image that was
given two labels has none until people agree. Images without a label are left out and counted.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime.samples.labelling.label_studio import CHOICE
from optimize.data.manifest import Sample
from train.errors import DatasetError

_NAMED = 3
"""Images that a sentence names; the rest are counted."""


class ReturnedLabels:
    """What the files say; `apply` every sample of the manifest, then `finish`."""

    name_for_out = "labelled"

    def __init__(self, files: Sequence[Path]) -> None:
        """Read the files; raises DatasetError for what holds no labels."""
        self._files = files
        self._given: dict[str, set[str]] = {}
        for file in files:
            for path, label in _read(file):
                self._given.setdefault(path, set()).add(label)
        self._conflicts = {path: tags for path, tags in self._given.items() if len(tags) > 1}
        self._applied: Counter[str] = Counter()
        self._unlabelled = self._changed = 0

    def apply(self, sample: Sample, root: Path, *, look: bool) -> Sample | None:  # noqa: ARG002 - as Corrections
        """The sample with its label, None where it has none or two."""
        given = self._given.get(sample.path, set())
        if given:
            self._applied[sample.path] += 1
        if len(given) > 1:
            return None
        label = next(iter(given), sample.label)
        if not label:
            self._unlabelled += 1
            return None
        self._changed += bool(sample.label) and label != sample.label
        return replace(sample, label=label)

    def finish(self) -> None:
        """Raise DatasetError where labels are of other images than these, or none is labelled."""
        strangers = [path for path in self._given if path not in self._applied]
        files = ", ".join(map(str, self._files))
        if strangers:
            raise DatasetError(
                f"{files} labels {len(strangers)} images that are not in this package, first "
                f"{', '.join(strangers[:_NAMED])}: give the labels of this package"
            )
        if not self._given and self._files:
            raise DatasetError(f"{files} holds no label: label some images and save them again")

    def concerns(self) -> list[str]:
        """Sentences on what was left out for want of one label."""
        found = [
            f"{path} was labelled {' and '.join(sorted(labels))}: left out until it has one label"
            for path, labels in list(self._conflicts.items())[:_NAMED]
        ]
        if len(self._conflicts) > _NAMED:
            found.append(
                f"{len(self._conflicts) - _NAMED} more images have two labels and were left out"
            )
        if self._changed:
            found.append(
                f"{self._changed} images had another label from re-inspection: the given one counts"
            )
        return found

    def summary(self) -> str:
        """One line."""
        return (
            f"{len(self._given) - len(self._conflicts)} images labelled; left out {self._unlabelled} "
            f"without a label and {len(self._conflicts)} with two"
        )


def _read(file: Path) -> Iterator[tuple[str, str]]:
    """Path and label of every image that was labelled."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise DatasetError(f"--labels {file} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise DatasetError(f"--labels {file} is not in UTF-8: {exc}") from exc
    if text.lstrip()[:1] in {"[", "{"}:
        yield from _from_label_studio(file, text)
    else:
        yield from _from_csv(file, text)


def _from_csv(file: Path, text: str) -> Iterator[tuple[str, str]]:
    rows = csv.DictReader(text.splitlines(), strict=True)
    missing = [name for name in ("path", "label") if name not in (rows.fieldnames or ())]
    if missing:
        raise DatasetError(
            f"{file} has no column {' and '.join(missing)}: give the labels.csv that the page saved, or "
            "Label Studio's export"
        )
    try:
        for row in rows:
            label = (row["label"] or "").strip()
            if label:
                yield row["path"], label
    except csv.Error as exc:
        raise DatasetError(f"{file} row {rows.line_num} is no row of a CSV file: {exc}") from exc


def _from_label_studio(file: Path, text: str) -> Iterator[tuple[str, str]]:
    try:
        for number, task in enumerate(json.loads(text), start=1):
            data = task.get("data", task)
            path = str(data["path"])
            if "annotations" in task:
                for annotation in task["annotations"]:
                    if not annotation.get("was_cancelled"):
                        yield from _chosen(file, number, path, annotation["result"])
            elif label := task.get(CHOICE):
                yield path, str(label)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DatasetError(
            f"{file} is no export of Label Studio for this package ({exc!r}): export the project as JSON"
        ) from exc


def _chosen(file: Path, number: int, path: str, result: Any) -> Iterator[tuple[str, str]]:
    for region in result:
        if region.get("from_name") == CHOICE:
            choices = region["value"]["choices"]
            if len(choices) != 1:
                raise DatasetError(f"{file} task {number}: {len(choices)} labels for one image")
            yield path, str(choices[0])
