"""`edge-inspect retrain` on the state folder of a station that is not running."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.cli.main import main
from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.contracts.retrain import RetrainRequest
from edge_runtime.contracts.station_id import StationId
from edge_runtime.retraining.memory import write_memory
from edge_runtime.retraining.pack import Attachment, open_pack, write_pack
from edge_runtime.retraining.triggers import Memory


@pytest.fixture
def station(make_bundle: Callable[..., Path], tmp_path: Path) -> list[str]:
    """The flags of a station."""
    flags = ["--station", "L07-S3", "--source", "simulated:gen3", "--state-dir", str(tmp_path)]
    return [*flags, "--bundle", str(make_bundle())]


def ask(bundle: Path, state_dir: Path) -> RetrainRequest:
    """What a daemon leaves that asked."""
    opened = open_bundle(bundle)
    memory = Memory(
        bundle=opened.title, model_sha256=opened.manifest.files["float32.onnx"], requests=()
    )
    request = RetrainRequest(
        id="20260302T142000Z-drift",
        at=datetime(2026, 3, 2, 14, 20, tzinfo=UTC),
        rule="drift",
        words="drift alarm: frames are 600 K colder",
        bundle=opened.title,
        model_sha256=memory.model_sha256,
        source_sha256=None,
        level=DriftLevel.ALARM,
        evidence="20260302T142000Z-drift",
    )
    files = [
        Attachment(name="drift.json", content=b"{}"),
        Attachment(name="reference.json", content=None, reason="the bundle has none"),
    ]
    write_pack(state_dir, "site", StationId.parse("L07-S3"), request, files)
    write_memory(state_dir, memory.model_copy(update={"requests": (request,)}))
    return request


def test_check_tells_each_rule_and_how_it_stands(
    station: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrain", "check", *station, "--retrain-labels", "0"]) == 0
    out = capsys.readouterr().out
    assert "unknown   drift           pictures drift: warning for 24 h or alarm for 1 h" in out
    assert "off       labels          switched off" in out


def test_show_tells_open_requests_and_their_packs(
    station: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrain", "show", *station]) == 0
    assert "no request is open" in capsys.readouterr().out
    request = ask(Path(station[-1]), tmp_path)
    assert main(["retrain", "show", *station]) == 0
    out = capsys.readouterr().out
    assert f"{request.id}: drift alarm" in out
    assert f"evidence: {tmp_path / 'evidence' / request.id}" in out


def test_pack_writes_one_file_that_a_refresh_reads(
    station: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "pack.zip"
    assert main(["retrain", "pack", *station, "--out", str(target)]) == 2
    assert "holds no evidence pack" in capsys.readouterr().err
    request = ask(Path(station[-1]), tmp_path)
    assert main(["retrain", "pack", *station, "--out", str(target)]) == 0
    assert "without reference.json: the bundle has none" in capsys.readouterr().out
    assert open_pack(target).request == request
    assert main(["retrain", "pack", *station, "--id", "other"]) == 2
    assert "no such pack" in capsys.readouterr().err
