"""`train plan`: whether the recipe fits the hours and the memory, measured on this machine."""

import argparse
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset
from train.cli.fit import (
    augmentation,
    configure_machine,
    configure_model,
    configure_recipe,
    precision,
    recipe,
    require_machine,
)
from train.cli.source import configure_source, source
from train.data import simulated
from train.data.manifest import read_class_folders
from train.errors import BudgetError
from train.fitting.budget import Work
from train.fitting.plan import GB, Plan
from train.fitting.record import VAL_SPLIT

NAME = "plan"
HELP = "measure whether a recipe fits the hours and the memory there are"

_EPILOG = """\
examples:
  # 4.2 million images, then 38,000, each for 12 epochs: do they fit 48 hours and 16 GB here?
  train plan

  # the images as they are, frames to be decoded and shrunk included; flags as for train fit
  train plan --data-dir frames --model convnext_tiny --amp --batch-size 64

  # another budget
  train plan --images 500000 --target-images 5000 --hours 12 --memory-gb 8 --epochs 4

Every figure is of train fit's own loop on this machine: a few rounds of updates, their median. Images
are decoded at each use, as where they are more than memory holds. Without --data-dir they are simulated
crops of the model's size. A plan that does not fit ends with exit code 27 and says what would.
"""

_TRIED = 256
"""Images that are tried with; of a data set they are spread over all of it."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    budget = parser.add_argument_group("budget")
    for flag, default, what in (
        ("images", 4_200_000, "images of the source generation"),
        ("target-images", 38_000, "images of the target generation"),
    ):
        budget.add_argument(
            f"--{flag}", type=int, default=default, metavar="N", help=f"{what} (default: {default})"
        )
    for flag, value, what in (
        ("hours", 48.0, "for both runs together"),
        ("memory-gb", 16.0, "of the GPU; on a CPU, of this process"),
    ):
        budget.add_argument(
            f"--{flag}", type=float, default=value, metavar="N", help=f"{what} (default: {value:g})"
        )
    budget.add_argument(
        "--updates",
        type=int,
        default=None,
        metavar="N",
        help="per round of measuring (default: 16 on a GPU, 2 on a CPU)",
    )
    configure_source(parser, required=False)
    configure_model(parser.add_argument_group("model"))
    parser.set_defaults(val_split=VAL_SPLIT)
    configure_recipe(parser.add_argument_group("recipe"))
    configure_machine(parser.add_argument_group("machine"))


def run(arguments: argparse.Namespace) -> int:
    require_machine(arguments)
    _require_budget(arguments)
    from train.fitting import pace
    from train.fitting.run import Means, new_network

    wanted = recipe(arguments)
    means = Means(device=arguments.device, workers=arguments.workers, cache_bytes=0)
    machine = means.machine(**precision(arguments))
    on_cpu = machine.device.type == "cpu"
    updates = arguments.updates or (2 if on_cpu else 16)
    sides = sorted({wanted.side(epoch) for epoch in range(wanted.epochs)})
    size = InputSpec(height=wanted.img_size, width=wanted.img_size)
    with machine.workers, _some_images(arguments, wanted.img_size) as dataset, _bar() as bar:
        images, opening = pace.opening_rate(dataset, size, arguments.workers)
        network = new_network(arguments.model, wanted, len(images.dataset.labels))
        trial = pace.Trial.of(network, images, wanted, augmentation(arguments), machine)
        bar.total = len(sides) * pace.images_passed(wanted, updates)
        # Memory first: what other measurements leave behind would count.
        readings, largest = pace.largest_that_fits(trial, arguments.memory_gb * GB, bar)
        paces = {side: trial.pace(side=side, updates=updates, bar=bar) for side in sides}
    works = {
        name: Work(recipe=wanted, images=count, val_split=arguments.val_split)
        for name, count in (("source", arguments.images), ("target", arguments.target_images))
        if count
    }
    plan = Plan(
        works=works,
        hours=arguments.hours,
        memory_gb=arguments.memory_gb,
        paces=paces,
        opening=opening,
        readings=readings,
        largest=largest,
    )
    _print(plan, arguments.model, pace.describe(machine.device), on_cpu=on_cpu)
    if not plan.fits:
        raise BudgetError(plan.verdict())
    print(plan.verdict())
    return 0


def _print(plan: Plan, model: str, device: str, *, on_cpu: bool) -> None:
    print(f"{model} on {device}, batch {plan.batch}\n")
    print("\n".join(plan.table()))
    if on_cpu:
        print(
            f"\nthis is a CPU: the memory is this process's and says nothing of a GPU's; by the line "
            f"through these two, {plan.memory_gb:g} GB hold a batch of {plan.largest}"
        )
    else:
        print(f"\na batch of {plan.largest} was the largest to fit {plan.memory_gb:g} GB")
    busy = os.getloadavg()[0]
    if busy > 1.5 * (os.cpu_count() or 1):
        print(f"the machine is busy (load {busy:.1f}): alone on it, a run is faster than this plan")
    print()


def _require_budget(arguments: argparse.Namespace) -> None:
    for flag, value, least in (
        ("images", arguments.images, 2),
        ("target-images", arguments.target_images, 0),
        ("updates", 1 if arguments.updates is None else arguments.updates, 1),
    ):
        if value < least:
            raise UsageError(f"--{flag} {value}: expected {least} or more")
    for flag, value in (("hours", arguments.hours), ("memory-gb", arguments.memory_gb)):
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"--{flag} {value}: expected more than 0")
    if not 0 < arguments.val_split <= 0.5:
        raise UsageError(
            f"--val-split {arguments.val_split}: expected a share above 0 and at most 0.5"
        )


@contextmanager
def _some_images(arguments: argparse.Namespace, side: int) -> Iterator[Dataset]:
    """Images to try with: of the user's data set, spread over it, or simulated ones."""
    if arguments.data_dir is not None:
        dataset = source(arguments).read()
        step = max(1, len(dataset.samples) // _TRIED)
        yield dataset.at(range(0, len(dataset.samples), step))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "crops"
        crops = simulated.Recipe(generation="gen3", seed=1, size=side, clean=True)
        simulated.write_dataset(crops, _TRIED // 4, folder)
        yield read_class_folders(folder)


def _bar() -> tqdm:
    return tqdm(desc="measuring", unit="image", disable=None, leave=False)
