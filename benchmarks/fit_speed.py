"""How fast `train fit`'s loop is beside a plain timm loop.

`OMP_WAIT_POLICY=passive python -m benchmarks.fit_speed`, as `train` sets it; here all sides gain by it.
Four sides take turns within one run, an epoch of a few updates each, and do this work:

- fit: `train.fitting.teaching.teach`, from JPEG files that are decoded at each use on threads.
- plain: a DataLoader with as many worker processes decodes the same files (OpenCV), augments them by the
  same code and makes float tensors; timm's network in channels-last, AdamW, cross-entropy with label
  smoothing, ModelEmaV3.
- fit, pixels at hand: the loop of fit with decoded images in memory and no augmentation.
- bound: the plain loop on one batch of random tensors, over and over: no loop of this network, batch and
  size is much faster.

Ratios are medians over rounds of what two sides came to in the same round.
"""

import argparse
import copy
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import timm
import torch
from timm.utils import ModelEmaV3
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from benchmarks.setting import setting, write_result
from edge_runtime.contracts.manifest import InputSpec
from train.data import simulated
from train.data.augment import Augmentation
from train.data.manifest import read_class_folders
from train.data.stream import ImageStore, open_images
from train.fitting.loop import new_state
from train.fitting.machine import Machine
from train.fitting.pace import Trial, all_learning
from train.fitting.recipe import Recipe
from train.fitting.run import Means, new_network
from train.fitting.teaching import teach

_DISTINCT = 192
_RATIOS = {
    "fit over plain": ("fit", "plain"),
    "fit over bound": ("fit", "bound"),
    "fit with pixels at hand over bound": ("fit_at_hand", "bound"),
}


class Files(Dataset[tuple[Tensor, int]]):
    """The plain side's images: from file to tensor."""

    def __init__(self, images: ImageStore, count: int) -> None:
        self._files = [str(images.dataset.file(index)) for index in range(len(images))]
        self._classes = images.dataset.classes.tolist()
        self._count = count
        self._augmentation = Augmentation()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        index = place % len(self._files)
        image = np.asarray(cv2.imread(self._files[index], cv2.IMREAD_COLOR_RGB), np.uint8)
        image = self._augmentation.apply(image, np.random.default_rng(place))
        pixels = torch.from_numpy(image).permute(2, 0, 1).float().sub_(128).mul_(1 / 127.5)
        return pixels, self._classes[index]


class Plain:
    """A training loop as one writes it in an hour."""

    def __init__(self, model: str, classes: int, recipe: Recipe, machine: Machine) -> None:
        network = timm.create_model(model, num_classes=classes)
        network = network.to(device=machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = network.train()
        self._average = ModelEmaV3(self._network, decay=recipe.model_ema_decay)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=1e-6, weight_decay=recipe.weight_decay
        )
        self._smoothing = recipe.smoothing
        self._machine = machine

    def epoch(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        device = self._machine.device
        for pixels, classes in batches:
            pixels = pixels.to(device, memory_format=torch.channels_last)
            with torch.autocast(device.type, self._machine.amp_dtype, enabled=self._machine.amp):
                logits = self._network(pixels)
            loss = functional.cross_entropy(
                logits.float(), classes.to(device), label_smoothing=self._smoothing
            )
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._average.update(self._network)
        loss.item()


class Fit:
    """The loop of `train fit` on one state, an epoch at a time."""

    def __init__(self, trial: Trial) -> None:
        self._task, self._machine = trial.task, trial.machine
        network = copy.deepcopy(trial.network)
        self._state = new_state(network, self._task.recipe, self._machine)
        self.loader_shares: list[float] = []

    def epoch(self) -> None:
        with tqdm(disable=True) as bar:
            teach(self._state, self._task, self._machine, 0, bar)
        progress = self._state.progress
        self.loader_shares.append(progress.waited_s / progress.seconds)
        self._state.progress = progress.next_epoch()


def measure(
    options: argparse.Namespace, folder: Path
) -> tuple[dict[str, list[float]], list[float]]:
    """Images per second of every side in every round, and the loader's share of fit's time."""
    recipe = Recipe(img_size=options.side, batch_size=options.batch)
    recipe = all_learning(recipe, options.side, options.updates)
    size = InputSpec(height=options.side, width=options.side)
    crops = simulated.Recipe(generation="gen3", seed=7, size=options.side, clean=True)
    simulated.write_dataset(crops, _DISTINCT, folder / "crops")
    dataset = read_class_folders(folder / "crops")
    images = open_images(dataset, size, workers=options.workers, memory_limit=0)
    kept = open_images(dataset, size, workers=options.workers, memory_limit=1 << 40)
    machine = Means(device=options.device, workers=options.workers).machine(amp=options.amp)
    network = new_network(options.model, recipe, len(dataset.labels))
    from_files = Trial.of(network, images, recipe, Augmentation(), machine)
    fit = Fit(from_files)
    at_hand = Fit(Trial.of(network, kept, recipe, None, machine))
    loops = [Plain(options.model, len(dataset.labels), recipe, machine) for _ in range(2)]
    loader = DataLoader(
        Files(images, options.batch * options.updates),
        batch_size=options.batch,
        num_workers=options.workers,
        persistent_workers=True,
        pin_memory=machine.device.type == "cuda",
        worker_init_fn=lambda _worker: cv2.setNumThreads(1),
    )
    some = torch.randn(options.batch, 3, options.side, options.side)
    some = some.contiguous(memory_format=torch.channels_last).to(machine.device)
    same = [(some, torch.zeros(options.batch, dtype=torch.int64))] * options.updates
    sides: dict[str, Callable[[], None]] = {
        "fit": fit.epoch,
        "plain": lambda: loops[0].epoch(loader),
        "fit_at_hand": at_hand.epoch,
        "bound": lambda: loops[1].epoch(same),
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    with machine.workers:
        for number in range(options.rounds + 1):
            for name, epoch in sides.items():
                began = time.perf_counter()
                epoch()
                rate = options.batch * options.updates / (time.perf_counter() - began)
                if number:  # the first warms up
                    found[name].append(round(rate, 2))
    return found, fit.loader_shares[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--side", type=int, default=128, help="of the images, pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--updates", type=int, default=6, help="per side and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--amp", action="store_true")
    options = parser.parse_args()
    about = setting("torch", "timm", "numpy", "opencv-python-headless")
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as made:
        rounds, shares = measure(options, Path(made))
    medians = {name: statistics.median(rates) for name, rates in rounds.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(rounds[over], rounds[under], strict=True))
        for name, (over, under) in _RATIOS.items()
    }
    share = statistics.median(shares)
    for name, value in {**medians, **ratios, "loader's share of fit's time": share}.items():
        print(f"{name:<36}{value:10.3f}")
    path = write_result(
        "fit-speed",
        {
            **about,
            "options": vars(options),
            "threads": torch.get_num_threads(),
            "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
            "ratios": ratios,
            "loader_share": share,
            "images_per_s": medians,
            "rounds": rounds,
        },
    )
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
