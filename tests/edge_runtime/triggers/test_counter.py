import time
from datetime import UTC, datetime

import pytest

from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError
from edge_runtime.triggers.counter import MOST_LOST, FrameCounter


def frame(counter: int | None, part_id: str | None = None) -> Frame:
    return Frame(
        part_id=part_id or f"SN1-{counter:08d}",
        captured_at=datetime.now(UTC),
        arrived=time.monotonic(),
        image=Unreadable(""),
        counter=counter,
    )


def announced(counter: FrameCounter, *numbers: int) -> list[tuple[str, str | None]]:
    return [
        (part.part_id, part.lost)
        for number in numbers
        for part in counter.shown(frame(number)).announced
    ]


def test_a_gap_is_parts_that_passed_unseen() -> None:
    assert announced(FrameCounter(), 4, 7, 8) == [
        ("SN1-00000004", None),
        ("SN1-00000005", "frame_lost: number 5 did not come"),
        ("SN1-00000006", "frame_lost: number 6 did not come"),
        ("SN1-00000007", None),
        ("SN1-00000008", None),
    ]


def test_a_camera_that_counts_from_the_start_again_has_lost_nothing_that_is_known_of() -> None:
    counter = FrameCounter()
    keys = [counter.shown(frame(number)).key for number in (8, 9, 1, 2)]
    assert keys == ["0:8", "0:9", "1:1", "1:2"]


def test_a_camera_gone_mad_does_not_announce_parts_without_end() -> None:
    assert len(announced(FrameCounter(), 1, MOST_LOST + 2)) == MOST_LOST + 2
    assert len(announced(FrameCounter(), 1, MOST_LOST + 3)) == 2


def test_where_ids_do_not_hold_the_number_the_lost_ones_say_it() -> None:
    counter = FrameCounter()
    counter.shown(frame(1, "a"))
    assert [p.part_id for p in counter.shown(frame(3, "b")).announced] == ["b lost 2", "b"]


def test_a_camera_that_does_not_count_is_refused_in_one_line() -> None:
    with pytest.raises(CameraError, match="carries no number, which trigger = camera goes by"):
        FrameCounter().shown(frame(None, "opencv0-1"))
