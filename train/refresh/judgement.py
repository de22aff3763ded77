"""Is the candidate not worse where it matters? The findings, from both models' answers to one exam.

Owns which figures count. The exam's images taught neither model and chose no threshold of the candidate;
of the first refresh of a line half of the old validation side serves, by which the current model's own
thresholds were chosen, so that the comparison leans towards the current one. Values in, values out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.verdict import Outcome
from train.errors import DatasetError
from train.evidence.examine import Examined
from train.figures import noninferiority
from train.refresh.agreement import Agreement
from train.refresh.record import NEW, OLD, Finding

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Exam:
    """Both models' answers to the same images."""

    before: Examined
    after: Examined
    new: frozenset[str]
    """SHA-256 of the images of the new domain."""

    @cached_property
    def domains(self) -> Mapping[str, npt.NDArray[np.int64]]:
        """Which images are of which, by position."""
        is_new = np.array([sha in self.new for sha in self.before.dataset.column("sha256")])
        return {OLD: np.flatnonzero(~is_new), NEW: np.flatnonzero(is_new)}


def judge(exam: Exam, agreement: Agreement) -> tuple[Finding, ...]:
    """Every finding; raises DatasetError where the models did not see the same images."""
    if list(exam.before.dataset.column("path")) != list(exam.after.dataset.column("path")):
        raise DatasetError("the exam's images changed between the two models' answers")
    findings: list[Finding] = []
    for domain, places in exam.domains.items():
        if not len(places):
            findings.append(_nothing(domain))
            continue
        side = _Side(domain, exam.before.only(places), exam.after.only(places), agreement)
        findings += side.findings()
        if domain == NEW:
            findings += [side.plausible(), side.learnable()]
    return tuple(findings)


def recalls(exam: Exam) -> dict[str, dict[str, tuple[float | None, float | None]]]:
    """By domain and class: how often it is recognised as itself, before and after."""
    return {
        domain: {
            label: (_recall(exam.before.only(at), label), _recall(exam.after.only(at), label))
            for label in exam.before.model.labels
        }
        for domain, at in exam.domains.items()
        if len(at)
    }


