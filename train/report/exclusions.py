"""Images that lie in the data and were not used: how many, why, and where each of them is listed.

Owns the count along the whole way, from the audit to the evaluation. A step that was not taken or is not
known has no row; one that left nothing out has a row that says 0.
"""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from train.data.audit import kind_of
from train.data.frozen_split import QUARANTINE, FrozenSplit
from train.errors import RunError
from train.evidence.evaluation import Evaluation
from train.fitting.record import RunRecord
from train.report.audit_summary import AuditSummary
from train.run_folder import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """What one step left out."""

    step: str
    images: int
    reasons: str
    """Each with its number, the most frequent first; empty where there is none."""
    listed: str
    """The file that names them."""


def exclusions(
    folder: RunFolder,
    record: RunRecord,
    split: FrozenSplit | None,
    audit: AuditSummary | None,
    final: Evaluation | None,
) -> tuple[Exclusion, ...]:
    """Every step's, in the order of the work; raises RunError where a list cannot be read."""
    found = []
    if audit is not None:
        found.append(
            Exclusion(
                step="audit",
                images=audit.quarantined.images,
                reasons=_words(audit.quarantined.reasons),
                listed="audit.csv of the audit",
            )
        )
    if split is not None:
        found.append(
            Exclusion(
                step="split",
                images=split.record.quarantined,
                reasons=_words(_reasons(split.folder / QUARANTINE)),
                listed=f"{QUARANTINE} of the split",
            )
        )
    found.append(
        Exclusion(
            step="teaching and validation",
            images=record.quarantined,
            reasons=_words(_reasons(folder.quarantine)),
            listed=f"{folder.quarantine.name} of the run",
        )
    )
    if final is not None:
        found.append(
            Exclusion(
                step="evaluation",
                images=final.data.undecodable,
                reasons="cannot be decoded" if final.data.undecodable else "",
                listed="nowhere: the evaluation counts them",
            )
        )
    return tuple(found)


def _reasons(file: Path) -> Counter[str]:
    try:
        with file.open(encoding="utf-8", newline="") as rows:
            return Counter(kind_of(row["reason"]) for row in csv.DictReader(rows))
    except (OSError, KeyError, TypeError, UnicodeDecodeError, csv.Error) as exc:
        raise RunError(
            f"cannot read {file}: {exc}; without it the images that were left out are not known"
        ) from exc


def _words(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in Counter(reasons).most_common())
