"""`edge-inspect tail` as a person and a pipe use it: a real process, a real broker, real signals."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.cli.main import main
from edge_runtime.mes.private_broker import PrivateBroker
from tests.scripted_station import TOPICS, ScriptedStation

COMMAND = [sys.executable, "-m", "edge_runtime.cli", "tail", "--site", "plant-1"]


@contextmanager
def tail(address: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "--broker", address, *flags]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def station(broker: PrivateBroker) -> Iterator[ScriptedStation]:
    with ScriptedStation(broker.address) as station:
        station.commit(1, 9)
        yield station


def test_lines_of_json_are_the_verdicts_and_nothing_else(
    broker: PrivateBroker, station: ScriptedStation, tmp_path: Path
) -> None:
    flags = ["--station", "L07-S3", "--json", "--count", "4", "--from-seq", "1"]
    with tail(broker.address, *flags, "--state", str(tmp_path / "state")) as process:
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            station.say(TOPICS.verdict, b"nonsense\x1b[2J")
            station.send(1, 1, 2, 3, 4)
            time.sleep(0.1)
        out, remarks = process.communicate(timeout=20)
    assert process.returncode == 0, remarks
    assert sorted(json.loads(line)["seq"] for line in out.splitlines()) == [1, 2, 3, 4]
    assert "L07-S3 a message on inspection/plant-1/L07/S3/verdict was set aside" in remarks
    assert "\x1b" not in remarks
    assert "verdicts=4 " in remarks.splitlines()[-1]
    assert (tmp_path / "state").exists()


def test_ctrl_c_ends_with_a_summary_and_exit_code_0(
    broker: PrivateBroker, station: ScriptedStation
) -> None:
    with tail(broker.address, "--line", "L07") as process:
        assert process.stdout is not None
        assert process.stdout.readline().split()[:3] == ["station", "seq", "part"]
        station.send(1, 2, 2, 5)
        rows = [process.stdout.readline().split()[:4] for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    assert rows == [["L07-S3", str(seq), f"P-{seq}", "defect"] for seq in (1, 2, 5)]
    assert process.returncode == 0, errors
    assert out.splitlines() == [
        "L07-S3  not heard of  last 5  2 missing (3-4)  1 repeated",
        "verdicts=3 repeated=1 missing=2 lost=0 contradictory=0 malformed=0",
    ]
    assert errors == ""


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--station", "L7"], 2, "expected Lnn-Sn, for example L07-S3"),
        (["--line", "L07-S3"], 2, "malformed"),
        (["--site", "plant/1"], 2, "--site"),
        (["--broker", "mqtt://127.0.0.1:1"], 6, "cannot be reached"),
        (["--broker", "memory://tail", "--state", "/dev/null/state"], 7, "cannot read"),
        (["--to-seq", "9"], 2, "give --station and --from-seq as well"),
        (["--station", "L07-S3", "--from-seq", "9", "--to-seq", "3"], 2, "--to-seq 3 lies before"),
    ],
)
def test_a_users_mistake_is_one_line_and_an_exit_code(
    flags: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", *flags]) == code
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert words in errors[0]


def test_a_whole_daemon_is_followed_from_its_first_verdict_on(
    broker: PrivateBroker,
    make_bundle: Callable[..., Path],
    folder_of_parts: Path,
    tmp_path: Path,
) -> None:
    daemon = ["--station", "L07-S3", "--site", "plant-1", "--bundle", str(make_bundle())]
    daemon += ["--broker", broker.address, "--state-dir", str(tmp_path), "--mqtt-replay"]
    daemon += ["--source", "simulated:gen3?seed=7&rate=20"]
    with subprocess.Popen([sys.executable, "-m", "edge_runtime.cli", *daemon]) as running:
        try:
            # The first verdicts went out before anybody listened; they can only be had by asking.
            with tail(broker.address, "--count", "20") as first:
                first.communicate(timeout=60)
            flags = ["--station", "L07-S3", "--from-seq", "1", "--count", "300", "--json"]
            with tail(broker.address, *flags) as late:
                out, remarks = late.communicate(timeout=60)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)
    verdicts = [json.loads(line) for line in out.splitlines()]
    assert len({verdict["seq"] for verdict in verdicts}) == 300
    replayed = {v["seq"] for v in verdicts if v["delivery"]["lane"] == "replay"}
    assert replayed >= set(range(1, 21))
    assert "is asked for verdicts 1 to " in remarks


def test_a_range_is_shown_alone_and_ends_the_command(
    broker: PrivateBroker, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    daemon = [sys.executable, "-m", "edge_runtime.cli", "--station", "L07-S3", "--site", "plant-1"]
    daemon += ["--bundle", str(make_bundle()), "--broker", broker.address, "--mqtt-replay"]
    daemon += ["--state-dir", str(tmp_path), "--source", "simulated:gen3?seed=7&rate=50"]
    with subprocess.Popen(daemon, stderr=subprocess.PIPE, text=True) as station:
        try:
            with tail(broker.address, "--station", "L07-S3", "--count", "20") as process:
                process.communicate(timeout=60)
            flags = ["--station", "L07-S3", "--from-seq", "3", "--to-seq", "11", "--json"]
            with tail(broker.address, *flags) as process:
                out, remarks = process.communicate(timeout=60)
        finally:
            station.terminate()
            station.communicate(timeout=60)
    assert process.returncode == 0, remarks
    assert sorted(json.loads(line)["seq"] for line in out.splitlines()) == list(range(3, 12))
    assert "is asked for verdicts 3 to 11 again" in remarks
    assert " missing=0 " in remarks, "what comes after the range was not wanted"
