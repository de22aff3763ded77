"""The disk fills up, turns read-only or fails; nothing unacknowledged is lost, and it is said."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import Station, broken_program
from tests.reliability.disk import (
    SmallDisk,
    failing,
    small_disk,
    why_no_failing,
    why_no_small_disk,
)
from tests.reliability.reckoning import Reckoning, reckon

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """24 MB of its own."""
    if reason := why_no_small_disk():
        pytest.skip(reason)
    with small_disk(tmp_path / "disk", megabytes=24) as disk:
        yield disk


@pytest.fixture
def consumer(broker: PrivateBroker) -> Iterator[Consumer]:
    with Consumer(broker.port) as consumer:
        yield consumer


def settled(station: Station, consumer: Consumer) -> Reckoning:
    """What there is once a stopped station's last word has come."""
    consumer.wait(lambda consumer: consumer.availability() == "stopped")
    return reckon(station.state_dir, consumer)


def is_refusal(words: str) -> bool:
    """One line, and no traceback."""
    return len(words.strip().splitlines()) == 1 and words.startswith("edge-inspect: ")


def test_a_full_disk_makes_room_with_what_was_acknowledged_and_goes_on(
    station: Callable[..., Station], disk: SmallDisk, consumer: Consumer
) -> None:
    pruning = station(state=disk.path / "state", flags={"journal-when-full": "prune"})
    with pruning.start() as daemon:
        assert consumer.wait_for_more(200), daemon.words()
        disk.fill()
        assert consumer.wait_for_more(400, timeout_s=40.0), daemon.words()
        assert daemon.stop() == 0, daemon.words()
        assert "pruned to make room" in daemon.words()
    result = settled(pruning, consumer)
    assert result.faults == ()
    assert result.pruned > 0


def test_a_full_disk_stops_a_station_that_must_keep_everything(
    station: Callable[..., Station], disk: SmallDisk, consumer: Consumer
) -> None:
    keeping = station(state=disk.path / "state", flags={"journal-when-full": "stop"})
    with keeping.start() as daemon:
        assert consumer.wait_for_more(200), daemon.words()
        disk.fill()
        assert consumer.wait(lambda mes: "disk is full" in str(mes.health().get("problem")), 40.0)
        # What was committed before may still be on its way.
        assert consumer.wait(lambda mes: time.monotonic() > mes.heard_at + 2.0), "parts went on"
        assert reckon(keeping.state_dir, consumer).faults == (), "no verdict without a record"
        disk.free()
        assert daemon.wait() == 0, daemon.words()
    result = settled(keeping, consumer)
    assert (result.faults, result.pruned) == ((), 0)
    with keeping.start() as daemon:
        assert consumer.wait_for_more(100), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    result = settled(keeping, consumer)
    assert (result.faults, result.pruned) == ((), 0)


def outlast_a_full_disk(
    waiting: Station, broker: PrivateBroker, disk: SmallDisk, consumer: Consumer
) -> Reckoning:
    """A station whose broker is gone and whose disk is full is killed; then both come back."""
    with waiting.start() as daemon:
        assert consumer.wait_for_more(50), daemon.words()
        broker.kill()
        assert daemon.says("cannot be reached"), daemon.words()
        disk.fill()
        assert daemon.says("the disk is full", timeout_s=60.0), daemon.words()
        daemon.kill()
    with waiting.start() as daemon:  # on the disk that is still full, and once more
        assert daemon.says("the disk is full", timeout_s=60.0), daemon.words()
        broker.start()
        disk.free()
        assert consumer.wait_for_more(1, timeout_s=60.0), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    return settled(waiting, consumer)


@pytest.mark.parametrize("policy", ["prune", "stop"])
def test_a_full_disk_without_a_broker_drops_nothing_that_was_not_acknowledged(
    policy: str,
    station: Callable[..., Station],
    broker: PrivateBroker,
    disk: SmallDisk,
    consumer: Consumer,
) -> None:
    waiting = station(state=disk.path / "state", flags={"journal-when-full": policy})
    assert outlast_a_full_disk(waiting, broker, disk, consumer).faults == ()


