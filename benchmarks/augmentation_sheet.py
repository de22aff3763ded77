"""Draws docs/pictures/augmentation.jpg: `python -m benchmarks.augmentation_sheet`.

A row per class of simulated Gen-3 parts: as it came on the left, then as training shows it.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.simulation.generations import LABELS
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from train.data.augment import Augmentation, contact_sheet

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "augmentation.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--each", type=int, default=6, help="altered copies of a part")
    arguments = parser.parse_args()
    line, random = SimulatedLine("gen3", arguments.seed), np.random.default_rng(arguments.seed)
    augmentation = Augmentation()
    parts = [line.render(CROPS_PER_MODULE * row, label) for row, label in enumerate(LABELS)]
    rows = [
        [part, *(augmentation.apply(part, random) for _ in range(arguments.each))] for part in parts
    ]
    sheet = cv2.cvtColor(contact_sheet(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(OUT), sheet, [cv2.IMWRITE_JPEG_QUALITY, 84])
    print(f"{OUT}: {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
