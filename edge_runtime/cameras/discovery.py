"""Which cameras are there: what `edge-inspect cameras` lists. Opens none of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.cameras.gige import aravis, serials
from edge_runtime.cameras.opencv import devices
from edge_runtime.errors import CameraError


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCamera:
    """A camera that is there."""

    source: str
    """The text that chooses it: `opencv:0`, `gige:SERIAL`."""
    description: str
    """What it says it is; one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What was found, and what could not be looked for."""

    cameras: tuple[FoundCamera, ...]
    remarks: tuple[str, ...]


def discover() -> Discovery:
    """Look for devices of V4L2 and, where Aravis is installed, for GigE cameras; takes a second."""
    cameras = list(_video_devices())
    remarks = []
    try:
        library, failed = aravis()
        try:
            cameras += [
                FoundCamera(source=f"gige:{serial}", description=description)
                for serial, (_, description) in sorted(serials(library).items())
            ]
        except failed as exc:
            remarks.append(f"GigE cameras could not be looked for: {exc}")
    except CameraError as exc:
        remarks.append(str(exc))
    return Discovery(cameras=tuple(cameras), remarks=tuple(remarks))


def _video_devices() -> Iterator[FoundCamera]:
    for index in devices():
        name = Path(f"/sys/class/video4linux/video{index}/name")
        try:
            description = name.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            description = "a video device"
        yield FoundCamera(source=f"opencv:{index}", description=description)
