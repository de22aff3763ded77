"""What `calibration.json` says: the decision rule of a run, or that there is none, and the evidence.

Owns the contract, its file, and the counts behind the bounds. `train.decision.decide` makes the choice.
No torch here, so that a command can read a calibration before it pays for the import.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from edge_runtime.contracts.manifest import DecisionRule, Thresholds
from optimize.bounds import Trials
from train.contract_file import read_contract, write_contract
from train.decision import decide
from train.decision.decide import Limits, Requirement, Shortfall
from train.decision.frontier import Frontier, Scored, trace
from train.errors import RunError, UnmetError
from train.run_folder import RunFolder

CALIBRATION_SCHEMA: Literal["edge-inspect/calibration/1"] = "edge-inspect/calibration/1"


class Evidence(Contract):
    """What a rule does to the validation images, and what that says of all parts."""

    defective: Trials
    good: Trials
    found: int
    """Defective images answered `defect` or `review`."""
    found_as_defect: int
    """Defective images answered `defect`."""
    false_positives: int
    """Good images answered `defect`."""
    good_for_review: int
    """Good images answered `review`."""
    recall_at_least: float
    """One-sided lower bound on the share found."""
    false_positives_at_most: float
    """One-sided upper bound on the share of good parts answered `defect`."""
    reviews_at_most: float
    """One-sided upper bound on the share of good parts answered `review`."""
    macro_f1: float


class Calibration(Contract):
    """`calibration.json`."""

    schema_: Annotated[Literal["edge-inspect/calibration/1"], Field(alias="schema")] = (
        CALIBRATION_SCHEMA
    )
    made_at: UtcTime
    command: str
    weights_sha256: Sha256
    """Of `best.pth`: the rule fits these weights and no others."""
    data_sha256: Sha256
    """Of the run's data, as in `run.json`."""
    requirement: Requirement
    ok_labels: tuple[str, ...]
    temperature: float
    met: bool
    """Whether the bounds hold. Where they do not, there is a rule only if it was asked for."""
    decision: DecisionRule | None
    thresholds_sha256: Sha256 | None
    """Over the JSON of `decision`."""
    evidence: Evidence | None
    """Of `decision`."""
    shortfall: Shortfall | None
    """Why the bounds do not hold; null where they do."""

    @property
    def rule(self) -> DecisionRule:
        """The decision rule; raises UnmetError where there is none."""
        if self.decision is None:
            asked, reason = self.requirement, self.shortfall.reason if self.shortfall else "unknown"
            raise UnmetError(
                f"no thresholds keep recall >= {asked.min_recall:g} and false positives <= "
                f"{asked.max_false_positives:g} with {asked.confidence:.0%} confidence: {reason}; "
                "add labels or teach a better model, or train calibrate --accept-unmet to take the "
                "point estimates"
            )
        return self.decision

    def describe(self) -> str:
        """How the rule was chosen, for the provenance of a model."""
        if self.evidence is None:
            return "none"
        return f"{self.reason()}; thresholds sha256 {self.thresholds_sha256}"

    def reason(self) -> str:
        """How the rule was chosen, without the rule's hash."""
        if self.evidence is None:
            return "none"
        seen, asked = self.evidence, self.requirement
        return (
            f"train calibrate, bounds {'met' if self.met else 'NOT met, accepted all the same'} with "
            f"{asked.confidence:.0%} confidence: recall at least {seen.recall_at_least:.4f} (asked "
            f"{asked.min_recall:g}; {seen.found} of {seen.defective.images} images in "
            f"{seen.defective.groups} groups found), false positives at most "
            f"{seen.false_positives_at_most:.4f} (asked {asked.max_false_positives:g}; "
            f"{seen.false_positives} of {seen.good.images} in {seen.good.groups} groups), good parts "
            f"for review at most {seen.reviews_at_most:.4f} (asked {asked.max_reviews:g})"
        )


