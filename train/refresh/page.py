"""A refresh for people: one page, and the lines that the command prints.

Owns what is said and shown of a `Refresh`; its form is that of the pages' common frame. Pictures are of
the exam alone, and only where the two models answer differently.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.decoding import decode
from edge_runtime.pages import charts
from edge_runtime.pages.charts import Axis, Estimate
from edge_runtime.pages.page import Pages
from edge_runtime.pages.picture import jpeg
from edge_runtime.preprocessing import fit
from train.data.stream import read_image
from train.refresh.judgement import Exam
from train.refresh.record import NEW, OLD, Finding, Refresh
from train.written_aside import written_aside

SHOWN = 12
"""Pictures of each kind."""
_SIDE = 224
_PAGES = Pages("train.pages")
_NAMES = {OLD: "what it was taught for", NEW: "what has changed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of the exam that the two models answer differently."""

    address: str
    path: str
    label: str
    before: str
    after: str


def write_page(target: Path, made: Refresh, exam: Exam | None) -> None:
    """Write the page; without answers it has no pictures."""
    with written_aside(target) as aside:
        aside.write_text(render(made, exam), encoding="utf-8")


def render(made: Refresh, exam: Exam | None) -> str:
    """The page as text."""
    mended, spoilt = _pictures(exam) if exam else ((), ())
    return _PAGES.render(
        "refresh.html",
        title="Refresh: " + ("a candidate" if made.accepted else "no candidate"),
        made=made,
        names=_NAMES,
        chart=_gains(made.findings),
        mended=mended,
        spoilt=spoilt,
        shown=SHOWN,
    )


def lines(made: Refresh) -> Iterator[str]:
    """What the command prints."""
    for finding in made.findings:
        yield f"{'yes' if finding.met else 'NO ':<4} {finding.question}: {finding.words}"
    counts = made.enlargement
    yield (
        f"{counts.added} images added, {counts.known} known, {counts.relabelled} relabelled; "
        f"{made.epochs} epochs in {made.seconds:.0f} s; the sealed test set was not opened"
    )


def _gains(findings: Sequence[Finding]) -> str:
    """Each gain down to its bound; empty where nothing was compared."""
    rows = [
        Estimate(
            name=f"{finding.figure}, {finding.domain} domain",
            value=finding.gain,
            interval=None if finding.bound is None else (finding.bound, finding.gain),
        )
        for finding in findings
        if finding.gain is not None
    ]
    if not rows:
        return ""
    x = Axis(label="gain of the refreshed model, down to its one-sided bound")
    return charts.estimates("gains", rows, x, limits={"as before": 0.0})


def _pictures(exam: Exam) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Images that only the refreshed model answers rightly, and that only the current one did."""
    kinds: tuple[list[Picture], list[Picture]] = ([], [])
    before, after = exam.before, exam.after
    dataset = before.dataset
    for index, sample in enumerate(dataset.samples):
        old, new = (side.decisions[index] for side in (before, after))
        right = [decision.label == sample.label for decision in (old, new)]
        kind = kinds[0] if right[1] else kinds[1]
        if right[0] == right[1] or len(kind) >= SHOWN:
            continue
        pixels = fit(decode(read_image(dataset, index)), after.model.input)
        kind.append(
            Picture(
                address=jpeg(pixels, _SIDE),
                path=sample.path,
                label=sample.label,
                before=f"{old.label} ({old.outcome.value})",
                after=f"{new.label} ({new.outcome.value})",
            )
        )
    return tuple(kinds[0]), tuple(kinds[1])
