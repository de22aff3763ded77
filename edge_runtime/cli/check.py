"""`edge-inspect check`: is everything in place? Reports all problems at once."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle import open_bundle
from edge_runtime.cameras.base import EndOfStream
from edge_runtime.capture.camera import open_camera
from edge_runtime.cli.arguments import add_station_flags, station_flags
from edge_runtime.config import ConfigDraft, draft_config
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.contracts.station_id import StationId
from edge_runtime.engines.catalogue import open_engine, target
from edge_runtime.errors import CameraError, EdgeInspectError, StateError, UsageError
from edge_runtime.inspection import gate
from edge_runtime.mes.credentials import read_credentials
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.topics import Topics

NAME = "check"
HELP = "check configuration, bundle, camera, state folder and broker; report all problems at once"

_EPILOG = """\
examples:
  edge-inspect check --config /etc/edge-inspect/L07-S3.toml
  edge-inspect check --station L07-S3 --source dir:/var/lib/crops --broker mqtt://mes.local

Exit code 0 when all is well, else that of the first problem.
"""
_FRAME_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report: what was found, or the problem."""

    part: str
    found: str | None
    problem: EdgeInspectError | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_station_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per part; returns 0 or the exit code of the first problem."""
    draft = draft_config(station_flags(arguments), os.environ, arguments.config)
    findings = [
        Finding(part="config", found=None, problem=UsageError(problem))
        for problem in draft.problems
    ]
    if not findings:
        findings.append(
            Finding(part="config", found=f"station {draft.value('station')}", problem=None)
        )
    findings += [
        _examine(part, examine, draft)
        for part, examine in (
            ("bundle", _bundle),
            ("camera", _camera),
            ("state", _state),
            ("broker", _broker),
        )
    ]
    for finding in findings:
        mark = "ok  " if finding.problem is None else "FAIL"
        print(f"{mark} {finding.part:<7} {finding.found or finding.problem}")
    problems = [finding.problem for finding in findings if finding.problem is not None]
    return problems[0].exit_code if problems else 0


def _examine(part: str, examine: Callable[[ConfigDraft], str], draft: ConfigDraft) -> Finding:
    try:
        return Finding(part=part, found=examine(draft), problem=None)
    except EdgeInspectError as exc:
        return Finding(part=part, found=None, problem=exc)


def _bundle(draft: ConfigDraft) -> str:
    bundle = open_bundle(str(draft.value("bundle")))
    name = str(draft.value("engine"))
    variant = bundle.variant(draft.value("variant"), target(name))
    model, threads = bundle.manifest.model, draft.config.threads if draft.config else 1
    with closing(
        open_engine(name, bundle.model_file(variant), model, threads, bundle.plans(variant))
    ) as engine:
        replayed = 0 if name == "null" else bundle.replay(engine, variant)
        return (
            f"{bundle.title} {variant.precision} on {engine.name}, hashes right, "
            f"{replayed} golden frames agree"
        )


def _camera(draft: ConfigDraft) -> str:
    source = draft.value("source")
    if source is None:
        raise CameraError("no source to check: give --source")
    deadline = time.monotonic() + _FRAME_WITHIN_S
    with closing(open_camera(str(source))) as camera:
        while time.monotonic() < deadline:
            try:
                frame = camera.read(0.5)
            except EndOfStream:
                break
            if frame is not None:
                answer = gate(frame, InputSpec())
                state = "good" if answer.rejection is None else answer.rejection
                return f"{source}: first frame is part {frame.part_id}, {state}"
    raise CameraError(f"{source} gave no frame within {_FRAME_WITHIN_S:.0f} s")


def _state(draft: ConfigDraft) -> str:
    folder = Path(str(draft.value("state_dir")))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 65536)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as exc:
        raise StateError(
            f"the state folder {folder} cannot be written ({exc.strerror}): free space, or give another "
            "with --state-dir"
        ) from exc
    return f"{folder} can be written"


def _broker(draft: ConfigDraft) -> str:
    address = str(draft.value("broker"))
    # What the station itself subscribes to: a broker may refuse it anything else.
    listened_to = "inspection/#"
    if draft.config is not None:
        station = StationId.parse(draft.config.station)
        listened_to = Topics(site=draft.config.site, station=station).replay_set
    credentials = read_credentials(
        os.environ,
        ca=draft.path("mqtt_ca"),
        certificate=draft.path("mqtt_certificate"),
        key=draft.path("mqtt_key"),
    )
    with closing(open_subscriber(address, listened_to, credentials=credentials)):
        secrecy = ", not encrypted" if address.startswith("mqtt://") else ""
        return f"{address} accepts connections{secrecy}"