def calibrate(
    logits: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int64],
    groups: tuple[str, ...],
    labels: tuple[str, ...],
    ok_labels: tuple[str, ...],
    requirement: Requirement,
    *,
    accept_unmet: bool,
    weights_sha256: str,
    data_sha256: str,
    command: str,
) -> tuple[Calibration, Frontier]:
    """Choose temperature and thresholds on validation answers (N, classes); ok labels are needed.

    Where nothing meets the requirement there is no rule, or with `accept_unmet` the one that finds most
    while the limits hold as point estimates.
    """
    rule = decide.flag_all(decide.fit_temperature(logits, truth), ok_labels)
    parts = decide.score(logits, truth, groups, labels, rule)
    frontier = trace(parts, requirement.confidence)
    found = decide.choose_within(frontier, requirement)
    shortfall = found if isinstance(found, Shortfall) else None
    thresholds = None if isinstance(found, Shortfall) else found
    if thresholds is None and accept_unmet:
        limits = Limits(
            false_positives=requirement.max_false_positives, reviews=requirement.max_reviews
        )
        thresholds = decide.choose_thresholds(
            parts.scores[parts.is_good], parts.scores[~parts.is_good], limits
        )
    decision = thresholds and rule.model_copy(update={"thresholds": thresholds})
    made = Calibration(
        made_at=datetime.now(UTC),
        command=command,
        weights_sha256=weights_sha256,
        data_sha256=data_sha256,
        requirement=requirement,
        ok_labels=ok_labels,
        temperature=rule.temperature,
        met=shortfall is None,
        decision=decision,
        thresholds_sha256=decision and thresholds_sha256(decision),
        evidence=thresholds and weigh(parts, frontier, thresholds, requirement.confidence),
        shortfall=shortfall,
    )
    return made, frontier


def weigh(parts: Scored, frontier: Frontier, thresholds: Thresholds, confidence: float) -> Evidence:
    """Count what thresholds do, and bound it."""
    flagged = parts.scores >= thresholds.defect_from
    seen = parts.scores >= thresholds.review_from
    good, defective = frontier.good, frontier.defective
    found = int((seen & ~parts.is_good).sum())
    false_positives = int((flagged & parts.is_good).sum())
    good_for_review = int((seen & parts.is_good).sum()) - false_positives
    at = int(np.searchsorted(frontier.thresholds, thresholds.review_from, "right")) - 1
    return Evidence(
        defective=defective,
        good=good,
        found=found,
        found_as_defect=int((flagged & ~parts.is_good).sum()),
        false_positives=false_positives,
        good_for_review=good_for_review,
        recall_at_least=float(defective.at_least(found, confidence)),
        false_positives_at_most=float(good.at_most(false_positives, confidence)),
        reviews_at_most=float(good.at_most(good_for_review, confidence)),
        macro_f1=float(frontier.macro_f1[at]),
    )


def thresholds_sha256(decision: DecisionRule) -> str:
    """The content hash of a rule: what a ledger or a provenance names it by."""
    return hashlib.sha256(decision.to_json().encode()).hexdigest()


def weights_sha256(folder: RunFolder) -> str:
    """The content hash of the run's best weights."""
    try:
        return hashlib.sha256(folder.best.read_bytes()).hexdigest()
    except OSError as exc:
        raise RunError(f"cannot read {folder.best}: {exc.strerror}; finish the run first") from exc


def write_calibration(folder: RunFolder, made: Calibration) -> None:
    """Write `calibration.json`."""
    write_contract(folder.calibration, made)


def read_calibration(folder: RunFolder) -> Calibration | None:
    """Read `calibration.json`; None where there is none, RunError where it does not fit."""
    try:
        return read_contract(Calibration, folder.calibration, remedy="; calibrate anew")
    except FileNotFoundError:
        return None


def usable(folder: RunFolder, ok_labels: tuple[str, ...]) -> Calibration | None:
    """The run's calibration; None where it has none.

    Raises RunError where it was made for other weights or other good classes.
    """
    made = read_calibration(folder)
    if made is None:
        return None
    again = "run train calibrate again, or name --false-positives to do without bounds"
    if made.weights_sha256 != weights_sha256(folder):
        raise RunError(
            f"{folder.calibration} was made for other weights than {folder.best}: {again}"
        )
    if made.ok_labels != ok_labels:
        raise RunError(
            f"{folder.calibration} was made for the good classes {', '.join(made.ok_labels)} and not "
            f"{', '.join(ok_labels) or 'none'}: {again}"
        )
    return made
