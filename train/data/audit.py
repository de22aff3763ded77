"""What an audit found of a data set: the table that a person corrects, and the counts for a record.

Owns the columns of `audit.csv` and the entries of `audit.json`. Finding is the business of `survey`,
`duplicates`, `flags` and `train.evidence.label_errors`; taking a corrected table back that of
`corrections`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_runtime.image_statistics import MEASURES
from optimize.data.manifest import OPTIONAL
from train.data.duplicates import Duplicates
from train.data.flags import Flagged
from train.data.survey import Survey

AUDIT_SCHEMA: Literal["edge-inspect/audit/1"] = "edge-inspect/audit/1"
_QUANTILES = {"q01": 0.01, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q99": 0.99}
_LARGE = 0.05
"""Share of all images in one merged group from which on a person should look at it, beyond _FEW."""
_FEW = 10
OK, QUARANTINED = "ok", "quarantined"
COLUMNS = (
    "path",
    "label",
    "group",
    "group_before",
    *OPTIONAL,
    "status",
    "reason",
    "flags",
    "duplicate_of",
    "suspicion_rank",
    "suspicion_score",
    "suggested_label",
    "corrected_label",
    "exclude",
)
"""`group` is the one after merging and `group_before` the data's own where that differs; the last two
are empty, for a person to fill. `sha256` is that of the file which was looked at."""


@dataclass(frozen=True, kw_only=True)
class Suspicions:
    """Labels by how likely they are wrong, the likeliest first."""

    images: npt.NDArray[np.int64]
    """(J,) positions of the images that were judged."""
    scores: npt.NDArray[np.float32]
    """(J,) 0 .. 1."""
    suggested: npt.NDArray[np.int64]
    """(J,) the likeliest other class, as its position in the data set's labels."""
    suspects: int
    """The first so many are taken to be wrong."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All that was found, by position in the data set's samples."""

    seen: Survey
    duplicates: Duplicates
    flagged: Flagged
    suspicions: Suspicions | None
    """None where label errors were not looked for."""

    @property
    def unjudged(self) -> Mapping[str, int]:
        """Usable images by label whose label could not be judged."""
        if self.suspicions is None:
            return {}
        left = np.setdiff1d(self.seen.usable, self.suspicions.images)
        return _by_label(self, left)

    def summary(self) -> str:
        """One line."""
        counts = self.counts()
        found = [f"{counts['quarantined']['images']} quarantined"]
        found.append(f"{counts['duplicates']['copies']} copies")
        found += [f"{count} {name}" for name, count in counts["flags"].items()]
        if self.suspicions is not None:
            found.append(f"{self.suspicions.suspects} labels suspected")
        return f"{counts['images']} images: {', '.join(found)}"

    def concerns(self) -> list[str]:
        """Sentences on what training should not be begun with."""
        dataset, counts = self.seen.dataset, self.counts()
        found = []
        if dataset.unlabelled:
            found.append(
                f"{len(dataset.unlabelled)} images lie beside the class folders, without a label"
            )
        if self.seen.reasons:
            reasons = ", ".join(f"{k} {v}" for k, v in counts["quarantined"]["reasons"].items())
            found.append(f"{len(self.seen.reasons)} images cannot be used: {reasons}")
        for label, count in counts["quarantined"]["labels"].items():
            if count == dataset.counts[label]:
                found.append(f"none of the {count} images of class {label!r} can be used")
        copies = counts["duplicates"]
        if copies["pairs_with_different_labels"]:
            found.append(
                f"{copies['pairs_with_different_labels']} pairs of duplicates bear different labels: "
                "at least one of each is wrong"
            )
        sizes = Counter(self.duplicates.groups)
        found += [
            f"group {group!r} has {sizes[group]} of {len(dataset.samples)} images after merging: look "
            "whether they are copies; fewer --near-bits merge less"
            for group in self.duplicates.merged(dataset)
            if sizes[group] > max(_LARGE * len(dataset.samples), _FEW)
        ]
        if counts["label_errors"]:
            found += [
                f"{suspects} of {dataset.counts[label]} labels {label!r} are suspected: the classifier "
                "hardly knows this class, so trust its rank more than its cut"
                for label, suspects in counts["label_errors"]["suspects_by_label"].items()
                if suspects > dataset.counts[label] / 2
            ]
        if self.unjudged:
            labels = ", ".join(f"{label} {count}" for label, count in self.unjudged.items())
            found.append(
                f"labels of classes in too few groups to compare are not judged: {labels}; "
                "look at them all"
            )
        return found

    def rows(self) -> Iterator[tuple[object, ...]]:
        """The table, in the order of the data set; cells as in COLUMNS."""
        labels = self.seen.dataset.labels
        samples = self.seen.dataset.samples
        flags = self._flags()
        rank, score, suggested = self._ranks()
        for index, sample in enumerate(samples):
            reason = self.seen.reasons.get(index, "")
            first = int(self.duplicates.first[index])
            group = self.duplicates.groups[index]
            judged = rank[index] > 0
            yield (
                sample.path,
                sample.label,
                group,
                sample.group if sample.group != group else "",
                sample.line,
                sample.station,
                sample.captured_at,
                sample.generation,
                self.seen.sha256[index].tobytes().hex(),
                QUARANTINED if reason else OK,
                reason,
                flags.get(index, ""),
                samples[first].path if first != index else "",
                int(rank[index]) if judged else "",
                f"{score[index]:.4f}" if judged else "",
                labels[suggested[index]] if judged else "",
                "",
                "",
            )

    def counts(self) -> dict[str, Any]:
        """The figures, as JSON values."""
        dataset, seen = self.seen.dataset, self.seen
        disputed = self.duplicates.disputed(dataset)
        merged = self.duplicates.merged(dataset)
        sizes, times = np.unique(seen.sizes[seen.usable], axis=0, return_counts=True)
        measures = seen.measures[seen.usable]
        suspicions = self.suspicions
        return {
            "images": len(dataset.samples),
            "labels": dict(dataset.counts),
            "unlabelled": len(dataset.unlabelled),
            "groups": len(set(dataset.column("group"))),
            "groups_after_merging": len(set(self.duplicates.groups)),
            "data_sha256": seen.content,
            "quarantined": {
                "images": len(seen.reasons),
                "labels": dict(_by_label(self, np.array(sorted(seen.reasons), np.int64))),
                "reasons": dict(Counter(map(kind_of, seen.reasons.values())).most_common()),
            },
            "sizes": [
                {"width": int(width), "height": int(height), "images": int(count)}
                for (width, height), count in sorted(
                    zip(sizes.tolist(), times.tolist(), strict=True), key=lambda pair: -pair[1]
                )[:10]
            ],
            "distinct_sizes": len(sizes),
            "measures": {
                name: dict(zip(_QUANTILES, map(_short, values), strict=True))
                for name, values in zip(
                    MEASURES,
                    np.quantile(measures, list(_QUANTILES.values()), axis=0).T,
                    strict=True,
                )
            },
            "duplicates": {
                "copies": len(self.duplicates.copies),
                "exact_pairs": len(self.duplicates.exact),
                "near_pairs": len(self.duplicates.near),
                "pairs_with_different_labels": len(disputed),
                "merged_groups": sum(map(len, merged.values())),
                "into": len(merged),
                "largest": max(map(len, merged.values()), default=0),
            },
            "flags": {name: len(images) for name, images in self.flagged.images.items()},
            "limits": [
                {
                    "flag": rule.flag,
                    "measure": rule.measure,
                    "above" if rule.above else "below": _short(limit),
                }
                for rule, limit in self.flagged.limits
            ],
            "label_errors": None
            if suspicions is None
            else {
                "judged": len(suspicions.images),
                "suspects": suspicions.suspects,
                "suspects_by_label": dict(
                    _by_label(self, suspicions.images[: suspicions.suspects])
                ),
                "unjudged": dict(self.unjudged),
            },
        }

    def _flags(self) -> dict[int, str]:
        """The cell of every image that was flagged."""
        found: dict[int, str] = {}
        for name, images in self.flagged.images.items():
            for index in images.tolist():
                found[index] = f"{found[index]} {name}" if index in found else name
        return found

    def _ranks(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Rank (0 where not judged), score and suggested class of every image."""
        total = len(self.seen.dataset.samples)
        rank, score = np.zeros(total, np.int64), np.zeros(total, np.float32)
        suggested = np.zeros(total, np.int64)
        if self.suspicions is not None:
            images = self.suspicions.images
            rank[images] = np.arange(1, len(images) + 1)
            score[images] = self.suspicions.scores
            suggested[images] = self.suspicions.suggested
        return rank, score, suggested


def _short(value: float) -> float:
    return round(float(value), 4)


def kind_of(reason: str) -> str:
    """A reason without the figures that only one file has."""
    return re.split(r":| \(", reason, maxsplit=1)[0]


def _by_label(audit: Audit, images: npt.NDArray[np.int64]) -> Mapping[str, int]:
    labels = audit.seen.dataset.labels
    counts = np.bincount(audit.seen.dataset.classes[images], minlength=len(labels))
    return {label: int(count) for label, count in zip(labels, counts, strict=True) if count}
