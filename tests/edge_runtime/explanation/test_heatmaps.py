"""A map is hot where the evidence is, and the same as Grad-CAM's where both can be drawn."""

import numpy as np
import pytest

from edge_runtime.contracts.array import Array
from edge_runtime.contracts.embedding import Classifier
from edge_runtime.explanation.heatmaps import ClassActivation, overlay, scaled

SIDE = 64


def activation(normalised: float | None = None) -> ClassActivation:
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    return ClassActivation(Classifier(weights=Array.of(weights), normalised=normalised))


def picture() -> np.ndarray:
    """Two features on 4 rows and 4 columns, each at a place of its own."""
    seen = np.zeros((1, 2, 4, 4), np.float32)
    seen[0, 0, 0, 3] = seen[0, 1, 2, 1] = 1
    return seen


@pytest.mark.parametrize(("asked", "place"), [(0, (0, 3)), (1, (2, 1))])
def test_a_map_is_hottest_where_what_speaks_for_its_class_is(
    asked: int, place: tuple[int, int]
) -> None:
    (heat,) = activation().maps(picture(), np.array([asked]), SIDE, SIDE)
    row, column = divmod(int(heat.argmax()), SIDE)
    assert (row // 16, column // 16) == place
    assert heat.dtype == np.float32
    assert heat.max() == 1


def test_what_nothing_speaks_for_has_an_empty_map() -> None:
    assert not activation().maps(picture(), np.array([2]), SIDE, SIDE).any()


def test_slopes_through_a_normalisation_are_those_that_small_steps_find() -> None:
    """What a place adds to the logit, by the head itself, a thousandth of the place at a time."""
    rng = np.random.default_rng(3)
    weights, seen = rng.normal(size=(3, 6)), rng.uniform(size=(2, 6, 4, 4)).astype(np.float32)
    epsilon = 1e-5

    def logits(means: np.ndarray) -> np.ndarray:
        centred = means - means.mean(axis=1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon) @ weights.T

    means = seen.astype(np.float64).mean(axis=(2, 3))
    steps = np.zeros((2, 4, 4))
    for row, column in np.ndindex(4, 4):
        ahead, back = (logits(means + sign * 1e-4 * seen[:, :, row, column]) for sign in (1, -1))
        steps[:, row, column] = (ahead - back)[[0, 1], [2, 0]] / 2e-4
    classifier = Classifier(weights=Array.of(weights), normalised=epsilon)
    maps = ClassActivation(classifier).maps(seen, np.array([2, 0]), SIDE, SIDE)
    np.testing.assert_allclose(maps, scaled(steps.astype(np.float32), SIDE, SIDE), atol=1e-3)


def test_the_overlay_is_bright_where_the_map_is_and_grey_elsewhere() -> None:
    frame = np.full((SIDE, SIDE, 3), (40, 60, 200), np.uint8)
    heat = np.zeros((SIDE, SIDE), np.float32)
    heat[:8, :8] = 1
    seen = overlay(frame, heat)
    assert seen[4, 4].mean() > 150
    assert len(set(seen[40, 40].tolist())) == 1
