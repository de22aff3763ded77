"""Who stays and who goes: the quota, fairness between reasons and kinds, and known probabilities."""

import math
import tracemalloc
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from edge_runtime.contracts.sample import Claim, RandomShare, Reason
from edge_runtime.samples.reservoir import FEW, HALF_LIFE_S, Entry, Reservoir
from tests.edge_runtime.samples.parts import BEGAN

RANDOM = Claim(reason=Reason.RANDOM)
REVIEW = Claim(reason=Reason.UNCERTAIN, kind="crack")
DRIFTED = Claim(reason=Reason.DRIFTED, kind="colour")
KB = 1000


def entry(name: object, *claims: Claim, rank: float = 0.0, size: int = 10 * KB) -> Entry:
    return Entry(name=str(name), bytes=size, rank=rank, claims=claims)


def test_the_quota_holds_whatever_comes() -> None:
    random = np.random.default_rng(1)
    reservoir = Reservoir(500 * KB)
    here: dict[str, int] = {}
    for name in range(3000):
        size = int(random.integers(1, 90)) * KB
        claims = [claim for claim in (RANDOM, REVIEW, DRIFTED) if random.uniform() < 0.4]
        if not claims:
            continue
        room = reservoir.offer(entry(name, *claims, rank=float(random.uniform()), size=size))
        for gone in room.gone:
            here.pop(gone, None)
        if room.claims:
            here[str(name)] = size
        assert reservoir.bytes == sum(here.values()) <= 500 * KB
        assert set(reservoir) == set(here)


def test_one_reason_may_fill_the_disk_and_gives_way_when_others_come() -> None:
    reservoir = Reservoir(1000 * KB)
    for name in range(300):
        reservoir.offer(entry(f"d{name}", DRIFTED, rank=-name))
    assert reservoir.held() == {Reason.DRIFTED: 1000 * KB}
    for name in range(300):
        reservoir.offer(entry(f"r{name}", REVIEW, rank=-name))
        reservoir.offer(entry(f"x{name}", RANDOM, rank=-name))
    held = reservoir.held()
    assert min(held.values()) >= 330 * KB
    assert sum(held.values()) <= 1000 * KB


def test_a_reason_that_asks_for_little_gets_it_whole() -> None:
    reservoir = Reservoir(1000 * KB)
    for name in range(20):
        reservoir.offer(entry(f"r{name}", REVIEW))
    for name in range(5000):
        reservoir.offer(entry(f"d{name}", DRIFTED, rank=-name))
    assert reservoir.held() == {Reason.UNCERTAIN: 200 * KB, Reason.DRIFTED: 800 * KB}


def test_within_a_reason_each_kind_gets_its_share() -> None:
    reservoir = Reservoir(1000 * KB)
    stain = Claim(reason=Reason.UNCERTAIN, kind="stain")
    for name in range(60):
        reservoir.offer(entry(f"s{name}", stain))
    for name in range(2000):
        reservoir.offer(entry(f"c{name}", REVIEW, rank=-name))
    kinds = [reservoir.claims(name)[0].kind for name in reservoir]
    assert kinds.count("stain") == kinds.count("crack") == 50


def test_what_is_kept_for_two_reasons_goes_with_the_last_of_them() -> None:
    reservoir = Reservoir(30 * KB)
    reservoir.offer(entry("both", REVIEW, RANDOM, rank=5.0))
    reservoir.offer(entry("r1", REVIEW, rank=1.0))
    reservoir.offer(entry("r2", REVIEW, rank=2.0))
    room = reservoir.offer(entry("r3", REVIEW, rank=3.0))
    assert (room.gone, room.lessened) == (("r3",), {"both": (RANDOM,)})
    assert reservoir.claims("both") == (RANDOM,)


def test_of_one_rejection_a_few_are_enough() -> None:
    reservoir = Reservoir(10_000 * KB)
    for name in range(100):
        for code in ("blank", "tiny"):
            reservoir.offer(entry(f"{code}{name}", Claim(reason=Reason.REJECTED, kind=code)))
    assert len(reservoir) == 2 * FEW


def test_a_later_claim_is_one_more_reason_to_stay() -> None:
    reservoir = Reservoir(100 * KB)
    reservoir.offer(entry("one", REVIEW))
    wrong = Claim(reason=Reason.DISAGREEING, kind="stain")
    assert reservoir.claim("one", wrong).claims == (REVIEW, wrong)
    assert reservoir.bytes == 10 * KB
    with pytest.raises(KeyError):
        reservoir.claim("two", wrong)


# --- the random samples ---------------------------------------------------------------------------


def drawn(lots: np.ndarray, room: int, spacing_s: float) -> tuple[list[int], np.ndarray]:
    """Which parts are kept, and with which probability, of a line of one part every `spacing_s`."""
    share = RandomShare(most=0.5, half_life_s=HALF_LIFE_S, limit=None)
    reservoir = Reservoir(room, most=room)
    times = [BEGAN + timedelta(seconds=spacing_s * n) for n in range(len(lots))]
    for number, (u, at) in enumerate(zip(lots.tolist(), times, strict=True)):
        rank = share.rank(u, at)
        if u < share.most and reservoir.wants(rank, (RANDOM,)):
            reservoir.offer(entry(number, RANDOM, rank=rank, size=1))
    share = share.model_copy(update={"limit": reservoir.limit})
    kept = sorted(map(int, reservoir))
    return kept, np.array([share.probability(times[number]) for number in kept])


def test_weighted_by_their_probability_the_random_samples_count_right() -> None:
    """Defects become more frequent in 40 days: weighted counts are right on average, plain ones not."""
    random = np.random.default_rng(7)
    parts, weighted, plain = 3000, [], []
    defects = random.uniform(size=parts) < np.linspace(0.02, 0.3, parts)
    for _ in range(60):
        kept, probability = drawn(random.uniform(size=parts), 200, 40 * 86_400 / parts)
        found = defects[kept]
        weighted.append((found / probability).sum())
        plain.append(found.mean() * parts)
    truth = defects.sum()

    def is_off(estimates: list[float]) -> bool:
        error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
        return bool(abs(np.mean(estimates) - truth) > 3.5 * error)

    assert not is_off(weighted)
    assert is_off(plain)  # the control


def test_while_there_is_room_the_probability_is_that_of_the_lot() -> None:
    kept, probability = drawn(np.linspace(0, 0.999, 1000), 10_000, 1.0)
    assert len(kept) == 500
    assert set(probability.tolist()) == {0.5}


def test_recent_parts_are_more_likely_by_the_half_life() -> None:
    share = RandomShare(most=1.0, half_life_s=HALF_LIFE_S, limit=None)
    share = share.model_copy(update={"limit": share.rank(0.1, BEGAN)})
    now = share.probability(BEGAN)
    assert now == pytest.approx(0.1)
    before = share.probability(BEGAN - timedelta(seconds=HALF_LIFE_S))
    assert before / now == pytest.approx(0.5)


# --- a long run -----------------------------------------------------------------------------------


def memory_of(work: Callable[[int], object], parts: int) -> int:
    tracemalloc.start()
    try:
        held = work(parts)  # kept alive while it is measured
        size = tracemalloc.get_traced_memory()[0]
        del held
        return size
    finally:
        tracemalloc.stop()


def test_memory_grows_with_what_is_kept_and_not_with_what_is_offered() -> None:
    def keep(parts: int) -> Reservoir:
        random = np.random.default_rng(2)
        reservoir = Reservoir(50 * 10 * KB)
        for name in range(parts):
            reservoir.offer(entry(name, REVIEW, rank=float(random.uniform())))
        return reservoir

    def keep_all(parts: int) -> list[Entry]:
        return [entry(name, REVIEW) for name in range(parts)]

    grown = memory_of(keep, 9000) - memory_of(keep, 3000)
    assert grown < 20_000
    assert memory_of(keep_all, 9000) - memory_of(keep_all, 3000) > 500_000  # the control
