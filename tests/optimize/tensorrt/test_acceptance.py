import pytest

from edge_runtime.contracts.device import EngineRecord, LatencyRecord
from optimize.tensorrt.acceptance import Limits, batch_limit, choose, explain_choice, judge
from tests.device_records import LATENCY, engine


def timed(p50_ms: float, batch: int = 32, p99_ms: float | None = None) -> LatencyRecord:
    return LATENCY.model_copy(
        update={"p50_ms": p50_ms, "batch": batch, "p99_ms": p50_ms if p99_ms is None else p99_ms}
    )


def limits(flips: int = 2, batch_ms: float | None = None) -> Limits:
    return Limits(flips=flips, batch_ms=batch_ms)


def made(precision: str, p50_ms: float, *, passed: bool = True) -> EngineRecord:
    return engine(precision, passed=passed, latency=(timed(1.0, 1), timed(p50_ms)))


@pytest.mark.parametrize(
    ("device", "limit"),
    [
        ("Tesla T4", 0.20),
        ("NVIDIA T4", 0.20),
        ("NVIDIA T400", None),
        ("NVIDIA H100 80GB HBM3", None),
        ("GRID T4-16Q", 0.20),
    ],
)
def test_our_own_limit_holds_on_a_t4_alone(device: str, limit: float | None) -> None:
    assert batch_limit(device, None) == limit
    assert batch_limit(device, 0.5) == 0.5


def test_as_many_flips_as_agreed_pass_and_one_more_does_not() -> None:
    assert judge(100, 2, [timed(0.1)], limits()).passed
    failed = judge(100, 3, [timed(0.1)], limits())
    assert not failed.passed
    assert not failed.slow
    assert failed.reason == "3 of 100 verdicts changed, 2 were agreed"


def test_nothing_compared_or_nothing_timed_does_not_pass() -> None:
    assert not judge(0, 0, [timed(0.1)], limits()).passed
    assert not judge(100, 0, [], limits()).passed


def test_the_customers_limit_holds_at_every_batch_size_and_for_the_slow_ones() -> None:
    late = judge(100, 0, [timed(1.0, 1, p99_ms=30.1), timed(0.1)], limits())
    assert not late.passed
    assert late.slow
    assert "p99 is 30.1 ms/image at batch 1, the line allows 30" in late.reason
    assert judge(100, 0, [timed(1.0, 1, p99_ms=30.0), timed(0.1)], limits()).passed


def test_the_agreed_limit_holds_for_the_median_of_the_largest_batch() -> None:
    assert judge(100, 0, [timed(5.0, 1), timed(0.20)], limits(batch_ms=0.20)).passed
    slow = judge(100, 0, [timed(0.1, 1), timed(0.21)], limits(batch_ms=0.20))
    assert not slow.passed
    assert slow.slow
    assert slow.reason.endswith("0.210 ms/image at batch 32, the limit is 0.2")


def test_the_fastest_that_passed_is_chosen_and_why_is_said() -> None:
    slower, faster = made("int8-tensorrt", 0.20), made("fp16-tensorrt", 0.10)
    chosen = choose([slower, faster, made("other", 0.01, passed=False)])
    assert chosen is faster
    assert explain_choice([slower, faster]) == (
        "fp16-tensorrt is 2.00 times as fast as int8-tensorrt; both passed"
    )
    assert "only engine that passed" in explain_choice([slower])
    assert choose([made("int8-tensorrt", 0.1, passed=False)]) is None
