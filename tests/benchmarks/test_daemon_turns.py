"""The daemon with a feature on and off, in small: real daemons and a real broker."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.daemon_turns import on_and_off
from benchmarks.line_speed import write_crops
from edge_runtime.mes.private_broker import find_mosquitto


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
def test_each_side_has_its_throughput_its_cost_and_its_memory_round_by_round(
    tmp_path: Path,
) -> None:
    frames = 60
    write_crops(tmp_path, frames)
    found: dict[str, Any] = on_and_off(
        tmp_path, frames, on=["--samples-mb", "100"], off=["--samples-mb", "0"], rounds=2
    )
    rounds = found["rounds"]
    for side in ("on", "off"):
        assert all(value > 0 for value in rounds[f"images_per_s_{side}"])
        assert all(value > 1 for value in rounds[f"cpu_ms_per_image_{side}"])
        assert all(20 < value < 2000 for value in rounds[f"peak_rss_mb_{side}"])
    assert {len(values) for values in rounds.values()} == {2}
    over = [rounds["images_per_s_on"][n] / rounds["images_per_s_off"][n] for n in (0, 1)]
    throughput = found["throughput_on_over_off"]
    assert (throughput["low"], throughput["high"]) == (min(over), max(over))
    assert found["cpu_on_over_off"]["low"] <= found["cpu_on_over_off"]["high"]
