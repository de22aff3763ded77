"""`edge-inspect record`, and a station that inspects the recording."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.assembly.station import open_station
from edge_runtime.cameras.recorded import RecordedCamera
from edge_runtime.cameras.recording import INDEX
from edge_runtime.cameras.simulated import SimulatedCamera
from edge_runtime.cameras.sources import parse_source
from edge_runtime.cli.main import main
from edge_runtime.config import StationConfig
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.mes.links import open_subscriber
from tests.patience import eventually, listen_until
from tests.received import by_number
from tests.reliability.disk import small_disk, why_no_small_disk

LINE = "simulated:gen3?seed=4"


def replayed(folder: Path) -> list[Frame]:
    with closing(RecordedCamera(folder, speed=0.0)) as camera:
        count = len((folder / INDEX).read_bytes().splitlines())
        frames = [camera.read(0.0) for _ in range(count)]
    return [frame for frame in frames if frame is not None]


def test_a_session_replays_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "session"
    assert main(["record", "--source", LINE, "--out", str(out), "--frames", "40"]) == 0
    assert "40 frames in" in capsys.readouterr().out
    with closing(SimulatedCamera(seed=4)) as line:
        expected = [frame for frame in (line.read(0.0) for _ in range(40)) if frame]
    frames = replayed(out)
    assert [frame.part_id for frame in frames] == [frame.part_id for frame in expected]
    assert [frame.image for frame in frames] == [frame.image for frame in expected]


def test_what_was_simulated_stays_simulated_and_is_inspected_as_it_was(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    out, again = tmp_path / "session", tmp_path / "again"
    assert main(["record", "--source", LINE, "--out", str(out), "--frames", "200"]) == 0
    replay = f"recording:{out}?speed=0"
    assert main(["record", "--source", replay, "--out", str(again)]) == 0, "until its end"
    assert parse_source(f"recording:{again}").simulated
    bundle = str(make_bundle())
    answers = {}
    for source in (LINE, replay, f"recording:{again}?speed=0&process=1"):
        config = StationConfig(
            station="L07-S3",
            bundle=bundle,
            source=source,
            broker=f"memory://record-{len(answers)}",
            state_dir=tmp_path / f"state-{len(answers)}",
            frames=200,
        )
        with closing(open_subscriber(config.broker, "inspection/#")) as mes:
            with open_station(config) as station:
                station.run(threading.Event())
            messages = listen_until(
                mes, lambda seen: seen[-1:] != [] and seen[-1].payload == b"stopped"
            )
        answers[source] = [
            (verdict.part_id, verdict.verdict, verdict.reason, verdict.is_simulated)
            for verdict in by_number(messages)
        ]
    first, *others = answers.values()
    assert len(first) == 200
    assert any(outcome is Outcome.NOT_INSPECTED for _, outcome, _, _ in first), "damage is kept"
    assert all(simulated for *_, simulated in first)
    assert others == [first, first]


def test_a_folder_of_taken_images_is_not_simulated_and_stays(
    folder_of_parts: Path, tmp_path: Path
) -> None:
    before = sorted(path.name for path in folder_of_parts.iterdir())
    source = f"dir:{folder_of_parts}?watch=1&done=delete"
    out = tmp_path / "session"
    assert main(["record", "--source", source, "--out", str(out), "--frames", "11"]) == 0
    assert not parse_source(f"recording:{out}").simulated
    assert sorted(path.name for path in folder_of_parts.iterdir()) == before


def test_after_sigkill_what_is_there_replays(tmp_path: Path) -> None:
    out = tmp_path / "session"
    command = [sys.executable, "-m", "edge_runtime.cli", "record", "--source", LINE]
    with subprocess.Popen([*command, "--out", str(out)]) as recorder:
        assert eventually(lambda: (out / INDEX).exists() and (out / INDEX).stat().st_size > 20_000)
        recorder.send_signal(signal.SIGKILL)
    frames = replayed(out)
    assert len(frames) > 50
    assert all(isinstance(frame.image, bytes) for frame in frames)


def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    out = tmp_path / "session"
    command = [sys.executable, "-m", "edge_runtime.cli", "record", "--source", f"{LINE}&rate=100"]
    with subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.PIPE, text=True
    ) as recorder:
        assert eventually(lambda: (out / INDEX).exists() and (out / INDEX).stat().st_size > 2_000)
        os.kill(recorder.pid, signal.SIGTERM)
        said, _ = recorder.communicate(timeout=30)
    assert recorder.returncode == 0
    assert "; stopped" in said


def test_it_is_bounded_by_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "session"
    assert main(["record", "--source", LINE, "--out", str(out), "--megabytes", "0.1"]) == 0
    assert "the limit of 0.1 MB is reached (--megabytes)" in capsys.readouterr().out
    assert 100_000 <= sum(path.stat().st_size for path in out.glob("frames/*")) < 200_000


def test_a_full_disk_ends_it_in_one_line_and_what_is_there_replays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if reason := why_no_small_disk():
        pytest.skip(reason)
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        out = disk.path / "session"
        assert main(["record", "--source", LINE, "--out", str(out)]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert "frames, which can be replayed (No space left on device): free space" in line
        assert len(replayed(out)) > 20


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--frames", "0"], 2, "--frames 0 leaves nothing to record"),
        (["--seconds", "-1"], 2, "--seconds -1.0 leaves nothing to record"),
        (["--source", "opencv:97"], 4, "looked for /dev/video97"),
        (["--source", "recording:nowhere"], 4, "holds no recording"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_folder(
    words: list[str],
    code: int,
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["record", "--source", LINE, "--out", str(tmp_path / "out"), *words]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert problem in line
    assert not (tmp_path / "out").exists()


def test_a_source_that_gives_nothing_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    source, out = f"dir:{drop}?watch=1", str(tmp_path / "out")
    assert main(["record", "--source", source, "--out", out, "--seconds", "0.3"]) == 4
    assert "gave no frame (as long as was asked for)" in capsys.readouterr().err
