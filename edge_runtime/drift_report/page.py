"""The drift report as one HTML page: its charts, and its pictures. The words stand in `drift.html`.

Needs the extra `report`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from edge_runtime.contracts.drift import Moved
from edge_runtime.contracts.performance import Figure, Figures
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.drift import words
from edge_runtime.drift.levels import MEASURE_SIZES
from edge_runtime.drift.series import CERTAINTY, CLASS
from edge_runtime.drift_history.period import Period
from edge_runtime.drift_history.records import KeptReport, Picture
from edge_runtime.drift_report import advice
from edge_runtime.drift_report.contents import Contents, Course, sentence
from edge_runtime.drift_report.time_axis import time_axis
from edge_runtime.pages import charts
from edge_runtime.pages.charts import Axis, Line, Panel
from edge_runtime.pages.page import Pages
from edge_runtime.pages.picture import jpeg

_PAGES = Pages("edge_runtime.drift_report")
FIGURES = (
    ("Macro F1", "macro_f1"),
    ("Share of defects that are found", "defect_recall"),
    ("Share of good parts that are rejected", "false_positive_rate"),
)
_NOTHING = "-"
_SIDE = 192
_GAP = 3.0
"""Steps without a part from which on a line is broken."""


def render(contents: Contents) -> str:
    """The page as text."""
    report = contents.report
    return _PAGES.render(
        "drift.html",
        title=f"Drift at {report.line}-{report.station}",
        contents=contents,
        report=report,
        sentence=sentence(report),
        cause=advice.cause(report.moved),
        steps=advice.what_to_do(report.level, contents.first_moved),
        overview=_overview(contents),
        verdicts=_verdicts(contents),
        figures=_figures(contents),
        rows=_figure_rows(report),
        courses=[
            (
                _title(course),
                _course(contents, course),
                "As in training." if course.moved is None else f"Now {course.moved.words}.",
            )
            for course in contents.courses
        ],
        training=[
            (each.caption, address) for each in contents.training if (address := _shown(each))
        ],
        recent=_dated(contents.recent, "%H:%M"),
        drifted=_dated(contents.drifted, "%m-%d %H:%M"),
        named=named,
    )


def named(statistic: str) -> str:
    """A statistic as it is called in a sentence."""
    words = statistic.replace(CLASS, "class ").replace(CERTAINTY, "certainty of ")
    return words.replace("_", " ")


def _dated(pictures: Sequence[Picture], form: str) -> list[tuple[str, str]]:
    return [
        (f"{each.at:{form}}, {each.caption}", address)
        for each in pictures
        if (address := _shown(each))
    ]


def _shown(picture: Picture) -> str | None:
    try:
        return jpeg(decode(picture.image), _SIDE)
    except Undecodable:
        return None


def _title(course: Course) -> str:
    name = named(course.measure.name)
    return f"{name[:1].upper()}{name[1:]}"


def _overview(contents: Contents) -> str:
    """All image statistics at once, as far from training as they are."""
    drawn = [
        _line(
            contents,
            named(course.measure.name),
            lambda each, name=course.measure.name: (
                abs(each.effects[name])  # type: ignore[misc]
                if name in each.effects
                else None
            ),
        )
        for course in contents.courses
    ]
    if not drawn:
        return ""
    panel = Panel(
        drawn=drawn,
        y=Axis(label="standard deviations"),
        title="Shift of each image statistic, up or down",
        limits={"alarm": MEASURE_SIZES.alarm, "warning": MEASURE_SIZES.warning},
    )
    return charts.panels("overview", [panel], _axis(contents), shaded=_since(contents))


def _verdicts(contents: Contents) -> str:
    drawn = [
        _line(
            contents,
            outcome.value.replace("_", " "),
            lambda each, outcome=outcome: each.outcomes.get(outcome, 0) / each.parts,  # type: ignore[misc]
        )
        for outcome in (Outcome.DEFECT, Outcome.REVIEW, Outcome.NOT_INSPECTED)
    ]
    panel = Panel(
        drawn=drawn, y=Axis(label="of parts", percent=True), title="How parts are answered"
    )
    return charts.panels("verdicts", [panel], _axis(contents), shaded=_since(contents))


def _figures(contents: Contents) -> str:
    """Estimated and measured figures over time with their intervals; nothing where there are none."""
    rows = []
    for title, field in FIGURES:
        drawn = [
            _figure_line(contents, how, field)
            for how in ("estimated", "measured")
            if any(_figure(each, how, field) for each in contents.periods)
        ]
        if drawn:
            rows.append(Panel(drawn=drawn, y=Axis(label="", percent=True), title=title))
    return charts.panels("figures", rows, _axis(contents), shaded=_since(contents)) if rows else ""


def _figure(period: Period, how: str, field: str) -> Figure | None:
    figures: Figures | None = getattr(period, how)
    found: Figure | None = None if figures is None else getattr(figures, field)
    return found


def _figure_line(contents: Contents, how: str, field: str) -> Line:
    """The value with its interval as the band."""

    def end(which: str) -> Line:
        return _line(
            contents,
            how,
            lambda each: (
                None
                if (found := _figure(each, how, field)) is None
                else float(getattr(found, which))
            ),
        )

    return replace(end("value"), band=(end("low").y, end("high").y))


def _figure_rows(report: KeptReport) -> list[tuple[str, ...]]:
    """Of each figure: its name, estimated and measured at present."""
    found = [
        (title, *(_written(figures, field) for figures in (report.estimated, report.measured)))
        for title, field in FIGURES
    ]
    return [row for row in found if set(row[1:]) != {_NOTHING}]


def _written(figures: Figures | None, field: str) -> str:
    found: Figure | None = None if figures is None else getattr(figures, field)
    return _NOTHING if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _course(contents: Contents, course: Course) -> str:
    """The mean over time beside where the training's frames lie; for what moved also how many do not."""
    measure = course.measure
    unit = words.in_unit(measure.name, measure.mean)[1]

    def value(scale: float) -> float:
        return words.in_unit(measure.name, scale)[0]

    ends = sorted((value(measure.low), value(measure.high)))
    first, last = _axis(contents).limits or (0.0, 0.0)
    training = Line(
        name="training: the mean, and where 95% of frames lie",
        x=(first, last),
        y=(value(measure.mean),) * 2,
        band=((ends[0],) * 2, (ends[1],) * 2),
        marked=False,
    )
    line = _line(
        contents,
        "this station",
        lambda each: (
            value(each.measures[measure.name].mean) if measure.name in each.measures else None
        ),
    )
    rows = [Panel(drawn=[line, training], y=Axis(label=unit), title="Mean of the frames")]
    if course.moved is not None:
        outside = _line(
            contents,
            "this station",
            lambda each: (
                each.measures[measure.name].affected if measure.name in each.measures else None
            ),
        )
        rows.append(
            Panel(
                drawn=[outside],
                y=Axis(label="of frames", percent=True),
                title="Frames outside of where 95% of the training's lie",
            )
        )
    shaded = None if course.moved is None else _from(contents, course.moved)
    return charts.panels(f"course-{measure.name}", rows, _axis(contents), shaded=shaded)


def _line(contents: Contents, name: str, value: Callable[[Period], float | None]) -> Line:
    """One value of each period, at its middle; broken where no part came."""
    x: list[float] = []
    y: list[float] = []
    for each in contents.periods:
        found = value(each)
        at = (each.began.timestamp() + each.ended.timestamp()) / 2
        if x and at - x[-1] > _GAP * contents.step.total_seconds():
            x.append((x[-1] + at) / 2)
            y.append(float("nan"))
        x.append(at)
        y.append(float("nan") if found is None else found)
    return Line(name=name, x=x, y=y, marked=len(x) <= 2)


def _axis(contents: Contents) -> Axis:
    return time_axis(contents.periods[0].began, contents.periods[-1].ended)


def _since(contents: Contents) -> dict[str, tuple[float, float]] | None:
    moved: Sequence[Moved] = contents.first_moved
    return _from(contents, moved[0]) if moved else None


def _from(contents: Contents, moved: Moved) -> dict[str, tuple[float, float]]:
    begin: datetime = max(moved.since, contents.periods[0].began)
    end = contents.periods[-1].ended
    return {f"moved since {moved.since:%Y-%m-%d %H:%M}": (begin.timestamp(), end.timestamp())}
