"""The journal as an outbox: gapless numbers, durable batches, and refusals that name the remedy."""

import fcntl
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge_runtime.errors import StateError
from edge_runtime.journal.journal import Entry, Journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "L07-S3"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    with closing(Journal(folder)) as box:
        yield box


def entries(first: int, count: int, size: int = 10) -> list[Entry]:
    return [Entry(seq=seq, body=b"x" * size) for seq in range(first, first + count)]


def pending(box: Journal) -> list[int]:
    return [entry.seq for entry in box.unanswered(0, 10_000)]


def test_a_new_journal_begins_at_one(journal: Journal) -> None:
    assert journal.next_seq == 1
    assert journal.pending_count == 0
    assert journal.unanswered(0, 10) == ()


def test_a_batch_waits_in_order_with_its_bodies(journal: Journal) -> None:
    batch = [Entry(seq=1, body=b'{"a":1}'), Entry(seq=2, body="ä".encode())]
    journal.append(batch)
    assert journal.unanswered(0, 10) == tuple(batch)
    assert journal.unanswered(1, 10) == (batch[1],)
    assert journal.unanswered(0, 1) == (batch[0],)
    assert journal.pending_count == 2


def test_numbers_go_on_after_a_restart_even_when_all_was_delivered(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 3))
        for seq in (1, 2, 3):
            box.acknowledge(seq)
    with closing(Journal(folder)) as box:
        assert box.next_seq == 4
        assert pending(box) == []
        assert box.pending_count == 0


@pytest.mark.parametrize("first", [1, 3, 5, 100])
def test_a_gap_or_a_repetition_is_refused(journal: Journal, first: int) -> None:
    journal.append(entries(1, 3))
    with pytest.raises(ValueError, match=f"expected seq 4, got {first}"):
        journal.append(entries(first, 2))
    with pytest.raises(ValueError, match="expected seq 5, got 6"):
        journal.append([*entries(4, 1), *entries(6, 1)])
    assert journal.next_seq == 4
    assert pending(journal) == [1, 2, 3]


def test_an_empty_batch_changes_nothing(journal: Journal) -> None:
    journal.append([])
    assert journal.next_seq == 1


def test_the_acknowledged_is_settled_at_once_and_on_disk_after_a_flush(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 3))
        box.acknowledge(2)
        assert pending(box) == [1, 3]
        assert box.pending_count == 2
        assert waiting(folder) == [1, 2, 3]
        box.flush()
        assert waiting(folder) == [1, 3]


def test_the_next_batch_takes_the_acknowledgements_along(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 2))
        box.acknowledge(1)
        box.append(entries(3, 1))
        assert waiting(folder) == [2, 3]


def test_a_refused_verdict_is_kept_counted_and_not_offered_again(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 3))
        box.refuse(2, "Not authorized (0x87)")
        assert pending(box) == [1, 3]
        assert (box.pending_count, box.refused_count) == (2, 1)
    with closing(Journal(folder)) as box:
        assert pending(box) == [1, 3]
        assert (box.pending_count, box.refused_count) == (2, 1)
    assert waiting(folder) == [1, 3]


def test_a_second_daemon_is_told_who_holds_the_folder(folder: Path) -> None:
    with closing(Journal(folder)):
        with pytest.raises(StateError, match=f"process {os.getpid()}.*--state-dir of its own"):
            Journal(folder)
        assert subprocess.run(command(folder), check=False).returncode == 7
    with closing(Journal(folder)) as box:
        assert box.next_seq == 1


def test_a_killed_daemon_leaves_no_lock_and_no_half_batch(folder: Path) -> None:
    child = subprocess.Popen(command(folder), stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        while int(child.stdout.readline()) < 20:
            pass
        child.send_signal(signal.SIGKILL)
        told = [int(line) for line in child.stdout if line.endswith("\n")]
    with closing(Journal(folder)) as box:
        last = box.next_seq - 1
        assert last >= max(told, default=20)
        assert last % 4 == 0
        assert pending(box) == list(range(1, last + 1))


def test_a_damaged_file_is_refused_and_left_alone(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 200, size=500))
    path = folder / "journal.sqlite"
    whole = path.read_bytes()
    for damage in (
        b"",
        whole[:100],
        whole[:-5000],
        b"not SQLite" * 1000,
        whole[:4096] + b"\xff" * 9000,
    ):
        path.write_bytes(damage)
        with pytest.raises(
            StateError, match=r"journal\.sqlite is damaged .*backup.*numbering at 1"
        ):
            Journal(folder)
        assert path.read_bytes() == damage
    path.write_bytes(whole)
    with closing(Journal(folder)) as box:
        assert box.next_seq == 201


def test_a_foreign_database_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as foreign:
        foreign.execute("CREATE TABLE verdict (seq)")
        foreign.commit()
    with pytest.raises(StateError, match=r"is not a journal of edge-inspect.*--state-dir"):
        Journal(folder)


def test_a_newer_schema_is_refused_with_both_numbers(folder: Path) -> None:
    Journal(folder).close()
    with closing(sqlite3.connect(folder / "journal.sqlite")) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match=r"newer edge-inspect \(schema 99, this one knows 2\)"):
        Journal(folder)


def test_a_changed_head_is_refused(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 3))
    with closing(sqlite3.connect(folder / "journal.sqlite")) as meddler:
        meddler.execute("UPDATE head SET last_seq = 2")
        meddler.commit()
    with pytest.raises(StateError, match="its head is gone or changed"):
        Journal(folder)


