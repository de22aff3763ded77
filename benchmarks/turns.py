"""Sides of a comparison that take turns, each in a process of its own.

Owns the processes, the turns and what is made of their times: ratios, round by round, with an interval.
What a side does is the business of the benchmark. Every side keeps its own thread pool and its own
caches, so none disturbs another; between two turns there is a pause, in which the threads of the one
before stop spinning. The order is drawn anew each round. A turn's first batch is not timed.
"""

import math
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

_PAUSE_S = 0.03
"""Longer than any of the libraries lets a thread without work spin."""
_TAIL = 0.025
"""Of a 95 % interval, on either side."""

Frames = npt.NDArray[np.uint8]


class Network(Protocol):
    """Frames (N, height, width, 3) uint8 in, logits (N, classes) out."""

    def __call__(self, frames: Frames, /) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A network to be timed; travels to its process by pickle."""

    name: str
    open: Callable[[int], Network]
    """Opens it with that many threads, in its own process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn took, per image."""

    wall_ms: float
    """The median batch's."""
    cpu_ms: float
    """All threads of the process together; hardly moves with what else the machine does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The median of ratios between two sides over the rounds, and its 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


class Process:
    """A side in its own process."""

    def __init__(self, side: Side, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._name = side.name
        self._process = context.Process(target=_serve, args=(theirs, side, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._ask("ready")

    def answer(self, frames: Frames) -> npt.NDArray[np.float32]:
        """The logits of these frames, one by one."""
        return np.asarray(self._ask("answer", frames), np.float32)

    def take_turn(self, frames: Frames, batches: int) -> Turn:
        """Run the batch `frames` once untimed and `batches` times timed."""
        wall, cpu = self._ask("turn", frames, batches)
        return Turn(wall_ms=wall * 1000 / len(frames), cpu_ms=cpu * 1000 / len(frames))

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()

    def _ask(self, *question: object) -> Any:
        self._pipe.send(question)
        try:
            kind, answer = self._pipe.recv()
        except EOFError:
            raise SystemExit(f"the process of {self._name} ended by itself") from None
        if kind == "failed":
            raise SystemExit(f"{self._name}: {answer}")
        return answer


@contextmanager
def processes(sides: Sequence[Side], threads: int) -> Iterator[dict[str, Process]]:
    """All sides, opened with that many threads, by name."""
    opened: dict[str, Process] = {}
    try:
        for side in sides:
            opened[side.name] = Process(side, threads)
        yield opened
    finally:
        for process in opened.values():
            process.close()


def rounds(
    opened: Mapping[str, Process], frames: Frames, *, count: int, batches: int, seed: int = 0
) -> dict[str, list[Turn]]:
    """`count` rounds in which every side takes one turn; the first round is not kept."""
    order = list(opened)
    draw = random.Random(seed)
    turns: dict[str, list[Turn]] = {name: [] for name in opened}
    for number in range(count + 1):
        draw.shuffle(order)
        for name in order:
            time.sleep(_PAUSE_S)
            turn = opened[name].take_turn(frames, batches)
            if number:
                turns[name].append(turn)
    return turns


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Median of the rounds' ratios, with the exact interval that order statistics give a median.

    With fewer than six rounds no pair of them reaches 95 %, and the interval is their whole range.
    """
    found = sorted(a / b for a, b in zip(over, under, strict=True))
    last = len(found) - 1
    cut = max(
        (k for k in range(len(found) // 2) if _at_most_heads(k, len(found)) <= _TAIL), default=0
    )
    return Ratio(median=statistics.median(found), low=found[cut], high=found[last - cut])


def _at_most_heads(most: int, tosses: int) -> float:
    """Probability of at most so many heads in fair tosses."""
    return float(sum(math.comb(tosses, heads) for heads in range(most + 1)) / 2**tosses)


def _serve(pipe: Connection, side: Side, threads: int) -> None:
    network: Network | None = None
    while True:
        try:
            question, *words = pipe.recv()
        except EOFError:
            return
        try:
            if network is None:
                network = side.open(threads)
            if question == "turn":
                pipe.send(("done", _timed(network, *words)))
            elif question == "answer":
                pipe.send(("done", np.concatenate([network(frame[None]) for frame in words[0]])))
            else:
                pipe.send(("done", None))
        except Exception as exc:  # noqa: BLE001 - told to the one who asked, who ends the program
            pipe.send(("failed", f"{type(exc).__name__}: {exc}"))


def _timed(network: Network, frames: Frames, batches: int) -> tuple[float, float]:
    """Median wall seconds and mean CPU seconds of a batch."""
    network(frames)
    walls = []
    cpu = time.process_time()
    for _ in range(batches):
        began = time.perf_counter()
        network(frames)
        walls.append(time.perf_counter() - began)
    return statistics.median(walls), (time.process_time() - cpu) / batches
