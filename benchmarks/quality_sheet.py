"""The picture of docs/quality.md: frames that the gate caught, missed, and sharp ones it turned away."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.contact_sheet import GAP, HEADING, write
from benchmarks.quality_damage import KINDS
from benchmarks.quality_line import Shot
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.verdict import reason_code
from edge_runtime.quality.judging import Judge
from edge_runtime.quality.measures import read

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "quality-gate.jpg"
TILE, COLUMNS = 150, 6
CAUGHT = ("motion", "defocus, noise kept", "darker", "colour", "covered", "off its place")
MISSED = (
    "motion, noise kept",
    "defocus, noise kept",
    "darker",
    "lighter",
    "covered",
    "off its place",
)
_CAPTION = 34


def draw(judge: Judge, line: Sequence[Shot], damaged: Sequence[Shot]) -> None:
    """Write the sheet: caught, missed, and sharp frames of the line that were turned away."""
    rows = (
        ("turned away", list(_of_kinds(judge, damaged, CAUGHT, caught=True))),
        ("damaged and let through", list(_of_kinds(judge, damaged, MISSED, caught=False))),
        ("sharp and turned away", list(_wrongly(judge, line))),
    )
    step = TILE + GAP
    height = len(rows) * (HEADING + step + _CAPTION)
    sheet = np.full((height, COLUMNS * step, 3), 255, np.uint8)
    for number, (title, tiles) in enumerate(rows):
        top = number * (HEADING + step + _CAPTION)
        write(sheet, title, 2, top + HEADING - 8)
        for column, (pixels, first, second) in enumerate(tiles[:COLUMNS]):
            left = column * step
            sheet[top + HEADING : top + HEADING + TILE, left : left + TILE] = cv2.resize(
                pixels, (TILE, TILE), interpolation=cv2.INTER_AREA
            )
            for text, below in ((first, 13), (second, 27)):
                cv2.putText(
                    *(sheet, text, (left, top + HEADING + TILE + below), cv2.FONT_HERSHEY_SIMPLEX),
                    *(0.36, (60, 60, 60), 1, cv2.LINE_AA),
                )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    print(f"{OUT.name}: {OUT.stat().st_size / 1000:.0f} kB")


def _of_kinds(
    judge: Judge, shots: Sequence[Shot], names: Sequence[str], *, caught: bool
) -> Iterable[tuple[Pixels, str, str]]:
    """One frame of each kind: of those caught the mildest severity, of those missed the gravest."""
    for place, name in enumerate(names):
        kinds = [kind for kind in KINDS if kind.name == name]
        found = None
        for kind in kinds if caught else reversed(kinds):
            rng = np.random.default_rng(place)
            for shot in shots[place * 7 :][:60]:
                pixels = kind.damage(rng, shot.pixels)
                reason = judge.rejection(read(pixels))
                if (reason is not None) == caught:
                    named = reason_code(reason) if reason is not None else "passed"
                    found = (pixels, f"{name}: {named}", kind.severity)
                    break
            if found is not None:
                yield found
                break


def _wrongly(judge: Judge, line: Sequence[Shot]) -> Iterable[tuple[Pixels, str, str]]:
    for shot in line:
        reason = judge.rejection(read(shot.pixels))
        if reason is not None:
            yield shot.pixels, f"{shot.label}:", reason_code(reason)
