"""When a consumer asks a station: not too early, not twice, not for ever."""

from edge_runtime.consumer.recovery import Patience, Recovery
from edge_runtime.consumer.sequence import Sequence
from edge_runtime.contracts.replay import LARGEST_REPLAY, ReplayAnswer, ReplayRequest
from edge_runtime.contracts.verdict import LARGEST_SEQ, Lane

PATIENCE = Patience(grace_s=5.0, backlog_s=60.0, answer_s=10.0, longest_s=300.0)


class Consumer:
    """A sequence with its recovery, and a clock that is set by hand."""

    def __init__(self, *, to_seq: int = LARGEST_SEQ) -> None:
        self.now = 1000.0
        self.sequence = Sequence(first=1)
        self.recovery = Recovery(self.sequence, "mes-1", PATIENCE, to_seq=to_seq)

    def take(self, *seqs: int, lane: Lane = Lane.LIVE) -> None:
        for seq in seqs:
            self.sequence.take(seq=seq, boot_id="a", sha256=bytes([seq % 256]), lane=lane)
            self.recovery.came(seq, lane, self.now)

    def request(self, after_s: float = 0.0) -> ReplayRequest | None:
        self.now += after_s
        return self.recovery.request(self.now)

    def asks(self, after_s: float) -> ReplayRequest:
        """The request that is made after so long, and not before."""
        assert self.request() is None
        assert self.request(after_s - 0.01) is None
        request = self.request(0.01)
        assert request is not None
        return request

    def answer(self, request: ReplayRequest, verdicts: int, refusal: str | None = None) -> None:
        answer = ReplayAnswer(
            request_id=request.request_id,
            from_seq=request.from_seq,
            to_seq=request.to_seq,
            verdicts=verdicts,
            refusal=refusal,
        )
        self.recovery.answered(answer, self.now)

    def gaps(self) -> list[tuple[int, int]]:
        return list(self.sequence.missing)


def bounds(request: ReplayRequest | None) -> tuple[int, int] | None:
    return None if request is None else (request.from_seq, request.to_seq)


def test_a_gap_is_asked_for_after_the_grace_and_once() -> None:
    consumer = Consumer()
    consumer.take(1, 2, 6)
    request = consumer.asks(5.0)
    assert bounds(request) == (3, 5)
    consumer.answer(request, 3)
    consumer.take(3, 4, 5, lane=Lane.REPLAY)
    assert consumer.request(1000.0) is None
    assert (consumer.gaps(), consumer.sequence.lost, consumer.recovery.requests) == ([], 0, 1)


def test_a_gap_that_the_backlog_fills_is_never_asked_for() -> None:
    consumer = Consumer()
    consumer.take(100)
    for seq in range(1, 100):
        assert consumer.request(4.9) is None
        consumer.take(seq, lane=Lane.BACKLOG)
    assert consumer.request(1000.0) is None


def test_while_the_station_says_that_verdicts_wait_the_patience_is_longer_but_ends() -> None:
    consumer = Consumer()
    consumer.take(1, 6)
    consumer.recovery.healthy(4)
    assert consumer.recovery.awaiting_backlog
    assert bounds(consumer.asks(60.0)) == (2, 5)


def test_what_lacks_beyond_all_that_waits_at_the_station_is_asked_for_after_the_grace() -> None:
    consumer = Consumer()
    consumer.take(90)
    consumer.recovery.healthy(1)  # the verdict that was on its way when the station looked
    assert not consumer.recovery.awaiting_backlog
    assert bounds(consumer.asks(5.0)) == (1, 89)


def test_new_gaps_do_not_put_off_the_old_one() -> None:
    consumer = Consumer()
    consumer.take(1, 6)
    assert consumer.request() is None
    consumer.now += 4.0
    consumer.take(20, 30)
    assert consumer.request(1.0) is not None


def test_nobody_is_asked_while_the_station_is_away() -> None:
    consumer = Consumer()
    consumer.take(1, 6)
    consumer.recovery.available(False, consumer.now)
    assert consumer.request(1000.0) is None
    consumer.recovery.available(True, consumer.now)
    assert bounds(consumer.asks(5.0)) == (2, 5)


