"""What `train audit` finds of what is known to be wrong: `python -m benchmarks.label_audit`.

Simulated Gen-3 images come with their true labels, blurred frames and damaged files. Copies of some
(stored again in six ways, under other groups) and frames of another exposure are planted among them. Two
controls: a random order of the images, and the same images with every label right. `--initial-weights`
takes the features of a run, such as one on Gen-2, as `train audit` does.
"""

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.setting import setting, write_json, write_result
from edge_runtime.contracts.frame import Pixels
from edge_runtime.decoding import decode
from edge_runtime.image_statistics import measure
from train.data.audit import Suspicions
from train.data.duplicates import find_duplicates
from train.data.flags import MOTION_BLUR, OVEREXPOSED, UNDEREXPOSED, flag
from train.data.manifest import Source
from train.data.simulated import Recipe, usable_cores, write_dataset
from train.data.survey import Survey, survey
from train.evidence.label_search import open_search

LOOKED_AT = (25, 50, 100, 200, 400)
COPIES_PER_WAY, EXPOSED_PER_GAIN = 30, 30
Flags = npt.NDArray[np.bool_]


def scaled(pixels: Pixels, factor: float) -> Pixels:
    side = round(len(pixels) * factor)
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def lit(pixels: Pixels, gain: float, offset: float = 0) -> Pixels:
    return np.asarray(np.clip(pixels * gain + offset, 0, 255), np.uint8)


WAYS: Mapping[str, tuple[Callable[[Pixels], Pixels], int]] = {
    "JPEG quality 50": (lambda pixels: pixels, 50),
    "JPEG quality 75": (lambda pixels: pixels, 75),
    "2 % smaller": (lambda pixels: scaled(pixels, 0.98), 90),
    "2 % larger": (lambda pixels: scaled(pixels, 1.02), 90),
    "half the size": (lambda pixels: scaled(pixels, 0.5), 90),
    "6 % brighter": (lambda pixels: lit(pixels, 1.06, 4), 90),
}
"""How copies are stored again: a change of the pixels, and a JPEG quality."""
GAINS = {1.6: OVEREXPOSED, 0.5: UNDEREXPOSED}


def write_jpeg(file: Path, pixels: Pixels, quality: int) -> None:
    cv2.imwrite(
        str(file), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality)
    )


def plant(folder: Path, seed: int) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Add copies and expose frames anew; returns original and way by copy, and flag by frame."""
    random = np.random.default_rng(seed)
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    sound = [row for row in rows if not row["corrupt"] and not row["blurred"]]
    chosen = iter(random.permutation(len(sound)).tolist())
    copies: dict[str, tuple[str, str]] = {}
    for way, (change, quality) in WAYS.items():
        for _ in range(COPIES_PER_WAY):
            original = sound[next(chosen)]
            path = f"{original['label']}/copy-{len(copies):04}.jpg"
            pixels = decode((folder / original["path"]).read_bytes())
            write_jpeg(folder / path, change(pixels), quality)
            copies[path] = (original["path"], way)
            rows.append({**original, "path": path, "group": f"COPY-{len(copies):04}"})
    exposed: dict[str, str] = {}
    for gain, name in GAINS.items():
        for _ in range(EXPOSED_PER_GAIN):
            path = sound[next(chosen)]["path"]
            pixels = decode((folder / path).read_bytes())
            write_jpeg(folder / path, lit(pixels, gain), 90)
            exposed[path] = name
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return copies, exposed


def share(hits: Flags, of: Flags) -> dict[str, Any]:
    return {
        "images": int(of.sum()),
        "flagged": int((hits & of).sum()),
        "share": rounded((hits & of).sum() / of.sum()),
    }


def rounded(value: float) -> float:
    return round(float(value), 4)


def judge_copies(
    seen: Survey,
    groups: tuple[str, ...],
    pairs: npt.NDArray[np.int64],
    copies: Mapping[str, tuple[str, str]],
) -> dict[str, Any]:
    """How many planted copies share a group with their original, and how many pairs nobody planted."""
    place = {path: index for index, path in enumerate(seen.dataset.column("path"))}
    planted = {frozenset((place[copy], place[original])) for copy, (original, _) in copies.items()}
    found = {
        way: sum(
            groups[place[copy]] == groups[place[original]]
            for copy, (original, by) in copies.items()
            if by == way
        )
        for way in WAYS
    }
    return {
        "planted": len(copies),
        "found": sum(found.values()),
        "found_by_way": found,
        "planted_by_way": COPIES_PER_WAY,
        "pairs_not_planted": sum(frozenset(pair) not in planted for pair in pairs.tolist()),
        "pairs_compared_of": len(seen.usable) * (len(seen.usable) - 1) // 2,
    }


def judge_labels(
    found: Suspicions, wrong: Flags, truth: npt.NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Precision and recall of the default cut, and what is found by who looks at the first N."""
    hits = wrong[found.images]
    cut = hits[: found.suspects]
    by_chance = np.random.default_rng(seed).permutation(hits)
    right = found.suggested == truth[found.images]
    return {
        "judged": len(hits),
        "wrong": int(hits.sum()),
        "suspects": found.suspects,
        "precision": rounded(cut.mean()) if len(cut) else None,
        "recall": rounded(cut.sum() / hits.sum()) if hits.any() else None,
        "suggestion_right": rounded(right[: found.suspects][cut].mean()) if cut.any() else None,
        "looked_at": [
            {
                "images": looked,
                "found": int(hits[:looked].sum()),
                "found_in_random_order": int(by_chance[:looked].sum()),
                "expected_by_chance": round(float(looked * hits.mean()), 1),
            }
            for looked in LOOKED_AT
            if looked <= len(hits)
        ],
    }


