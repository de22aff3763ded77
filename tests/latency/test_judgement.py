"""When a share of time is worse than the baseline, without measuring anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.latency import baselines
from tests.latency.baselines import Baseline
from tests.latency.device_kind import gpus, is_t4, kind
from tests.latency.shares import share_of_time

KNOWN = Baseline(
    kind="amd avx512_vnni",
    engine="onnxruntime",
    batch=1,
    share=0.50,
    tolerance=0.08,
    repeats=(0.49, 0.50, 0.51),
    engine_version="1.28.0",
    device="AMD EPYC",
    bundle="weld-seam/1.0.0",
    measured_at="2026-11-25T19:00:00+00:00",
)


@pytest.mark.parametrize("share", [0.30, 0.50, 0.539])
def test_what_is_faster_or_within_the_noise_passes(share: float) -> None:
    assert baselines.complaint(share, KNOWN) is None


def test_what_is_slower_than_the_noise_is_told_with_the_way_out() -> None:
    said = baselines.complaint(0.55, KNOWN)
    assert said is not None
    for part in ("0.550", "0.500", "0.540", "amd avx512_vnni", "tests.latency.record"):
        assert part in said


def test_the_tolerance_reaches_three_per_cent_beyond_the_worst_repeat() -> None:
    assert baselines.tolerance([0.48, 0.50, 0.54]) == pytest.approx(0.04 / 0.50 + 0.03)


def test_repeats_that_agree_leave_three_per_cent() -> None:
    assert baselines.tolerance([0.5, 0.5, 0.5]) == pytest.approx(0.03)


def test_another_kind_of_device_engine_or_batch_has_no_baseline() -> None:
    assert baselines.find([KNOWN], "amd avx512_vnni", "onnxruntime", 1) is KNOWN
    assert baselines.find([KNOWN], "intel avx512_vnni", "onnxruntime", 1) is None
    assert baselines.find([KNOWN], "amd avx512_vnni", "openvino", 1) is None
    assert baselines.find([KNOWN], "amd avx512_vnni", "onnxruntime", 8) is None


def test_recording_replaces_this_kind_and_keeps_the_others(tmp_path: Path) -> None:
    other, again = replace(KNOWN, kind="arm asimddp"), replace(KNOWN, share=0.4)
    file = tmp_path / "baselines.json"
    baselines.write(baselines.replaced([KNOWN, other], [again]), file)
    assert baselines.read(file) == (again, other)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (
            "vendor_id\t: GenuineIntel\nflags\t\t: sse avx2 avx512bw avx512_vnni\n",
            "intel avx512_vnni",
        ),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: sse avx2\n", "amd avx2"),
        ("Features\t: fp asimd asimddp\nCPU implementer\t: 0x41\n", "arm asimddp"),
        ("", "riscv64"),
    ],
)
def test_a_kind_is_a_maker_and_its_widest_int8_arithmetic(cpuinfo: str, expected: str) -> None:
    assert kind(cpuinfo, "riscv64") == expected


def test_a_t4_is_told_from_what_is_called_alike() -> None:
    listed = gpus("Tesla T4\nNVIDIA T4\n\nNVIDIA T400\nNVIDIA T4G\nNVIDIA H100\n")
    assert [is_t4(name) for name in listed] == [True, True, False, False, False]


def test_the_share_is_the_median_of_paired_turns() -> None:
    class Clock:
        now = 0.0

    class Takes:
        name = "engine 1"

        def __init__(self, *seconds: float) -> None:
            self._seconds = seconds
            self._turn = 0

        def infer(self, _batch: object) -> None:
            Clock.now += self._seconds[self._turn % len(self._seconds)]
            self._turn += 1

        def close(self) -> None: ...

    share = share_of_time(
        Takes(1, 2, 3),  # type: ignore[arg-type]
        Takes(2, 4, 60),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        rounds=9,
        clock=lambda: Clock.now,
    )
    assert share == pytest.approx(0.5)
