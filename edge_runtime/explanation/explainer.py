"""From a bundle and frames to explained verdicts: decided again, with a heat map beside each.

Owns a second copy of the model, loaded when it is first asked: the station's engine fetches no picture,
so that explaining costs a line nothing until somebody asks. It runs on the CPU in ONNX Runtime whatever
runs on the line, with that variant or, in place of one for TensorRT, with float32. Used by one thread at
a time, which should not be one that frames wait for: an explanation takes as long as an inference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.bundle import Bundle
from edge_runtime.contracts.frame import Pixels
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.errors import BundleError, UsageError
from edge_runtime.explanation.heatmaps import ClassActivation, Maps
from edge_runtime.policy import Decision

_FLOAT = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One frame's verdict and where it comes from."""

    decision: Decision
    label: str
    """The class that the map speaks for."""
    heat: Maps
    """(height, width) float32 from 0 to 1; 0 everywhere where nothing speaks for the class."""
    hottest: tuple[int, int] | None
    """Column and row of the highest point, in pixels of the model's input; None where there is none."""

    def words(self) -> str:
        """`defect: porosity 0.93; porosity is seen at 143, 88 (column, row)`."""
        decision = self.decision
        score = (
            ""
            if decision.label is None
            else f": {decision.label} {decision.scores[decision.label]:.2f}"
        )
        where = (
            f"nothing in the frame speaks for {self.label}"
            if self.hottest is None
            else f"most of what speaks for {self.label} is around column {self.hottest[0]}, row "
            f"{self.hottest[1]}"
        )
        return f"{decision.outcome.value}{score}; {where}"


class Explainer:
    """Explains frames of one bundle; a context manager."""

    def __init__(self, bundle: Bundle, *, precision: str | None = None, threads: int = 1) -> None:
        """Read what maps are drawn by; the model itself is loaded when first asked.

        Raises BundleError where the bundle's model can have no heat maps.
        """
        classifier = bundle.classifier()
        if classifier is None:
            raise BundleError(
                f"{bundle.path} holds no classifier.json, which heat maps are drawn by: it was built "
                "by an earlier version, or of a network whose head has none; see docs/explaining.md"
            )
        variant = bundle.variant(precision)
        self._variant = variant if variant.target == "cpu" else bundle.variant(_FLOAT)
        self._bundle = bundle
        self._threads = threads
        self._activation = ClassActivation(classifier)
        self._engine: OnnxRuntimeEngine | None = None

    def explain(
        self, frames: Sequence[Pixels], labels: Sequence[str | None] | None = None
    ) -> tuple[Explanation, ...]:
        """An explanation of each frame (height, width, 3) of the model's size.

        `labels` are the classes to look for; None is what is decided. Raises UsageError for a class that
        the model does not know, and EngineError like an engine.
        """
        if not frames:
            return ()
        model = self._bundle.manifest.model
        answer, pictures = self._opened().infer_picture(np.stack(frames))
        rows = policy.probabilities(answer.logits, model.decision.temperature)
        decisions = policy.decide(rows, model)
        wanted = [None] * len(rows) if labels is None else labels
        asked = [
            label or decision.label or model.labels[0]
            for label, decision in zip(wanted, decisions, strict=True)
        ]
        classes = np.array([self._index(label) for label in asked])
        maps = self._activation.maps(pictures, classes, model.input.height, model.input.width)
        return tuple(
            Explanation(decision=decision, label=label, heat=heat, hottest=_hottest(heat))
            for decision, label, heat in zip(decisions, asked, maps, strict=True)
        )

    def close(self) -> None:
        """Release the model; safe to call twice."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self) -> OnnxRuntimeEngine:
        if self._engine is None:
            self._engine = OnnxRuntimeEngine(
                self._bundle.model_file(self._variant),
                self._bundle.manifest.model,
                threads=self._threads,
            )
        return self._engine

    def _index(self, label: str) -> int:
        labels = self._bundle.manifest.model.labels
        if label not in labels:
            raise UsageError(f"the model knows no class {label!r}: choose from {', '.join(labels)}")
        return labels.index(label)


def _hottest(heat: npt.NDArray[np.float32]) -> tuple[int, int] | None:
    if not heat.any():
        return None
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return column, row
