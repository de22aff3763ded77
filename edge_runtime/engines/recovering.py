"""An engine that is opened anew when it has failed several times in a row: what a station runs on.

    station -> RecoveringEngine -> the engine itself

Libraries fail in ways that a new engine mends: a device that was reset, memory that was short, a state
that turned to NaN. Owns what is counted as a failure and when the engine is opened again. Trusts no
engine: whatever it raises becomes an EngineError, and what it answers is checked once more here, since
NaN compares as neither defect nor review.

A batch that fails is not tried again but for once, on an engine just opened. An engine that hangs is not
seen here: that is the watchdog's work (`service.supervisor`).
"""

import logging
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import Inference, InferenceEngine
from edge_runtime.engines.tensors import checked
from edge_runtime.errors import EdgeInspectError, EngineError, first_line

_LOG = logging.getLogger(__name__)
FAILURES = 3
"""Batches in a row: one alone may be the frames' fault, or the moment's."""


class RecoveringEngine:
    """Answers like the engine that `opener` opens. Used by one thread."""

    def __init__(
        self,
        opener: Callable[[], InferenceEngine],
        spec: ModelSpec,
        *,
        failures: int = FAILURES,
        first_pause_s: float = 1.0,
        longest_pause_s: float = 30.0,
    ) -> None:
        """Open it; raises what `opener` raises, which is to open only what answers rightly.

        Pauses between openings double from the first to the longest, and are the first again once a
        batch was answered.
        """
        self._opener = opener
        self._spec = spec
        self._limit = failures
        self._first_pause_s = self._pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._failures = 0
        self._not_before = 0.0
        self._engine: InferenceEngine | None = opener()
        self._name = self._engine.name
        self._closed = False
        self._refusal = "the engine is closed"
        """Why there is none, while there is none."""
        self.reopened = 0
        """How often it was opened anew."""

    @property
    def name(self) -> str:
        return self._name

    def infer(self, batch: npt.NDArray[np.uint8]) -> Inference:
        try:
            answer = self._ask(batch)
        except EngineError:
            if self._closed or not self._due():
                raise
            self._reopen()
            answer = self._ask(batch)
        if self._failures:
            _LOG.info("the engine answers again after %d failures", self._failures)
        self._failures, self._pause_s = 0, self._first_pause_s
        return answer

    def close(self) -> None:
        self._closed = True
        self._refusal = "the engine is closed"
        self._release()

    def _ask(self, batch: npt.NDArray[np.uint8]) -> Inference:
        if self._engine is None:
            raise EngineError(self._refusal)
        try:
            answer = self._engine.infer(batch)
            return checked(answer.logits, answer.features, len(batch), self._spec)
        except EngineError as exc:
            self._count(exc)
            raise
        except Exception as exc:  # supervision edge: an engine is a vendor's code
            said = EngineError(_named(exc))
            self._count(said)
            raise said from exc

    def _count(self, failure: EngineError) -> None:
        self._failures += 1
        if self._failures == 1:
            _LOG.warning("the engine failed: %s", failure)

    def _due(self) -> bool:
        broken = self._engine is None or self._failures >= self._limit
        return broken and time.monotonic() >= self._not_before

    def _reopen(self) -> None:
        """Close it and open another; raises EngineError, and tries again later, when that fails."""
        _LOG.warning("the engine failed %d times in a row and is opened anew", self._failures)
        self._release()  # first, since an accelerator's memory may not hold two
        try:
            self._engine = self._opener()
        except Exception as exc:  # supervision edge: an engine is a vendor's code
            said = str(exc) if isinstance(exc, EdgeInspectError) else _named(exc)
            self._refusal = f"it could not be opened anew: {said}"
            raise EngineError(self._refusal) from exc
        finally:
            self._not_before = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
        self.reopened += 1

    def _release(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            try:
                engine.close()
            except Exception:  # noqa: BLE001 - what fails while it is closed is gone as well
                _LOG.warning("the engine failed while it was closed", exc_info=True)


def _named(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {first_line(exc)}"
