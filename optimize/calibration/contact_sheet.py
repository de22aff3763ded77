"""One picture of many: what was chosen, class by class, for a person to look over.

Owns the layout. Pixels in, pixels out; no file is read or written.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels

_ACROSS, _FEWEST = 16, 4
"""Images side by side at the most; room for so many at the least, which a heading needs."""
_TILE, _GAP, _HEADING = 96, 4, 24
_INK = (60, 60, 60)


def contact_sheet(classes: Mapping[str, Sequence[Pixels]]) -> Pixels:
    """RGB (height, width <= 1604, 3): under each class's name its images in order, 96 pixels a side."""
    step = _TILE + _GAP
    across = min(_ACROSS, max(_FEWEST, *map(len, classes.values()), 1))
    strips = []
    for label, images in classes.items():
        rows = -(-len(images) // across)
        strip = np.full((_HEADING + rows * step, across * step + _GAP, 3), 255, np.uint8)
        heading = f"{label or '(no label)'}: {len(images)}"
        cv2.putText(
            strip, heading, (_GAP, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.52, _INK, 1, cv2.LINE_AA
        )
        for place, pixels in enumerate(images):
            row, column = divmod(place, across)
            top, left = _HEADING + row * step, _GAP + column * step
            strip[top : top + _TILE, left : left + _TILE] = cv2.resize(
                pixels, (_TILE, _TILE), interpolation=cv2.INTER_AREA
            )
        strips.append(strip)
    return np.concatenate(strips)
