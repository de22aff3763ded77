"""`train simulate`: a labelled dataset of the simulated line."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from edge_runtime.simulation.generations import GENERATIONS
from train.data.simulated import Recipe, usable_cores, write_dataset

NAME = "simulate"
HELP = "write a labelled dataset of the simulated weld line"

_EPILOG = """\
examples:
  # two thousand crops as the line would deliver them: 8 % defects, damaged files, wrong labels
  train simulate --generation gen3 --count 2000 --out runs/gen3 --seed 1

  # a set to learn from: four in ten parts are defective, all five defects alike
  train simulate --generation gen3 --count 6000 --defect-share 0.4 --out runs/train --seed 1

  # a set to measure with: every file sound, every label right
  train simulate --generation gen3 --count 4000 --clean --out runs/exam --seed 2

The folder gets one subfolder per given label and a manifest.csv with the columns path, label, group,
line, station, captured_at, generation, true_label, blurred, corrupt. Split by group: the crops of one
module share texture. true_label is for audits; a person at the line does not have it.
The same seed writes the same bytes, whatever the number of workers.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--generation",
        default="gen3",
        metavar="NAME",
        help=f"{' or '.join(GENERATIONS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--count",
        type=int,
        default=2000,
        metavar="N",
        help="images to write (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder to make; must be new or empty",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        metavar="N",
        help="whole number from 0 (default: %(default)s)",
    )
    parser.add_argument(
        "--defect-share",
        type=float,
        metavar="SHARE",
        help="share of defective parts, 0 to 1, spread evenly over the five defects "
        "(default: as the generation has them, 8 %% or fewer)",
    )
    parser.add_argument(
        "--img-size",
        type=int,
        default=256,
        metavar="PIXELS",
        help="side of the square images (default: %(default)s)",
    )
    parser.add_argument(
        "--clean", action="store_true", help="leave out damaged files and wrong labels"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="processes to share the work (default: one per core, here %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    recipe = Recipe(
        generation=arguments.generation,
        seed=arguments.seed,
        size=arguments.img_size,
        defect_share=arguments.defect_share,
        clean=arguments.clean,
    )
    # `disable=None` keeps the bar out of logs: it shows on a terminal only.
    with tqdm(
        total=arguments.count,
        unit="img",
        file=sys.stderr,
        disable=None,
        desc=recipe.generation,
        leave=False,
    ) as bar:
        written = write_dataset(
            recipe, arguments.count, arguments.out, workers=arguments.workers, progress=bar.update
        )
    print(written.summary())
    return 0
