"""The evidence pack on the disk, as it is written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.contracts.retrain import RetrainRequest
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import StateError
from edge_runtime.retraining.pack import EVIDENCE, Attachment, open_pack, write_pack

NAME = "20260302T142000Z-drift"


def write(state_dir: Path, content: bytes | Path) -> None:
    request = RetrainRequest(
        id=NAME,
        at=datetime(2026, 3, 2, 14, 20, tzinfo=UTC),
        rule="drift",
        words="drift",
        bundle="seam/1.0.0",
        model_sha256="0" * 64,
        source_sha256=None,
        level=DriftLevel.ALARM,
        evidence=NAME,
    )
    files = [Attachment(name="drift.json", content=content)]
    write_pack(state_dir, "site", StationId.parse("L07-S3"), request, files)


def test_one_of_the_same_second_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write(tmp_path, content)
    pack = tmp_path / EVIDENCE / NAME
    assert open_pack(pack).missing == ()
    assert (pack / "drift.json").read_bytes() == b"second"
    assert list(pack.parent.iterdir()) == [pack]


def test_a_pack_that_cannot_be_written_leaves_the_earlier_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, b"first")
    with pytest.raises(
        StateError, match=rf"^cannot write the evidence pack .*{NAME}: No such file or directory$"
    ):
        write(tmp_path, tmp_path / "none")
    pack = tmp_path / EVIDENCE / NAME
    assert (pack / "drift.json").read_bytes() == b"first"
    assert list(pack.parent.iterdir()) == [pack]
