"""Candidates before the gate: judged side by side, and repaired layer by layer where one fails.

Owns what is run to judge a candidate and to repair it. What passes is decided in `optimize.gates`, which
layers are tried in `restoration`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx

from optimize import gates, latency, sensitivity
from optimize.answers import Answers, answer
from optimize.builder.candidates import Candidate, Source, make
from optimize.builder.engines import opened
from optimize.builder.kinds import FLOAT
from optimize.builder.order import Order
from optimize.builder.restoration import search
from optimize.data.dataset import Dataset
from optimize.data.images import read_images
from optimize.gate_report.record import Attempt, VariantReport
from optimize.gates import Judgement, Validation
from optimize.sensitivity import LayerCost
from optimize.watch import Watch

_TIMED = 30
"""Batches of one that tell whether a speed-up is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A candidate as it was judged last."""

    candidate: Candidate
    judgement: Judgement
    logits: npt.NDArray[np.float32]
    """(images, classes) on the validation images."""
    costs: tuple[LayerCost, ...] = ()
    """Its layers, the costliest first, where they were ranked."""
    attempts: tuple[Attempt, ...] = ()

    def report(self) -> VariantReport:
        """For the gate's report."""
        method = self.candidate.method
        return VariantReport(
            precision=self.candidate.precision,
            target=self.candidate.kind.target,
            passed=self.judgement.passed,
            faults=self.judgement.faults,
            calibration=None if method is None else str(method),
            judgement=self.judgement,
            sensitivity=self.costs,
            attempts=self.attempts,
            float_layers=self.candidate.float_layers,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """An attempt of the search."""

    judged: Judged
    speed_up: float | None

    @property
    def passed(self) -> bool:
        return self.judged.judgement.passed

    @property
    def worthwhile(self) -> bool:
        return self.speed_up is None or self.speed_up > 1

    def record(self) -> Attempt:
        return Attempt(
            restored=len(self.judged.candidate.float_layers),
            flips=len(self.judged.judgement.flips),
            sqnr_db=self.judged.judgement.sqnr_db,
            speed_up=self.speed_up,
            passed=self.passed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """What candidates are judged by: limits, images, and what float32 and each of them say of these."""

    order: Order
    source: Source
    images: Dataset
    watch: Watch
    answers: Answers
    """Of float32 and of every candidate as it came."""

    @classmethod
    def summon(
        cls,
        order: Order,
        source: Source,
        candidates: Sequence[Candidate],
        images: Dataset,
        watch: Watch,
    ) -> "Court":
        """Have float32 and all candidates answer, in one pass over the images."""
        models = {FLOAT: source.model.proto} | _files(*candidates)
        answers = _answer(order, source, models, images, watch)
        return cls(order=order, source=source, images=images, watch=watch, answers=answers)

    def reference(self) -> Judgement:
        """float32 before its own gate: it flips nothing, but has the same limits to keep."""
        return self._judgement(FLOAT, self.answers.logits[FLOAT])

    def judge(self, candidate: Candidate) -> Judged:
        """A candidate that was summoned."""
        return self._judge(candidate, self.answers.logits[candidate.precision])

    def repair(self, judged: Judged) -> Judged:
        """Rank the layers of a candidate; where it fails, leave the costliest ones float until it passes
        or nothing is gained by it. What comes back may still fail."""
        kind, method = judged.candidate.kind, judged.candidate.method
        if not kind.calibrated or (judged.judgement.passed and not self.order.sensitivity):
            return judged
        costs = self._rank(judged.candidate)
        ranked = replace(judged, costs=costs)
        if judged.judgement.passed:
            return ranked

        def attempt(count: int) -> _Tried:
            made = make(self.source, kind, method, [cost.name for cost in costs[:count]])
            answers = _answer(self.order, self.source, _files(made), self.images, self.watch)
            tried = _Tried(
                judged=self._judge(made, answers.logits[made.precision]),
                speed_up=self._speed_up(made) if kind.target == "cpu" else None,
            )
            faster = (
                "" if tried.speed_up is None else f", {tried.speed_up:.2f} times float32's speed"
            )
            self.watch.note(
                f"{made.precision} with {count} of {len(costs)} layers left float: "
                f"{len(tried.judged.judgement.flips)} flips{faster}"
            )
            return tried

        best, tries = search(len(costs) - 1, attempt)  # with no layer quantised it is float32
        return replace(
            best.judged if best else judged,
            costs=costs,
            attempts=tuple(tried.record() for tried in tries),
        )

    def _judge(self, made: Candidate, logits: npt.NDArray[np.float32]) -> Judged:
        return Judged(
            candidate=made, judgement=self._judgement(made.precision, logits), logits=logits
        )

    def _judgement(self, precision: str, logits: npt.NDArray[np.float32]) -> Judgement:
        seen = Validation(
            paths=self.answers.paths, labels=self.answers.labels, groups=self.answers.groups
        )
        reference = self.answers.logits[FLOAT]
        return gates.judge(
            precision, seen, reference, logits, self.source.model.spec, self.order.limits
        )

    def _rank(self, candidate: Candidate) -> tuple[LayerCost, ...]:
        layers = candidate.kind.layers(self.source.model.proto)
        nodes = frozenset(node.name for node in self.source.model.proto.graph.node)

        def alone(layer: str) -> npt.NDArray[np.float32]:
            made = make(self.source, candidate.kind, candidate.method, sorted(nodes - {layer}))
            return self._logits(made.rehearsed)

        with self.watch.stage(f"ranking {candidate.precision}'s layers", len(layers)) as advanced:
            reference = self._logits(self.source.model.proto)
            return sensitivity.rank(layers, reference, alone, self.source.model.spec, advanced)

    def _logits(self, proto: onnx.ModelProto) -> npt.NDArray[np.float32]:
        """Of a model on the first calibration images."""
        spec, order = self.source.model.spec, self.order
        images = self.source.calibration.images[: sensitivity.IMAGES]
        with opened({"": proto}, spec, order.threads[0], order.engines[0]) as engines:
            return answer(images, engines, len(spec.labels)).logits[""]

    def _speed_up(self, made: Candidate) -> float:
        frames = np.stack(self.source.calibration.pixels[:8])
        models = {FLOAT: self.source.model.proto} | _files(made)
        spec, order = self.source.model.spec, self.order
        with opened(models, spec, order.threads[0], order.engines[0]) as engines:
            timed = latency.measure(
                engines, frames, threads=order.threads[0], batches=(1,), samples=_TIMED
            )
        return timed[FLOAT][0].p50_ms / timed[made.precision][0].p50_ms


def _files(*candidates: Candidate) -> dict[str, onnx.ModelProto]:
    return {made.precision: made.rehearsed for made in candidates}


def _answer(
    order: Order,
    source: Source,
    models: Mapping[str, onnx.ModelProto],
    images: Dataset,
    watch: Watch,
) -> Answers:
    spec = source.model.spec
    with (
        opened(models, spec, order.threads[0], order.engines[0]) as engines,
        watch.stage("comparing verdicts", len(images.samples)) as advanced,
    ):
        return answer(read_images(images, spec.input), engines, len(spec.labels), advanced)
