"""The quality gate in a running station: verdicts, counters, the switch, and what `check` says."""

import itertools
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.assembly.intake import open_quality_gate
from edge_runtime.assembly.station import open_station
from edge_runtime.bundle import open_bundle
from edge_runtime.cli.main import main
from edge_runtime.config import StationConfig
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.verdict import Outcome, Verdict
from edge_runtime.errors import BundleError
from edge_runtime.mes.links import open_subscriber
from optimize.quality_limits.trials import gained
from tests.patience import listen_until
from tests.quality_scenes import scene, scenes_reference
from tests.received import by_number
from tests.tiny_bundle import SIDE, png

MakeBundle = Callable[..., Path]
GOOD, DARK = 6, 3
_NAMES = itertools.count()


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Six good parts, three under a lamp that has failed, one that is no picture."""
    (folder := tmp_path / "scenes").mkdir()
    for number in range(GOOD):
        (folder / f"0-{number}.png").write_bytes(png(scene(1000 + number, SIDE)))
    for number in range(DARK):
        dim = gained(scene(2000 + number, SIDE), 0.2, 0.2, 0.2)
        (folder / f"1-{number}.png").write_bytes(png(dim))
    (folder / "2-empty.jpg").write_bytes(b"")
    return folder


def run(bundle: Path, parts: Path, tmp_path: Path, **keys: object) -> tuple[Health, list[Verdict]]:
    config = StationConfig.model_validate(
        {
            "station": "L07-S3",
            "bundle": str(bundle),
            "source": f"dir:{parts}",
            "broker": f"memory://quality-{next(_NAMES)}",
            "state_dir": tmp_path / "state",
            **keys,
        }
    )
    with closing(open_subscriber(config.broker, "inspection/#")) as mes:
        with open_station(config) as station:
            health = station.run(threading.Event())
        seen = listen_until(mes, lambda got: bool(got) and got[-1].payload == b"stopped")
    return health, list(by_number(seen))


def test_a_frame_beyond_a_limit_is_a_verdict_with_its_code_and_is_counted_by_it(
    make_bundle: MakeBundle, parts: Path, tmp_path: Path
) -> None:
    bundle = make_bundle(name="limited", quality=scenes_reference(SIDE))
    health, answers = run(bundle, parts, tmp_path)
    dark = [answer for answer in answers if answer.part_id.startswith("1-")]
    assert len(dark) == DARK
    for answer in dark:
        assert answer.verdict is Outcome.NOT_INSPECTED
        assert (answer.reason or "").startswith("dark: mean grey level ")
        assert (answer.label, answer.timings_ms.infer) == (None, 0)
    assert health.not_inspected == {"dark": DARK, "undecodable": 1}
    assert health.verdicts[Outcome.NOT_INSPECTED] == DARK + 1


@pytest.mark.parametrize("how", ["switched off", "no limits"])
def test_without_the_gate_the_model_sees_every_picture(
    how: str, make_bundle: MakeBundle, parts: Path, tmp_path: Path
) -> None:
    limits = scenes_reference(SIDE) if how == "switched off" else None
    bundle = make_bundle(name="limited", quality=limits)
    health, _ = run(bundle, parts, tmp_path, quality_gate=how != "switched off")
    assert health.not_inspected == {"undecodable": 1}
    assert health.frames == GOOD + DARK + 1


@pytest.mark.parametrize(
    ("source", "watched"),
    [("rtsp://camera/1", True), ("opencv:0", True), ("dir:/parts", False), ("run.avi", False)],
)
def test_only_a_live_camera_is_watched_for_a_picture_that_repeats(
    source: str, watched: bool, make_bundle: MakeBundle, tmp_path: Path
) -> None:
    bundle = open_bundle(make_bundle(name="limited", quality=scenes_reference(SIDE)))
    config = StationConfig(station="L07-S3", source=source, state_dir=tmp_path)
    gate = open_quality_gate(config, bundle, config.sources[0])
    assert gate is not None
    first, again = (gate.examine(scene(1000, SIDE)).rejection for _ in "12")
    assert first is None
    assert (again is not None) == watched


def test_limits_of_another_form_are_refused_with_the_files_name(make_bundle: MakeBundle) -> None:
    made = scenes_reference(SIDE)
    strange = made.model_copy(update={"cost": 7.0})
    with pytest.raises(BundleError, match=r"quality\.json: cost: Input should be less than"):
        open_bundle(make_bundle(name="strange", quality=strange)).quality_reference()


@pytest.mark.parametrize(
    ("limited", "flags", "words"),
    [
        (True, [], "frames are held to limits: dark, overexposed, colour_cast"),
        (True, ["--no-quality-gate"], "switched off (quality_gate = false)"),
        (False, [], "the bundle has no limits"),
    ],
    ids=["limits", "switched off", "no limits"],
)
def test_check_says_whether_frames_are_held_to_limits(
    limited: bool,
    flags: list[str],
    words: str,
    make_bundle: MakeBundle,
    parts: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = make_bundle(name="limited", quality=scenes_reference(SIDE) if limited else None)
    flags += ["--bundle", str(bundle), "--source", f"dir:{parts}", "--station", "L07-S3"]
    main(["check", *flags, "--state-dir", str(tmp_path / "s"), "--broker", "memory://check"])
    line = next(row for row in capsys.readouterr().out.splitlines() if row.split()[1] == "quality")
    assert words in line