@pytest.mark.parametrize(("answered", "named"), [(1, "from 2 to 3"), (3, "from 3 to 3")])
def test_a_cut_tail_is_refused_and_named(folder: Path, answered: int, named: str) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 3))
        for seq in range(1, answered + 1):
            box.acknowledge(seq)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as meddler:
        meddler.execute("DELETE FROM verdict WHERE seq >= 2")
        meddler.commit()
    with pytest.raises(StateError, match=f"verdicts {named} are gone or changed"):
        Journal(folder)


def test_a_crash_while_the_file_was_being_made_is_mended(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "journal.new").write_bytes(b"half a file")
    with closing(Journal(folder)) as box:
        box.append(entries(1, 1))
        assert pending(box) == [1]


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StateError, match=r"state folder .*file/state cannot be used.*--state-dir"):
        Journal(tmp_path / "file" / "state")


@contextmanager
def full_disk(largest_file: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: for SQLite a write that fails half way."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_fails_uses_up_no_number_and_loses_nothing(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 5))
        box.acknowledge(2)
        with full_disk((folder / "journal.sqlite-wal").stat().st_size + 10_000):
            with pytest.raises(StateError, match=r"journal\.sqlite: cannot write: .*(disk|full)"):
                box.append(entries(6, 8, size=4000))
            assert box.next_seq == 6
            assert pending(box) == [1, 3, 4, 5]
        box.append(entries(6, 8, size=4000))
        assert pending(box) == [1, 3, 4, 5, *range(6, 14)]
    with closing(Journal(folder)) as box:
        assert box.next_seq == 14
        assert pending(box) == [1, 3, 4, 5, *range(6, 14)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_takes_verdicts_again_once_there_is_room(small_disk: Path) -> None:
    with closing(Journal(small_disk)) as box:
        box.append(entries(1, 3))
        (small_disk / "somebody-else").write_bytes(b"x" * 150_000)
        with pytest.raises(StateError, match=r"the disk is full: free space on it"):
            box.append(entries(4, 20, size=8000))
        assert box.next_seq == 4
        assert pending(box) == [1, 2, 3]
        (small_disk / "somebody-else").unlink()
        box.append(entries(4, 5, size=8000))
    with closing(Journal(small_disk)) as box:
        assert pending(box) == list(range(1, 9))


def test_a_full_database_says_that_the_disk_is_full(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 5))
        # SQLite's own limit gives the same error as a disk without room.
        box._database.writer.execute("PRAGMA max_page_count = 8")
        with pytest.raises(StateError, match=r"the disk is full: free space on it"):
            box.append(entries(6, 8, size=8000))
        assert box.next_seq == 6
        box._database.writer.execute("PRAGMA max_page_count = 100000")
        box.append(entries(6, 8, size=8000))
        assert box.pending_count == 13


def test_a_write_on_a_read_only_connection_says_so(folder: Path) -> None:
    with closing(Journal(folder)) as box:
        box.append(entries(1, 1))
        box._database.writer.execute("PRAGMA query_only = ON")
        with pytest.raises(StateError, match="read-only: make folder and disk writable"):
            box.append(entries(2, 1))
        box.acknowledge(1)
        with pytest.raises(StateError, match="read-only"):
            box.flush()
        box._database.writer.execute("PRAGMA query_only = OFF")
        box.append(entries(2, 1))
        assert waiting(folder) == [2]


def test_closing_twice_is_harmless(folder: Path) -> None:
    box = Journal(folder)
    box.append(entries(1, 1))
    box.acknowledge(1)
    box.close()
    box.close()
    assert waiting(folder) == []


def test_writers_and_readers_work_at_the_same_time(journal: Journal) -> None:
    batches, size = 40, 5
    delivered: list[int] = []

    def deliver() -> None:
        while len(delivered) < batches * size:
            for entry in journal.unanswered(len(delivered), 16):
                delivered.append(entry.seq)
                journal.acknowledge(entry.seq)

    delivery = threading.Thread(target=deliver)
    delivery.start()
    for batch in range(batches):
        journal.append(entries(1 + batch * size, size))
    delivery.join(30.0)
    assert delivered == list(range(1, batches * size + 1))
    assert journal.pending_count == 0


def waiting(folder: Path) -> list[int]:
    """What would be sent again after a crash now."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as other:
        return [
            seq
            for (seq,) in other.execute(
                "SELECT seq FROM verdict WHERE seq NOT IN (SELECT seq FROM answer) ORDER BY seq"
            )
        ]


def command(folder: Path) -> list[str]:
    """A process that commits batches of four for ever, and tells each batch's last number."""
    program = """
import sys
from pathlib import Path
from edge_runtime.errors import StateError
from edge_runtime.journal.journal import Entry, Journal
try:
    box = Journal(Path(sys.argv[1]))
except StateError as exc:
    sys.exit(exc.exit_code)
while True:
    first = box.next_seq
    box.append([Entry(seq=seq, body=b"x") for seq in range(first, first + 4)])
    print(first + 3, flush=True)
"""
    return [sys.executable, "-c", program, str(folder)]


def test_the_lock_is_free_again_after_a_refusal(folder: Path) -> None:
    Journal(folder).close()
    path = folder / "journal.sqlite"
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(StateError, match="it is empty"):
        Journal(folder)
    path.write_bytes(whole)
    with (folder / "journal.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_UN)
    with closing(Journal(folder)) as box:
        assert box.next_seq == 1
