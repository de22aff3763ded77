"""Copies are known again, the next crop of the same seam is not, and a crowd stays cheap."""

import numpy as np
import pytest

from edge_runtime.likeness import LIMIT, correlations, distances, hashes, thumbnail
from tests.train.data.pictures import copies, seam
from train.data.near_copies import alike_pairs

SEAMS = [seam(number) for number in range(40)]


def pairs_of(pictures: list[np.ndarray], limit: int = LIMIT) -> set[tuple[int, int]]:
    found = alike_pairs(np.stack([thumbnail(picture) for picture in pictures]), limit)
    return {(one, other) for one, other in found.tolist()}


@pytest.mark.parametrize("way", range(3))
def test_copies_are_found_and_other_crops_of_the_same_seam_are_not(way: int) -> None:
    pictures = [*SEAMS, *(copies(picture)[way] for picture in SEAMS)]
    assert pairs_of(pictures) == {(n, n + len(SEAMS)) for n in range(len(SEAMS))}


def test_a_limit_of_all_bits_still_asks_the_thumbnails() -> None:
    assert pairs_of(SEAMS, limit=128) == set()


def test_the_bands_find_what_comparing_everything_finds() -> None:
    random = np.random.default_rng(3)
    originals = random.integers(-60, 60, (150, 16, 16)).astype(np.int8)
    noise = random.normal(0, random.uniform(0, 12, (150, 1, 1)), originals.shape)
    thumbnails = np.concatenate([originals, (originals + noise).astype(np.int8)])
    codes = hashes(thumbnails)
    one, other = (side.ravel() for side in np.triu_indices(len(thumbnails), 1))
    near = distances(codes[one], codes[other]) <= 12
    alike = near & (correlations(thumbnails[one], thumbnails[other]) >= 0.95)
    wanted = set(zip(one[alike].tolist(), other[alike].tolist(), strict=True))
    assert len(wanted) > 50
    found = {(a, b) for a, b in alike_pairs(thumbnails, 12).tolist()}
    assert found <= wanted
    assert len(found) >= 0.97 * len(wanted)


def test_a_crowd_of_copies_holds_together_without_comparing_each_with_each() -> None:
    crowd = np.tile(thumbnail(SEAMS[0]), (500, 1, 1))
    pairs = alike_pairs(crowd)
    assert len(pairs) <= 500 * 64
    assert {(n, n + 1) for n in range(499)} <= {(a, b) for a, b in pairs.tolist()}


def test_flat_pictures_are_like_nothing() -> None:
    flat = [np.full((32, 32, 3), level, np.uint8) for level in (0, 0, 128)]
    assert pairs_of(flat) == set()


def test_no_pictures_have_no_pairs() -> None:
    assert alike_pairs(np.zeros((0, 16, 16), np.int8)).shape == (0, 2)
