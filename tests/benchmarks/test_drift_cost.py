"""The benchmark of drift in small: a part's whole way, in one process, with and without the watching."""

from pathlib import Path

from benchmarks.drift_cost import _TURN_PARTS, in_turns, microseconds
from benchmarks.line_speed import write_crops
from edge_runtime.drift.estimate import FEWEST_PARTS

CROPS = 8
"""Of one turn; at full size there are eight times as many."""


def test_every_side_takes_every_turn_and_the_state_is_timed(tmp_path: Path) -> None:
    (crops := tmp_path / "crops").mkdir()
    write_crops(crops, CROPS)
    turns = FEWEST_PARTS // (2 * _TURN_PARTS) + 1
    found, states = in_turns(crops, tmp_path / "state", turns)
    assert {len(taken) for taken in found.values()} == {turns}
    assert len(found) == 4
    assert all(cpu_ms > 0 for taken in found.values() for cpu_ms in taken)
    assert len(states) == 1
    assert (tmp_path / "state" / "drift.npz").stat().st_size > 1000


def test_each_step_of_watching_is_timed_by_itself(tmp_path: Path) -> None:
    write_crops(tmp_path, 2)
    found = microseconds(tmp_path, 1)
    assert all(us > 0 for us in found["microseconds_per_part"].values())
    held = found["bytes_of_state"]
    assert 0 < held["of_which_the_features_reference"] < held["features"]
