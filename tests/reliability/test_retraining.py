"""From drift to a retrain request, as the MES sees it of a real daemon: asked once, and with evidence.

The shipped bundle judges what a camera drops into a folder. Half-way somebody changes the lamp.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.retrain import RetrainRequest, RetrainState
from edge_runtime.drift.log import SAVED_EVERY
from edge_runtime.drift.window import BLOCK
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.retraining.memory import NAME
from edge_runtime.retraining.pack import EVIDENCE, open_pack
from edge_runtime.simulation.line import SimulatedLine
from tests.patience import listen_until
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import ROOT, TOPICS, Station

pytestmark = pytest.mark.slow
_AS_TRAINED, _DRIFTED = 2 * BLOCK, SAVED_EVERY
_COLDER_AND_BRIGHTER = (1.08, 1.04, 1.0)
"""Gains of blue, green and red: a lamp that the frame gate lets pass."""
_PATIENCE_S = 60.0


class Folder:
    """Where the camera puts its pictures; the line goes on where it was."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self._path = path
        self._line = iter(SimulatedLine("gen3", 11, corrupt=0.0))

    @property
    def source(self) -> str:
        """What the station is told."""
        return f"dir:{self._path}?watch=1&done=delete"

    def put(self, parts: int, lamp: tuple[float, float, float] | None = None) -> None:
        """The next parts, under another lamp where one is given."""
        for part in islice(self._line, parts):
            image = part.encoded if lamp is None else _under(lamp, part.encoded)
            (self._path / f"{part.part_id}.jpg").write_bytes(image)


def _under(lamp: tuple[float, float, float], image: bytes) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    lit = np.clip(pixels * np.array(lamp), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "camera")


@pytest.fixture
def watched(station: Callable[..., Station], folder: Folder) -> Station:
    """Asks when an alarm holds for 1.8 s, and nothing but its memory keeps it from asking again."""
    flags = {
        "source": folder.source,
        "engine": "onnxruntime",
        "retrain-alarm-hours": "0.0005",
        "retrain-cool-down-hours": "0",
    }
    return station(bundle=open_bundle("demo").path, flags=flags)


@pytest.fixture
def mes(broker: PrivateBroker) -> Iterator[Consumer]:
    with Consumer(broker.port) as consumer:
        yield consumer


def reports(mes: Consumer, *, since_boot: str = "") -> list[DriftReport]:
    """What was said of drift, by later runs than that one where it is given."""
    said = (state.payload for state in mes.states if state.of == "drift")
    heard = [DriftReport.model_validate_json(payload) for payload in said]
    return [report for report in heard if report.boot_id != since_boot]


def rulings(mes: Consumer, *, since_boot: str = "") -> list[RetrainState]:
    """Likewise of retraining."""
    said = (state.payload for state in mes.states if state.of == "retrain")
    heard = [RetrainState.model_validate_json(payload) for payload in said]
    return [state for state in heard if state.boot_id != since_boot]


def report_of(mes: Consumer, parts: int, *, since_boot: str = "") -> DriftReport:
    """The first one that counts so many parts."""

    def heard() -> list[DriftReport]:
        return [r for r in reports(mes, since_boot=since_boot) if r.parts >= parts]

    assert mes.wait(lambda _: heard(), _PATIENCE_S), f"no report of {parts} parts"
    return heard()[0]


def standing(state: RetrainState) -> str:
    """Of the rule that is about drift."""
    return next(rule.standing for rule in state.rules if rule.rule == "drift")


def requests(mes: Consumer) -> dict[str, RetrainRequest]:
    """All that were ever made, by their ids."""
    return {request.id: request for state in rulings(mes) for request in state.requests}


