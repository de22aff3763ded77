"""Installing the unit and what belongs to it, below a root of the test's own."""

import stat
import sys
from pathlib import Path

import pytest

from edge_runtime.cli.main import main
from edge_runtime.config import load_config
from edge_runtime.contracts.station_id import StationId
from edge_runtime.service.installation import plan

PROGRAM = "/opt/vision/bin/edge-inspect"
UNIT = "etc/systemd/system/edge-inspect@.service"


def install(root: Path, *more: str) -> int:
    words = ["install-service", "--station", "L01-S2", "--root", str(root), "--program", PROGRAM]
    return main([*words, *more])


def files(root: Path) -> set[str]:
    return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "--dry-run") == 0
    assert capsys.readouterr().out.count("write ") == 6
    assert files(tmp_path) == set()


def test_everything_is_written_for_the_station_that_was_named(tmp_path: Path) -> None:
    assert install(tmp_path) == 0
    assert files(tmp_path) == {
        UNIT,
        f"{UNIT}.d/restart-steps.conf",
        "etc/sysusers.d/edge-inspect.conf",
        "etc/tmpfiles.d/edge-inspect.conf",
        "etc/edge-inspect/L01-S2.toml",
        "etc/edge-inspect/L01-S2.env",
    }
    assert f"ExecStart={PROGRAM} --station %i" in (tmp_path / UNIT).read_text()
    toml = tmp_path / "etc/edge-inspect/L01-S2.toml"
    assert load_config({}, {}, toml).station == "L01-S2"
    for file in (toml, toml.with_suffix(".env")):
        assert "L07" not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_gpu_is_opened_only_where_it_is_asked_for(tmp_path: Path) -> None:
    assert install(tmp_path) == 0
    assert f"{UNIT}.d/nvidia.conf" not in files(tmp_path)
    assert install(tmp_path, "--nvidia") == 0
    assert "\nDeviceAllow=char-nvidia* rw\n" in (tmp_path / f"{UNIT}.d/nvidia.conf").read_text()


def test_without_a_station_there_is_no_configuration(tmp_path: Path) -> None:
    assert main(["install-service", "--root", str(tmp_path), "--program", PROGRAM]) == 0
    assert UNIT in files(tmp_path)
    assert not (tmp_path / "etc/edge-inspect").exists()


def test_installing_again_changes_nothing_and_keeps_the_configuration(tmp_path: Path) -> None:
    install(tmp_path)
    toml = tmp_path / "etc/edge-inspect/L01-S2.toml"
    toml.write_text('station = "L01-S2"\n')
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    assert install(tmp_path) == 0
    assert install(tmp_path, "--replace") == 0
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_a_changed_unit_stops_it_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path)
    unit = tmp_path / UNIT
    changed = unit.read_text().replace("WatchdogSec=6", "WatchdogSec=20")
    unit.write_text(changed)
    (tmp_path / "etc/sysusers.d/edge-inspect.conf").unlink()
    assert install(tmp_path) == 2
    assert "--replace" in capsys.readouterr().err
    assert unit.read_text() == changed
    assert "etc/sysusers.d/edge-inspect.conf" not in files(tmp_path)

    assert install(tmp_path, "--dry-run") == 0
    assert "-WatchdogSec=20" in capsys.readouterr().out


def test_what_is_replaced_is_kept_beside_each_time(tmp_path: Path) -> None:
    install(tmp_path)
    unit = tmp_path / UNIT
    for words in ("first", "second"):
        unit.write_text(words)
        assert install(tmp_path, "--replace") == 0
    assert unit.with_name(f"{unit.name}.before").read_text() == "first"
    assert unit.with_name(f"{unit.name}.before2").read_text() == "second"
    assert "WatchdogSec=6" in unit.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--station", "L7"], "expected Lnn-Sn"),
        (["--program", "/home/me/bin/edge-inspect"], "/opt/edge-inspect"),
        (["--program", "/opt/my vision/edge-inspect"], "choose another place"),
    ],
)
def test_what_could_not_work_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(tmp_path, *words) == 2
    assert said in capsys.readouterr().err
    assert files(tmp_path) == set()


def test_a_root_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc").write_text("in the way")
    assert install(tmp_path) == 7
    assert str(tmp_path / "etc") in capsys.readouterr().err


def test_the_program_of_this_environment_is_what_the_unit_runs_unless_told_otherwise(
    tmp_path: Path,
) -> None:
    program = Path(sys.executable).with_name("edge-inspect")
    unit, *_ = plan(tmp_path, station=StationId.parse("L01-S2"), program=program)
    assert f"ExecStart={program} " in unit.text
