"""What undamaged images look like, from images of which some are damaged.

Principal directions of the tiles' features, fitted by concentration steps as FAST-MCD takes them
(P. J. Rousseeuw, K. Van Driessen, Technometrics 41 (1999) 212): fit, keep the three quarters that agree
best, fit again. A plain fit learns the damage as one of its directions and is blind to it from then on:
with one smeared image in eleven it found 31 % of smears where this finds all.
"""

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.quality import TILES, Appearance

Floats = npt.NDArray[np.float64]

DIRECTIONS = 4
"""At most, of light and of steps each: brushing, exposure, heat, position. More begin to explain what
is damaged."""
_IMAGES_A_DIRECTION = 20
_KEPT = 0.75
_STEPS = 10
_LEAST_DEVIATION = 0.02
"""log2; a tile that never changes would call the least noise strange."""
_DIGITS = 5


def fit(tiles: Floats) -> Appearance:
    """The appearance of features (images, 3, TILES, TILES), up to a quarter of them damaged."""
    rows = tiles.reshape(len(tiles), -1)
    directions = min(DIRECTIONS, len(rows) // _IMAGES_A_DIRECTION)
    kept = np.ones(len(rows), bool)
    mean = np.median(rows, axis=0)
    for _ in range(_STEPS):
        found = _directions(rows[kept] - mean, directions)
        residuals = _unexplained(rows - mean, found)
        deviation = 1.4826 * np.median(np.abs(residuals), axis=0) + _LEAST_DEVIATION
        strangeness = _strangest_block(residuals / deviation)
        before, kept = kept, strangeness <= np.quantile(strangeness, _KEPT)
        mean = rows[kept].mean(axis=0)
        if (before == kept).all():
            break
    return Appearance(
        mean=_rounded(mean),
        deviation=_rounded(deviation),
        directions=tuple(_rounded(direction) for direction in found),
    )


def _directions(away: Floats, count: int) -> Floats:
    """Of light and of steps apart: a smear, which has no light of its own, must not seem to have it."""
    tiles = TILES * TILES
    light, steps = _principal(away[:, :tiles], count), _principal(away[:, tiles:], count)
    return np.block([[light, np.zeros((count, 2 * tiles))], [np.zeros((count, tiles)), steps]])


def _principal(away: Floats, count: int) -> Floats:
    """The `count` directions (count, features) in which the rows spread most."""
    # eigh sorts ascending; of 192 features it is quicker than the singular values of thousands of rows.
    vectors = np.linalg.eigh(away.T @ away)[1]
    return np.asarray(vectors[:, ::-1][:, :count].T)


def _unexplained(away: Floats, directions: Floats) -> Floats:
    return np.asarray(away - (away @ directions.T) @ directions)


def _strangest_block(off: Floats) -> Floats:
    """(images,): the block of four tiles that lies furthest off in any feature."""
    grid = off.reshape(len(off), 3, TILES, TILES)
    pairs = grid[:, :, 1:] + grid[:, :, :-1]
    blocks = (pairs[..., 1:] + pairs[..., :-1]) / 4
    return np.asarray(np.abs(blocks).max(axis=(1, 2, 3)))


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), _DIGITS) for value in values)
