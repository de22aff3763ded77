"""CKA against its definition and its invariances; the parts of variance against known ones."""

import math
from itertools import permutations

import numpy as np
import pytest

from train.evidence.similarity import cka, parts


def features(count: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def plain_cka(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The biased estimate, as first published."""
    mine, theirs = mine - mine.mean(axis=0), theirs - theirs.mean(axis=0)
    between = np.linalg.norm(theirs.T @ mine) ** 2
    return float(between / np.linalg.norm(mine.T @ mine) / np.linalg.norm(theirs.T @ theirs))


def by_definition(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The alignment's U-statistic, averaged over every four different images one by one."""

    def alignment(one: np.ndarray, other: np.ndarray) -> float:
        one, other = one.astype(np.float64), other.astype(np.float64)
        k, l = one @ one.T, other @ other.T  # noqa: E741
        fours = list(permutations(range(len(one)), 4))
        return sum(k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in fours) / len(fours)

    return alignment(mine, theirs) / math.sqrt(alignment(mine, mine) * alignment(theirs, theirs))


def test_it_is_the_average_over_all_fours() -> None:
    mine = features(7, 3, 1)
    theirs = mine[:, :2] + features(7, 2, 2)
    assert cka(mine, theirs) == pytest.approx(by_definition(mine, theirs), abs=1e-9)


def test_of_one_feature_each_it_is_their_squared_correlation() -> None:
    both = np.random.default_rng(3).multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 4000)
    mine, theirs = both[:, :1].astype(np.float32), both[:, 1:].astype(np.float32)
    assert cka(mine, theirs) == pytest.approx(0.36, abs=0.03)
    assert plain_cka(mine, theirs) == pytest.approx(np.corrcoef(both.T)[0, 1] ** 2)


def test_rotation_scale_and_offset_change_nothing() -> None:
    mine = features(60, 8, 4)
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((8, 8)))
    assert cka(mine, mine) == pytest.approx(1)
    assert cka(mine, (100 * mine @ turn + 7).astype(np.float32)) == pytest.approx(1, abs=1e-4)


def test_a_stretch_of_one_direction_does_change_it() -> None:
    mine = features(60, 8, 4)
    assert cka(mine, mine * np.array([10, *[1] * 7], np.float32)) < 0.9


def test_unrelated_layers_are_unlike_where_the_plain_estimate_sees_likeness() -> None:
    mine, theirs = features(60, 500, 6), features(60, 500, 7)
    assert abs(cka(mine, theirs)) < 0.05
    assert plain_cka(mine, theirs) > 0.8


def test_a_layer_that_answers_alike_to_all_has_no_likeness() -> None:
    assert math.isnan(cka(np.ones((9, 3), np.float32), features(9, 3, 8)))


def test_too_few_or_different_images_are_refused() -> None:
    for mine, theirs in ((3, 3), (5, 6)):
        with pytest.raises(ValueError, match="4 or more images"):
            cka(features(mine, 2, 0), features(theirs, 2, 0))


def made(
    counts: dict[tuple[str, str], int], camera: float, kind: float, *, seed: int = 0
) -> tuple[np.ndarray, list[str], list[str]]:
    """Features of 16 numbers with unit noise; camera and class each move one of them by so much."""
    random = np.random.default_rng(seed)
    rows, kinds, sources = [], [], []
    for (source, label), count in counts.items():
        noise = random.standard_normal((count, 16)) / 4  # variance 1 in all
        noise[:, 0] += camera if source == "new" else -camera
        noise[:, 1] += kind if label == "crack" else -kind
        rows.append(noise)
        kinds += [label] * count
        sources += [source] * count
    return np.concatenate(rows).astype(np.float32), kinds, sources


FULL = {(s, k): 400 for s in ("old", "new") for k in ("crack", "good")}
SKEWED = {
    ("old", "crack"): 400,
    ("old", "good"): 20,
    ("new", "crack"): 20,
    ("new", "good"): 400,
}


def test_parts_of_known_size_are_found() -> None:
    # Variances: camera 2 ** 2, class 1 ** 2, noise 1.
    found = parts(*made(FULL, camera=2, kind=1))
    assert found.source == pytest.approx(4 / 6, abs=0.02)
    assert found.kind == pytest.approx(1 / 6, abs=0.02)
    assert found.source + found.kind + found.rest == pytest.approx(1)


def test_a_set_with_more_defects_is_not_taken_for_another_camera() -> None:
    rows, kinds, sources = made(SKEWED, camera=0, kind=3)
    assert parts(rows, kinds, sources).source < 0.02
    new = np.array([source == "new" for source in sources])
    apart = ((rows[new].mean(axis=0) - rows[~new].mean(axis=0)) ** 2).sum() / 4
    assert apart / rows.var(axis=0).sum() > 0.5  # what a plain difference of means would say


def test_few_images_make_no_difference_out_of_noise() -> None:
    few = dict.fromkeys(FULL, 3)
    shares = [parts(*made(few, camera=0, kind=0, seed=seed)).source for seed in range(200)]
    assert np.mean(shares) < 0.06  # the half that falls below is cut off at 0
    assert np.median(shares) < 0.03


def test_one_set_has_no_part_of_its_own() -> None:
    one = {("new", "crack"): 200, ("new", "good"): 200}
    found = parts(*made(one, camera=2, kind=1))
    assert found.source == 0
    assert found.kind == pytest.approx(0.5, abs=0.03)


def test_a_class_that_one_set_lacks_is_left_out() -> None:
    rows, kinds, sources = made({**FULL, ("new", "stain"): 50}, camera=2, kind=1)
    assert parts(rows, kinds, sources).source == pytest.approx(4 / 6, abs=0.02)
    with pytest.raises(ValueError, match="two classes"):
        parts(rows[:400], kinds[:400], sources[:400])
