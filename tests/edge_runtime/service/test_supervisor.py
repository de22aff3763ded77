"""What the supervisor tells systemd, probes and Prometheus of a station that a test plays."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from edge_runtime import __version__
from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.performance import Estimated, Figure
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.errors import ServiceError
from edge_runtime.service.distribution import BOUNDS_S, Distribution, Stopwatch
from edge_runtime.service.notify import Notifier, open_notifier
from edge_runtime.service.supervisor import Supervisor
from tests.edge_runtime.service.supervision import ListeningSystemd
from tests.patience import eventually


class PlayedStation:
    """A station that is as the test says."""

    def __init__(self) -> None:
        self.ending = False
        self.unready: str | None = None
        self.stalled = 0.0
        self.stopwatch = Stopwatch()

    def stalled_s(self) -> float:
        return self.stalled

    def stages(self) -> Mapping[str, Distribution]:
        return {"infer": self.stopwatch.read()}

    def drift(self) -> DriftReport:
        return DriftReport(
            boot_id="b",
            site="plant",
            line="L07",
            station="S3",
            at=datetime.now(UTC),
            bundle="seam/1",
            level=DriftLevel.WARNING,
            since=None,
            summary="-",
            parts=640,
            moved=(),
            effects={"colour": -0.75, "class:micro_crack": 0.125},
            estimated=Estimated(
                macro_f1=None,
                defect_recall=Figure(value=0.875, low=0.75, high=0.9375),
                false_positive_rate=None,
                confidence=0.975,
                parts=640,
                unreliable=None,
                words="-",
            ),
        )

    def health(self) -> Health:
        return Health(
            boot_id="b",
            site="plant",
            line="L07",
            station="S3",
            at=datetime.now(UTC),
            uptime_s=12.5,
            bundle='seam/"1"',
            engine="null",
            frames=7,
            verdicts={outcome: index for index, outcome in enumerate(Outcome)},
            acknowledged=4,
            pending=2,
            refused=0,
            connections=1,
            latency=None,
            problem="the broker is away",
        )


@pytest.fixture
def station() -> PlayedStation:
    return PlayedStation()


@contextmanager
def supervising(
    notifier: Notifier, reload: Callable[[], str] = lambda: "reloaded"
) -> Iterator[Supervisor]:
    with Supervisor(notifier, reload=reload, http=("127.0.0.1", 0)) as supervisor:
        yield supervisor


def get(supervisor: Supervisor, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{supervisor.http_port}{path}", timeout=10
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def problem(supervisor: Supervisor, path: str) -> str | None:
    status, body = get(supervisor, path)
    found = json.loads(body)
    assert (status == 200) == found["ok"] == (found["problem"] is None)
    return found["problem"]


def test_health_and_readiness_follow_the_station(station: PlayedStation) -> None:
    with supervising(open_notifier({})) as supervisor:
        assert problem(supervisor, "/healthz") is None
        assert problem(supervisor, "/readyz") == "starting"
        assert get(supervisor, "/metrics")[0] == 503
        supervisor.watch(station)
        assert problem(supervisor, "/readyz") is None
        station.unready = "the disk is full"
        assert problem(supervisor, "/readyz") == "the disk is full"
        assert problem(supervisor, "/healthz") is None, "a restart would not mend the disk"
        station.stalled = 5.0
        assert problem(supervisor, "/healthz") == "nothing has gone forward for 5.0 s"
        station.stalled, station.unready, station.ending = 0.0, None, True
        assert problem(supervisor, "/readyz") == "draining"
        assert problem(supervisor, "/healthz") is None
        assert get(supervisor, "/")[0] == 404


def scrape(supervisor: Supervisor) -> dict[str, list[Sample]]:
    status, text = get(supervisor, "/metrics")
    assert status == 200
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def test_prometheus_own_parser_reads_what_is_scraped(station: PlayedStation) -> None:
    for seconds in (0.0005, 0.001, 0.003, 60.0):
        station.stopwatch.count(seconds)
    with supervising(open_notifier({})) as supervisor:
        supervisor.watch(station)
        families = scrape(supervisor)
    assert all(name.startswith("edge_inspect_") for name in families)
    (frames,) = families["edge_inspect_frames"]
    assert (frames.name, frames.value) == ("edge_inspect_frames_total", 7)
    verdicts = families["edge_inspect_verdicts"]
    assert {sample.labels["outcome"]: sample.value for sample in verdicts} == {
        str(outcome): index for index, outcome in enumerate(Outcome)
    }
    (pending,) = families["edge_inspect_verdicts_pending"]
    assert pending.value == 2
    (build,) = families["edge_inspect_build_info"]
    assert build.labels["version"] == __version__
    (about,) = families["edge_inspect_station_info"]
    assert about.labels["bundle"] == 'seam/"1"'
    (level,) = families["edge_inspect_drift_level"]
    (watched,) = families["edge_inspect_drift_parts"]
    assert (level.value, watched.name, watched.value) == (1, "edge_inspect_drift_parts_total", 640)
    effects = families["edge_inspect_drift_effect"]
    assert {sample.labels["statistic"]: sample.value for sample in effects} == {
        "colour": -0.75,
        "class:micro_crack": 0.125,
    }
    figures = families["edge_inspect_drift_figure"]
    assert {sample.labels["bound"]: sample.value for sample in figures} == {
        "low": 0.75,
        "value": 0.875,
        "high": 0.9375,
    }
    assert {(sample.labels["figure"], sample.labels["how"]) for sample in figures} == {
        ("defect_recall", "estimated")
    }
    (problem,) = families["edge_inspect_problem"]
    (ready,) = families["edge_inspect_ready"]
    assert (problem.value, ready.value) == (1, 1)
    assert families["edge_inspect_process_open_fds"][0].value > 0


def test_a_histogram_counts_upwards_to_all_that_was_measured(station: PlayedStation) -> None:
    for seconds in (0.0005, 0.001, 0.003, 60.0):
        station.stopwatch.count(seconds)
    with supervising(open_notifier({})) as supervisor:
        supervisor.watch(station)
        samples = scrape(supervisor)["edge_inspect_stage_duration_seconds"]
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert len(buckets) == len(BOUNDS_S) + 1
    assert (buckets["0.001"], buckets["0.0025"], buckets["0.005"]) == (2, 2, 3)
    assert (buckets["10"], buckets["+Inf"]) == (3, 4)
    values = {s.name.rpartition("_")[2]: s.value for s in samples}
    assert values["count"] == 4
    assert values["sum"] == pytest.approx(60.0045)


def test_it_is_on_loopback_and_a_taken_port_is_named() -> None:
    with supervising(open_notifier({})) as supervisor:
        port = supervisor.http_port
        assert port is not None
        with pytest.raises(ServiceError, match="--http-port"):
            Supervisor(open_notifier({}), reload=lambda: "", http=("127.0.0.1", port))


def test_clients_that_say_nothing_take_no_more_than_their_share(station: PlayedStation) -> None:
    with supervising(open_notifier({})) as supervisor:
        supervisor.watch(station)
        before = threading.active_count()
        silent = [
            socket.create_connection(("127.0.0.1", supervisor.http_port or 0)) for _ in range(30)
        ]
        try:
            time.sleep(0.5)
            assert threading.active_count() - before <= 8
            assert eventually(lambda: threading.active_count() == before, timeout_s=10)
            assert problem(supervisor, "/healthz") is None
        finally:
            for connection in silent:
                connection.close()


def test_systemd_hears_of_a_reload_and_of_what_it_came_to(
    station: PlayedStation, tmp_path: Path
) -> None:
    with (
        ListeningSystemd(tmp_path) as systemd,
        supervising(open_notifier(systemd.environment), lambda: "log_level is debug") as supervisor,
    ):
        supervisor.watch(station)
        supervisor.request_reload()
        assert systemd.hears("READY", times=2)
        words = [word for word in systemd.words if {"READY", "RELOADING"} & word.lines.keys()]
        assert ["READY" in word.lines for word in words] == [True, False, True]
        assert systemd.said("READY")[1].lines["STATUS"] == "log_level is debug"


def test_a_start_asks_for_time_as_long_as_an_engine_is_built(tmp_path: Path) -> None:
    with (
        ListeningSystemd(tmp_path) as systemd,
        supervising(open_notifier(systemd.environment)) as supervisor,
    ):
        with supervisor.building():
            assert systemd.hears("EXTEND_TIMEOUT_USEC")
        asked = len(systemd.said("EXTEND_TIMEOUT_USEC"))
        time.sleep(0.3)
        assert len(systemd.said("EXTEND_TIMEOUT_USEC")) == asked


def test_nothing_is_left_when_it_is_over(station: PlayedStation, tmp_path: Path) -> None:
    def once() -> None:
        notifier = open_notifier({"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "1000000"})
        with supervising(notifier) as supervisor, supervisor.building():
            supervisor.watch(station)
            get(supervisor, "/metrics")

    once()
    before = held()
    for _ in range(5):
        once()
    assert eventually(lambda: held() == before, timeout_s=5), (held(), before)


def test_control_a_supervisor_that_is_not_closed_is_seen(tmp_path: Path) -> None:
    before = held()
    leaking = Supervisor(
        open_notifier({"NOTIFY_SOCKET": str(tmp_path / "n")}),
        reload=lambda: "",
        http=("127.0.0.1", 0),
    )
    with closing(leaking):
        files, threads = held()
        assert files > before[0]
        assert threads > before[1]


def held() -> tuple[int, int]:
    """File descriptors and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
