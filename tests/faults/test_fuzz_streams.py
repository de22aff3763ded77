"""No stream of a network camera does harm: the short form of `tests.faults.fuzz_streams`."""

import time
from contextlib import closing
from pathlib import Path

from edge_runtime.capture.camera import CaptureCamera
from edge_runtime.contracts.frame import Frame
from tests.faults.fuzz_streams import LATE_S, Found, _read, fuzz, stream
from tests.faults.sources import open_faulty
from tests.patience import eventually


def test_damaged_streams_keep_no_read_waiting_and_a_sound_one_is_read_afterwards() -> None:
    found = fuzz(3, seed=1)
    assert found.defects == ()
    assert found.restarts >= 3
    assert found.outcomes["pixels"] > 0


def test_control_a_read_that_is_late_is_caught(tmp_path: Path) -> None:
    found = Found(streams=0, back_s=0.0)
    with closing(CaptureCamera(f"none at all:{tmp_path}", opener=open_faulty)) as camera:
        read = camera.read

        def late(timeout_s: float) -> Frame | None:
            time.sleep(LATE_S + 0.1)
            return read(timeout_s)

        camera.read = late  # type: ignore[method-assign]
        _read(camera, found)
    assert [defect for defect in found.defects if "late" in defect]


def test_control_a_process_that_swells_is_caught(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    found = Found(streams=0, back_s=0.0)
    with closing(CaptureCamera(f"swells:{tmp_path}", opener=open_faulty)) as camera:
        assert eventually(lambda: _read(camera, found) and found.most_mb > 500)
    assert [defect for defect in found.defects if "the camera's process took" in defect]


def test_a_finding_can_be_had_again_by_its_number() -> None:
    assert [*stream(1, 5, damaged=True)] == [*stream(1, 5, damaged=True)]