def test_what_the_head_of_the_journal_names_is_asked_for_when_it_does_not_come() -> None:
    consumer = Consumer()
    consumer.take(1)
    consumer.sequence.take_head(1, 4)
    assert consumer.request() is None
    assert consumer.gaps() == [], "it may be on its way"
    consumer.take(2)
    request = consumer.request(5.0)
    assert bounds(request) == (3, 4)


def test_a_request_without_an_answer_is_repeated_ever_more_slowly_and_never_given_up() -> None:
    consumer = Consumer()
    consumer.take(1, 3)
    first = consumer.asks(5.0)
    waits = []
    for _ in range(8):
        asked_at = consumer.now
        while (again := consumer.request(1.0)) is None:
            pass
        waits.append(consumer.now - asked_at)
        assert bounds(again) == bounds(first)
        assert again.request_id != first.request_id
    assert waits == [20.0, 30.0, 50.0, 90.0, 170.0, 310.0, 310.0, 310.0]
    assert consumer.gaps() == [(2, 2)]


def test_what_an_answer_leaves_out_is_lost() -> None:
    consumer = Consumer()
    consumer.take(100)
    request = consumer.asks(5.0)
    consumer.answer(request, 39, "the journal holds 61 to 100")
    consumer.take(*range(61, 100), lane=Lane.REPLAY)
    assert (consumer.gaps(), consumer.sequence.lost) == ([], 60)


def test_three_refusals_in_a_row_end_the_asking() -> None:
    consumer = Consumer()
    consumer.take(1, 3, 1000, 1005)
    for refused in range(1, 4):
        while (request := consumer.request(1.0)) is None:
            assert consumer.now < 1100.0
        consumer.answer(request, 0, "replay is not enabled at this station (mqtt_replay)")
        assert consumer.recovery.refusal is not None
        assert consumer.sequence.lost == (0 if refused < 3 else 1 + 996 + 4)
    assert consumer.request(1000.0) is None


def test_an_answer_to_somebody_else_is_none_to_us() -> None:
    consumer = Consumer()
    consumer.take(1, 3)
    request = consumer.asks(5.0)
    other = request.model_copy(update={"request_id": "mes-2:1"})
    consumer.answer(other, 0, "no")
    assert consumer.recovery.asking == request


def test_a_replay_that_stalls_is_asked_for_again_from_where_it_stopped() -> None:
    consumer = Consumer()
    consumer.take(1, 11)
    request = consumer.asks(5.0)
    consumer.answer(request, 9)
    consumer.take(2, 3, 4, lane=Lane.REPLAY)
    again = consumer.request(10.0)
    assert again is None
    assert bounds(consumer.request(10.0)) == (5, 10)


def test_a_long_gap_is_asked_for_in_pieces_without_waiting_in_between() -> None:
    consumer = Consumer()
    last = 2 * LARGEST_REPLAY + 5
    consumer.take(last + 1)
    request = consumer.asks(5.0)
    pieces = []
    while request is not None:
        pieces.append(bounds(request))
        consumer.answer(request, request.to_seq - request.from_seq + 1)
        consumer.take(*range(request.from_seq, request.to_seq + 1), lane=Lane.REPLAY)
        request = consumer.request(1.0)
    assert pieces == [(1, 10_000), (10_001, 20_000), (20_001, last)]


def test_gaps_close_together_are_asked_for_together() -> None:
    consumer = Consumer()
    consumer.take(1, 3, 5, *range(7, 500), 501)
    assert bounds(consumer.asks(5.0)) == (2, 6)


def test_nothing_beyond_the_last_wanted_is_asked_for() -> None:
    consumer = Consumer(to_seq=7)
    consumer.take(5, 5000)
    request = consumer.asks(5.0)
    assert bounds(request) == (1, 7)
    consumer.answer(request, 7)
    consumer.take(1, 2, 3, 4, 6, 7, lane=Lane.REPLAY)
    assert consumer.request(1000.0) is None


def test_after_the_numbering_began_again_the_old_request_is_forgotten() -> None:
    consumer = Consumer()
    consumer.take(1, 3)
    consumer.asks(5.0)
    consumer.recovery.restarted()
    assert consumer.recovery.asking is None
