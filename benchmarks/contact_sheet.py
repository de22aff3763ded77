"""Draws docs/pictures/simulation-contact-sheet.jpg: `python -m benchmarks.contact_sheet`.

Rows are classes, columns are parts; gen2 stands on the left, gen3 on the right.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.simulation.generations import GENERATIONS, LABELS
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import CROPS_PER_MODULE

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "simulation-contact-sheet.jpg"
GAP, HEADING, MARGIN = 6, 26, 26
INK = (60, 60, 60)


def write(sheet: Pixels, text: str, x: int, y: int) -> None:
    """Dark text on the sheet, its baseline starting at (x, y)."""
    cv2.putText(sheet, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.52, INK, 1, cv2.LINE_AA)


def draw(seed: int, each: int, tile: int) -> Pixels:
    """The sheet, RGB: `each` parts of every class and generation, `tile` pixels a side."""
    step = tile + GAP
    height = HEADING + len(LABELS) * (step + HEADING)
    sheet = np.full((height, len(GENERATIONS) * (each * step + MARGIN), 3), 255, np.uint8)
    for block, name in enumerate(GENERATIONS):
        line = SimulatedLine(name, seed)
        left = block * (each * step + MARGIN)
        write(sheet, name, left, HEADING - 9)
        for row, label in enumerate(LABELS):
            top = HEADING + row * (step + HEADING)
            write(sheet, label, left, top + 17)
            for column in range(each):
                picture = line.render(CROPS_PER_MODULE * (row * each + column), label)
                place = left + column * step
                sheet[top + HEADING : top + HEADING + tile, place : place + tile] = cv2.resize(
                    picture, (tile, tile), interpolation=cv2.INTER_AREA
                )
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--each", type=int, default=3, help="parts per class and generation")
    parser.add_argument("--tile", type=int, default=180, help="side of a part, pixels")
    arguments = parser.parse_args()
    sheet = draw(arguments.seed, arguments.each, arguments.tile)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(OUT), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 84])
    print(f"{OUT}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
