"""What `audit.json` says, as far as a report repeats it. `train audit` owns the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from train.errors import RunError

AUDIT_FILE = "audit.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class AuditedFaults(_Part):
    """Images that cannot be used."""

    images: int
    reasons: Mapping[str, int]


class AuditedCopies(_Part):
    """Images that are there more than once."""

    copies: int
    """Images that are a copy of another one."""
    pairs_with_different_labels: int
    merged_groups: int


class AuditedLabels(_Part):
    """Labels that a classifier doubted."""

    judged: int
    suspects: int


class AuditSummary(_Part):
    """The counts of an audit; all are of images unless they say otherwise."""

    schema_: Literal["edge-inspect/audit/1"] = Field(alias="schema")
    audited_at: str
    """RFC 3339."""
    data: str
    """Folder of the images, as it was then."""
    images: int
    labels: Mapping[str, int]
    quarantined: AuditedFaults
    duplicates: AuditedCopies
    flags: Mapping[str, int]
    """By the flag's name."""
    label_errors: AuditedLabels | None
    """None where labels were not judged."""


def read_audit(folder: Path) -> AuditSummary:
    """Read what `train audit --out` wrote; raises RunError where it is none, or damaged."""
    file = folder / AUDIT_FILE
    try:
        return AuditSummary.model_validate_json(file.read_bytes())
    except OSError as exc:
        raise RunError(
            f"cannot read {file}: {exc.strerror}; give the folder that `train audit --out` wrote"
        ) from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RunError(
            f"{file} is not what train audit writes, or is of another version: {where}: {first['msg']}"
        ) from exc
