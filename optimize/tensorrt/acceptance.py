"""Whether an engine may run on the device it was measured on, and which of several does. No I/O."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.contracts.device import EngineRecord, LatencyRecord

CUSTOMER_MS = 30.0
"""Milliseconds per image that the line allows, at any batch size; held against the 99th percentile."""
T4_MS = 0.20
"""Milliseconds per image that a T4 is to reach at the largest batch; held against the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an engine is held to."""

    flips: int
    """Verdicts that may differ from the reference's."""
    batch_ms: float | None
    """Median milliseconds per image at the largest batch; None where nothing was agreed."""


def batch_limit(device: str, asked: float | None) -> float | None:
    """The limit at the largest batch: what was asked for, else ours on a T4, else none."""
    if asked is not None:
        return asked
    return T4_MS if re.search(r"\bT4\b", device) else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on an engine."""

    passed: bool
    slow: bool
    """Whether it was its speed that failed it."""
    reason: str


def judge(images: int, flips: int, latency: Sequence[LatencyRecord], limits: Limits) -> Judgement:
    """Hold an engine's answers and times against the limits; an engine not compared does not pass."""
    if not images:
        return Judgement(False, slow=False, reason="no verdict was compared")
    said = f"{flips} of {images} verdicts changed, {limits.flips} were agreed"
    if flips > limits.flips:
        return Judgement(False, slow=False, reason=said)
    worst = max(latency, key=lambda record: record.p99_ms, default=None)
    if worst is None:
        return Judgement(False, slow=True, reason=f"{said}; its latency was not measured")
    if worst.p99_ms > CUSTOMER_MS:
        late = f"p99 is {worst.p99_ms:.1f} ms/image at batch {worst.batch}, the line allows"
        return Judgement(False, slow=True, reason=f"{said}; {late} {CUSTOMER_MS:g}")
    largest = max(latency, key=lambda record: record.batch)
    took = f"{largest.p50_ms:.3f} ms/image at batch {largest.batch}"
    if limits.batch_ms is None:
        return Judgement(True, slow=False, reason=f"{said}; {took}, no limit was agreed for it")
    slow = largest.p50_ms > limits.batch_ms
    return Judgement(
        not slow, slow=slow, reason=f"{said}; {took}, the limit is {limits.batch_ms:g}"
    )


def choose(engines: Sequence[EngineRecord]) -> EngineRecord | None:
    """The fastest of those that passed, at the largest batch; None where none did."""
    return min((engine for engine in engines if engine.passed), key=_batch_ms, default=None)


def explain_choice(engines: Sequence[EngineRecord]) -> str:
    """Why the chosen one is chosen, in words; at least one must have passed."""
    passed = sorted((engine for engine in engines if engine.passed), key=_batch_ms)
    first, *others = passed
    if not others:
        return f"{first.precision} is the only engine that passed"
    ratio = _batch_ms(others[0]) / _batch_ms(first)
    return f"{first.precision} is {ratio:.2f} times as fast as {others[0].precision}; both passed"


def _batch_ms(engine: EngineRecord) -> float:
    return max(engine.latency, key=lambda record: record.batch).p50_ms
