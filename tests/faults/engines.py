"""Engines with one fault each, which shows as long as a file exists.

`FaultyEngine` stands before a real engine, so that what it answers without its fault is right.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.assembly import engine as assembly
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.errors import EngineError


class FaultyEngine:
    """Has its fault while `broken` exists; one that is `sick` keeps it until it is opened anew."""

    def __init__(self, engine: InferenceEngine, fault: str, broken: Path) -> None:
        self._engine = engine
        self._fault, self.sick = fault.removeprefix("sick: "), fault.startswith("sick: ")
        self._broken = broken
        self._ill = False

    @property
    def name(self) -> str:
        return self._engine.name

    def infer(self, batch: Any) -> Any:
        self._ill = self._broken.exists() or (self._ill and self.sick)
        if not self._ill:
            return self._engine.infer(batch)
        if self._fault == "hangs":
            while self._broken.exists():
                time.sleep(0.01)
            return self._engine.infer(batch)
        answer = self._engine.infer(batch)
        broken = FAULTS[self._fault](answer.logits)
        if not isinstance(broken, np.ndarray):
            return broken
        return replace(answer, logits=broken)

    def close(self) -> None:
        self._engine.close()
        if self._fault == "fails while it is closed":
            raise RuntimeError("the device is gone")


def _nan(logits: Any) -> Any:
    answer = logits.copy()
    answer[-1, 0] = np.nan
    return answer


def _infinite(logits: Any) -> Any:
    answer = logits.copy()
    answer[:, 0] = np.inf
    return answer


def _raise(_: Any) -> Any:
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nfurther lines")


def _refuse(_: Any) -> Any:
    raise EngineError("the device was reset")


def _no_memory(_: Any) -> Any:
    raise MemoryError("2.1 GiB for an array")


FAULTS: dict[str, Callable[[Any], Any]] = {
    "returns NaN": _nan,
    "returns infinity": _infinite,
    "returns all NaN": lambda logits: np.full_like(logits, np.nan),
    "returns a wrong shape": lambda logits: logits.T,
    "returns too few": lambda logits: logits[:-1],
    "returns nothing": lambda _: None,
    "returns words": lambda _: "ok",
    "raises": _raise,
    "raises its own error": _refuse,
    "has no memory": _no_memory,
    "fails while it is closed": _raise,
}


def break_engines(fault: str, broken: Path) -> list[FaultyEngine]:
    """From now on every engine that a station opens has the fault; those opened are in the list."""
    opened: list[FaultyEngine] = []
    open_engine = assembly.open_engine

    def open_faulty(*arguments: Any) -> InferenceEngine:
        # While it proves itself by the golden frames it is as broken as later.
        opened.append(FaultyEngine(open_engine(*arguments), fault, broken))
        return opened[-1]

    assembly.open_engine = open_faulty
    return opened
