"""Which source a text asks for: `simulated:gen3?seed=7`, `dir:PATH?watch=1`, `opencv:0`, `rtsp://...`.

Owns the grammar and the table of schemes. `parse_source` does no I/O, so that a configuration is checked
without touching a camera or a file; `open_source` imports the one adapter that is needed and opens it.

A text without a scheme is the path of a video file. The part from the last `?` on is parameters, except
in addresses of the network, which keep theirs. Nothing is percent-decoded.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from edge_runtime.cameras.address import masked
from edge_runtime.cameras.base import CameraSource
from edge_runtime.errors import CameraError

_EXPECTED = (
    "expected simulated:GENERATION, dir:PATH, recording:FOLDER, opencv:INDEX, gige:SERIAL, rtsp://..., "
    "http://..., https://..., or the path of a video file"
)
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A source that was asked for in a form that makes sense; whether it is there, opening tells."""

    scheme: str
    """A key of the table of schemes."""
    target: str
    """A generation, folder, device index, address or file: what the scheme says."""
    parameters: Mapping[str, Any]
    """Those that were given, as numbers and switches; for the others the source's defaults hold."""

    @property
    def live(self) -> bool:
        """Its frames are exposures of this moment: what nobody takes does not come again."""
        return _SCHEMES[self.scheme].live

    @property
    def patient(self) -> bool:
        """Its frames wait until they are asked for; those of another come at a pace of their own."""
        return not self.live and _SCHEMES[self.scheme].patient(self)

    @property
    def resumes(self) -> bool:
        """Opened anew, it goes on where it was, more or less; another begins from its first frame."""
        return self.live or bool(self.parameters.get("watch", False))

    @property
    def own_process(self) -> bool:
        """It is to run in a process of its own: by default what stands on a driver or the network."""
        return bool(self.parameters.get("process", self.live))

    @property
    def simulated(self) -> bool:
        """Its pictures are rendered, not taken.

        A recording is asked itself: there this reads a file, and raises CameraError where it cannot.
        """
        return _SCHEMES[self.scheme].simulated(self)


def parse_source(text: str) -> SourceSpec:
    """Read the text form; raises CameraError that names the choices."""
    match = _SCHEME.fullmatch(text)
    scheme = match["scheme"].lower() if match else "file"
    entry = _SCHEMES.get(scheme)
    if entry is None:
        raise CameraError(f"source {masked(text)!r} has the unknown scheme {scheme!r}: {_EXPECTED}")
    if entry.address:
        return SourceSpec(scheme=scheme, target=text, parameters=MappingProxyType({}))
    rest = match["rest"] if match else text
    target, mark, query = rest.rpartition("?") if entry.parameters else (rest, "", "")
    if not mark:
        target, query = rest, ""
    if not target:
        raise CameraError(f"source {text!r} names nothing: {_EXPECTED}")
    entry.check(target)
    spec = SourceSpec(
        scheme=scheme, target=target, parameters=MappingProxyType(_parameters(query, text, entry))
    )
    entry.check_together(spec)
    return spec


def open_source(text: str) -> CameraSource:
    """Parse and open in this process, whatever `process` says.

    Raises CameraError that says what to do.
    """
    spec = parse_source(text)
    return _SCHEMES[spec.scheme].open(spec)


# --- parameters ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parameter:
    """How one parameter is read: ValueError from `read` means that the value is none of `expected`."""

    read: Callable[[str], Any]
    expected: str


