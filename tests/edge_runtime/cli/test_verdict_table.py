"""A verdict is one line of harmless characters, however wide the terminal and whatever it says."""

import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cli.screen import Screen
from edge_runtime.cli.verdict_table import VerdictTable, station_line
from edge_runtime.consumer.feed import Feed
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import DeliveryNote, Lane, Outcome, VerdictMessage, message
from edge_runtime.mes.topics import Topics
from tests.sample_verdicts import sample_verdict

NOW = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
TOPICS = Topics(site="plant-1", station=StationId.parse("L07-S3"))


def verdict(**changes: object) -> VerdictMessage:
    body = sample_verdict(1042, decided_at=NOW - timedelta(milliseconds=17)).model_copy(
        update=changes
    )
    note = DeliveryNote(lane=Lane.BACKLOG, waited_ms=1.0)
    return VerdictMessage.model_construct(**{**dict(body), "delivery": note})


def test_a_wide_terminal_shows_everything() -> None:
    table = VerdictTable(120, colour=False)
    assert table.header().split() == ["station", "seq", "part", "verdict", "class", "lane", "age"]
    assert table.row(verdict(), NOW).split() == (
        ["L07-S3", "1042", "P-1042", "defect", "micro_crack", "p=0.900", "backlog", "17", "ms"]
    )


@pytest.mark.parametrize("width", range(8, 130, 7))
def test_a_narrow_terminal_keeps_number_and_verdict_as_long_as_it_can(width: int) -> None:
    table = VerdictTable(width, colour=False)
    assert len(table.row(verdict(), NOW)) <= max(width, 8)
    assert width < 23 or "1042" in table.row(verdict(), NOW)
    assert width < 23 or "defect" in table.row(verdict(), NOW)


def test_colour_changes_no_character() -> None:
    plain = VerdictTable(120, colour=False).row(verdict(part_id="defect"), NOW)
    coloured = VerdictTable(120, colour=True).row(verdict(part_id="defect"), NOW)
    assert re.sub(r"\033\[[0-9;]*m", "", coloured) == plain
    assert "\033[31;1mdefect       \033[0m" in coloured


@given(
    st.text(max_size=60),
    st.none() | st.text(max_size=60),
    st.none() | st.text(max_size=60),
    st.datetimes(timezones=st.just(UTC)),
    st.integers(1, 140),
)
def test_nothing_in_a_verdict_reaches_the_terminal_raw(
    part_id: str, label: str | None, reason: str | None, captured_at: datetime, width: int
) -> None:
    odd = verdict(
        part_id=part_id,
        label=label,
        reason=reason,
        captured_at=captured_at,
        scores={},
        verdict=Outcome.REVIEW,
    )
    row = VerdictTable(width, colour=False).row(odd, NOW)
    assert row.isprintable()
    assert len(row) <= width


def test_the_line_of_a_station_says_what_lacks() -> None:
    feed = Feed(TOPICS, requester="mes", remark=lambda _text: None)
    for seq in (1, 2, 6, 6, 9):
        body = sample_verdict(seq, decided_at=NOW).to_json().encode()
        sent = message(body, DeliveryNote(lane=Lane.LIVE, waited_ms=1.0))
        feed.take(TOPICS.verdict, sent, 0.0)
    feed.take(TOPICS.availability, b"online", 0.0)
    assert station_line("L07-S3", feed, 200) == (
        "L07-S3  online  last 9  5 missing (3-5, 7-8)  1 repeated"
    )
    assert "  3 missing (3-5)  " in station_line("L07-S3", feed, 200, up_to=6)
    assert len(station_line("L07-S3", feed, 20)) <= 20


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_foot_is_drawn_below_and_erased_before_the_next_line() -> None:
    terminal = Terminal()
    screen = Screen(terminal)
    screen.set_foot(["one", "two"])
    screen.write("row")
    assert terminal.getvalue() == "one\ntwo\n\033[2F\033[Jrow\none\ntwo\n"
    screen.set_foot(["one", "two"])
    screen.set_foot([])
    assert terminal.getvalue().endswith("row\none\ntwo\n\033[2F\033[J")


def test_a_pipe_gets_lines_alone() -> None:
    pipe = io.StringIO()
    screen = Screen(pipe)
    screen.set_foot(["one"])
    screen.write("row")
    assert pipe.getvalue() == "row\n"
