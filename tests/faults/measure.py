"""How soon each fault is known and mended, and what it leaves behind, on the daemon as it ships.

    python -m tests.faults.measure

Each fault is done to a daemon of its own at a mosquitto of its own, with the limits that a station has
by default: it runs, is broken, says so, is mended and comes back; then it is stopped and reckoned up.
Writes `docs/results/faults.json` and the table in `docs/faults.md`.
"""

import argparse
import logging
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

from benchmarks.setting import setting, write_result
from edge_runtime.mes.private_broker import PrivateBroker
from tests.faults.belongings import Belongings
from tests.faults.daemon import program
from tests.faults.memory import MemoryGroup, memory_group, why_no_memory_group
from tests.faults.outcomes import Outcomes
from tests.faults.sources import FAULTS as CAMERA_FAULTS
from tests.patience import eventually
from tests.reliability.daemon import PRODUCT, Daemon, Station
from tests.reliability.disk import SmallDisk, small_disk, why_no_small_disk
from tests.reliability.kills import DURABLE
from tests.reliability.reckoning import passed_on_the_simulated_line, reckon
from tests.reliability.test_clock import LIBRARY, WallClock
from tests.tiny_bundle import write_bundle

_LOG = logging.getLogger(__name__)
PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
KNOWN_WITHIN_S, BACK_WITHIN_S = 10.0, 5.0
GIVE_UP_S = 40.0
_STEADY_S = 6.0
"""After so long what is opened at its first use, such as the drift's history, is open."""
_LINE = "simulated:gen3?seed=7&rate=20"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fault is done to."""

    folder: Path
    daemon: Daemon
    broker: PrivateBroker
    consumer: Outcomes
    disk: SmallDisk | None
    clock: WallClock | None
    group: MemoryGroup | None

    @property
    def broken(self) -> Path:
        """Cameras and engines are broken while this file exists."""
        return self.folder / "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, and how it is mended."""

    stage: str
    name: str
    test: str
    """Where it is in the suite."""
    known_by: str
    """What the daemon writes when it knows, as a pattern; empty where there is nothing to know."""
    program: tuple[str, ...] = PRODUCT
    flags: Mapping[str, str] = field(default_factory=dict)
    do: Callable[[Scene], object] = lambda scene: scene.broken.touch()
    mend: Callable[[Scene], object] = lambda scene: scene.broken.unlink()
    lasts_s: float = 2.0
    """How long it lasts after it is known."""
    why_not: Callable[[], str | None] = lambda: None
    """Why it cannot be done on this machine."""
    disk: bool = False
    clock: bool = False
    group: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one fault came to."""

    stage: str
    fault: str
    known_s: float | None
    """From the fault to the daemon's word about it; None where there is nothing to know."""
    back_s: float | None
    """From the mending to the first part inspected; None where none came."""
    frames: int
    verdicts: int
    left_behind: str
    """What the daemon owned more after than before; empty when nothing."""
    faults: tuple[str, ...]
    test: str


def measure(fault: Fault, bundle: Path) -> Seen:
    """Run a daemon, do it, mend it, and reckon up."""
    with _scene(fault, bundle) as scene:
        _require(scene.consumer.wait_for_more(20, 60.0), scene, "it does not start")
        if scene.group is not None:
            (camera,) = Belongings.of(scene.daemon.pid).children
            scene.group.add(camera)
        time.sleep(_STEADY_S)
        before = Belongings.of(scene.daemon.pid)
        said = len(scene.daemon.words())
        began = time.monotonic()
        fault.do(scene)
        known = None
        if fault.known_by:
            known = _moment(lambda: re.search(fault.known_by, scene.daemon.words()[said:]))
        time.sleep(fault.lasts_s)
        mended = time.monotonic()
        fault.mend(scene)
        back = _moment(lambda: scene.consumer.inspected_at > mended)
        scene.consumer.wait_for_more(20)
        # What is being opened or closed at the moment of a look is not left behind.
        eventually(lambda: not _left_behind(before, Belongings.of(scene.daemon.pid)), 5.0)
        after = Belongings.of(scene.daemon.pid)
        exit_code = scene.daemon.stop()
        words = scene.daemon.words()
        scene.consumer.wait(lambda mes: mes.availability() == "stopped")
        found = re.search(r"edge-inspect: (\d+) frames, (\d+) verdicts", words)
        _require(found is not None and exit_code == 0, scene, "it did not end in order")
        simulated = "camera" not in fault.program
        reckoning = reckon(
            scene.folder / "disk" / "state" if fault.disk else scene.folder / "state",
            scene.consumer,
            passed_unseen=passed_on_the_simulated_line if simulated else lambda _: (),
        )
        assert found is not None
        return Seen(
            stage=fault.stage,
            fault=fault.name,
            known_s=None if known is None else round(known - began, 2),
            back_s=None if back is None else round(back - mended, 2),
            frames=int(found[1]),
            verdicts=int(found[2]),
            left_behind=_left_behind(before, after),
            faults=(
                *reckoning.faults,
                *(["never known"] if fault.known_by and known is None else []),
            ),
            test=fault.test,
        )


