"""A sample's frame in the words and the picture of the page to label in. Values in, values out."""

from collections.abc import Iterator

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.sample import KeptFrame, Sample
from edge_runtime.pages.picture import jpeg
from edge_runtime.samples.labelling.page import PageFrame

_SIDE = 512
"""Of a picture at most, pixels; the frame as it came lies beside the page."""
_QUALITY = 88


def page_frame(
    sample: Sample, frame: KeptFrame, path: str, pixels: Pixels, heat: Pixels | None
) -> PageFrame:
    """What the page shows of a frame; `heat` is laid over it on demand."""
    verdict = sample.verdict
    return PageFrame(
        path=path,
        picture=jpeg(pixels, _SIDE, _QUALITY),
        heat=None if heat is None else jpeg(heat, _SIDE, _QUALITY),
        part=verdict.part_id,
        predicted=frame.label,
        said=_said(sample, frame),
        reasons=list(dict.fromkeys(claim.reason.value for claim in sample.claims)),
        # Of a part of several frames the scores belong to all of them together.
        scores=dict(verdict.scores) if len(sample.frames) == 1 else {},
        facts=list(_facts(sample, frame)),
        label=known_label(sample),
    )


def known_label(sample: Sample) -> str | None:
    """What came back from re-inspection; None where it is no class of the model, or where nobody knows
    which of several frames shows it."""
    label = sample.returned_label
    return label if len(sample.frames) == 1 and label in sample.verdict.scores else None


def _said(sample: Sample, frame: KeptFrame) -> str:
    if frame.rejection is not None:
        return "not inspected"
    outcome = sample.verdict.verdict.value.replace("_", " ")
    return outcome if frame.label is None else f"{outcome}: {frame.label}"


def _facts(sample: Sample, frame: KeptFrame) -> Iterator[tuple[str, str]]:
    verdict = sample.verdict
    yield "verdict", f"{verdict.seq} of {verdict.line}-{verdict.station}"
    yield "captured", f"{verdict.captured_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "model", f"{verdict.internal_recipe_id} ({verdict.model_sha256[:12]})"
    if because := frame.rejection or verdict.reason:
        yield "because", because
    if sample.returned_label is not None:
        yield "re-inspected as", sample.returned_label
    if sample.drift is not None and sample.drift.moved:
        yield "drift then", f"{sample.drift.level.value}: {', '.join(sample.drift.moved)}"
