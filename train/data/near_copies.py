"""The search of a data set for pictures that look alike, by the measures of `edge_runtime.likeness`.

Owns how all pairs are found without comparing all of them; `duplicates` says what follows. Arrays in,
arrays out.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from edge_runtime.likeness import (
    BITS,
    LIMIT,
    MIN_CORRELATION,
    Hashes,
    Thumbnails,
    correlations,
    distances,
    hashes,
)

_BANDS, _BAND_BITS = 16, 16
_NEIGHBOURS = 64
"""Compared with each image within a band, nearest hashes first: keeps a crowd from being quadratic."""
_CHUNK = 65_536


def alike_pairs(thumbnails: Thumbnails, limit: int = LIMIT) -> npt.NDArray[np.int64]:
    """Pairs (P, 2) of positions, lower one first, whose hashes and thumbnails are both alike.

    Only images that share one of 16 bands of 16 bits are compared, which finds 99.9 % of the pairs that
    differ in 8 bits and 87 % of those at the limit; in a crowd of one band, the nearest 64. Time and
    memory grow with N, not with its square. Flat thumbnails are like nothing.
    """
    seen = np.flatnonzero(thumbnails.any(axis=(1, 2)))
    codes = hashes(thumbnails[seen])
    found = [np.zeros(0, np.int64)]
    for keys in _bands(codes):
        order = np.lexsort((codes[:, 1], codes[:, 0], keys))
        for left, right in _neighbours(order, keys[order]):
            near = distances(codes[left], codes[right]) <= limit
            low, high = np.minimum(left, right)[near], np.maximum(left, right)[near]
            found.append(low * len(seen) + high)
        found = [np.unique(np.concatenate(found))]  # most pairs meet in several bands
    pairs = seen[np.column_stack(np.divmod(found[0], max(1, len(seen))))]
    alike = [
        correlations(thumbnails[some[:, 0]], thumbnails[some[:, 1]]) >= MIN_CORRELATION
        for some in (pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK))
    ]
    return np.asarray(pairs[np.concatenate(alike)] if alike else pairs)


def _bands(codes: Hashes) -> Iterator[npt.NDArray[np.uint16]]:
    """The key of every hash in each band: some of its bits, drawn once and for all."""
    bits = np.unpackbits(codes.view(np.uint8), axis=1)
    random = np.random.default_rng(0)
    for _ in range(_BANDS):
        chosen = bits.take(random.choice(BITS, _BAND_BITS, replace=False), axis=1)
        yield np.packbits(chosen, axis=1).view(np.uint16)[:, 0]


def _neighbours(
    order: npt.NDArray[np.int64], keys: npt.NDArray[np.uint16]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs of entries of `order` that lie near each other and have one key; `keys` ascends."""
    places = np.arange(len(order))
    for step in range(1, _NEIGHBOURS + 1):
        places = places[places < len(order) - step]
        # Who shares no key with its neighbour shares none with a farther one.
        places = places[keys[places] == keys[places + step]]
        if not len(places):
            return
        yield order[places], order[places + step]
