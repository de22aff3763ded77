"""The journal against a model of it, through any history of batches, answers, failures and crashes."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge_runtime.errors import StateError
from edge_runtime.journal.journal import Entry, Journal

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


class JournalMachine(RuleBasedStateMachine):
    """A crash is a copy of the folder as it lies on disk, taken over by a new journal."""

    def __init__(self) -> None:
        super().__init__()
        # In memory where there is such a place: hundreds of synced commits need no disk to be right.
        self.root = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.folder = self.root / "0"
        self.box = Journal(self.folder)
        self.lives = 0
        self.committed = 0
        self.waiting: dict[int, bytes] = {}
        self.refused: set[int] = set()
        self.unwritten: dict[int, tuple[bytes, bool]] = {}
        """Answers that a crash may undo: body, and whether it was a refusal."""

    @rule(bodies=st.lists(st.binary(max_size=200), max_size=5))
    def append(self, bodies: list[bytes]) -> None:
        self.box.append(self._batch(bodies))
        self._take(bodies)

    @rule(bodies=st.lists(st.binary(max_size=200), min_size=1, max_size=5))
    def append_to_a_full_disk_and_again(self, bodies: list[bytes]) -> None:
        self.box._database.writer.execute("PRAGMA query_only = ON")
        with pytest.raises(StateError):
            self.box.append(self._batch(bodies))
        self.box._database.writer.execute("PRAGMA query_only = OFF")
        self.agrees()
        self.append(bodies)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), refused=st.booleans())
    def answer(self, data: st.DataObject, refused: bool) -> None:
        seq = data.draw(st.sampled_from(sorted(self.waiting)))
        self.unwritten[seq] = (self.waiting.pop(seq), refused)
        if refused:
            self.refused.add(seq)
            self.box.refuse(seq, "Not authorized")
        else:
            self.box.acknowledge(seq)

    @rule()
    def flush(self) -> None:
        self.box.flush()
        self.unwritten.clear()

    @rule(limit=st.integers(1, 4))
    def prune(self, limit: int) -> None:
        with self.box._writing:
            self.box._prune(older_than_ms=None, limit=limit)

    @rule()
    def restart(self) -> None:
        self.box.close()
        self.unwritten.clear()
        self.box = Journal(self.folder)

    @rule()
    def crash(self) -> None:
        self.lives += 1
        after = self.root / str(self.lives)
        shutil.copytree(self.folder, after)
        self.box.close()
        self.folder = after
        self.box = Journal(self.folder)
        # What was answered and not written down waits again; nothing else may differ.
        for seq, (body, refused) in self.unwritten.items():
            self.waiting[seq] = body
            if refused:
                self.refused.discard(seq)
        self.unwritten.clear()

    @rule(after=st.integers(0, 30), limit=st.integers(0, 5))
    def read_a_part(self, after: int, limit: int) -> None:
        expected = [seq for seq in sorted(self.waiting) if seq > after][:limit]
        assert [entry.seq for entry in self.box.unanswered(after, limit)] == expected

    @invariant()
    def agrees(self) -> None:
        assert self.box.next_seq == self.committed + 1
        assert {e.seq: e.body for e in self.box.unanswered(0, 10_000)} == self.waiting
        assert self.box.pending_count == len(self.waiting)
        assert self.box.refused_count == len(self.refused)
        head = self.box.head
        kept = self.box.stored(head.first_seq, head.last_seq, 10_000)
        assert [entry.seq for entry in kept] == list(range(head.first_seq, self.committed + 1))
        assert self.refused | self.waiting.keys() <= {
            e.seq for e in self.box.stored(0, 10_000, 10_000)
        }

    def _batch(self, bodies: list[bytes]) -> list[Entry]:
        first = self.committed + 1
        return [Entry(seq=first + index, body=body) for index, body in enumerate(bodies)]

    def _take(self, bodies: list[bytes]) -> None:
        for body in bodies:
            self.committed += 1
            self.waiting[self.committed] = body
        if bodies:
            self.unwritten.clear()

    def teardown(self) -> None:
        self.box.close()
        shutil.rmtree(self.root)


JournalMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestJournalMachine = JournalMachine.TestCase


class Forgetful(Journal):
    """Counts a verdict as answered as soon as a later one is."""

    def acknowledge(self, seq: int) -> None:
        for entry in self.unanswered(0, 10_000, up_to=seq):
            super().acknowledge(entry.seq)


def test_control_a_journal_that_forgets_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.Journal", Forgetful)
    unshrunk = settings(
        JournalMachine.TestCase.settings, phases=[Phase.generate], database=None, print_blob=False
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(JournalMachine, settings=unshrunk)
