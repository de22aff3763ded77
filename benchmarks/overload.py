"""What overload does to a station's parts: `python -m benchmarks.overload`.

In simulated time, so that neither this machine nor its load is in the figures: the batcher itself, with
parts that come at a multiple of what an engine can do in full batches, and engines that take what they
are said to, a fifth more or less, and one inference in a hundred five times as long. Beside it the same
batcher held to one of its two plans, one that expects inferences to take longer than they do on average,
and a queue that sheds nothing.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.setting import setting, write_result
from edge_runtime.batcher import MicroBatcher
from edge_runtime.pace import Pace

MAX_BATCH = 8
RATES = (0.7, 1.5, 3.0)
"""Multiples of the sustainable rate."""
DEADLINES = (2.0, 4.0)
"""In full batches."""
PARTS = 1500
SEEDS = 5
RECOVERY_PARTS = 400
"""At half of the sustainable rate, after the overload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What an inference takes: something by itself and something for each frame, seconds."""

    name: str
    fixed_s: float
    each_s: float

    def takes_s(self, frames: int) -> float:
        return self.fixed_s + self.each_s * frames


ENGINES = (
    Engine(name="processor: 1 ms and 6 ms a frame", fixed_s=0.001, each_s=0.006),
    Engine(name="accelerator: 8 ms and 0.2 ms a frame", fixed_s=0.008, each_s=0.0002),
)


class PromptAlone(MicroBatcher[int]):
    """Always as large as the first deadline allows."""

    _plan_full = MicroBatcher._plan_prompt


class FullAlone(MicroBatcher[int]):
    """Always full batches."""

    _plan_prompt = MicroBatcher._plan_full


class Cautious(Pace):
    """Expects a quarter more than the average."""

    def expected_s(self, frames: int) -> float:
        return 1.25 * super().expected_s(frames)


POLICIES: dict[str, tuple[Callable[[], MicroBatcher[int]], bool]] = {
    "as shipped": (lambda: MicroBatcher(MAX_BATCH, 0.005), True),
    "urgent ones alone": (lambda: PromptAlone(MAX_BATCH, 0.005), True),
    "full batches alone": (lambda: FullAlone(MAX_BATCH, 0.005), True),
    "with a margin": (lambda: MicroBatcher(MAX_BATCH, 0.005, pace=Cautious()), True),
    "nothing shed": (lambda: MicroBatcher(MAX_BATCH, 0.005, capacity=10**6), False),
}


@dataclass(slots=True)
class Outcome:
    """What became of the parts, by their number."""

    in_time: set[int] = field(default_factory=set)
    answered_s: dict[int, float] = field(default_factory=dict)
    """From arrival to whatever answer."""


def play(engine: Engine, deadline: float, rate: float, policy: str, seed: int) -> dict[str, float]:
    """One run; shares are of the parts under overload."""
    rng = np.random.default_rng(seed)
    make, sheds = POLICIES[policy]
    batcher, outcome = make(), Outcome()
    full_s = engine.takes_s(MAX_BATCH)
    allowed_s = deadline * full_s
    period_s = full_s / MAX_BATCH
    gaps = np.concatenate(
        (
            rng.exponential(period_s / rate, PARTS),
            rng.exponential(2 * period_s, RECOVERY_PARTS),
        )
    )
    arrivals, free_at, done = np.cumsum(gaps), 0.0, 0

    def work(until: float) -> None:
        nonlocal free_at, done
        while len(batcher):
            begins = max(free_at, now + (batcher.wait_s(now) or 0.0))
            if begins > until:
                return
            taken = batcher.take(begins)
            for shed in taken.shed:
                # As the station does: at its deadline a part is answered, done or not.
                outcome.answered_s[shed.item] = min(begins - arrivals[shed.item], allowed_s)
            if not taken.batch:
                continue
            slow = 5.0 if rng.uniform() < 0.01 else rng.uniform(0.8, 1.2)
            took_s = slow * engine.takes_s(len(taken.batch))
            batcher.learn(len(taken.batch), took_s)
            free_at = begins + took_s
            done += len(taken.batch)
            for item in taken.batch:
                waited_s = float(free_at - arrivals[item])
                outcome.answered_s[item] = min(waited_s, allowed_s) if sheds else waited_s
                if waited_s <= allowed_s:
                    outcome.in_time.add(item)

    now = 0.0
    for number, arrival in enumerate(arrivals):
        work(float(arrival))
        now = float(arrival)
        displaced = batcher.offer(number, now, now + allowed_s if sheds else math.inf)
        if displaced is not None:
            outcome.answered_s[displaced.item] = now - arrivals[displaced.item]
    work(math.inf)
    overloaded = [outcome.answered_s[number] for number in range(PARTS)]
    late = [n - PARTS for n in range(PARTS, len(arrivals)) if n not in outcome.in_time]
    return {
        "inspected_in_time": len([n for n in outcome.in_time if n < PARTS]) / PARTS,
        "of_what_was_possible": len([n for n in outcome.in_time if n < PARTS])
        / min(PARTS, PARTS / rate),
        "p99_in_deadlines": float(np.percentile(overloaded, 99)) / allowed_s,
        "missed_after_overload": len(late) / RECOVERY_PARTS,
    }


def main() -> None:
    """Play all, print a table, write `docs/results/overload.json`."""
    rows = []
    print(f"{'engine':38} deadline rate {'policy':20} in time  of possible  p99  missed after")
    for engine, deadline, rate, policy in itertools.product(ENGINES, DEADLINES, RATES, POLICIES):
        runs = [play(engine, deadline, rate, policy, seed) for seed in range(SEEDS)]
        row = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
        about = {"engine": engine.name, "deadline": deadline, "rate": rate, "policy": policy}
        rows.append({**about, **row})
        print(
            f"{engine.name:38} {deadline:8.1f} {rate:4.1f} {policy:20} {row['inspected_in_time']:7.3f} "
            f"{row['of_what_was_possible']:12.3f} {row['p99_in_deadlines']:4.1f} "
            f"{row['missed_after_overload']:13.3f}",
            flush=True,
        )
    write_result(
        "overload",
        {
            **setting("numpy"),
            "simulated_time": True,
            "max_batch": MAX_BATCH,
            "parts": PARTS,
            "seeds": SEEDS,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
