"""A report as one HTML page: its charts, and the pictures in it. The words stand in `report.html`."""

from collections.abc import Sequence
from pathlib import Path

from edge_runtime.pages import charts
from edge_runtime.pages.charts import Axis, Line, Panel
from edge_runtime.pages.picture import jpeg
from optimize.bounds import Trials
from train.evidence.comparison_view import chart
from train.evidence.evaluation import Evaluation
from train.evidence.frontier_chart import frontier_chart
from train.evidence.transfer import Transfer
from train.pages import page
from train.report import data_tables, label_tables, quality_tables
from train.report.contents import Report
from train.report.examples import Example

_FRAME = 192
"""Longer side of a frame in the page, pixels."""


def write_report(target: Path, report: Report) -> None:
    """Write the page; raises RunError where it cannot be."""
    page.write_page(
        target,
        "report.html",
        title=report.title,
        report=report,
        quality=quality_tables,
        data=data_tables,
        labels=label_tables,
        transfer_chart=report.transfer and _transfer(report.transfer),
        budget_chart=report.comparison and chart(report.comparison),
        reliability_chart=_reliability(report.shown),
        frontier_chart=_frontier(report),
        training_chart=_training(report),
        examples={
            label: [_embedded(example) for example in shown]
            for label, shown in report.examples.items()
        },
        sheet=None if report.sheet is None else jpeg(report.sheet, quality=80),
    )


def _frontier(report: Report) -> str | None:
    if report.frontier is None:
        return None
    asked = report.calibration.requirement if report.calibration else None
    return frontier_chart(report.frontier, asked, report.validation.model.decision.thresholds)


def _embedded(example: Example) -> dict[str, object]:
    return {
        "example": example,
        "frame": jpeg(example.frame, _FRAME),
        "heat": jpeg(example.heat, _FRAME),
    }


def _transfer(found: Transfer) -> str:
    places = range(len(found.layers))
    x = Axis(label="layer, from the pixels to the answer", ticks=places, names=found.layers)

    def drawn(what: str) -> list[Line]:
        return [
            Line(name=name, x=places, y=[getattr(layer, what) for layer in layers])
            for name, layers in found.networks.items()
        ]

    panels = [
        Panel(
            title="How alike each network and the finished one see the same images",
            drawn=drawn("likeness"),
            y=Axis(label="similarity (CKA)", limits=(-0.05, 1.05)),
        ),
        _of_differences("What differs between images and goes with their class", drawn("kind")),
    ]
    if found.old_images:
        title = "What differs between images and only tells their camera"
        panels.append(_of_differences(title, drawn("camera")))
    return charts.panels("transfer", panels, x)


def _of_differences(title: str, drawn: Sequence[Line]) -> Panel:
    highest = max(share for line in drawn for share in line.y)
    limits = (0.0, min(1.0, 1.15 * highest) or 1.0)
    return Panel(
        title=title,
        drawn=drawn,
        y=Axis(label="share of all differences", limits=limits, percent=True),
    )


def _reliability(made: Evaluation) -> str:
    bins = made.reliability
    ends = [
        Trials(images=each.images, groups=each.images, effective=each.images).interval(
            round(each.correct * each.images), made.confidence
        )
        for each in bins
    ]
    drawn = [
        Line(
            name=f"this network, with {made.confidence:.0%} intervals",
            x=[each.confidence for each in bins],
            y=[each.correct for each in bins],
            band=([low for low, _ in ends], [high for _, high in ends]),
        ),
        Line(name="exactly as sure as it is right", x=[0, 1], y=[0, 1], marked=False),
    ]
    return charts.lines(
        "reliability",
        drawn,
        Axis(label="how sure the network is", limits=(0, 1), percent=True),
        Axis(label="how often it is right", limits=(0, 1), percent=True),
    )


def _training(report: Report) -> str:
    epochs = [each.epoch for each in report.epochs]
    figures = [
        Line(
            name="at the threshold that suits the epoch best",
            x=epochs,
            y=[each.reachable_f1 for each in report.epochs],
        ),
        Line(
            name="at the rule that an export would choose",
            x=epochs,
            y=[each.macro_f1 for each in report.epochs],
        ),
    ]
    loss = Line(name="loss", x=epochs, y=[each.loss for each in report.epochs])
    return charts.panels(
        "training",
        [
            Panel(
                title="Macro F1 on the validation images",
                drawn=figures,
                y=Axis(label="macro F1", limits=(0, 1)),
            ),
            Panel(title="Loss on the training images", drawn=[loss], y=Axis(label="loss")),
        ],
        Axis(label="epoch", ticks=epochs if len(epochs) <= 20 else None),
    )
