"""What a refresh writes down: `plan.json` before it begins, `refresh.json` when it is judged.

Owns the two contracts and their files. No torch here, so that a command can read them before it pays for
the import.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from train.contract_file import read_contract, write_contract
from train.data.enlarge import Shares
from train.data.frozen_split import Enlargement
from train.data.manifest import Source
from train.decision.decide import Requirement
from train.errors import RunError
from train.fitting.recipe import Recipe
from train.refresh.agreement import Agreement

PLAN_SCHEMA: Literal["edge-inspect/refresh-plan/1"] = "edge-inspect/refresh-plan/1"
REFRESH_SCHEMA: Literal["edge-inspect/refresh/1"] = "edge-inspect/refresh/1"
OLD, NEW = "old", "new"
"""The two domains: images that the split before had, and images that came with the new labels."""


class Plan(Contract):
    """`plan.json`: all that shapes a refresh, agreed before it begins."""

    schema_: Annotated[Literal["edge-inspect/refresh-plan/1"], Field(alias="schema")] = PLAN_SCHEMA
    made_at: UtcTime
    command: str
    current_run: Path
    current_weights_sha256: Sha256
    current_model_sha256: Sha256
    """Of the ONNX file whose decisions the candidate is compared with."""
    split_sha256: Sha256
    """The split that the current run was taught from."""
    labels: Source
    labels_sha256: Sha256
    """Over path, label and group of every new row."""
    request: str | None
    """The retrain request that is answered; null where a person asked."""
    cause: str | None
    """Why, in the request's words."""
    shares: Shares
    recipe: Recipe
    requirement: Requirement
    """What the decision rule is chosen for."""
    agreement: Agreement

    def differs(self, other: "Plan") -> tuple[str, ...]:
        """The fields in which another plan would do something else."""
        said = {"made_at", "command"}
        names = (name for name in type(self).model_fields if name not in said)
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


class Finding(Contract):
    """One thing that a candidate must show, and whether it does."""

    question: Literal["not worse", "learnable", "plausible"]
    domain: Literal["old", "new"]
    figure: str
    images: int
    groups: int
    before: float | None
    """Of the current model; null where the images do not define it."""
    after: float | None
    """Of the candidate; null likewise, or where only the current model is asked."""
    gain: float | None
    """Of the candidate over the current model; above 0 is better, also of false positives."""
    bound: float | None
    """One-sided lower bound, of the gain or of `after`."""
    limit: float
    """The bound, or the value where there is none, must reach it; of a gain it is minus the margin."""
    met: bool
    words: str


class Refresh(Contract):
    """`refresh.json`."""

    schema_: Annotated[Literal["edge-inspect/refresh/1"], Field(alias="schema")] = REFRESH_SCHEMA
    finished_at: UtcTime
    plan: Plan
    labels: tuple[str, ...]
    split_sha256: Sha256
    """The enlarged split."""
    enlargement: Enlargement
    images: Mapping[str, Mapping[str, int]]
    """By class and side of the enlarged split."""
    accepted: bool
    candidate_sha256: Sha256 | None
    """Of `candidate.onnx`; null where there is none."""
    findings: tuple[Finding, ...]
    recalls: Mapping[str, Mapping[str, tuple[float | None, float | None]]]
    """By domain and class: how often it is recognised as itself, before and after."""
    epochs: int
    seconds: float
    """That teaching took, all starts together."""
    versions: Mapping[str, str]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why there is no candidate."""
        return tuple(finding.words for finding in self.findings if not finding.met)


def read_plan(file: Path) -> Plan | None:
    """Read `plan.json`; None where there is none."""
    try:
        return read_contract(Plan, file)
    except FileNotFoundError:
        return None


def read_refresh(file: Path) -> Refresh | None:
    """Read `refresh.json`; None where the refresh is not finished."""
    try:
        return read_contract(Refresh, file)
    except FileNotFoundError:
        return None


def keep_plan(file: Path, plan: Plan) -> Plan:
    """The plan that is there already, if it says the same, else this one, now written.

    Raises RunError where the folder holds another one.
    """
    kept = read_plan(file)
    if kept is None:
        write_contract(file, plan)
        return plan
    if differing := kept.differs(plan):
        raise RunError(
            f"{file} agreed on something else ({', '.join(differing)}): what was agreed is not changed "
            "on the way; ask as before, or choose another --out"
        )
    return kept