def _number(lowest: float, highest: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not lowest <= value <= highest or math.isinf(value):
            raise ValueError
        return value

    return read


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


def _switch(text: str) -> bool:
    return ("0", "1").index(text) == 1


def _parameters(query: str, text: str, entry: "_Scheme") -> dict[str, Any]:
    given: dict[str, Any] = {}
    for item in filter(None, query.split("&")):
        name, _, value = item.partition("=")
        parameter = entry.parameters.get(name)
        if parameter is None:
            known = ", ".join(entry.parameters)
            raise CameraError(
                f"source {text!r} has the unknown parameter {name!r}: choose from {known}"
            )
        if name in given:
            raise CameraError(f"source {text!r} gives {name!r} twice: give it once")
        try:
            given[name] = parameter.read(value)
        except ValueError:
            raise CameraError(
                f"source {text!r} has {name}={value}: expected {parameter.expected}"
            ) from None
    return given


# --- the table -----------------------------------------------------------------------------------


def _check_anything(_: object) -> None:
    """Any text may be a path; opening tells."""


def _check_generation(target: str) -> None:
    from edge_runtime.simulation.generations import GENERATIONS

    if target not in GENERATIONS:
        raise CameraError(
            f"source simulated:{target} names no generation: choose one of {', '.join(GENERATIONS)}"
        )


def _check_index(target: str) -> None:
    if not (target.isascii() and target.isdigit()):
        raise CameraError(f"source opencv:{target} names no device: expected an index, as opencv:0")


def _open_simulated(spec: SourceSpec) -> CameraSource:
    from edge_runtime.cameras.simulated import SimulatedCamera

    own = {name: value for name, value in spec.parameters.items() if name != "process"}
    return SimulatedCamera(generation=spec.target, **own)


def _done(text: str) -> str:
    """`delete`, or the folder after `move:`; empty stands for delete."""
    if text == "delete":
        return ""
    if not text.startswith("move:") or text == "move:":
        raise ValueError
    return text.removeprefix("move:")


def _check_done(spec: SourceSpec) -> None:
    if "done" in spec.parameters and not spec.parameters.get("watch"):
        raise CameraError(f"source dir:{spec.target} has done= without watch=1: give both")
    if "done" in spec.parameters and spec.own_process:
        raise CameraError(
            f"source dir:{spec.target} has done= with process=1: give one of them, since files are "
            "put away by the station's own process"
        )


def _open_directory(spec: SourceSpec) -> CameraSource:
    done = spec.parameters.get("done")
    if done is not None:
        from edge_runtime.cameras.drop_folder import DropFolder

        return DropFolder(spec.target, move_to=done or None)
    from edge_runtime.cameras.directory import DirectoryCamera

    return DirectoryCamera(spec.target, watch=bool(spec.parameters.get("watch", False)))


def _open_recording(spec: SourceSpec) -> CameraSource:
    from edge_runtime.cameras.recorded import RecordedCamera

    own = {name: value for name, value in spec.parameters.items() if name != "process"}
    return RecordedCamera(spec.target, **own)


def _was_simulated(spec: SourceSpec) -> bool:
    from edge_runtime.cameras.recording import Recording

    return Recording(spec.target).header.is_simulated


def _open_device(spec: SourceSpec) -> CameraSource:
    from edge_runtime.cameras.opencv import OpenCvCamera

    return OpenCvCamera(int(spec.target))


def _open_gige(spec: SourceSpec) -> CameraSource:
    from edge_runtime.cameras.gige import GigeCamera

    return GigeCamera(spec.target, pixel_format=spec.parameters.get("format"))


def _open_video(spec: SourceSpec) -> CameraSource:
    from edge_runtime.cameras.opencv import OpenCvCamera

    return OpenCvCamera(spec.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scheme:
    open: Callable[[SourceSpec], CameraSource]
    check: Callable[[str], None] = _check_anything
    check_together: Callable[[SourceSpec], None] = _check_anything
    """What the parameters must not be together."""
    parameters: Mapping[str, _Parameter] = field(default_factory=dict)
    address: bool = False
    """The whole text, scheme and query included, is what the adapter is given."""
    live: bool = False
    """See `SourceSpec.live`."""
    patient: Callable[[SourceSpec], bool] = lambda _: True
    """See `SourceSpec.patient`; nothing that is live is."""
    simulated: Callable[[SourceSpec], bool] = lambda _: False
    """See `SourceSpec.simulated`."""


_PROCESS = MappingProxyType({"process": _Parameter(read=_switch, expected="0 or 1")})


_SIMULATED_PARAMETERS = MappingProxyType(
    {
        "seed": _Parameter(read=_whole, expected="a whole number from 0"),
        "rate": _Parameter(read=_number(0, 100_000), expected="parts per second, 0 for unpaced"),
        "defects": _Parameter(read=_number(0, 1), expected="a share from 0 to 1"),
        "corrupt": _Parameter(read=_switch, expected="0 or 1"),
        **_PROCESS,
    }
)
_SCHEMES: Mapping[str, _Scheme] = MappingProxyType(
    {
        "simulated": _Scheme(
            open=_open_simulated,
            check=_check_generation,
            parameters=_SIMULATED_PARAMETERS,
            patient=lambda spec: not spec.parameters.get("rate", 0),
            simulated=lambda _: True,
        ),
        "dir": _Scheme(
            open=_open_directory,
            check_together=_check_done,
            parameters=MappingProxyType(
                {
                    "watch": _Parameter(read=_switch, expected="0 or 1"),
                    "done": _Parameter(read=_done, expected="delete or move:FOLDER"),
                    **_PROCESS,
                }
            ),
        ),
        "recording": _Scheme(
            open=_open_recording,
            parameters=MappingProxyType(
                {
                    "speed": _Parameter(
                        read=_number(0, 1000), expected="a factor up to 1000, 0 for unpaced"
                    ),
                    "loop": _Parameter(read=_switch, expected="0 or 1"),
                    **_PROCESS,
                }
            ),
            patient=lambda spec: spec.parameters.get("speed") == 0,
            simulated=_was_simulated,
        ),
        "opencv": _Scheme(open=_open_device, check=_check_index, parameters=_PROCESS, live=True),
        "gige": _Scheme(
            open=_open_gige,
            parameters=MappingProxyType(
                {
                    "format": _Parameter(read=str, expected="a pixel format"),
                    "silence": _Parameter(
                        read=_number(0, 86_400), expected="seconds, 0 for a camera on a trigger"
                    ),
                    **_PROCESS,
                }
            ),
            live=True,
        ),
        "file": _Scheme(open=_open_video),
        "rtsp": _Scheme(open=_open_video, address=True, live=True),
        "rtsps": _Scheme(open=_open_video, address=True, live=True),
        "http": _Scheme(open=_open_video, address=True, live=True),
        "https": _Scheme(open=_open_video, address=True, live=True),
    }
)
