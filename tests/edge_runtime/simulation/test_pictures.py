"""What the pictures show: defects that can be seen, inside the crop, and not lost under the blur."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge_runtime.simulation.defects import MARKS, misaligned_offset
from edge_runtime.simulation.exposure import smear
from edge_runtime.simulation.generations import GENERATIONS, LABELS, NO_DEFECT
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import TOLERANCE, Process, Surface, forge, good_offset, weld

SEEDS = st.integers(0, 2**32)
NAMES = st.sampled_from(sorted(GENERATIONS))
BOTH = pytest.mark.parametrize("name", sorted(GENERATIONS))


def good_surface(seed: int, name: str, size: int = 128) -> Surface:
    rng = np.random.default_rng(seed)
    return weld(rng, forge(rng, GENERATIONS[name], size, Process()), 0, 0.0)


def copied(surface: Surface) -> tuple[np.ndarray, ...]:
    return tuple(
        plane.copy() for plane in (surface.height, surface.albedo, surface.gloss, *surface.colour)
    )


@hypothesis_settings(max_examples=25, deadline=None)
@given(seed=SEEDS, name=NAMES, label=st.sampled_from(sorted(MARKS)))
def test_a_defect_marks_its_surroundings_and_stays_inside_the_crop(
    seed: int, name: str, label: str
) -> None:
    surface = good_surface(seed, name)
    before = copied(surface)
    x, y = MARKS[label](np.random.default_rng(seed), surface)
    changed = np.any(
        [np.abs(one - other) > 0.02 for one, other in zip(before, copied(surface), strict=True)],
        axis=0,
    )
    assert 0 < x < surface.size
    assert 0 < y < surface.size
    rows, columns = np.nonzero(changed)
    assert len(rows) >= 10
    assert np.hypot(columns - x, rows - y).min() < 4
    assert all(np.isfinite(plane).all() for plane in copied(surface))
    assert surface.albedo.min() >= 0
    assert surface.gloss.min() >= -1e-6


@hypothesis_settings(max_examples=200, deadline=None)
@given(seed=SEEDS, drift=st.floats(-0.05, 0.05))
def test_tolerance_separates_good_beads_from_misaligned_ones(seed: int, drift: float) -> None:
    rng = np.random.default_rng(seed)
    assert abs(good_offset(rng, Process(offset=drift))) < TOLERANCE
    assert TOLERANCE < abs(misaligned_offset(rng)) < 1.3


@BOTH
@pytest.mark.parametrize("label", [label for label in LABELS if label != NO_DEFECT])
def test_a_defect_changes_the_picture_of_the_same_part(name: str, label: str) -> None:
    line = SimulatedLine(name, 4)
    visible = []
    for index in range(0, 40, 4):
        good = line.render(index, NO_DEFECT).astype(int)
        bad = line.render(index, label).astype(int)
        # Sharper than the sensor's noise, over at least the area of a hairline 25 pixels long.
        difference = cv2.blur(np.abs(good - bad).max(axis=2).astype(np.float32), (3, 3))
        visible.append(int((difference > 30).sum()))
    assert np.median(visible) > 25


@BOTH
def test_a_picture_is_neither_dark_nor_washed_out(name: str) -> None:
    line = SimulatedLine(name, 6)
    pictures = np.stack([line.render(index, NO_DEFECT) for index in range(0, 40, 4)])
    assert 70 < pictures.mean() < 190
    assert (pictures == 0).mean() < 0.05
    assert (pictures == 255).mean() < 0.15


def test_gen3_is_cooler_and_has_more_highlights_than_gen2() -> None:
    def look(name: str) -> tuple[float, float]:
        line = SimulatedLine(name, 6)
        pictures = np.stack([line.render(index, NO_DEFECT) for index in range(0, 40, 4)])
        red, _, blue = pictures.mean(axis=(0, 1, 2))
        return float(red - blue), float((pictures.min(axis=3) > 225).mean())

    warmth2, shine2 = look("gen2")
    warmth3, shine3 = look("gen3")
    assert warmth2 > 5 > -5 > warmth3
    assert shine3 > 3 * shine2


@hypothesis_settings(max_examples=40, deadline=None)
@given(seed=SEEDS, x=st.floats(0.15, 0.85), y=st.floats(0.15, 0.85))
def test_blur_hides_a_side_and_spares_the_defect(seed: int, x: float, y: float) -> None:
    size = 96
    sharp = np.random.default_rng(1).integers(0, 256, (size, size, 3), dtype=np.uint8)
    smeared = smear(np.random.default_rng(seed), sharp, (x * size, y * size))
    touched = (sharp != smeared).any(axis=2)
    column, row = int(x * size), int(y * size)
    assert not touched[row - 2 : row + 3, column - 2 : column + 3].any()
    assert 0.05 < touched.mean() < 0.75
