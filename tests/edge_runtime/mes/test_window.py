"""What goes out in which order, and what stays until it is answered."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_runtime.mes.window import Outgoing, SendWindow

AVAILABILITY = "a/availability"
HEALTH = "a/health"
VERDICT = "a/verdict"


def opened(quota: int = 100) -> SendWindow:
    window = SendWindow(AVAILABILITY)
    window.set_state(HEALTH, b"fine")
    window.opened(quota)
    return window


def sent(window: SendWindow) -> list[Outgoing]:
    items = []
    while (item := window.next()) is not None:
        items.append(item)
    return items


def answer(window: SendWindow) -> list[int | str]:
    """Send and answer everything; names what was sent by seq or payload."""
    names: list[int | str] = []
    while (item := window.next()) is not None:
        window.answered(item)
        names.append(item.payload.decode() if item.number is None else item.number)
    return names


def test_states_precede_online_and_online_precedes_verdicts() -> None:
    window = opened()
    assert window.offer(1, VERDICT, b"{}")
    assert answer(window) == ["fine", "online", 1]


def test_the_unanswered_go_out_again_before_the_new() -> None:
    window = opened()
    for seq in (1, 2, 3):
        window.offer(seq, VERDICT, b"{}")
    window.answered(sent(window)[2])
    window.closed(over_message=False)
    assert not window.offer(4, VERDICT, b"{}")
    window.opened(100)
    assert window.offer(4, VERDICT, b"{}")
    assert answer(window) == ["fine", "online", 2, 3, 4]


def test_only_the_last_payload_of_a_state_is_sent() -> None:
    window = opened(quota=2)
    first = sent(window)
    window.set_state(HEALTH, b"outdated")
    window.set_state(HEALTH, b"worried")
    for item in first:
        window.answered(item)
    assert answer(window) == ["worried"]


def test_no_more_than_the_quota_is_on_the_wire() -> None:
    window = opened(quota=3)
    for seq in range(1, 10):
        window.offer(seq, VERDICT, b"{}")
    items = sent(window)
    assert len(items) == 3
    window.answered(items[0])
    assert len(sent(window)) == 1


def test_stopped_is_said_when_all_else_has_been_answered() -> None:
    window = opened()
    window.offer(1, VERDICT, b"{}")
    window.finish()
    assert not window.offer(2, VERDICT, b"{}")
    assert answer(window) == ["fine", "online", 1, "stopped"]
    assert window.finished


def test_the_verdict_that_breaks_the_connection_alone_on_the_wire_is_given_up() -> None:
    window = opened()
    for seq in (1, 2, 3):
        window.offer(seq, VERDICT, b"{}")
    sent(window)
    assert window.closed(over_message=True) is None
    window.opened(100)
    while (item := window.next()) is not None and item.number != 2:
        window.answered(item)
        assert len(window._on_wire) == 0
    culprit = window.closed(over_message=True)
    assert culprit is not None
    assert culprit.number == 2
    window.opened(100)
    assert answer(window) == ["fine", "online", 3]


def test_a_state_that_breaks_the_connection_is_not_announced_again() -> None:
    window = opened()
    for _ in range(2):
        assert window.next() is not None
        culprit = window.closed(over_message=True)
        window.opened(100)
    assert culprit is not None
    assert culprit.topic == HEALTH
    assert answer(window) == ["online"]


def test_a_break_over_the_network_gives_nothing_up() -> None:
    window = opened()
    window.offer(1, VERDICT, b"{}")
    for _ in range(5):
        sent(window)
        assert window.closed(over_message=False) is None
        window.opened(100)
    assert answer(window) == ["fine", "online", 1]


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens, each verdict that was taken is answered exactly once in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.window = SendWindow(AVAILABILITY, limit=8)
        self.taken: set[int] = set()
        self.answered: list[int] = []
        self.wire: list[Outgoing] = []
        self.seq = 0
        self.quota = 0

    @rule()
    def offer(self) -> None:
        if self.window.offer(self.seq + 1, VERDICT, b"{}"):
            self.seq += 1
            self.taken.add(self.seq)

    @precondition(lambda self: not self.window.open)
    @rule(quota=st.integers(1, 5))
    def connect(self, quota: int) -> None:
        self.window.opened(quota)
        self.quota = quota
        self.wire = []

    @rule()
    def send(self) -> None:
        if (item := self.window.next()) is not None:
            self.wire.append(item)

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        item = self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1)))
        self.window.answered(item)
        if item.number is not None:
            self.answered.append(item.number)

    @precondition(lambda self: self.window.open)
    @rule(over_message=st.booleans())
    def lose(self, over_message: bool) -> None:
        culprit = self.window.closed(over_message=over_message)
        self.wire = []
        if culprit is not None and culprit.number is not None:
            self.answered.append(culprit.number)

    @rule()
    def set_state(self) -> None:
        self.window.set_state(HEALTH, b"fine")

    @invariant()
    def no_verdict_is_answered_twice(self) -> None:
        assert len(self.answered) == len(set(self.answered))
        assert set(self.answered) <= self.taken

    @invariant()
    def the_quota_holds(self) -> None:
        assert not self.window.open or len(self.wire) <= self.quota

    def teardown(self) -> None:
        if self.window.open:
            self.window.closed(over_message=False)
        self.window.opened(100)
        while (item := self.window.next()) is not None:
            self.window.answered(item)
            if item.number is not None:
                self.answered.append(item.number)
        assert sorted(self.answered) == sorted(self.taken)


AnyHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase
