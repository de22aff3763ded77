"""Which parts are worth a person's look, and why: the rules, one function each.

Owns the reasons and their limits, not the room that there is (`reservoir`). Values and a time in, claims
out; a few microseconds a part, since every part of the line passes here, on one thread.
"""

import hashlib
import math
from collections.abc import Iterator

from edge_runtime import policy
from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.frame import Unreadable
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.sample import Claim, Reason
from edge_runtime.contracts.verdict import Outcome, Verdict
from edge_runtime.drift.statistics import FrameStatistics
from edge_runtime.inspection import Answered

MOST_LIKELY = 0.02
"""Share of the parts that is drawn by lot at first: one in 50. Once its room is full, fewer are."""
SPACING_S = 5.0
"""Between two parts that are kept for one reason and kind, seconds: a bad minute must not fill the room
of a good year, and a disk must not wear out on it."""
NEAR = 0.5
"""Of the score's log odds: odds 1.65 times higher or lower would have crossed the threshold."""
FAR_OUT = 4.0
"""Standard deviations from the reference's mean from which a frame is outside of it by itself."""
SELDOM = 0.25
"""A class is rare below this share of what each class would have if all were equally frequent."""
_REMEMBERED = 20_000.0
"""Parts over which the frequency of classes is judged; older ones count less and less."""
_ASSUMED = 200.0
"""Parts that a station is taken to have seen before its first, all classes equally frequent: else the
first part of every class would be a rare one."""
_KIND_LENGTH = 64


class Rules:
    """Judges every part that a station answers, in the order of the line; used by one thread."""

    def __init__(
        self,
        model: ModelSpec,
        reference: DriftReference | None = None,
        *,
        most_likely: float = MOST_LIKELY,
        spacing_s: float = SPACING_S,
    ) -> None:
        """`reference` is the bundle's, None where it has none: then no frame lies outside of it."""
        self._model = model
        self._most_likely = most_likely
        self._spacing_s = spacing_s
        self._frequency = _Frequency(model.labels)
        self._limits = (
            {}
            if reference is None
            else {measure.name: (measure.mean, measure.deviation) for measure in reference.measures}
        )
        self._next: dict[Claim, float] = {}

    def claims(self, part: Answered, moved: tuple[str, ...] | None = None) -> tuple[Claim, ...]:
        """Why the part should be kept; nothing for most.

        `moved` names the statistics that have moved at the station by now, None while none has. A part
        without any image is never kept.
        """
        verdict = part.verdict
        self._frequency.count(verdict.label)
        if all(isinstance(view.frame.image, Unreadable) for view in part.views):
            return ()
        now = part.views[-1].decided
        found = [claim for claim in self._found(part, moved) if self._spaced(claim, now)]
        if lot(verdict) < self._most_likely:
            found.insert(0, Claim(reason=Reason.RANDOM))
        return tuple(found)

    def _found(self, part: Answered, moved: tuple[str, ...] | None) -> Iterator[Claim]:
        verdict = part.verdict
        label = verdict.label or ""
        if verdict.verdict is Outcome.REVIEW:
            yield _claim(Reason.UNCERTAIN, label)
        elif verdict.scores and self._near_a_threshold(verdict):
            yield _claim(Reason.NEAR_THRESHOLD, label)
        if self._frequency.seldom(verdict.label):
            yield _claim(Reason.RARE, label)
        for view in part.views:
            if view.pixels is None:
                code, _, _ = (view.decision.reason or "").partition(":")
                yield _claim(Reason.REJECTED, code)
        if moved is not None:
            yield _claim(Reason.DRIFTED, moved[0] if moved else "")
        elif (outside := self._outside([view.statistics for view in part.views])) is not None:
            yield _claim(Reason.DRIFTED, outside)

    def _near_a_threshold(self, verdict: Verdict) -> bool:
        score = _log_odds(policy.defect_score(verdict.scores, self._model))
        limits = (verdict.thresholds.review_from, verdict.thresholds.defect_from)
        return any(abs(score - _log_odds(limit)) < NEAR for limit in limits)

    def _outside(self, measured: list[FrameStatistics | None]) -> str | None:
        """The statistic by which a frame lies farthest outside of the reference."""
        farthest, name = FAR_OUT, None
        for statistics in measured:
            if statistics is None:
                continue
            for measure, (mean, deviation) in self._limits.items():
                away = abs(getattr(statistics, measure) - mean) / deviation
                if away > farthest:
                    farthest, name = away, measure
        return name

    def _spaced(self, claim: Claim, now: float) -> bool:
        """Whether enough time has passed since the last part of this reason and kind."""
        if now < self._next.get(claim, -math.inf):
            return False
        self._next[claim] = now + self._spacing_s
        return True


class _Frequency:
    """How often each class was decided lately, in O(classes) memory."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._counts: dict[str, float] = dict.fromkeys(labels, _ASSUMED / len(labels))
        self._weight = 1.0

    def count(self, label: str | None) -> None:
        if label is None:
            return
        # A new part weighs more rather than all old ones less.
        self._weight *= 1 + 1 / _REMEMBERED
        self._counts[label] += self._weight
        if self._weight > 1e100:
            self._counts = {name: count / self._weight for name, count in self._counts.items()}
            self._weight = 1.0

    def seldom(self, label: str | None) -> bool:
        if label is None:
            return False
        even = sum(self._counts.values()) / len(self._counts)
        return self._counts[label] < SELDOM * even


def lot(verdict: Verdict) -> float:
    """Evenly distributed over 0..1 (1 excluded), and nothing but chance to whoever did not draw it.

    It is made from the verdict's own name, so that it can be drawn again by whoever doubts it.
    """
    digest = hashlib.blake2b(verdict.result_id.encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def returned(verdict: Verdict, label: str) -> Claim | None:
    """The claim that a returned label makes; None where it agrees with what was decided."""
    return None if label == verdict.label else _claim(Reason.DISAGREEING, label)


def _claim(reason: Reason, kind: str) -> Claim:
    return Claim(reason=reason, kind=kind[:_KIND_LENGTH])


def _log_odds(share: float) -> float:
    inside = min(1 - 1e-9, max(1e-9, share))
    return math.log(inside / (1 - inside))
