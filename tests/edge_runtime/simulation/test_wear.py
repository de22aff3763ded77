import cv2
import numpy as np
import pytest

from edge_runtime.drift.statistics import measure
from edge_runtime.errors import UsageError
from edge_runtime.simulation.generations import GEN3
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.wear import NEW, Wear, worn


def seen(wear: Wear) -> np.ndarray:
    """Mean measures of some parts."""
    line = SimulatedLine("gen3", 3, size=128, corrupt=0.0, wear=wear)
    rows = []
    for index in range(12):
        bgr = cv2.imdecode(np.frombuffer(line.part(index).encoded, np.uint8), cv2.IMREAD_COLOR)
        rows.append(measure(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)).row())
    return np.mean(rows, axis=0)


def test_each_wear_shows_where_an_engineer_expects_it() -> None:
    brightness, contrast, highlights, sharpness, _, colour = range(6)
    new = seen(NEW)
    lamp, dirt, gloss = (
        seen(wear) - new for wear in (Wear(lamp=0.5), Wear(dirt=0.5), Wear(gloss=0.5))
    )
    assert lamp[brightness] < -5
    assert lamp[colour] > 5  # warmer
    assert dirt[contrast] < -0.2
    assert dirt[sharpness] < -0.2
    assert gloss[highlights] > 1
    assert gloss[brightness] > 5


def test_nothing_worn_is_the_generation_itself_and_the_parts_are_the_same_ones() -> None:
    assert worn(GEN3, NEW) is GEN3
    lines = [SimulatedLine("gen3", 3, size=64, wear=wear) for wear in (NEW, Wear(dirt=1))]
    new, dirty = ([line.part(index) for index in range(20)] for line in lines)
    assert [p.true_label for p in new] == [p.true_label for p in dirty]
    assert [p.encoded for p in new] != [p.encoded for p in dirty]


def test_a_wear_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"dirt 1\.2: expected a value from 0 to 1"):
        Wear(dirt=1.2)
