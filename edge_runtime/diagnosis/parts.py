"""The parts that a configuration names, each tried for real: would the station start?

Bundle, engine, camera, state folder and broker are opened as the station opens them, and closed again.
What else the machine must bring along is looked at in `edge_runtime.diagnosis.machine`.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.cameras.base import EndOfStream
from edge_runtime.capture.camera import open_camera
from edge_runtime.config import ConfigDraft
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.contracts.station_id import StationId
from edge_runtime.diagnosis.finding import Finding, Grade
from edge_runtime.engines.catalogue import open_engine, target
from edge_runtime.errors import (
    BundleError,
    CameraError,
    EdgeInspectError,
    StateError,
    UsageError,
)
from edge_runtime.inspection import gate
from edge_runtime.mes.credentials import read_credentials
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.topics import Topics
from edge_runtime.quality.gate import QualityGate

_FRAME_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    name: str
    examine: Callable[[ConfigDraft], str]
    remedy: str
    """Where to begin when it fails; the error itself says what was seen."""


def examine_parts(draft: ConfigDraft) -> Iterator[Finding]:
    """One finding per part, as each has been tried; the engine is left out where there is no bundle."""
    for problem in draft.problems:
        yield Finding(
            part="config",
            grade=Grade.FAIL,
            found=problem,
            remedy="mend the file, the variable or the flag that is named",
            exit_code=UsageError.exit_code,
        )
    if not draft.problems:
        yield Finding(part="config", grade=Grade.OK, found=f"station {draft.value('station')}")
    lacking = set()
    for part in _PARTS:
        if part.name in {"quality", "engine"} and "bundle" in lacking:
            continue
        try:
            yield Finding(part=part.name, grade=Grade.OK, found=part.examine(draft))
        except EdgeInspectError as exc:
            lacking.add(part.name)
            yield Finding(
                part=part.name,
                grade=Grade.FAIL,
                found=str(exc),
                remedy=part.remedy,
                exit_code=exc.exit_code,
            )


def _opened(draft: ConfigDraft) -> Bundle:
    return open_bundle(str(draft.value("bundle")))


def _bundle(draft: ConfigDraft) -> str:
    bundle = _opened(draft)
    variant = bundle.variant(draft.value("variant"), target(str(draft.value("engine"))))
    return f"{bundle.title} {variant.precision}, hashes right"


def _quality(draft: ConfigDraft) -> str:
    reference = _opened(draft).quality_reference()
    if reference is None:
        return (
            "the bundle has no limits: frames are not looked at for blur, light, colour and cover; "
            "build it again with --validation"
        )
    if not draft.value("quality_gate"):
        return "switched off (quality_gate = false)"
    held = dict.fromkeys(limit.check.value for limit in reference.limits if limit.off is None)
    off = [
        f"{limit.check} by {limit.measure}" for limit in reference.limits if limit.off is not None
    ]
    return f"frames are held to limits: {', '.join(held)}" + (
        f"; not to {', '.join(off)}, where the images differ too much" if off else ""
    )


def _engine(draft: ConfigDraft) -> str:
    bundle, name = _opened(draft), str(draft.value("engine"))
    variant = bundle.variant(draft.value("variant"), target(name))
    model, threads = bundle.manifest.model, draft.config.threads if draft.config else 1
    with closing(
        open_engine(name, bundle.model_file(variant), model, threads, bundle.plans(variant))
    ) as engine:
        replayed = 0 if name == "null" else bundle.replay(engine, variant)
        return f"{engine.name}, {replayed} golden frames agree"


def _camera(draft: ConfigDraft) -> str:
    source = draft.value("source")
    if source is None:
        raise CameraError("no source to check: give --source")
    sources = (source,) if isinstance(source, str) else source
    return "; ".join(_first_frame(draft, each) for each in sources)


def _first_frame(draft: ConfigDraft, source: str) -> str:
    spec, quality = _seen_through(draft)
    deadline = time.monotonic() + _FRAME_WITHIN_S
    with closing(open_camera(source)) as camera:
        while time.monotonic() < deadline:
            try:
                frame = camera.read(0.5)
            except EndOfStream:
                break
            if frame is not None:
                answer = gate(frame, spec, quality=quality)
                state = "good" if answer.rejection is None else answer.rejection
                return f"{source}: first frame is part {frame.part_id}, {state}"
    raise CameraError(f"{source} gave no frame within {_FRAME_WITHIN_S:.0f} s")


def _seen_through(draft: ConfigDraft) -> tuple[InputSpec, QualityGate | None]:
    """Size and limits that the station would see frames with; a bundle at fault has its own line."""
    try:
        bundle = _opened(draft)
        reference = bundle.quality_reference() if draft.value("quality_gate") else None
    except BundleError:
        return InputSpec(), None
    gate_of = None if reference is None else QualityGate(reference, live=False)
    return bundle.manifest.model.input, gate_of


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
        topics = Topics(site=draft.config.site, station=station)
        listened_to = topics.trigger if draft.config.trigger == "mqtt" else topics.replay_set
    credentials = read_credentials(
        os.environ,
        ca=draft.path("mqtt_ca"),
        certificate=draft.path("mqtt_certificate"),
        key=draft.path("mqtt_key"),
    )
    with closing(open_subscriber(address, listened_to, credentials=credentials)):
        secrecy = ", not encrypted" if address.startswith("mqtt://") else ""
        return f"{address} accepts connections{secrecy}"


_PARTS = (
    _Part(
        name="bundle",
        examine=_bundle,
        remedy="copy the bundle here again, or name another with --bundle",
    ),
    _Part(
        name="quality",
        examine=_quality,
        remedy="build the bundle again with this version of optimize",
    ),
    _Part(
        name="engine",
        examine=_engine,
        remedy="install what --engine names, or choose another; --variant names the precision",
    ),
    _Part(
        name="camera",
        examine=_camera,
        remedy="see that it is plugged in, reached, and opened by nobody else",
    ),
    _Part(
        name="state",
        examine=_state,
        remedy="give the station's account a folder of its own with --state-dir",
    ),
    _Part(
        name="broker",
        examine=_broker,
        remedy="see that it runs, and that name, port and secrets are right",
    ),
)
