"""The text that chooses a source."""

from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cameras.directory import DirectoryCamera
from edge_runtime.cameras.sources import SourceSpec, open_source, parse_source
from edge_runtime.errors import CameraError


def spec(scheme: str, target: str, **parameters: float | str) -> SourceSpec:
    return SourceSpec(scheme=scheme, target=target, parameters=MappingProxyType(parameters))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("simulated:gen3", spec("simulated", "gen3")),
        (
            "simulated:gen2?seed=7&rate=20&defects=0.2&corrupt=0",
            spec("simulated", "gen2", seed=7, rate=20.0, defects=0.2, corrupt=False),
        ),
        ("dir:/data/parts", spec("dir", "/data/parts")),
        ("dir:~/what?/x?watch=1", spec("dir", "~/what?/x", watch=True)),
        ("recording:/data/run", spec("recording", "/data/run")),
        (
            "recording:run?speed=0.5&loop=1",
            spec("recording", "run", speed=0.5, loop=True),
        ),
        ("opencv:0", spec("opencv", "0")),
        ("opencv:0?process=0", spec("opencv", "0", process=False)),
        (
            "gige:S12-3?format=RGB8&silence=0",
            spec("gige", "S12-3", format="RGB8", silence=0.0),
        ),
        ("rtsp://cam/stream?profile=2", spec("rtsp", "rtsp://cam/stream?profile=2")),
        ("HTTP://cam:8080/mjpg", spec("http", "HTTP://cam:8080/mjpg")),
        ("https://cam/mjpg", spec("https", "https://cam/mjpg")),
        ("run 3.avi", spec("file", "run 3.avi")),
        ("/data/a:b?.mp4", spec("file", "/data/a:b?.mp4")),
    ],
)
def test_every_form_is_understood(text: str, expected: SourceSpec) -> None:
    assert parse_source(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "usb:123",
            "unknown scheme 'usb': expected simulated:GENERATION, dir:PATH, recording:FOLDER",
        ),
        ("", "names nothing: expected simulated:GENERATION"),
        ("dir:", "names nothing"),
        ("simulated:gen4", "simulated:gen4 names no generation: choose one of gen2, gen3"),
        (
            "simulated:gen3?sed=7",
            "unknown parameter 'sed': choose from seed, rate, defects, corrupt, process",
        ),
        ("simulated:gen3?seed=1&seed=2", "gives 'seed' twice"),
        ("simulated:gen3?seed=-1", "has seed=-1: expected a whole number from 0"),
        ("simulated:gen3?rate=-1", "has rate=-1: expected parts per second, 0 for unpaced"),
        ("simulated:gen3?rate=nan", "has rate=nan: expected parts per second"),
        ("simulated:gen3?defects=1.5", "has defects=1.5: expected a share from 0 to 1"),
        ("simulated:gen3?defects", "has defects=: expected a share"),
        ("dir:/x?watch=yes", "has watch=yes: expected 0 or 1"),
        ("recording:run?speed=-1", "has speed=-1: expected a factor up to 1000, 0 for unpaced"),
        ("opencv:front", "opencv:front names no device: expected an index, as opencv:0"),
    ],
)
def test_a_mistake_names_the_choices(text: str, problem: str) -> None:
    with pytest.raises(CameraError) as caught:
        parse_source(text)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misspelt_address_does_not_show_its_password() -> None:
    with pytest.raises(CameraError) as caught:
        parse_source("rstp://user:secret@cam/1")
    assert "secret" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_source_or_a_camera_error(text: str) -> None:
    try:
        parsed = parse_source(text)
    except CameraError:
        return
    assert parsed.target


def test_opening_leads_to_the_adapter(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    camera = open_source(f"dir:{tmp_path}")
    assert isinstance(camera, DirectoryCamera)
    camera.close()


def test_a_path_that_is_no_video_names_the_other_forms(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"no video file at .*simulated:gen3, dir:PATH"):
        open_source(str(tmp_path / "gen3"))


@pytest.mark.parametrize(
    ("source", "patient"),
    [
        ("simulated:gen3", True),
        ("simulated:gen3?rate=20", False),
        ("dir:/x", True),
        ("dir:/x?watch=1", True),
        ("recording:/x", False),
        ("recording:/x?speed=2", False),
        ("recording:/x?speed=0", True),
        ("run.mp4", True),
        ("opencv:0", False),
        ("gige:S12", False),
        ("rtsp://cam/1", False),
    ],
)
def test_what_comes_at_a_pace_of_its_own_is_not_patient(source: str, patient: bool) -> None:
    assert parse_source(source).patient is patient