def test_control_a_station_that_takes_what_waits_for_delivered_is_caught(
    station: Callable[..., Station], broker: PrivateBroker, disk: SmallDisk, consumer: Consumer
) -> None:
    # Nothing is pruned, or room made with what was acknowledged could keep the mistake from biting.
    broken = station(
        state=disk.path / "state",
        flags={"journal-when-full": "stop"},
        program=broken_program("settle-when-full"),
    )
    faults = outlast_a_full_disk(broken, broker, disk, consumer).faults
    assert any("never at the consumer" in fault for fault in faults), faults


def leave_read_only(station: Station, disk: SmallDisk, consumer: Consumer) -> Reckoning:
    """What a station had done before its disk became read-only."""
    with station.start() as daemon:
        assert consumer.wait_for_more(20), daemon.words()
        assert daemon.stop() == 0
    before = settled(station, consumer)
    disk.make_read_only()
    return before


def test_a_read_only_disk_is_refused_in_one_line(
    station: Callable[..., Station], disk: SmallDisk, consumer: Consumer
) -> None:
    writing = station(state=disk.path / "state")
    before = leave_read_only(writing, disk, consumer)
    with writing.start() as daemon:
        assert daemon.wait() == 7, daemon.words()
        assert is_refusal(daemon.words()), daemon.words()
        assert "writable" in daemon.words()
    assert reckon(writing.state_dir, consumer) == before


def test_control_a_station_that_starts_without_its_journal_is_caught(
    station: Callable[..., Station], disk: SmallDisk, consumer: Consumer
) -> None:
    broken = station(state=disk.path / "state", program=broken_program("start-anyway"))
    assert leave_read_only(broken, disk, consumer).faults == ()
    with broken.start() as daemon:
        assert consumer.wait(lambda consumer: consumer.contradicted), daemon.words()
    faults = reckon(broken.state_dir, consumer).faults
    assert any("two different contents" in fault for fault in faults), faults


@pytest.fixture
def injecting() -> None:
    if reason := why_no_failing():
        pytest.skip(reason)


FAILING_FOR_A_WHILE = pytest.mark.parametrize(
    ("calls", "error", "when"),
    [("fsync,fdatasync", "EIO", "30..33"), ("pwrite64", "EROFS", "300..303")],
)


@pytest.mark.usefixtures("injecting")
@FAILING_FOR_A_WHILE
def test_a_disk_that_fails_for_a_while_holds_verdicts_back_and_loses_none(
    calls: str, error: str, when: str, station: Callable[..., Station], consumer: Consumer
) -> None:
    failing_for_a_while = station(wrapper=failing(calls, error, when))
    with failing_for_a_while.start() as daemon:
        assert daemon.says("trying again", timeout_s=40.0), daemon.words()
        assert consumer.wait_for_more(100, timeout_s=40.0), daemon.words()
        assert daemon.stop() == 0, daemon.words()
        assert "Traceback" not in daemon.words()
    result = settled(failing_for_a_while, consumer)
    assert (result.faults, result.pruned) == ((), 0)


@pytest.mark.usefixtures("injecting")
@FAILING_FOR_A_WHILE
def test_control_a_station_that_drops_what_the_disk_refuses_is_caught(
    calls: str, error: str, when: str, station: Callable[..., Station], consumer: Consumer
) -> None:
    broken = station(
        wrapper=failing(calls, error, when),
        program=broken_program("drop-what-the-disk-refuses"),
    )
    with broken.start() as daemon:
        assert consumer.wait_for_more(100, timeout_s=40.0), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    faults = settled(broken, consumer).faults
    assert any("passed without a verdict" in fault for fault in faults), faults


@pytest.mark.usefixtures("injecting")
def test_a_disk_that_never_syncs_again_ends_the_run_with_that_error(
    station: Callable[..., Station], consumer: Consumer
) -> None:
    with station(wrapper=failing("fsync,fdatasync", "EIO", "30+")).start() as daemon:
        assert daemon.says("trying again", timeout_s=40.0), daemon.words()
        assert daemon.stop() == 7, daemon.words()
        assert "Traceback" not in daemon.words()
        assert "check the disk" in daemon.words().strip().splitlines()[-1]
    known = consumer.last_seq
    with station().start() as daemon:
        assert consumer.wait(lambda consumer: consumer.last_seq > known + 20), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    result = settled(station(), consumer)
    assert (result.faults, result.pruned) == ((), 0)
