"""`edge-inspect install-service`: the files that make a station a service of this machine."""

import argparse
import difflib
import sys
from pathlib import Path

from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import UsageError
from edge_runtime.service.installation import Change, PlannedFile, install, plan

NAME = "install-service"
HELP = "write the systemd unit, its surroundings and an example configuration"

_EPILOG = """\
examples:
  edge-inspect install-service --station L07-S3 --dry-run
  sudo /opt/edge-inspect/bin/edge-inspect install-service --station L07-S3
  edge-inspect install-service --station L07-S3 --root image/

Starts nothing. A configuration that is there stays as it is. Any other file that is there and differs
stops this with exit code 2 before anything is written; --dry-run shows in what it differs, --replace
writes the new one and keeps the other beside it as NAME.before.
"""
_MARKS = {
    Change.WRITE: "write",
    Change.SAME: "same",
    Change.DIFFERS: "DIFFERS",
    Change.KEEP: "keep",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--station", metavar="STATION", help="write an example configuration for it, L07-S3"
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="FOLDER", help="instead of /"
    )
    parser.add_argument(
        "--nvidia", action="store_true", help="let the stations use NVIDIA GPUs (engine tensorrt)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and end")
    parser.add_argument(
        "--replace", action="store_true", help="replace files that differ, and keep them beside"
    )
    parser.add_argument(
        "--program",
        type=Path,
        default=Path(sys.executable).with_name("edge-inspect"),
        metavar="FILE",
        help="what the unit runs (default: this program)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the files; returns 0, or 2 when one that is there differs."""
    try:
        station = StationId.parse(arguments.station) if arguments.station else None
    except ValueError as exc:
        raise UsageError(f"--station: {exc}") from exc
    program = arguments.program.absolute()
    _require_visible(program)
    planned = plan(arguments.root, station=station, program=program, nvidia=arguments.nvidia)
    for file in planned:
        print(f"{_MARKS[file.change]:<8} {file.path}")
    if arguments.dry_run:
        for file in planned:
            _show_difference(file)
        return 0
    differing = [str(file.path) for file in planned if file.change is Change.DIFFERS]
    if differing and not arguments.replace:
        raise UsageError(
            f"nothing was written: {', '.join(differing)} differ from what would be written; see "
            "--dry-run, then use --replace, or keep changes in drop-ins (systemctl edit)"
        )
    for before in install(planned):
        print(f"kept     {before}")
    print(_next_steps(station))
    return 0


def _require_visible(program: Path) -> None:
    """The unit sees no home and no /tmp of others."""
    if program.is_relative_to("/home") or program.is_relative_to("/root"):
        raise UsageError(
            f"the unit could not see {program}: install the program into /opt/edge-inspect, or name "
            "where it will be with --program"
        )
    if any(character.isspace() or character in "%\\\"'" for character in str(program)):
        raise UsageError(f"a unit cannot name {str(program)!r} plainly: choose another place")


def _show_difference(file: PlannedFile) -> None:
    if file.change is Change.DIFFERS:
        before = file.path.read_text(encoding="utf-8", errors="replace").splitlines()
        after = file.text.splitlines()
        for line in difflib.unified_diff(before, after, str(file.path), "new", lineterm=""):
            print(line)


def _next_steps(station: StationId | None) -> str:
    name = station or "LINE-STATION"
    return f"""
next, as root:
  systemd-sysusers && systemd-tmpfiles --create
  editor /etc/edge-inspect/{name}.toml
  edge-inspect doctor --config /etc/edge-inspect/{name}.toml
  systemctl daemon-reload
  systemctl enable --now edge-inspect@{name}"""
