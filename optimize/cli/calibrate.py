"""`optimize calibrate`: make a set of calibration images."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from optimize import package
from optimize.calibration import default_set
from optimize.calibration.chosen_set import SHEET, write_chosen
from optimize.calibration.concerns import concerns
from optimize.calibration.embedding import embed
from optimize.calibration.selection import reach, select
from optimize.calibration.strata import thin
from optimize.cli.arguments import columns, conditions, configure_columns, positive
from optimize.cli.progress import Progress
from optimize.data.dataset import open_dataset
from optimize.data.images import Fault
from optimize.data.sealed import Sealed, read_sealed
from optimize.errors import PackageError
from optimize.graph import read_model

NAME = "calibrate"
HELP = "make a set of calibration images"

_EPILOG = """\
examples:
  optimize calibrate select data/train --model model.onnx --sealed runs/split --out calibration
      256 training images that cover, between them, what the line shows
  optimize calibrate draw --out calibration_data
      the set in the repository: 96 images of the simulated line, the same every time
"""

_SELECT_EPILOG = """\
Every class gives as many images as the others, a rare one all it has. Within a class they are chosen by
what the model sees in them: the next is the one least like those chosen before. A part gives a second
image only when every other part of the class has given one. The same data and model give the same set.

Of a data set with more images than --candidates, so many are looked at, evenly spread over each class in
the order of the manifest, rare classes whole.

examples:
  optimize calibrate select data/train/manifest.csv --model model.onnx --out calibration
  optimize calibrate select data/plant --model model.onnx --where station=S2 --group-column serial \\
                            --count 128 --sealed runs/split --out calibration-s2
"""

COUNT = 256
CANDIDATES = 4096
_NAMED_FAULTS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the ways to make a set."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    ways = parser.add_subparsers(metavar="WAY", required=True)
    _configure_select(ways.add_parser("select", help="choose a set from training images"))
    draw = ways.add_parser("draw", help="draw a set with the simulation, the same for everybody")
    draw.set_defaults(way=_draw)
    draw.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    draw.add_argument(
        "--count",
        type=positive,
        default=default_set.COUNT,
        metavar="N",
        help=f"images, the classes in turn (default {default_set.COUNT})",
    )
    draw.add_argument(
        "--seed",
        type=positive,
        default=default_set.SEED,
        metavar="N",
        help=f"of the simulation (default {default_set.SEED}); keep it off training's seeds",
    )


def _configure_select(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _SELECT_EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(way=_select)
    parser.add_argument(
        "train",
        type=Path,
        metavar="TRAIN_MANIFEST",
        help="images to choose from: a manifest, a folder with one, tar shards, or class folders",
    )
    parser.add_argument(
        "--model", type=Path, required=True, metavar="MODEL.onnx", help="from `train export`"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--count", type=positive, default=COUNT, metavar="N", help=f"images (default {COUNT})"
    )
    parser.add_argument(
        "--candidates",
        type=positive,
        default=CANDIDATES,
        metavar="N",
        help=f"images to look at, at most (default {CANDIDATES})",
    )
    parser.add_argument(
        "--sealed",
        type=Path,
        metavar="SPLIT_FOLDER",
        help="what train split wrote: refuse its sealed test images",
    )
    configure_columns(parser.add_argument_group("columns", "of the manifest"))


def run(arguments: argparse.Namespace) -> int:
    """Make the set in the way that was asked for."""
    code: int = arguments.way(arguments)
    return code


def _draw(arguments: argparse.Namespace) -> int:
    with Progress().stage("drawing", arguments.count) as advanced:
        size = default_set.write(arguments.out, arguments.count, arguments.seed, advanced)
    print(f"wrote {arguments.count} images, {size / 1e6:.2f} MB, to {arguments.out}")
    return 0


def _select(arguments: argparse.Namespace) -> int:
    progress = Progress()
    out: Path = arguments.out
    if out.exists() or out.is_symlink():
        raise PackageError(
            f"{out} exists already and stays as it is: choose another --out, or remove it"
        )
    model = read_model(arguments.model)
    everything = open_dataset(arguments.train, columns(arguments), conditions(arguments))
    looked_at = everything.at(thin(list(everything.column("label")), arguments.candidates))
    if len(looked_at.samples) < len(everything.samples):
        progress.note(
            f"looking at {len(looked_at.samples)} of {len(everything.samples)} images, evenly spread"
        )
    sealed = read_sealed(arguments.sealed) if arguments.sealed else Sealed()
    (sealed | model.sealed).refuse(looked_at, "candidate")
    with progress.stage("looking at candidates", len(looked_at.samples)) as advanced:
        embedded = embed(looked_at, model.proto, model.spec.input, advanced)
    _note_faults(progress, embedded.faults)
    candidates, features = embedded.dataset, embedded.features
    labels = list(candidates.column("label"))
    chosen = select(features, labels, list(candidates.column("group")), arguments.count)
    dataset = candidates.at(chosen)
    for concern in concerns([labels[index] for index in chosen], model.spec.labels):
        progress.note(f"warning: {concern}")
    with (
        package.staging(out) as folder,
        progress.stage("writing", len(chosen)) as advanced,
    ):
        size = write_chosen(dataset, model.spec.input, folder, advanced)
    if len(chosen) < arguments.count:
        print(
            f"{len(chosen)} instead of {arguments.count}: {len(candidates.samples)} can be used, less "
            "those that the model cannot tell from a chosen one"
        )
    evenly = thin(labels, len(chosen))
    print(f"chose {_shares(dataset.counts, Counter(labels))}")
    print(
        f"the candidate least like any that was chosen is {reach(features, chosen):.2f} away from it "
        f"(of at most 2; evenly spread, {reach(features, evenly):.2f})"
    )
    print(f"wrote {len(chosen)} images, {size / 1e6:.2f} MB, to {out}; see {out / SHEET}")
    return 0


def _shares(chosen: Mapping[str, int], available: Mapping[str, int]) -> str:
    return ", ".join(
        f"{count} of {available[label]} {label or '(no label)'}" for label, count in chosen.items()
    )


def _note_faults(progress: Progress, faults: Sequence[Fault]) -> None:
    if not faults:
        return
    named = "; ".join(f"{fault.path}: {fault.reason}" for fault in faults[:_NAMED_FAULTS])
    rest = len(faults) - _NAMED_FAULTS
    more = f"; and {rest} more" if rest > 0 else ""
    progress.note(f"warning: {len(faults)} files cannot be used: {named}{more}")
