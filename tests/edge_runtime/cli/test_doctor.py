"""The doctor as a person and a script meet it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.cli.main import main
from edge_runtime.mes.private_broker import PrivateBroker

PARTS = ["config", "bundle", "quality", "engine", "camera", "state", "broker"]
MACHINE = ["disk", "sync", "clock", "permissions", "libraries"]


@pytest.fixture(autouse=True)
def calm_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of these tests has room, whichever this one has."""
    monkeypatch.setattr("edge_runtime.diagnosis.machine._LEAST_MB", 0)
    monkeypatch.setattr("edge_runtime.diagnosis.machine._HOPELESS_SYNC_S", 60.0)


@pytest.fixture
def sound(
    broker: PrivateBroker, make_bundle: Callable[..., Path], folder_of_parts: Path, tmp_path: Path
) -> list[str]:
    flags = ["--station", "L07-S3", "--bundle", str(make_bundle()), "--state-dir", str(tmp_path)]
    return [*flags, "--source", f"dir:{folder_of_parts}", "--broker", broker.address]


def test_a_sound_station_is_one_table_and_exit_code_0(
    sound: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *sound]) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split() == ["part", "found", "what", "to", "do"]
    begun = [row.split()[:2] for row in rows if row[:1].strip()]
    assert [part for _, part in begun] == PARTS + MACHINE
    assert {mark for mark, _ in begun} <= {"ok", "warn"}


def test_every_line_that_is_not_well_says_what_to_do(
    sound: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["--bundle", "/nowhere", "--broker", "mqtt://127.0.0.1:1", "--source", "dir:/nowhere"]
    assert main(["doctor", "--json", *sound, *wrong]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == 3
    failed = [finding for finding in report["findings"] if finding["grade"] == "FAIL"]
    assert [(f["part"], f["exit_code"]) for f in failed] == [
        ("bundle", 3),
        ("camera", 4),
        ("broker", 6),
    ]
    assert all((f["remedy"] == "") == (f["grade"] == "ok") for f in report["findings"])


def test_a_warning_alone_does_not_fail(
    sound: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.diagnosis.machine._file_system", lambda _: "tmpfs")
    assert main(["doctor", "--json", *sound]) == 0
    grades = {f["part"]: f["grade"] for f in json.loads(capsys.readouterr().out)["findings"]}
    assert grades["sync"] == "warn"


def test_no_row_is_wider_than_the_terminal_and_nothing_is_cut(
    sound: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["doctor", *sound, "--bundle", "/" + "x" * 200])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("x") >= 200