class _Side:
    """One domain."""

    def __init__(
        self, domain: str, before: Examined, after: Examined, agreement: Agreement
    ) -> None:
        self._domain, self._before, self._after = domain, before, after
        self._agreed = agreement
        self._good = before.is_good

    def findings(self) -> Iterator[Finding]:
        """What must not be worse."""
        agreed = self._agreed
        found = [_outcomes(side) != Outcome.OK for side in (self._before, self._after)]
        spared = [_outcomes(side) != Outcome.DEFECT for side in (self._before, self._after)]
        yield self._share("defect recall", found, ~self._good, agreed.recall_margin)
        yield self._share("false positives", spared, self._good, agreed.false_positive_margin)
        yield self._macro_f1()

    def learnable(self) -> Finding:
        """Whether the candidate recognises what the new labels say, on parts that were held out."""
        value, bound = noninferiority.macro_f1_bound(
            self._before.truth,
            _answers(self._after),
            self._after.groups,
            len(self._after.model.labels),
            self._agreed.confidence,
        )
        least = self._agreed.least_macro_f1
        met = bound is not None and bound >= least
        words = (
            f"macro F1 on the new domain: {value:.3f}, at least {_number(bound)}, asked {least:g}"
        )
        return self._finding(
            question="learnable",
            figure="macro F1",
            of=np.ones(len(self._good), np.bool_),
            after=value,
            bound=bound,
            limit=least,
            met=met,
            words=words if met else f"{words}: the new labels teach little that holds",
        )

    def plausible(self) -> Finding:
        """Whether the current model at least does not rank the new labels the wrong way round."""
        scores = policy.defect_scores(self._before.shares, self._before.model).astype(np.float64)
        value = noninferiority.ranking(scores, ~self._good)
        met = value is not None and value > 0.5
        return self._finding(
            question="plausible",
            figure="ranking by the current model",
            of=np.ones(len(self._good), np.bool_),
            before=value,
            limit=0.5,
            met=met,
            words=f"the current model ranks a new defect above a new good part in {_number(value)} of "
            f"pairs{'' if met else ': by chance it would be 0.5, so the labels may be mixed up'}",
        )

    def _share(self, figure: str, hits: list[Flags], of: Flags, margin: float) -> Finding:
        """A share in which a hit is good: of false positives the parts that are spared."""
        groups = [group for group, taken in zip(self._before.groups, of, strict=True) if taken]
        if not groups:
            return self._undefined(figure, of, margin)
        before, after = (flags[of] for flags in hits)
        gain, bound = noninferiority.paired_gain(before, after, groups, self._agreed.confidence)
        shares = [float(flags.mean()) for flags in (before, after)]
        if figure == "false positives":
            shares = [1 - share for share in shares]
        return self._compared(figure, of, (shares[0], shares[1]), gain, bound, margin)

    def _macro_f1(self) -> Finding:
        truth, groups = self._before.truth, self._before.groups
        answers = [_answers(side) for side in (self._before, self._after)]
        classes, agreed = len(self._before.model.labels), self._agreed
        gain, bound = noninferiority.macro_f1_gain(
            truth, answers[0], answers[1], groups, classes, agreed.confidence
        )
        before, after = (noninferiority.macro_f1_of(truth, given, classes) for given in answers)
        everything = np.ones(len(truth), np.bool_)
        return self._compared(
            "macro F1", everything, (before, after), gain, bound, agreed.macro_f1_margin
        )

    def _compared(
        self,
        figure: str,
        of: Flags,
        values: tuple[float, float],
        gain: float,
        bound: float | None,
        margin: float,
    ) -> Finding:
        met = bound is not None and bound >= -margin
        before, after = values
        words = (
            f"{figure} on the {self._domain} domain: {before:.3f} before, {after:.3f} after; "
            + ("no bound" if bound is None else f"a gain of at least {bound:+.3f}")
            + f", asked {-margin:+g}"
        )
        if not met and gain >= -margin:
            words += f": not shown on {int(of.sum())} images"
            if figure != "macro F1":
                words += (
                    f", {noninferiority.fewest(margin, self._agreed.confidence)} groups that all are "
                    "answered alike would show it"
                )
        return self._finding(
            question="not worse",
            figure=figure,
            of=of,
            before=before,
            after=after,
            gain=gain,
            bound=bound,
            limit=-margin,
            met=met,
            words=words,
        )

    def _undefined(self, figure: str, of: Flags, margin: float) -> Finding:
        kind = "good" if figure == "false positives" else "defective"
        return self._finding(
            question="not worse",
            figure=figure,
            of=of,
            limit=-margin,
            met=False,
            words=f"{figure} on the {self._domain} domain: not known, none of its images in the exam is "
            f"labelled as {kind}",
        )

    def _finding(self, *, of: Flags, **values: object) -> Finding:
        nothing = dict.fromkeys(("before", "after", "gain", "bound"))
        groups = {group for group, taken in zip(self._before.groups, of, strict=True) if taken}
        about = {"domain": self._domain, "images": int(of.sum()), "groups": len(groups)}
        return Finding.model_validate({**nothing, **about, **values})


def _nothing(domain: str) -> Finding:
    return Finding(
        question="not worse",
        domain="new" if domain == NEW else "old",
        figure="all",
        images=0,
        groups=0,
        before=None,
        after=None,
        gain=None,
        bound=None,
        limit=0.0,
        met=False,
        words=f"the exam has no images of the {domain} domain: add labels, of more groups",
    )


def _outcomes(side: Examined) -> npt.NDArray[np.str_]:
    return np.array([decision.outcome for decision in side.decisions])


def _answers(side: Examined) -> npt.NDArray[np.int64]:
    positions = {label: position for position, label in enumerate(side.model.labels)}
    return np.array([positions[decision.label or ""] for decision in side.decisions], np.int64)


def _recall(side: Examined, label: str) -> float | None:
    position = side.model.labels.index(label)
    of = side.truth == position
    return float((_answers(side)[of] == position).mean()) if of.any() else None


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