def measure_seconds(pixels: Pixels) -> float:
    """Median time of one picture's statistics."""
    times = []
    for _ in range(300):
        began = time.perf_counter()
        measure(pixels)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000, help="simulated images")
    parser.add_argument("--seed", type=int, default=301)
    parser.add_argument("--initial-weights", default="imagenet", help="as of train audit")
    parser.add_argument("--img-size", type=int, help="as of train audit")
    parser.add_argument(
        "--out", type=Path, help="JSON file (default: docs/results/label-audit.json)"
    )
    arguments = parser.parse_args()
    result: dict[str, Any] = setting(
        "cleanlab", "scikit-learn", "timm", "torch", "opencv-python-headless"
    )
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "gen3"
        recipe = Recipe(generation="gen3", seed=arguments.seed)
        write_dataset(recipe, arguments.count, folder, workers=usable_cores())
        copies, exposed = plant(folder, arguments.seed)
        result |= audit(folder, copies, exposed, arguments)
    if arguments.out:
        write_json(arguments.out, result)
    else:
        print(f"written to {os.path.relpath(write_result('label-audit', result))}")


def audit(
    folder: Path,
    copies: Mapping[str, tuple[str, str]],
    exposed: Mapping[str, str],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        known = list(csv.DictReader(stream))
    dataset = Source(data_dir=folder).read()
    search = open_search(
        arguments.initial_weights,
        dataset.labels,
        model=None,
        side=arguments.img_size,
        folds=5,
        seed=0,
        device="auto",
        workers=usable_cores(),
    )
    began = time.perf_counter()
    seen = survey(dataset, workers=usable_cores())
    surveyed = time.perf_counter() - began
    duplicates = find_duplicates(seen)
    usable = np.zeros(len(known), bool)
    usable[seen.usable] = True
    corrupt = np.array([row["corrupt"] not in {"", "wrong_extension"} for row in known])
    flagged = {
        name: np.isin(np.arange(len(known)), images)
        for name, images in flag(seen.measures, seen.usable).images.items()
    }
    blurred = usable & np.array([row["blurred"] == "yes" for row in known])
    planted = np.array([exposed.get(row["path"], "") for row in known])
    stored_again = np.array([row["path"] in copies for row in known])
    ordinary = usable & ~blurred & ~stored_again & (planted == "")
    began = time.perf_counter()
    components = search.components(seen)
    featured = time.perf_counter() - began
    right = replace(
        dataset,
        samples=tuple(
            replace(sample, label=row["true_label"])
            for sample, row in zip(dataset.samples, known, strict=True)
        ),
    )
    if right.labels != dataset.labels:
        raise SystemExit(f"seed {arguments.seed} draws a class that is never or only wrongly given")
    truth = right.classes
    wrong = truth != dataset.classes
    began = time.perf_counter()
    suspicions = search.judge(components, seen, duplicates.groups)
    judged = time.perf_counter() - began
    control = search.judge(components, replace(seen, dataset=right), duplicates.groups)
    arrays = (seen.sha256, seen.sizes, seen.measures, seen.thumbnails)
    found: dict[str, Any] = {
        "images": len(known),
        "features": search.describe(),
        "speed": {
            "surveyed_per_s": round(len(known) / surveyed),
            "features_per_s": round(len(seen.usable) / featured, 1),
            "judging_s": round(judged, 1),
            "statistics_us": round(
                1e6 * measure_seconds(decode(dataset.read(int(seen.usable[0])))), 1
            ),
            "bytes_per_image": {
                "survey": sum(array.nbytes for array in arrays) // len(known),
                "components": components.nbytes // len(components),
            },
        },
        "quarantine": {
            "damaged": share(~usable, corrupt),
            "sound": share(~usable, ~corrupt),
        },
        "flags": {
            "blurred frames flagged as motion blur": share(flagged[MOTION_BLUR], blurred),
            "ordinary frames flagged as motion blur": share(flagged[MOTION_BLUR], ordinary),
            **{
                f"planted {name} frames found": share(flagged[name], usable & (planted == name))
                for name in GAINS.values()
            },
            **{
                f"ordinary frames flagged as {name}": share(flagged[name], ordinary)
                for name in GAINS.values()
            },
        },
        "near_duplicates": judge_copies(seen, duplicates.groups, duplicates.pairs, copies),
        "labels": judge_labels(suspicions, wrong, truth, arguments.seed),
        "labels_all_right": judge_labels(control, np.zeros_like(wrong), truth, arguments.seed),
    }
    for name in ("quarantine", "flags", "near_duplicates", "labels", "labels_all_right"):
        print(f"{name}: {found[name]}", flush=True)
    return found


if __name__ == "__main__":
    main()
