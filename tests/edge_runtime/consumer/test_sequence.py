"""One station's numbers: each verdict once, every gap known, another journal recognised."""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.consumer.sequence import Sequence, SequenceState, Standing
from edge_runtime.contracts.verdict import Lane

A, B, C = "boot-a", "boot-b", "boot-c"


def take(
    sequence: Sequence, seq: int, boot_id: str = A, lane: Lane = Lane.LIVE, content: str = ""
) -> Standing:
    sha256 = hashlib.sha256(f"{boot_id}:{seq}:{content}".encode()).digest()
    return sequence.take(seq=seq, boot_id=boot_id, sha256=sha256, lane=lane)


def gaps(sequence: Sequence) -> list[tuple[int, int]]:
    return list(sequence.missing)


def test_the_numbering_is_followed_from_the_first_verdict_that_comes() -> None:
    sequence = Sequence()
    assert [take(sequence, seq) for seq in (500, 501, 504)] == [Standing.NEW] * 3
    assert gaps(sequence) == [(502, 503)]
    assert take(sequence, 502) is Standing.NEW
    assert take(sequence, 502) is Standing.DUPLICATE
    assert (gaps(sequence), sequence.last, sequence.received) == ([(503, 503)], 504, 4)


def test_a_wanted_beginning_makes_everything_before_the_first_arrival_a_gap() -> None:
    sequence = Sequence(first=10)
    take(sequence, 500)
    assert gaps(sequence) == [(10, 499)]


def test_a_backlog_that_is_overtaken_by_live_verdicts_fills_its_gap() -> None:
    sequence = Sequence()
    take(sequence, 1_000_000, B)
    for seq in range(500_000, 500_010):
        assert take(sequence, seq, A, Lane.BACKLOG) is Standing.NEW
    assert gaps(sequence) == [(500_010, 999_999)]
    assert sequence.duplicates == 0


def test_the_journals_head_shows_what_has_not_come() -> None:
    sequence = Sequence()
    take(sequence, 10)
    sequence.take_head(1, 15)
    assert (gaps(sequence), sequence.behind) == ([], 15)
    sequence.expect(15)
    assert gaps(sequence) == [(11, 15)]
    assert take(sequence, 12) is Standing.NEW


def test_what_the_journal_no_longer_holds_is_lost_and_no_longer_when_it_comes() -> None:
    sequence = Sequence(first=1)
    take(sequence, 100)
    sequence.take_head(61, 100)
    assert (gaps(sequence), sequence.lost) == ([(61, 99)], 60)
    assert take(sequence, 7, lane=Lane.BACKLOG) is Standing.NEW
    assert sequence.lost == 59


def test_number_1_of_another_run_after_higher_numbers_is_a_restart_and_no_duplicate() -> None:
    sequence = Sequence()
    for seq in (1, 2, 3, 5):
        take(sequence, seq, A)
    assert take(sequence, 1, B) is Standing.RESTARTED
    assert (sequence.restarts, sequence.duplicates, sequence.lost) == (1, 0, 1)
    assert [take(sequence, seq, B) for seq in (2, 2)] == [Standing.NEW, Standing.DUPLICATE]


def test_a_new_journal_is_recognised_by_any_number_that_cannot_be_the_old_ones() -> None:
    amid_a_run, below_the_newest = Sequence(), Sequence()
    for seq in (1000, 1100):
        take(amid_a_run, seq, A)
        take(below_the_newest, seq, A)
    assert take(amid_a_run, 1050, B, Lane.BACKLOG) is Standing.RESTARTED
    assert gaps(amid_a_run) == [(1, 1049)]
    assert take(below_the_newest, 7, B) is Standing.RESTARTED


def test_a_head_that_went_back_tells_of_a_new_journal_with_its_first_verdict() -> None:
    sequence = Sequence()
    take(sequence, 1000, A)
    sequence.take_head(1, 1000)
    sequence.take_head(1, 3)
    assert sequence.behind is None
    assert take(sequence, 1, B, Lane.BACKLOG) is Standing.RESTARTED


def test_an_old_head_that_the_broker_repeats_changes_nothing() -> None:
    sequence = Sequence()
    take(sequence, 1000, A)
    for last in (900, 1000, 900, 1000):
        sequence.take_head(1, last)
    assert take(sequence, 1001, B) is Standing.NEW
    assert sequence.restarts == 0


def test_the_backlog_of_an_earlier_run_is_no_new_journal() -> None:
    sequence = Sequence()
    take(sequence, 300, C)
    for seq in (*range(100, 200), *range(200, 300)):
        boot_id = A if seq < 200 else B
        assert take(sequence, seq, boot_id, Lane.BACKLOG) is Standing.NEW
    assert (gaps(sequence), sequence.restarts) == ([], 0)


def test_the_same_number_with_other_contents_is_a_conflict() -> None:
    sequence = Sequence()
    take(sequence, 5, A)
    assert take(sequence, 5, A, content="changed") is Standing.CONFLICT
    assert take(sequence, 5, A) is Standing.DUPLICATE
    assert sequence.conflicts == 1


def test_two_stations_with_one_name_are_a_conflict_and_do_not_restart_each_other() -> None:
    sequence = Sequence()
    standings = []
    for number in range(1, 6):
        standings += [take(sequence, 500 + number, A), take(sequence, number, B)]
    assert standings[:2] == [Standing.NEW, Standing.RESTARTED]
    assert set(standings[2::2]) == {Standing.CONFLICT}
    assert set(standings[3::2]) == {Standing.NEW}
    assert sequence.restarts == 1


