"""What is kept and for how long: only the acknowledged goes, oldest first, and the chain stays whole."""

from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.errors import StateError
from edge_runtime.journal.chain import GENESIS, link
from edge_runtime.journal.journal import Entry, Journal, Retention

DAY_S = 86_400.0


class WallClock:
    """A clock that goes where it is told."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def entries(first: int, count: int, size: int = 100) -> list[Entry]:
    return [Entry(seq=seq, body=bytes([seq % 256]) * size) for seq in range(first, first + count)]


def kept(journal: Journal) -> list[int]:
    return [entry.seq for entry in journal.stored(0, 10**9, 10**6)]


def by_age(journal: Journal) -> None:
    """Flush as if the last pruning by age were long ago."""
    journal._aged_at -= 3600
    journal.flush()


def test_each_link_covers_all_before_it(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.append(entries(1, 2))
        journal.append(entries(3, 1))
        expected = GENESIS
        for entry in entries(1, 3):
            expected = link(expected, entry.seq, entry.body)
        assert journal.head.sha256 == expected
        assert (journal.head.first_seq, journal.head.last_seq) == (1, 3)


def test_the_old_and_acknowledged_goes_and_the_rest_stays(tmp_path: Path) -> None:
    clock = WallClock()
    with closing(Journal(tmp_path, retention=Retention(keep_s=DAY_S), clock=clock)) as journal:
        journal.append(entries(1, 10))
        clock.now += 2 * DAY_S
        journal.append(entries(11, 2))
        for seq in (1, 2, 3, 5, 11):
            journal.acknowledge(seq)
        journal.refuse(4, "Not authorized (0x87)")
        by_age(journal)
        # 5 was acknowledged, but 6 was not: pruning never leaves a hole behind the anchor.
        assert kept(journal) == [4, *range(6, 13)]
        assert journal.head.first_seq == 6
        assert journal.pending_count == 6
        assert journal.refused_count == 1
    with closing(Journal(tmp_path)) as journal:
        assert kept(journal) == [4, *range(6, 13)]
        journal.append(entries(13, 1))
        assert journal.head.last_seq == 13


def test_all_may_go_and_the_numbering_and_the_chain_go_on(tmp_path: Path) -> None:
    clock = WallClock()
    with closing(Journal(tmp_path, retention=Retention(keep_s=DAY_S), clock=clock)) as journal:
        journal.append(entries(1, 3))
        for seq in (1, 2, 3):
            journal.acknowledge(seq)
        clock.now += 2 * DAY_S
        by_age(journal)
        assert kept(journal) == []
        head = journal.head
        assert (head.first_seq, head.last_seq) == (4, 3)
    with closing(Journal(tmp_path)) as journal:
        assert journal.head == head
        journal.append(entries(4, 1))
        assert journal.head.sha256 == link(head.sha256, 4, entries(4, 1)[0].body)


def test_a_size_limit_prunes_at_each_flush_and_spares_what_nobody_acknowledged(
    tmp_path: Path,
) -> None:
    with closing(Journal(tmp_path, retention=Retention(keep_bytes=200_000))) as journal:
        journal.append(entries(1, 300, size=2000))
        journal.flush()
        assert len(kept(journal)) == 300
        for seq in range(1, 291):
            journal.acknowledge(seq)
        journal.flush()
        assert kept(journal) == list(range(291, 301))


def test_a_clock_that_jumps_a_year_ahead_costs_little(tmp_path: Path) -> None:
    clock = WallClock()
    with closing(Journal(tmp_path, clock=clock)) as journal:
        for first in range(1, 5001, 500):
            journal.append(entries(first, 500, size=10))
        for seq in range(1, 5001):
            journal.acknowledge(seq)
        clock.now += 400 * DAY_S
        by_age(journal)
        journal.flush()
        journal.flush()
        assert len(kept(journal)) == 3000


def test_a_verdict_that_has_changed_on_disk_is_refused_at_the_next_start(tmp_path: Path) -> None:
    for change in (
        "UPDATE verdict SET body = zeroblob(100) WHERE seq = 5",
        "DELETE FROM verdict WHERE seq = 5",
        "DELETE FROM verdict WHERE seq = 10",
        "UPDATE verdict SET seq = 50 WHERE seq = 10",
        "INSERT INTO verdict SELECT 11, at, sha256, body FROM verdict WHERE seq = 10",
        "INSERT INTO answer (seq, at, mark) VALUES (5, 0, 7)",
        "UPDATE head SET answered_to = 9",
        "DELETE FROM head",
    ):
        folder = tmp_path / str(abs(hash(change)))
        with closing(Journal(folder)) as journal:
            journal.append(entries(1, 10))
            journal.acknowledge(1)
        # The journal's own connection, so that nothing but the change differs.
        journal = Journal(folder)
        journal._database.writer.execute(change)
        journal.close()
        with pytest.raises(StateError, match=r"journal\.sqlite is damaged .*numbering at 1"):
            Journal(folder)


def test_a_lost_tail_is_refused_though_the_file_is_sound(tmp_path: Path) -> None:
    folder, copy = tmp_path / "state", tmp_path / "copy.sqlite"
    with closing(Journal(folder)) as journal:
        journal.append(entries(1, 5))
        journal._database.checkpoint("TRUNCATE")
        copy.write_bytes((folder / "journal.sqlite").read_bytes())
        journal.append(entries(6, 1))
    (folder / "journal.sqlite").write_bytes(copy.read_bytes())
    with pytest.raises(StateError, match=r"ends with verdict 5, but journal.head has seen .* 6"):
        Journal(folder)
    (folder / "journal.sqlite").unlink()
    with pytest.raises(StateError, match=r"ends with verdict 0, but journal.head has seen .* 6"):
        Journal(folder)
    (folder / "journal.sqlite").unlink()
    (folder / "journal.head").unlink()
    with closing(Journal(folder)) as journal:
        assert journal.next_seq == 1


def test_an_end_mark_left_behind_by_a_power_cut_does_no_harm(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.append(entries(1, 5))
        mark = (tmp_path / "journal.head").read_bytes()
        journal.append(entries(6, 3))
    for behind in (mark, b"", b"torn" * 11):
        (tmp_path / "journal.head").write_bytes(behind)
        with closing(Journal(tmp_path)) as journal:
            assert journal.next_seq == 9


def test_no_verdict_can_be_read_before_the_end_mark_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Entry, ...]] = []
    with closing(Journal(tmp_path)) as journal:
        write = journal._end.write

        def slow_write(seq: int, link_: bytes) -> None:
            seen.append(journal.unanswered(0, 10))
            write(seq, link_)

        monkeypatch.setattr(journal._end, "write", slow_write)
        journal.append(entries(1, 2))
        assert seen == [()]
        assert [entry.seq for entry in journal.unanswered(0, 10)] == [1, 2]
