"""A table of a report, as cells of text: the page and the model card show the same ones.

Owns the form and how a figure is written in a cell. What the tables say is the business of
`quality_tables`, `data_tables` and `label_tables` beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.pages.page import number, share
from train.figures.intervals import Figure

_SHARES = ("defect recall", "false positives", "calibration error")
"""Figures that are written in per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Heads and rows of text; the first column names its row."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: Sequence[int] = ()
    """Columns beside the first that are text and not figures."""

    def markdown(self) -> str:
        """As GitHub writes tables."""
        ruler = ["---" if at == 0 or at in self.words else "---:" for at in range(len(self.heads))]
        lines = [self.heads, ruler, *self.rows]
        return "\n".join(f"| {' | '.join(map(plain, line))} |" for line in lines)


def plain(cell: str) -> str:
    """Text that Markdown neither takes for markup nor for the end of a cell."""
    return cell.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def written(figure: str, value: float | None) -> str:
    """A value of the figure of that name: a share in per cent, all else with three digits."""
    return share(value) if figure in _SHARES else number(value)


def value(figure: Figure) -> str:
    """What the figure is."""
    return written(figure.name, figure.value)


def ends(figure: Figure) -> str:
    """The ends of its interval; a dash where there is none."""
    return " to ".join(written(figure.name, end) for end in figure.interval or (None,))


def with_ends(figure: Figure | None) -> str:
    """Both, in one cell; a dash where the images do not define it."""
    if figure is None or figure.value is None:
        return "-"
    return f"{value(figure)} ({ends(figure)})" if figure.interval else value(figure)
