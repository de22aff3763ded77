"""The unit, its drop-in and the example configuration, judged by those who will read them."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.cameras.sources import parse_source
from edge_runtime.config import StationConfig, load_config
from edge_runtime.mes.credentials import KEY_CREDENTIAL, PASSWORD_CREDENTIAL

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = "edge-inspect@.service"
PROGRAM = "/opt/edge-inspect/bin/edge-inspect"
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy whose program exists here: `verify` looks for the executable on this machine."""
    text = (SYSTEMD / UNIT).read_text()
    assert text.count(PROGRAM) == 1
    copy = tmp_path / UNIT
    copy.write_text(text.replace(PROGRAM, sys.executable))
    return copy


@needs_analyze
def test_systemd_accepts_the_unit_without_a_word(unit: Path) -> None:
    verdict = analyze("verify", "--man=no", unit)
    assert (verdict.returncode, complaints(verdict.stderr)) == (0, [])


@needs_analyze
def test_systemd_would_object_to_a_misspelt_setting(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("TimeoutStopSec=", "TimeoutStopSecs="))
    assert complaints(analyze("verify", "--man=no", unit).stderr)


@needs_analyze
def test_the_unit_is_closed_but_for_its_stated_exceptions(unit: Path) -> None:
    verdict = analyze("security", "--offline=true", "--threshold=30", "--no-pager", unit)
    assert "overall exposure" in verdict.stdout.lower()
    assert verdict.returncode == 0, verdict.stdout[-300:]


@needs_analyze
def test_with_a_gpu_it_is_closed_as_well(unit: Path) -> None:
    drop_in = unit.with_name(f"{UNIT}.d") / "nvidia.conf"
    drop_in.parent.mkdir()
    shutil.copy(SYSTEMD / f"{UNIT}.d" / drop_in.name, drop_in)
    verdict = analyze("verify", "--man=no", unit)
    assert (verdict.returncode, complaints(verdict.stderr)) == (0, [])
    verdict = analyze("security", "--offline=true", "--threshold=30", "--no-pager", unit)
    assert "nvidia" in verdict.stdout, "the drop-in was looked at"
    assert verdict.returncode == 0, verdict.stdout[-300:]


@needs_analyze
def test_control_a_unit_without_its_hardening_is_over_the_limit(unit: Path) -> None:
    kept = [
        line
        for line in unit.read_text().splitlines()
        if not line.startswith(("Protect", "Restrict", "SystemCall", "DynamicUser", "Capability"))
    ]
    unit.write_text("\n".join(kept))
    verdict = analyze("security", "--offline=true", "--threshold=30", "--no-pager", unit)
    assert verdict.returncode != 0


@pytest.mark.skipif(
    shutil.which("systemd-tmpfiles") is None or os.geteuid() != 0,
    reason="systemd-tmpfiles is not installed, or this is not root",
)
def test_systemd_makes_the_group_and_the_folders_and_closes_the_secrets(tmp_path: Path) -> None:
    for folder in ("etc/edge-inspect", "srv"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    key, configuration = (
        tmp_path / "etc/edge-inspect" / f"L07-S3.{kind}" for kind in ("key", "toml")
    )
    for file in (key, configuration):
        file.touch(mode=0o644)
    for command in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        snippet = SYSTEMD / f"{command[0].removeprefix('systemd-')}.d" / "edge-inspect.conf"
        subprocess.run([*command, f"--root={tmp_path}", snippet], check=True, timeout=60)
    groups = dict(
        line.split(":")[::2] for line in (tmp_path / "etc/group").read_text().splitlines()
    )
    drop = (tmp_path / "srv/edge-inspect").stat()
    assert (stat.S_IMODE(drop.st_mode), str(drop.st_gid)) == (0o2770, groups["edge-inspect"])
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o644


def test_every_group_of_the_unit_is_debians_or_made_here() -> None:
    (groups,) = re.findall(
        r"^SupplementaryGroups=(.*)$", (SYSTEMD / UNIT).read_text(), re.MULTILINE
    )
    made = re.findall(
        r"^g (\S+)", (SYSTEMD / "sysusers.d" / "edge-inspect.conf").read_text(), re.MULTILINE
    )
    assert set(groups.split()) == {"video", *made}


def test_the_watchdog_knows_of_a_stall_within_ten_seconds() -> None:
    text = (SYSTEMD / UNIT).read_text()
    (watchdog_s,) = re.findall(r"^WatchdogSec=(\d+)$", text, re.MULTILINE)
    assert 1.5 * int(watchdog_s) <= 10
    assert "Type=notify\n" in text


def test_every_variable_of_the_example_environment_is_a_key() -> None:
    text = (SYSTEMD / "L07-S3.env.example").read_text()
    variables = re.findall(r"^# (EDGE_INSPECT_\w+)=(\S+)$", text, re.MULTILINE)
    assert variables
    load_config({"station": "L07-S3", "source": "none"}, dict(variables), None)


def complaints(stderr: str) -> list[str]:
    """What `verify` says about our unit; it reads the machine's other units as well."""
    return [line for line in stderr.splitlines() if "edge-inspect" in line]


def test_the_unit_names_its_instance_wherever_a_station_is_meant() -> None:
    text = (SYSTEMD / UNIT).read_text()
    command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert command is not None
    assert command[1] == f"{PROGRAM} --station %i --config /etc/edge-inspect/%i.toml"
    assert "StateDirectory=edge-inspect/%i\n" in text


def test_every_credential_is_one_the_daemon_knows_and_may_be_absent() -> None:
    text = (SYSTEMD / UNIT).read_text()
    loaded = re.findall(r"^LoadCredential=([a-z-]+):/etc/edge-inspect/%i\.", text, re.MULTILINE)
    blank = re.findall(r"^SetCredential=([a-z-]+):\\n$", text, re.MULTILINE)
    assert loaded == blank == [PASSWORD_CREDENTIAL, KEY_CREDENTIAL]


def test_the_example_configuration_is_accepted_and_complete(tmp_path: Path) -> None:
    text = (SYSTEMD / "L07-S3.toml.example").read_text()
    config = load_config({"state_dir": tmp_path}, {}, SYSTEMD / "L07-S3.toml.example")
    assert config.station == "L07-S3"
    everything = tmp_path / "everything.toml"
    everything.write_text(re.sub(r"^# ([a-z_.]+ = )", r"\1", text, flags=re.MULTILINE))
    config = load_config({}, {}, everything)
    assert config.model_fields_set == set(StationConfig.model_fields) - {"frames"}


def test_every_source_the_example_names_can_be_parsed() -> None:
    text = (SYSTEMD / "L07-S3.toml.example").read_text()
    sources = re.findall(r'^#   "([^"]+)"', text, re.MULTILINE)
    assert [parse_source(source).scheme for source in sources] == [
        "opencv",
        "rtsp",
        "dir",
        "file",
        "simulated",
    ]
