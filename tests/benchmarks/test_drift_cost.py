"""The benchmark of drift in small: a part's whole way, in one process, with and without the watching."""

from pathlib import Path

import numpy as np

from benchmarks.drift_cost import _TURN_PARTS, in_turns, with_answers
from benchmarks.drift_line import record, reference_of
from benchmarks.line_speed import write_crops
from edge_runtime.bundle import open_bundle
from edge_runtime.drift.estimate import FEWEST_PARTS

CROPS = 8
"""Of one turn; at full size there are eight times as many."""


def test_both_sides_take_every_turn_and_the_state_is_timed(tmp_path: Path) -> None:
    (crops := tmp_path / "crops").mkdir()
    write_crops(crops, CROPS)
    reference = with_answers(reference_of(record(505, np.arange(0, 37, 12.0), 10)))
    turns = FEWEST_PARTS // _TURN_PARTS + 1
    found = in_turns(open_bundle("demo"), reference, crops, tmp_path / "state", turns)
    assert {side: len(found[side]) for side in ("on", "off")} == {"on": turns, "off": turns}
    assert all(cpu_ms > 0 for cpu_ms in found["on"] + found["off"])
    assert len(found["state"]) == 1
    assert (tmp_path / "state" / "drift.npz").stat().st_size > 1000
