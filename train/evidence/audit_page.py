"""The page of an audit: what a person looks at before correcting `audit.csv`.

Owns which images are shown and in which order: of everything the worst first, and how many more the
table holds. The figures are those of `audit.json`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.decoding import decode
from edge_runtime.image_statistics import MEASURES
from edge_runtime.likeness import distances, hashes
from edge_runtime.pages.page import count
from edge_runtime.pages.picture import jpeg
from train.data.audit import Audit
from train.pages.page import write_page

_SIDE = 144
"""Of a thumbnail, pixels."""
_QUALITY = 80
_LISTED = 50
"""Quarantined files that are named."""
_PAIRS = 24
_EXAMPLES = 12
"""Images of each flag."""
_SUSPECTS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A thumbnail and what stands under it."""

    address: str
    path: str
    label: str
    beside: str = ""


def write_audit_page(target: Path, audit: Audit, record: Mapping[str, Any]) -> None:
    """Write the page; reads the images that it shows once more."""
    pairs = _pairs(audit)
    suspects = _suspects(audit)
    write_page(
        target,
        "audit.html",
        title=f"Audit of {Path(str(record['data'])).name}",
        record=record,
        concerns=audit.concerns(),
        labels=_labels(record),
        quarantined=[
            (
                audit.seen.dataset.samples[index].path,
                audit.seen.dataset.samples[index].label,
                reason,
            )
            for index, reason in list(audit.seen.reasons.items())[:_LISTED]
        ],
        pairs=pairs,
        more_pairs=len(audit.duplicates.pairs) - len(pairs),
        flags=[
            (name, len(images), _limits(audit, name), _examples(audit, name))
            for name, images in audit.flagged.images.items()
        ],
        suspects=suspects,
        more_suspects=record["label_errors"]["suspects"] - len(suspects) if suspects else 0,
    )


def _labels(record: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Of each label: images, those that cannot be used, those whose label is suspected."""
    unusable, judged = record["quarantined"]["labels"], record["label_errors"]
    return [
        (
            label,
            count(images),
            count(unusable.get(label, 0)),
            count(judged["suspects_by_label"].get(label, 0) if judged else None),
        )
        for label, images in record["labels"].items()
    ]


def _pairs(audit: Audit) -> list[tuple[Picture, Picture, str]]:
    """Pairs side by side: those that bear different labels first, then those of different groups."""
    pairs = audit.duplicates.pairs
    if not len(pairs):
        return []
    dataset = audit.seen.dataset
    groups = list(dataset.column("group"))
    labels = dataset.classes[pairs]
    same_label = labels[:, 0] == labels[:, 1]
    same_group = np.array([groups[one] == groups[other] for one, other in pairs])
    exact = np.arange(len(pairs)) < len(audit.duplicates.exact)
    found = []
    for place in np.lexsort((exact, same_group, same_label))[:_PAIRS]:
        left, right = pairs[place].tolist()
        codes = hashes(audit.seen.thumbnails[[left, right]])
        alike = (
            "same file content"
            if exact[place]
            else f"{int(distances(codes[:1], codes[1:])[0])} of 128 bits differ"
        )
        where = "one group" if same_group[place] else "groups merged"
        found.append((_picture(audit, left), _picture(audit, right), f"{alike}; {where}"))
    return found


def _limits(audit: Audit, name: str) -> str:
    """The limits of a flag in words."""
    return ", ".join(
        f"{rule.measure} {'above' if rule.above else 'below'} {limit:.3g}"
        for rule, limit in audit.flagged.limits
        if rule.flag == name
    )


def _examples(audit: Audit, name: str) -> list[Picture]:
    """Of all that bear the flag, evenly from the worst to the least."""
    images = audit.flagged.images[name]
    taken = np.unique(np.linspace(0, len(images) - 1, min(_EXAMPLES, len(images))).astype(int))
    shown = dict.fromkeys(rule.measure for rule, _ in audit.flagged.limits if rule.flag == name)
    return [
        _picture(
            audit,
            index,
            ", ".join(
                f"{measure} {audit.seen.measures[index, MEASURES.index(measure)]:.3g}"
                for measure in shown
            ),
        )
        for index in images[taken].tolist()
    ]


def _suspects(audit: Audit) -> list[Picture]:
    found = audit.suspicions
    if found is None:
        return []
    labels = audit.seen.dataset.labels
    shown = min(found.suspects, _SUSPECTS)
    return [
        _picture(audit, int(index), labels[suggested])
        for index, suggested in zip(found.images[:shown], found.suggested[:shown], strict=True)
    ]


def _picture(audit: Audit, index: int, beside: str = "") -> Picture:
    sample = audit.seen.dataset.samples[index]
    pixels = decode(audit.seen.dataset.read(index))
    return Picture(
        address=jpeg(pixels, _SIDE, _QUALITY),
        path=sample.path,
        label=sample.label,
        beside=beside,
    )
