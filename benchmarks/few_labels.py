"""What the recipe's choices are worth where there are few labels: `python -m benchmarks.few_labels`.

Chosen on images that no claim rests on: a hundred and forty of NEU-DET or of X-SDD teach, 80 of one
class and 20, 15, 10, 8, 5 and 3 of the others, which being another draw with each seed; up to fifty of
every class that did not teach are judged, by the likeliest class, since neither set has good parts.
Every choice is told beside the first one, twelve epochs that show each image once, on the same draws.
The images are not shipped: `--data` names the folder that holds the two sets, each with its
`manifest.csv`.
"""

import argparse
import csv
import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.setting import setting, write_result
from edge_runtime.contracts.manifest import InputSpec
from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from train.cli import fit
from train.data.augment import Augmentation
from train.data.split import Split
from train.data.stream import open_images
from train.figures.counts import confusion, macro_f1
from train.fitting import backbones
from train.fitting.loop import learn
from train.fitting.prediction import classes_of, predict
from train.fitting.recipe import Recipe
from train.fitting.run import Means, new_network
from train.fitting.task import Task

SETS = ("neu_det", "xsdd")
TAUGHT = (80, 20, 15, 10, 8, 5, 3)
"""Images of each class, half of it at most; the classes are shuffled."""
JUDGED = 50
"""Images of each class, at most."""
MODEL = "tf_efficientnet_lite0"
FIRST = "each-image-once"
CHOICES: Mapping[str, str] = {
    FIRST: "--min-epoch-images 0",
    "twice-the-epochs": "--min-epoch-images 0 --epochs 24",
    "four-times-the-epochs": "--min-epoch-images 0 --epochs 48",
    "half-the-batch": "--min-epoch-images 0 --batch-size 16",
    "twice-the-epochs-half-the-batch": "--min-epoch-images 0 --epochs 24 --batch-size 16",
    "default": "",
}
"""Flags of `train fit` by what they are called here."""


def draw(folder: Path, seed: int) -> tuple[Dataset, Split]:
    """Images of a set, some of them to teach and some to judge; equal content counts once."""
    random = np.random.default_rng((seed, 7))
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows: dict[str, dict[str, str]] = {}
        for row in csv.DictReader(file):
            rows.setdefault(row["md5"], row)
    members: dict[str, list[str]] = {}
    for row in rows.values():
        members.setdefault(row["class"], []).append(row["file"])
    samples: list[Sample] = []
    sides: list[bool] = []
    for label, wanted in zip(random.permutation(sorted(members)).tolist(), TAUGHT, strict=False):
        taught = min(wanted, len(members[label]) // 2)
        files = random.permutation(members[label])[: taught + JUDGED].tolist()
        samples += [Sample(path=file, label=label, group=file) for file in files]
        sides += [place < taught for place in range(len(files))]
    split = Split(
        train=tuple(np.flatnonzero(sides).tolist()),
        validation=tuple(np.flatnonzero(~np.array(sides)).tolist()),
    )
    return Dataset(root=folder, samples=tuple(samples)), split


def trial(folder: Path, seed: int, recipe: Recipe) -> float:
    """Macro F1 of one network on the images that did not teach it."""
    dataset, split = draw(folder, seed)
    means = Means(device="cpu", workers=1)
    size = InputSpec(height=recipe.img_size, width=recipe.img_size)
    images = open_images(dataset, size, workers=1, memory_limit=means.cache_bytes)
    task = Task(
        images=images, split=split, ok_labels=(), recipe=recipe, augmentation=Augmentation()
    )
    network = new_network(MODEL, recipe, len(dataset.labels))
    backbones.load_initial(network, MODEL, backbones.IMAGENET, dataset.labels)
    machine = means.machine(amp=False)
    with machine.workers, tqdm(disable=True) as bar:
        learned = learn(network, task, machine, bar)
        logits = predict(learned, images, split.validation, size, machine)
    truth = classes_of(images, split.validation)
    return macro_f1(confusion(truth, logits.argmax(axis=1), len(dataset.labels)))


def recipe_of(flags: str, side: int, seed: int) -> Recipe:
    """The recipe that flags of `train fit` name."""
    parser = argparse.ArgumentParser()
    fit.configure_recipe(parser.add_argument_group("recipe"))
    words = [*shlex.split(flags), "--img-size", str(side), "--seed", str(seed)]
    return fit.recipe(parser.parse_args(words))


def summary(trials: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each choice: the mean over sets and seeds, what it is more than the first's, and that
    difference's standard error over the draws."""
    scores: dict[str, dict[tuple[str, int], float]] = {name: {} for name in CHOICES}
    for one in trials:
        scores[one["choice"]][one["set"], one["seed"]] = one["macro_f1"]
    found = {}
    for name, own in scores.items():
        more = np.array([own[place] - scores[FIRST][place] for place in own])
        found[name] = {
            "macro_f1": float(np.mean(list(own.values()))),
            "more": float(more.mean()),
            "standard_error": float(more.std(ddof=1) / np.sqrt(len(more))),
        }
    return found


def main() -> None:
    """The trials that are not done yet, then the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the two sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for the trials' figures")
    parser.add_argument("--img-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    trials = []
    for name, flags in CHOICES.items():
        for where in SETS:
            for seed in range(arguments.seeds):
                recipe = recipe_of(flags, arguments.img_size, seed)
                file = arguments.work / f"{name}-{where}-{seed}.json"
                if not file.exists():
                    began = time.perf_counter()
                    found = trial(arguments.data / where, seed, recipe)
                    one = {"choice": name, "set": where, "seed": seed, "macro_f1": found}
                    one["seconds"] = round(time.perf_counter() - began, 1)
                    file.write_text(json.dumps(one), encoding="utf-8")
                trials.append(json.loads(file.read_text(encoding="utf-8")))
                print(trials[-1], flush=True)
    result = setting("torch", "timm", "numpy") | {
        "model": MODEL,
        "img_size": arguments.img_size,
        "taught": TAUGHT,
        "choices": dict(CHOICES),
        "summary": summary(trials),
        "trials": trials,
    }
    print(write_result("few-labels", result))


if __name__ == "__main__":
    main()