def test_a_replay_for_somebody_else_is_not_taken_for_ones_own() -> None:
    sequence = Sequence()
    assert take(sequence, 400, A, Lane.REPLAY) is Standing.UNASKED
    take(sequence, 500, A)
    assert take(sequence, 400, A, Lane.REPLAY) is Standing.UNASKED
    assert gaps(sequence) == []
    take(sequence, 502, A)
    assert take(sequence, 501, A, Lane.REPLAY) is Standing.NEW


def test_a_repetition_is_known_after_a_restart_of_the_consumer_too() -> None:
    sequence = Sequence(first=1)
    for seq in (1, 2, 4, 9):
        take(sequence, seq, A if seq < 4 else B)
    written = sequence.state().to_json()
    again = Sequence(state=SequenceState.model_validate_json(written))
    assert again.state() == sequence.state()
    assert gaps(again) == [(3, 3), (5, 8)]
    # What the broker repeats out of its session, the older run's first.
    assert [take(again, seq, A if seq < 4 else B) for seq in (1, 2, 4, 9)] == (
        [Standing.DUPLICATE] * 4
    )
    assert take(again, 10, C) is Standing.NEW
    assert take(again, 1, "boot-d") is Standing.RESTARTED


def test_memory_does_not_grow_with_the_number_of_verdicts() -> None:
    sequence = Sequence()
    sha256 = bytes(32)
    for seq in range(1, 50_001):
        sequence.take(seq=seq, boot_id=f"boot-{seq // 100}", sha256=sha256, lane=Lane.LIVE)
    assert sequence.received == 50_000
    assert len(sequence.state().to_json()) < 30_000
    assert sequence.take(seq=1, boot_id="boot-0", sha256=sha256, lane=Lane.LIVE) is (
        Standing.DUPLICATE
    )


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[int, list[tuple[int, str, Lane]]]:
    """What a subscriber may get of a journal of several runs with outages between: in each lane in
    order and each verdict at least once, anything lost for a while and replayed, anything twice."""
    owner: list[str] = []
    messages: list[tuple[int, str, Lane]] = []
    waiting: list[int] = []
    for run in range(draw(st.integers(1, 4))):
        first = len(owner) + 1
        owner += [f"boot-{run}"] * draw(st.integers(1, 12))
        seqs = list(range(first, len(owner) + 1))
        cut = draw(st.integers(0, len(seqs)))
        # Before the cut the station has no broker; what waits from there goes beside the live ones.
        waiting += seqs[:cut]
        for seq in seqs[cut:]:
            messages.append((seq, owner[seq - 1], Lane.LIVE))
            beside = draw(st.integers(0, 3))
            messages += [(seq, owner[seq - 1], Lane.BACKLOG) for seq in waiting[:beside]]
            del waiting[:beside]
    messages += [(seq, owner[seq - 1], Lane.BACKLOG) for seq in waiting]
    kept = [message for message in messages if draw(st.integers(0, 4)) > 0]
    repeated: list[tuple[int, str, Lane]] = []
    for index, message in enumerate(kept):
        repeated.append(message)
        if draw(st.integers(0, 4)) == 0:
            # A broker repeats from its session in order what it has no receipt for.
            repeated += kept[max(0, index - draw(st.integers(0, 3))) : index + 1]
    replayed = [(seq, boot_id, Lane.REPLAY) for seq, boot_id in enumerate(owner, start=1)]
    return len(owner), repeated + replayed


@settings(max_examples=300)
@given(deliveries(), st.booleans())
def test_every_verdict_is_new_exactly_once_however_it_comes(
    delivered: tuple[int, list[tuple[int, str, Lane]]], restarting: bool
) -> None:
    total, messages = delivered
    sequence = Sequence(first=1)
    new: list[int] = []
    for seq, boot_id, lane in messages:
        if restarting:
            sequence = Sequence(state=sequence.state())
        standing = take(sequence, seq, boot_id, lane)
        assert standing in (Standing.NEW, Standing.DUPLICATE), (seq, boot_id, lane)
        if standing is Standing.NEW:
            new.append(seq)
        received = set(new)
        lacking = {n for low, high in sequence.missing for n in range(low, high + 1)}
        assert lacking == set(range(1, sequence.last + 1)) - received
    assert sorted(new) == list(range(1, total + 1))
    assert (gaps(sequence), sequence.last) == ([], total)
    assert restarting or sequence.duplicates == len(messages) - total


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(1, 12), st.sampled_from([A, B, C]), st.sampled_from(list(Lane))),
            st.tuples(st.integers(1, 12), st.integers(0, 12)),
        ),
        max_size=40,
    )
)
def test_no_input_breaks_the_account(events: list[tuple[int, ...] | tuple[int, str, Lane]]) -> None:
    sequence = Sequence()
    verdicts = 0
    for event in events:
        if len(event) == 2:
            sequence.take_head(event[0], event[1])
            if sequence.behind is not None:
                sequence.expect(sequence.behind)
            continue
        verdicts += 1
        take(sequence, *event)
        judged = sequence.received + sequence.duplicates + sequence.conflicts + sequence.unasked
        assert judged == verdicts
        assert all(1 <= low <= high <= sequence.last for low, high in sequence.missing)
    assert Sequence(state=sequence.state()).state() == sequence.state()
