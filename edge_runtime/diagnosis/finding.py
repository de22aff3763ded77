"""One line of a diagnosis: what was looked at, what was found, what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """The station runs, and a person should know."""
    FAIL = "FAIL"
    """The station does not start, or does not do what it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found about one part."""

    part: str
    """`camera`, `disk` and so on."""
    grade: Grade
    found: str
    """One line."""
    remedy: str = ""
    """What to do; empty where nothing is to be done."""
    exit_code: int = 0
    """What a command ends with for it: `edge_runtime.errors`; 0 exactly where the grade is not FAIL."""


def worst_exit_code(findings: list[Finding]) -> int:
    """That of the first failure; 0 when there is none."""
    return next((finding.exit_code for finding in findings if finding.grade is Grade.FAIL), 0)
