"""The commands as a person uses them: real processes, a real broker, real signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.cli.main import main
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from tests.patience import listen_until

COMMAND = [sys.executable, "-m", "edge_runtime.cli"]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("EDGE_INSPECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "user-state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


def test_sigterm_drains_and_exits_0(
    broker: PrivateBroker, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    flags = ["--station", "L07-S3", "--bundle", str(make_bundle()), "--broker", broker.address]
    flags += ["--source", "simulated:gen3?seed=7&rate=50", "--state-dir", str(tmp_path / "state")]
    with closing(open_subscriber(broker.address, "inspection/#")) as mes:
        daemon = subprocess.Popen([*COMMAND, *flags], stderr=subprocess.PIPE, text=True)
        try:
            listen_until(mes, lambda seen: sum(m.topic.endswith("/verdict") for m in seen) >= 20)
            daemon.send_signal(signal.SIGTERM)
            time.sleep(0.05)
            daemon.send_signal(signal.SIGTERM)  # as `timeout` does: changes nothing
            _, words = daemon.communicate(timeout=30)
        finally:
            daemon.kill()
            daemon.wait()
        rest = listen_until(mes, lambda seen: seen[-1:] != [] and seen[-1].payload == b"stopped")
    assert daemon.returncode == 0, words
    assert rest[-1].payload == b"stopped"
    summary = words.strip().splitlines()[-1]
    frames, _, verdicts = summary.partition(" frames, ")
    assert frames.split()[-1] == verdicts.split()[0]
    assert "Traceback" not in words


def test_a_configuration_file_and_variables_run_the_daemon(
    broker: PrivateBroker, make_bundle: Callable[..., Path], folder_of_parts: Path, tmp_path: Path
) -> None:
    file = tmp_path / "station.toml"
    file.write_text(f'station = "L07-S3"\nbundle = "{make_bundle()}"\nsource = "dir:/nowhere"\n')
    variables = {"EDGE_INSPECT_SOURCE": f"dir:{folder_of_parts}", "EDGE_INSPECT_FRAMES": "4"}
    done = subprocess.run(
        [*COMMAND, "--config", str(file), "--broker", broker.address],
        env={**os.environ, **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "4 frames, 4 verdicts (ok=4 " in done.stderr
    assert (tmp_path / "user-state" / "edge-inspect" / "L07-S3").is_dir()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--station", "L7"], 2, "expected Lnn-Sn, for example L07-S3"),
        (["--bundle", "/nowhere"], 3, "no bundle at /nowhere"),
        (["--source", "dir:/nowhere"], 4, "/nowhere"),
        (["--source", "carrier-pigeon:7"], 4, "carrier-pigeon"),
        (["--broker", "mqtt://user:secret@host"], 6, "EDGE_INSPECT_MQTT_PASSWORD"),
        (["--engine", "abacus"], 2, "--engine"),
        (["--engine", "tensorrt"], 3, "no variant for TensorRT: build one with"),
        (["--variant", "int4"], 3, "no variant 'int4'"),
        (["--state-dir", "/proc/nowhere"], 7, "/proc/nowhere"),
    ],
)
def test_a_users_mistake_is_one_line_and_an_exit_code(
    flags: list[str],
    code: int,
    words: str,
    make_bundle: Callable[..., Path],
    folder_of_parts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sound = ["--station", "L07-S3", "--bundle", str(make_bundle()), "--state-dir", str(tmp_path)]
    sound += ["--source", f"dir:{folder_of_parts}", "--broker", "memory://mistakes"]
    assert main([*sound, *flags]) == code
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("edge-inspect: ")
    assert words in errors[0]
    assert "secret" not in errors[0]


def test_check_finds_all_well(
    broker: PrivateBroker,
    make_bundle: Callable[..., Path],
    folder_of_parts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--station", "L07-S3", "--bundle", str(make_bundle()), "--state-dir", str(tmp_path)]
    flags += ["--source", f"dir:{folder_of_parts}", "--broker", broker.address]
    assert main(["check", *flags]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", part]
        for part in ("config", "bundle", "quality", "engine", "camera", "state", "broker")
    ]


def test_check_reports_every_problem_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--station", "nonsense", "--bundle", "/nowhere", "--source", "dir:/nowhere"]
    flags += ["--broker", "mqtt://127.0.0.1:1", "--state-dir", "/proc/nowhere"]
    assert main(["check", *flags]) == 2
    out = capsys.readouterr().out
    assert out.count("FAIL") == 5
    for words in (
        "expected Lnn-Sn",
        "no bundle at",
        "no folder at /nowhere",
        "127.0.0.1:1",
        "/proc/",
    ):
        assert words in out


@pytest.mark.parametrize("with_mosquitto", [True, False])
def test_the_demo_counts_every_part_and_leaves_nothing_behind(
    with_mosquitto: bool,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    if not with_mosquitto:
        monkeypatch.setattr("edge_runtime.cli.demo.find_mosquitto", lambda: None)
    flags = ["--frames", "12", "--source", "simulated:gen3?seed=7&rate=100"]
    assert main(["demo", *flags, "--bundle", str(make_bundle())]) == 0
    out = capsys.readouterr().out
    assert "parts=12 verdicts=12 lost=0 duplicated=0 frame-to-PUBACK p50=" in out
    assert ("in-memory broker" in out) == (not with_mosquitto)
    assert sum(line.strip()[:2].strip().isdigit() for line in out.splitlines()) >= 12
    assert list((tmp_path / "tmp").iterdir()) == []


def test_interrupting_the_demo_leaves_no_process_port_or_folder(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    demo = subprocess.Popen(
        [*COMMAND, "demo", "--frames", "100000", "--bundle", str(make_bundle())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONUNBUFFERED": "1"},
    )
    assert demo.stdout is not None
    try:
        for line in demo.stdout:
            if line.strip().startswith("5 "):
                break
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=30)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 0, rest
    assert "lost=0 duplicated=0" in rest
    assert "Traceback" not in rest
    assert list((tmp_path / "tmp").iterdir()) == []
    assert (
        str(tmp_path)
        not in subprocess.run(
            ["ps", "-eo", "args"], capture_output=True, text=True, check=True
        ).stdout
    )


@pytest.mark.parametrize(
    "flags", [["--mqtt-password", "geheim"], ["--mqtt-password=geheim"], ["--mqtt-passwor=geheim"]]
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--station", "L07-S3", *flags])
    assert done.value.code == 2
    told = capsys.readouterr().err
    assert "EDGE_INSPECT_MQTT_PASSWORD or the systemd credential mqtt-password" in told
    assert "geheim" not in told


@pytest.mark.parametrize(
    "flags", [["--help"], ["check", "--help"], ["doctor", "--help"], ["demo", "--help"]]
)
def test_help_shows_examples(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(flags)
    assert done.value.code == 0
    assert "examples:" in capsys.readouterr().out
