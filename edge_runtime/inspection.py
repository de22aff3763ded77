"""One batch through the model: gated frames in, a judgement for every one of them out, in order.

Knows the engine and the decision rule; knows no camera, no broker and no thread. A frame the gate turned
away, and a batch the engine fails on, are answered `not_inspected`: never silence.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from typing import Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.frame import Frame, Pixels
from edge_runtime.contracts.manifest import InputSpec, ModelSpec
from edge_runtime.contracts.verdict import Timings, Verdict
from edge_runtime.drift.statistics import FrameStatistics
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.errors import EngineError, first_line
from edge_runtime.policy import Decision
from edge_runtime.quality.admission import Rejected, admit
from edge_runtime.quality.gate import QualityGate


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on both clocks."""

    monotonic: float
    """Seconds; for whatever is reckoned with."""
    utc: datetime
    """For whatever is told."""

    @classmethod
    def now(cls) -> Self:
        """The present."""
        return cls(time.monotonic(), datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedFrame:
    """A frame the gate has looked at: pixels for the model, or the reason why there are none."""

    frame: Frame
    pixels: Pixels | None
    rejection: str | None
    statistics: FrameStatistics | None
    """Of the frame, also where its quality was not enough; None where there is no picture or nobody
    measures."""
    preprocess_s: float
    camera: int = 0
    """Which of the station's cameras it is of, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was decided about one frame, and when."""

    frame: Frame
    pixels: Pixels | None
    """What the model saw; None where the gate turned the frame away."""
    decision: Decision
    decided_at: datetime
    decided: float
    """The same moment on the monotonic clock, seconds."""
    statistics: FrameStatistics | None
    features: npt.NDArray[np.float32] | None
    """(features,) what the classifier read, a row of the batch's: copy what is kept. None where nothing
    was inferred, or the model does not tell."""
    timings_ms: Timings
    camera: int = 0
    """Which of the station's cameras it is of, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A part whose verdict is committed, with what was seen of it."""

    verdict: Verdict
    views: tuple[Judgement, ...]
    """One for each frame that there was of the part, in the order of its views."""


class Observer(Protocol):
    """Somebody who wants to know of every part that was answered."""

    def observe(self, parts: Sequence[Answered]) -> None:
        """Parts were answered, in the order of their verdicts, on the thread that records.

        Must return at once and raise nothing: what takes long belongs on a thread of its own, behind a
        bounded queue whose losses are counted.
        """
        ...


_Judged: TypeAlias = tuple[Decision, npt.NDArray[np.float32] | None]
"""A frame's decision, and the features behind it."""
Measure: TypeAlias = Callable[[Pixels], FrameStatistics]


def gate(
    frame: Frame,
    spec: InputSpec,
    measure: Measure | None = None,
    quality: QualityGate | None = None,
    camera: int = 0,
) -> GatedFrame:
    """Decode, check and fit one frame, and hold it to the camera's quality gate, if it has one; timed.

    It is measured at most once: by the quality gate, else by `measure` where somebody wants to know.
    """
    began = time.monotonic()
    answer = admit(frame, spec)
    pixels, rejection, statistics = None, None, None
    if isinstance(answer, Rejected):
        rejection = answer.reason
    elif quality is not None:
        examined = quality.examine(answer.pixels)
        statistics, rejection = examined.statistics, examined.rejection
        pixels = answer.pixels if rejection is None else None
    else:
        pixels = answer.pixels
        statistics = measure(pixels) if measure is not None else None
    return GatedFrame(
        frame=frame,
        pixels=pixels,
        rejection=rejection,
        statistics=statistics,
        preprocess_s=time.monotonic() - began,
        camera=camera,
    )


def judge_unseen(gated: GatedFrame, reason: str, now: Moment) -> Judgement:
    """Of a frame that the engine has not judged: not inspected, for the gate's reason or `reason`."""
    return Judgement(
        frame=gated.frame,
        pixels=gated.pixels,
        decision=policy.not_inspected(gated.rejection or reason),
        features=None,
        decided_at=now.utc,
        decided=now.monotonic,
        statistics=gated.statistics,
        camera=gated.camera,
        timings_ms=Timings(
            wait=milliseconds(now.monotonic - gated.frame.arrived - gated.preprocess_s),
            preprocess=milliseconds(gated.preprocess_s),
            infer=0.0,
        ),
    )


class Inspector:
    """Judges batches with one engine and one decision rule; used by one thread."""

    def __init__(self, engine: InferenceEngine, model: ModelSpec) -> None:
        self._engine = engine
        self._model = model
        self._batch = np.empty((0, model.input.height, model.input.width, 3), np.uint8)
        """What the engine is given, written anew each time: memory that is asked for anew costs as much
        as the copy."""
        self.problem: str | None = None
        """Why the last batch could not be inferred; None when it could."""
        self._busy_since: float | None = None

    @property
    def engine_name(self) -> str:
        """Which engine and version."""
        return self._engine.name

    def busy_s(self) -> float:
        """How long the engine has had its present batch, seconds; 0 when it has none. For any thread."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def judge(self, batch: Sequence[GatedFrame]) -> tuple[Judgement, ...]:
        """One judgement per frame, in the order given."""
        began = time.monotonic()
        judged = self._decide(batch)
        decided, decided_at = time.monotonic(), datetime.now(UTC)
        infer_s = decided - began
        return tuple(
            Judgement(
                frame=gated.frame,
                pixels=gated.pixels,
                decision=decision,
                features=features,
                decided_at=decided_at,
                decided=decided,
                statistics=gated.statistics,
                camera=gated.camera,
                timings_ms=Timings(
                    wait=milliseconds(began - gated.frame.arrived - gated.preprocess_s),
                    preprocess=milliseconds(gated.preprocess_s),
                    infer=milliseconds(infer_s if gated.pixels is not None else 0.0),
                ),
            )
            for gated, (decision, features) in zip(batch, judged, strict=True)
        )

    def _decide(self, batch: Sequence[GatedFrame]) -> list[_Judged]:
        visible = [gated.pixels for gated in batch if gated.pixels is not None]
        judged: Iterator[_Judged] = iter(())
        if visible:
            try:
                judged = iter(self._infer(visible))
                self.problem = None
            except EngineError as exc:
                self.problem = str(exc)
            except Exception as exc:  # noqa: BLE001 - supervision edge: no frame goes unanswered
                self.problem = f"{type(exc).__name__}: {first_line(exc)}"
            if self.problem is not None:
                judged = repeat((policy.not_inspected(f"engine: {self.problem}"), None))
        return [
            (policy.not_inspected(gated.rejection or "rejected"), None)
            if gated.pixels is None
            else next(judged)
            for gated in batch
        ]

    def _infer(self, visible: Sequence[Pixels]) -> list[_Judged]:
        batch = self._stacked(visible)
        self._busy_since = time.monotonic()
        try:
            answer = self._engine.infer(batch)
        finally:
            self._busy_since = None
        rows = policy.probabilities(answer.logits, self._model.decision.temperature)
        features = [None] * len(rows) if answer.features is None else answer.features
        return list(zip(policy.decide(rows, self._model), features, strict=True))

    def _stacked(self, visible: Sequence[Pixels]) -> Pixels:
        """(N, height, width, 3), in memory that is kept.

        Copied as bytes: numpy lets other threads have the interpreter during each frame's copy, and the
        engine would wait until they give it back, for longer than all copies take.
        """
        if len(visible) > len(self._batch):
            self._batch = np.empty((len(visible), *self._batch.shape[1:]), np.uint8)
        flat = self._batch.data.cast("B")
        size = len(flat) // len(self._batch)
        for place, pixels in enumerate(visible):
            flat[place * size : (place + 1) * size] = np.ascontiguousarray(pixels).data.cast("B")
        return self._batch[: len(visible)]


def milliseconds(seconds: float) -> float:
    """As a verdict tells a duration; never negative, though clocks of two threads may differ."""
    return round(max(seconds, 0.0) * 1000, 3)
