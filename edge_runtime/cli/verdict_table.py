"""How a verdict and a station look on a terminal: one line each, cut to the width there is.

Text in, text out. What stands in a payload may come from anybody: nothing that is not printable gets
through to the terminal.
"""

import math
from dataclasses import dataclass
from datetime import datetime

from edge_runtime.consumer.feed import Feed
from edge_runtime.consumer.ranges import Ranges
from edge_runtime.contracts.verdict import LARGEST_SEQ, Outcome, VerdictMessage

_COLOURS = {
    Outcome.OK: "32",
    Outcome.DEFECT: "31;1",
    Outcome.REVIEW: "33",
    Outcome.NOT_INSPECTED: "35",
}
_SHOWN_GAPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    title: str
    width: int
    right: bool = False


_STATION = _Column(title="station", width=7)
_SEQ = _Column(title="seq", width=8, right=True)
_PART = _Column(title="part", width=20)
_VERDICT = _Column(title="verdict", width=13)
_LABEL = _Column(title="class", width=27)
_LANE = _Column(title="lane", width=7)
_AGE = _Column(title="age", width=8, right=True)
_ALL = (_STATION, _SEQ, _PART, _VERDICT, _LABEL, _LANE, _AGE)
_FIRST_TO_GO = (_AGE, _LANE, _STATION, _LABEL, _PART)
"""What a narrow terminal does without, in this order."""


class VerdictTable:
    """Rows of one width; columns that find no room are left out."""

    def __init__(self, width: int, *, colour: bool, of_one_station: bool = False) -> None:
        """`width` of the terminal in characters; rows of one station need not name it."""
        columns = [column for column in _ALL if column is not _STATION or not of_one_station]
        for column in _FIRST_TO_GO:
            if sum(c.width for c in columns) + 2 * (len(columns) - 1) <= width:
                break
            if column in columns:
                columns.remove(column)
        self._columns = tuple(columns)
        self._width = width
        self._colour = colour

    def header(self) -> str:
        """The titles."""
        return self._line({column: column.title for column in self._columns})

    def row(self, verdict: VerdictMessage, now: datetime) -> str:
        """A verdict; its age is from the exposure to `now`, both by the wall clock."""
        probability = verdict.scores.get(verdict.label or "")
        if verdict.label is None or probability is None:
            what = verdict.reason or verdict.label or ""
        else:
            what = f"{_fit(verdict.label, _LABEL.width - 8)} p={probability:.3f}"
        text = self._line(
            {
                _STATION: f"{verdict.line}-{verdict.station}",
                _SEQ: str(verdict.seq),
                _PART: verdict.part_id,
                _VERDICT: verdict.verdict,
                _LABEL: what,
                _LANE: verdict.delivery.lane,
                _AGE: _duration((now - verdict.captured_at).total_seconds()),
            }
        )
        if not self._colour:
            return text
        at = self._offset(_VERDICT)
        until = at + _VERDICT.width
        return f"{text[:at]}\033[{_COLOURS[verdict.verdict]}m{text[at:until]}\033[0m{text[until:]}"

    def _offset(self, wanted: _Column) -> int:
        """Where a column begins."""
        before = self._columns[: self._columns.index(wanted)]
        return sum(column.width + 2 for column in before)

    def _line(self, texts: dict[_Column, str]) -> str:
        cells = (_fit(texts[column], column.width, right=column.right) for column in self._columns)
        return "  ".join(cells).rstrip()[: self._width]


def station_line(name: str, feed: Feed, width: int, *, up_to: int = LARGEST_SEQ) -> str:
    """How a station stands, in one line: what is most important first.

    What is missing beyond verdict `up_to` is left out.
    """
    sequence, recovery = feed.sequence, feed.recovery
    missing = Ranges(sequence.missing.within(1, up_to))
    parts = [name, feed.availability or "not heard of", f"last {sequence.last}"]
    if missing:
        expected = " expected from its backlog" if recovery.awaiting_backlog else ""
        asked = " asked for" if recovery.asking is not None else ""
        shown = ", ".join(str(missing).split(", ")[:_SHOWN_GAPS])
        more = ", ..." if len(missing) > _SHOWN_GAPS else ""
        parts.append(f"{missing.count} missing{expected}{asked} ({shown}{more})")
    for count, what in (
        (sequence.lost, "lost"),
        (sequence.conflicts, "contradictory"),
        (sequence.duplicates, "repeated"),
        (feed.malformed, "malformed"),
    ):
        if count:
            parts.append(f"{count} {what}")
    if recovery.refusal is not None:
        parts.append(f"refuses replay: {recovery.refusal}")
    if feed.health is not None and feed.health.problem is not None:
        parts.append(feed.health.problem)
    return _fit("  ".join(parts), width).rstrip()


def _fit(text: str, width: int, *, right: bool = False) -> str:
    clean = "".join(c if c.isprintable() else "?" for c in text)
    if len(clean) > width:
        clean = clean[: max(0, width - 1)] + "…"
    return clean.rjust(width) if right else clean.ljust(width)


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds) or seconds < 0:
        return "-"
    if seconds < 10:
        return f"{seconds * 1000:.0f} ms"
    for limit, unit, letter in ((600, 1, "s"), (36_000, 60, "min"), (864_000, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {letter}"
    return f"{seconds / 86_400:.0f} d"
