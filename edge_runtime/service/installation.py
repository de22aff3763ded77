"""Which files make a station a service of this machine, and what installing them would change.

Owns the list, and the rule that nobody's work is lost: a file that is there and differs is left alone,
or kept beside the new one as `NAME.before`; the station's own configuration is never touched once it is
there.
Starts nothing, and asks systemd nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path

from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import StateError
from edge_runtime.written_aside import written_aside

_EXAMPLE_STATION = "L07-S3"
_EXAMPLE_TOPIC = "L07/S3"
_EXAMPLE_PROGRAM = "/opt/edge-inspect/bin/edge-inspect"
_UNIT = "edge-inspect@.service"
_SPACED_RESTARTS = f"{_UNIT}.d/restart-steps.conf"
_NVIDIA = f"{_UNIT}.d/nvidia.conf"
_GROUP = "sysusers.d/edge-inspect.conf"
_FOLDERS = "tmpfiles.d/edge-inspect.conf"


class Change(StrEnum):
    """What installing does to one file."""

    WRITE = "write"
    SAME = "same"
    DIFFERS = "differs"
    """It is there and was changed, or is of another version."""
    KEEP = "keep"
    """It is the station's own configuration and stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """One file to be installed."""

    path: Path
    text: str
    mode: int
    change: Change


def templates() -> Path:
    """The folder `systemd/` of the project: inside the package in a wheel, at the top of a checkout."""
    packaged = Path(__file__).parents[1] / "systemd"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "systemd"


def plan(
    root: Path, *, station: StationId | None, program: Path, nvidia: bool = False
) -> tuple[PlannedFile, ...]:
    """The files below `root`, `/` or the root of an image; `program` is what the unit runs.

    A configuration is among them where a station is named, and leave to open NVIDIA's devices where that
    is wanted. Raises StateError when a file that is there cannot be read.
    """
    etc = root / "etc"
    places = {
        _UNIT: etc / "systemd/system" / _UNIT,
        _SPACED_RESTARTS: etc / "systemd/system" / _SPACED_RESTARTS,
        **({_NVIDIA: etc / "systemd/system" / _NVIDIA} if nvidia else {}),
        _GROUP: etc / _GROUP,
        _FOLDERS: etc / _FOLDERS,
    }
    planned = [
        _planned(name, path, {_EXAMPLE_PROGRAM: str(program)}, Change.DIFFERS)
        for name, path in places.items()
    ]
    if station is not None:
        words = {
            _EXAMPLE_STATION: str(station),
            _EXAMPLE_TOPIC: f"{station.line}/{station.station}",
        }
        planned += [
            _planned(
                f"{_EXAMPLE_STATION}{suffix}.example",
                etc / "edge-inspect" / f"{station}{suffix}",
                words,
                Change.KEEP,
            )
            for suffix in (".toml", ".env")
        ]
    return tuple(planned)


def install(planned: tuple[PlannedFile, ...]) -> tuple[Path, ...]:
    """Write what is to be written or differs; returns where files that differed were kept.

    Raises StateError naming the file that could not be written; those before it are written by then.
    """
    kept = []
    for file in planned:
        if file.change not in (Change.WRITE, Change.DIFFERS):
            continue
        try:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            if file.change is Change.DIFFERS:
                before = _free_name(file.path)
                _write(before, file.path.read_bytes(), file.mode)
                kept.append(before)
            _write(file.path, file.text.encode(), file.mode)
        except (OSError, StateError) as exc:
            raise StateError(f"{exc}: run this as root, or give another root with --root") from exc
    return tuple(kept)


def _planned(name: str, path: Path, words: Mapping[str, str], if_changed: Change) -> PlannedFile:
    """The template of that name with these words put in, held against what is there."""
    text = (templates() / name).read_text(encoding="utf-8")
    for example, actual in words.items():
        text = text.replace(example, actual)
    try:
        there = path.read_bytes()
        change = Change.SAME if there == text.encode() else if_changed
    except FileNotFoundError:
        change = Change.WRITE
    except OSError as exc:
        raise StateError(f"{path} cannot be read ({exc.strerror}): run this as root") from exc
    return PlannedFile(path=path, text=text, mode=0o644, change=change)


def _free_name(path: Path) -> Path:
    """`NAME.before`, or `NAME.before2` and so on where that is taken."""
    numbers = count(2)
    before = path.with_name(f"{path.name}.before")
    while before.exists():
        before = path.with_name(f"{path.name}.before{next(numbers)}")
    return before


def _write(path: Path, content: bytes, mode: int) -> None:
    """Aside, and renamed: a unit is read whole or not at all."""
    with written_aside(path, error=StateError) as aside:
        aside.write_bytes(content)
        aside.chmod(mode)