@contextmanager
def _scene(fault: Fault, bundle: Path) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="edge-inspect-fault-") as name:
        folder = Path(name)
        disk: AbstractContextManager[SmallDisk | None] = nullcontext()
        if fault.disk:
            disk = small_disk(folder / "disk", megabytes=24)
        group: AbstractContextManager[MemoryGroup | None] = nullcontext()
        if fault.group:
            group = memory_group()
        clock = WallClock(folder / "clock") if fault.clock else None
        with (
            disk as mounted,
            group as limited,
            PrivateBroker(persistence=True, extra_config=DURABLE) as broker,
            Outcomes(broker.port) as consumer,
        ):
            station = Station(
                folder=folder,
                broker=broker.address,
                bundle=bundle,
                program=fault.program,
                flags={"engine": "onnxruntime", "source": _LINE, **fault.flags},
                environment={
                    "BROKEN": str(folder / "broken"),
                    "HANG_WHILE": str(folder / "broken"),
                    **({} if clock is None else clock.environment),
                },
                state=folder / "disk" / "state" if fault.disk else None,
            )
            with station.start() as daemon:
                yield Scene(
                    folder=folder,
                    daemon=daemon,
                    broker=broker,
                    consumer=consumer,
                    disk=mounted,
                    clock=clock,
                    group=limited,
                )


def _moment(condition: Callable[[], object]) -> float | None:
    give_up = time.monotonic() + GIVE_UP_S
    while not condition():
        if time.monotonic() > give_up:
            return None
        time.sleep(0.005)
    return time.monotonic()


def _require(condition: bool, scene: Scene, what: str) -> None:
    if not condition:
        raise RuntimeError(f"{what}: {scene.daemon.words()}")


def _left_behind(before: Belongings, after: Belongings) -> str:
    grown = {
        "processes": len(after.children) - len(before.children),
        "descriptors": after.nameless - before.nameless,
        "mappings": after.mappings - before.mappings,
        "names in /dev/shm": len(after.named - before.named),
    }
    return ", ".join(f"{count} {name}" for name, count in grown.items() if count > 0)


# --- the faults ----------------------------------------------------------------------------------


def _jump(years: int) -> Callable[[Scene], object]:
    return lambda scene: scene.clock.set(years * timedelta(days=365))  # type: ignore[union-attr]


def _limit(scene: Scene) -> None:
    scene.group.limit(scene.group.used() + 300_000_000)  # type: ignore[union-attr]
    scene.broken.touch()


_NO_CAMERA = {"hangs while opening", "hangs while closing"}
"""Of these the other faults are a part."""


def faults() -> tuple[Fault, ...]:
    """Every fault that this machine can do."""
    cameras = [
        Fault(
            stage="camera",
            name=name,
            test="faults/test_cameras.py",
            known_by="WARNING camera ",
            program=program("camera", name),
            # Each process shows its fault anew, and what is silent is known of after seconds only.
            lasts_s=0.0 if name.startswith(("hangs", "gives")) else 2.0,
        )
        for name in CAMERA_FAULTS
        if name not in _NO_CAMERA
    ]
    engines = [
        Fault(
            stage="engine",
            name=name,
            test="faults/test_engines.py",
            known_by="WARNING the engine failed",
            program=program("engine", name),
        )
        for name in (
            "returns NaN",
            "returns infinity",
            "returns a wrong shape",
            "raises",
            "has no memory",
            "sick: returns all NaN",
            "sick: raises",
        )
    ]
    return (
        *cameras,
        *engines,
        Fault(
            stage="engine",
            name="hangs",
            test="faults/test_watchdog.py",
            known_by="nothing has gone forward for",
            program=("tests.faults.hanging", "engine", "--", "run"),
        ),
        Fault(
            stage="broker",
            name="vanishes",
            test="reliability/test_network.py, test_kills.py",
            known_by="WARNING .*broker|WARNING .*mqtt",
            do=lambda scene: scene.broker.kill(),
            mend=lambda scene: scene.broker.start(),
        ),
        Fault(
            stage="broker",
            name="stands still",
            test="edge_runtime/mes/test_mqtt.py",
            known_by="acknowledges nothing at present",
            do=lambda scene: os.kill(scene.broker.pid, signal.SIGSTOP),
            mend=lambda scene: os.kill(scene.broker.pid, signal.SIGCONT),
        ),
        Fault(
            stage="disk",
            name="is full",
            test="reliability/test_disk.py",
            known_by="the disk is full",
            disk=True,
            flags={"journal-when-full": "stop"},
            do=lambda scene: scene.disk.fill(),  # type: ignore[union-attr]
            mend=lambda scene: scene.disk.free(),  # type: ignore[union-attr]
            why_not=why_no_small_disk,
        ),
        *(
            Fault(
                stage="clock",
                name=f"jumps {'ahead' if years > 0 else 'back'} by a year",
                test="reliability/test_clock.py",
                known_by="",
                clock=True,
                do=_jump(years),
                mend=_jump(0),
                why_not=lambda: "faketime is not installed" if LIBRARY is None else None,
            )
            for years in (1, -1)
        ),
        Fault(
            stage="memory",
            name="the kernel ends the camera's process",
            test="faults/test_memory.py",
            known_by="ended by SIGKILL",
            program=program("camera", "eats memory"),
            group=True,
            lasts_s=0.0,
            do=_limit,
            why_not=why_no_memory_group,
        ),
    )


# --- the command ---------------------------------------------------------------------------------


def table(rows: Sequence[Seen]) -> str:
    """The faults as a table of Markdown."""
    lines = [
        "| Stage | Fault | Known after, s | Back after, s | Frames / answered | Test |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.stage} | {row.fault} | {_shown(row.known_s)} | {_shown(row.back_s)} | "
        f"{row.frames} / {row.verdicts} | `{row.test}` |"
        for row in rows
    ]
    return "\n".join(lines)


def _shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


_TABLE = re.compile(r"(<!-- faults -->\n).*?(<!-- /faults -->)", re.DOTALL)


def main() -> int:
    """Measure them all; returns 1 where one is late, loses a part or leaves something behind."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--only", default="", metavar="STAGE", help="write nothing, print")
    arguments = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows: list[Seen] = []
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="edge-inspect-faults-") as name:
        bundle = write_bundle(Path(name))
        stated = setting("onnxruntime", "paho-mqtt", "opencv-python-headless")
        for fault in faults():
            if arguments.only and fault.stage != arguments.only:
                continue
            if reason := fault.why_not():
                left_out[f"{fault.stage}: {fault.name}"] = reason
                continue
            rows.append(measure(fault, bundle))
            _LOG.info("%s", rows[-1])
            if not arguments.only:
                _write(stated, rows, left_out)
    late, bad = _late(rows), _bad(rows)
    _LOG.info("late: %s; bad: %s; left out: %s", late, bad, left_out)
    return 1 if late or bad else 0


def _write(stated: Mapping[str, object], rows: Sequence[Seen], left_out: Mapping[str, str]) -> None:
    """The result and the page's table, as far as it has come."""
    result = {
        **stated,
        "known_within_s": KNOWN_WITHIN_S,
        "back_within_s": BACK_WITHIN_S,
        "late": _late(rows),
        "bad": _bad(rows),
        "left_out": left_out,
        "faults": [asdict(row) for row in rows],
    }
    write_result("faults", result)
    page = PAGE.read_text(encoding="utf-8")
    shown = _TABLE.sub(lambda match: f"{match[1]}{table(rows)}\n{match[2]}", page)
    PAGE.write_text(shown, encoding="utf-8")


def _late(rows: Sequence[Seen]) -> list[str]:
    return [
        f"{row.stage} {row.fault}"
        for row in rows
        if (row.known_s or 0) > KNOWN_WITHIN_S or row.back_s is None or row.back_s > BACK_WITHIN_S
    ]


def _bad(rows: Sequence[Seen]) -> list[str]:
    return [
        f"{row.stage} {row.fault}"
        for row in rows
        if row.faults or row.left_behind or row.frames != row.verdicts
    ]


if __name__ == "__main__":
    sys.exit(main())