def command(station: Station, *words: str) -> str:
    """What `edge-inspect retrain ...` prints about that station."""
    asked = replace(station, program=("edge_runtime.cli", "retrain", *words))
    done = subprocess.run(asked.command(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_lamp_is_an_alarm_and_is_asked_about_once(
    watched: Station, folder: Folder, mes: Consumer, broker: PrivateBroker, tmp_path: Path
) -> None:
    with watched.start() as daemon:
        folder.put(_AS_TRAINED)
        calm = report_of(mes, _AS_TRAINED)
        assert (calm.level, calm.moved) == (DriftLevel.OK, ())
        assert [standing(state) for state in rulings(mes)] == ["quiet"]

        folder.put(_DRIFTED, _COLDER_AND_BRIGHTER)
        assert mes.wait(requests, _PATIENCE_S), daemon.words()
        (request,) = requests(mes).values()
        assert request.rule == "drift"
        assert re.match(r"drift alarm: since \S+ \S+ UTC: frames are \d+ K colder", request.words)
        assert [standing(state) for state in rulings(mes)] == ["quiet", "pending", "requested"]

        alarm = report_of(mes, _AS_TRAINED + _DRIFTED)
        heard = len(reports(mes))
        levels = [level for level, _ in groupby(report.level for report in reports(mes))]
        assert levels in (
            [DriftLevel.OK, DriftLevel.ALARM],
            [DriftLevel.OK, DriftLevel.WARNING, DriftLevel.ALARM],
        )
        assert alarm.moved[0].statistic == "colour"
        assert alarm.moved[0].effect < -1
        assert_evidence(watched, request, tmp_path)
        # What a report tells is written down after it was sent, so before the next one.
        assert mes.wait(lambda mes: len(reports(mes)) > heard, _PATIENCE_S)
        daemon.kill()

    with closing(open_subscriber(broker.address, f"{TOPICS}/retrain")) as late:
        (kept,) = listen_until(late, bool)
        assert kept.retained
        assert RetrainState.model_validate_json(kept.payload).requests == (request,)

    before = alarm.boot_id
    with watched.start() as daemon:
        resumed = report_of(mes, 0, since_boot=before)
        assert SAVED_EVERY <= resumed.parts <= alarm.parts
        answered = mes.count
        folder.put(BLOCK, _COLDER_AND_BRIGHTER)
        assert mes.wait(lambda mes: mes.count >= answered + BLOCK, _PATIENCE_S)
        assert daemon.stop() == 0
    for report in (resumed, report_of(mes, resumed.parts + BLOCK, since_boot=before)):
        assert (report.level, report.moved[0].statistic) == (DriftLevel.ALARM, "colour")
        assert report.moved[0].since == alarm.moved[0].since
    (still,) = rulings(mes, since_boot=before)
    assert (standing(still), still.requests) == ("requested", (request,))

    (watched.state_dir / NAME).unlink()
    with watched.start() as daemon:
        # The control: without its memory it asks again, and that is seen here.
        assert mes.wait(lambda mes: len(requests(mes)) == 2, _PATIENCE_S), daemon.words()


def assert_evidence(station: Station, request: RetrainRequest, tmp_path: Path) -> None:
    """The pack is where the request says, and the commands find it."""
    assert request.evidence is not None
    place = station.state_dir / EVIDENCE / request.evidence
    assert open_pack(place).request == request
    report = DriftReport.model_validate_json((place / "drift.json").read_bytes())
    assert (report.level, report.moved[0].statistic) == (DriftLevel.ALARM, "colour")
    assert "requested drift " in command(station, "check")
    shown = command(station, "show")
    assert f"{request.id}: {request.words}" in shown
    assert f"evidence: {place}" in shown
    archive = tmp_path / "pack.zip"
    command(station, "pack", "--id", request.id, "--out", str(archive))
    assert open_pack(archive) == open_pack(place)


def test_as_many_parts_under_the_lamp_of_training_ask_for_nothing(
    watched: Station, folder: Folder, mes: Consumer
) -> None:
    parts = _AS_TRAINED + _DRIFTED
    with watched.start() as daemon:
        folder.put(parts)
        assert mes.wait(lambda mes: mes.count >= parts, _PATIENCE_S)
        assert daemon.stop() == 0
    assert report_of(mes, parts).level is DriftLevel.OK
    with watched.start() as daemon:
        # At its start a station looks at the rules before it says anything, here at all of these parts.
        assert mes.wait(lambda mes: len(rulings(mes)) == 2, _PATIENCE_S), daemon.words()
        assert {report.level for report in reports(mes)} == {DriftLevel.OK}
        assert [standing(state) for state in rulings(mes)] == ["quiet", "quiet"]
        assert not requests(mes)
