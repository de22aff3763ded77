"""The gate's report beside the bundle's place: `VERSION.gate.json`, and `.gate.html` for people."""

from collections.abc import Mapping
from pathlib import Path

from edge_runtime.pages import charts
from edge_runtime.pages.charts import Axis, Line, Panel
from edge_runtime.pages.page import Pages
from edge_runtime.pages.picture import jpeg
from edge_runtime.written_aside import written_aside
from optimize.data.dataset import Dataset
from optimize.data.images import Image, read_images
from optimize.errors import PackageError
from optimize.gate_report.record import GateReport, VariantReport

SHOWN = 48
"""Flipped frames that the page shows of each variant; all of them are in the JSON."""
_SIDE = 224
_LAYERS = 15
_PAGES = Pages("optimize.gate_report")


def write(report: GateReport, images: Dataset, target: Path) -> Path:
    """Write both files beside the bundle's folder `target`; returns the page's path.

    `images` are those that were judged on; the flipped ones are read again. Raises PackageError where
    the place cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise PackageError(
            f"the gate's report cannot be written beside {target}: {exc.strerror or exc}"
        ) from exc
    record, page = (target.with_name(f"{target.name}.gate.{kind}") for kind in ("json", "html"))
    with written_aside(record, error=PackageError) as aside:
        aside.write_text(report.to_json(indent=2) + "\n", encoding="utf-8")
    with written_aside(page, error=PackageError) as aside:
        aside.write_text(render(report, _frames(report, images)), encoding="utf-8")
    return page


def render(report: GateReport, frames: Mapping[str, str]) -> str:
    """The page; `frames` has the `data:` address of each flipped image that is shown, by its path."""
    return _PAGES.render(
        "gate.html",
        title=f"Gate of {report.name} {report.version}",
        report=report,
        frames=frames,
        shown=SHOWN,
        layers=_LAYERS,
        charts={variant.precision: _curve(variant) for variant in report.variants},
    )


def _frames(report: GateReport, images: Dataset) -> dict[str, str]:
    wanted = dict.fromkeys(
        flip.path for variant in report.variants for flip in variant.judgement.flips[:SHOWN]
    )
    picked = images.pick(list(wanted))
    return {
        item.path: jpeg(item.pixels, _SIDE)
        for item in read_images(picked, report.model.input)
        if isinstance(item, Image)
    }


def _curve(variant: VariantReport) -> str:
    """Flips and speed against the layers left float; nothing where none had to be."""
    tried = sorted(variant.attempts, key=lambda attempt: attempt.restored)
    if not tried:
        return ""
    counts = [attempt.restored for attempt in tried]
    flips = Line(name="flips", x=counts, y=[attempt.flips for attempt in tried])
    rows = [
        Panel(
            drawn=[flips],
            y=Axis(label="flips"),
            limits={"agreed": variant.judgement.allowed},
        )
    ]
    speeds = [attempt.speed_up for attempt in tried if attempt.speed_up is not None]
    if len(speeds) == len(tried):
        line = Line(name="times float32's speed", x=counts, y=speeds)
        rows.append(Panel(drawn=[line], y=Axis(label="speed"), limits={"float32": 1.0}))
    return charts.panels(variant.precision, rows, Axis(label="layers left float, costliest first"))
