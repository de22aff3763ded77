"""A sample's frame in the words and the picture of the page to label in. Values in, values out."""

import base64
from collections.abc import Iterator

import cv2

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.sample import KeptFrame, Sample
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
        picture=_address(pixels),
        heat=None if heat is None else _address(heat),
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
    """What came back from re-inspection; None where it is not known which of several frames shows it."""
    return sample.returned_label if len(sample.frames) == 1 else None


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


def _address(pixels: Pixels) -> str:
    """A `data:` address of the picture as a JPEG."""
    longer = max(pixels.shape[:2])
    if longer > _SIDE:
        height, width = (max(1, round(edge * _SIDE / longer)) for edge in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
