"""Transfer between real sets of images, cross-validated by group: `python -m benchmarks.real_images`.

Two transfers. Magnetic tiles: dark exposures teach, bright ones of other tiles are learnt and judged;
no tile on two sides, tiles of contradictory labels left out. Hot-rolled steel: NEU-DET teaches, X-SDD
is learnt and judged on the three defects that both have; the same bytes are one group.

Each is a `train compare`. One arm is a frozen ImageNet backbone under a new head: the baseline, taught
and judged on the same folds. The recipe is the default one, but for size and budget, which are what
two cores do in an hour, and `--min-epoch-images 0`: these were taught when there was no such floor. The
tiles are taught again, from the likelier starts, with batch norm's statistics estimated anew
(`--bn-images`), and once more so at 192 pixels.

Two more on the tiles have the floor and smaller batches, so four times the updates of twelve epochs
that show each image once. One teaches the whole network; the other the head alone, of the dark
exposures first and of the bright ones then, at a tenth of the rate and without augmentation. The images
are not shipped: `--data` names the folder that holds them (`magnetic_tile`, `neu_det`, `xsdd`, each with
its `manifest.csv`).
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.setting import setting, write_result
from benchmarks.steps import Step, carry_out, read_json, step

SHARED_LABELS: Mapping[str, Mapping[str, str]] = {
    "neu_det": {
        "inclusion": "inclusion",
        "scratches": "scratch",
        "rolled-in_scale": "scale",
    },
    "xsdd": {
        "slag_inclusion": "inclusion",
        "surface_scratch": "scratch",
        "oxide_scale_of_plate_system": "scale",
        "oxide_scale_of_temperature_system": "scale",
    },
}
"""What the classes of each set of steel are called in the field; the others are in one set alone."""


HEAD_SEEDS = 3
"""Of the heads, which are quick to teach."""


def steps(seeds: int) -> tuple[Step, ...]:
    """The comparisons, as typed in the folder of the work, where `data` leads to the images."""
    images = (
        "--data-dir data/magnetic_tile --path-column file --label-column class "
        "--group-column tile_group --where mixed_label_tile=0"
    )
    bright, dark = (
        f"{images} --where suggested_role=train_gen3",
        "--where suggested_role=train_gen2",
    )
    tiles = (
        f"compare {bright} --source-data-dir data/magnetic_tile --source-where mixed_label_tile=0 "
        "--source-where suggested_role=train_gen2"
    )
    steel = (
        "compare --data-dir data --manifest xsdd.csv --source-data-dir data "
        "--source-manifest neu_det.csv"
    )
    starts = ("scratch", "imagenet", "source", "imagenet+source")
    once = "--min-epoch-images 0"
    head = "--freeze-epochs 6 --warmup-epochs 0"
    few = "--folds 5 --shares 1 --epochs 6 -b 16 --img-size 128"
    return (
        step(
            f"{tiles} {_arms(starts, 24)} {_budget(seeds, 24)} --img-size 128 {once} --out tiles",
            "tiles/comparison.json",
        ),
        step(
            f"{tiles} {_arms(starts[1::2], 24)} {_budget(seeds, 24)} --img-size 128 "
            f"--bn-images 300 {once} --out tiles-bn",
            "tiles-bn/comparison.json",
        ),
        step(
            f"{tiles} {_arms(starts[3:], 30, ' --bn-images 0')} {_budget(seeds, 30)} --img-size 192 "
            f"--bn-images 300 {once} --out tiles-192",
            "tiles-192/comparison.json",
        ),
        step(
            f"{steel} {_arms(starts, 8)} {_budget(seeds, 8)} --img-size 64 {once} --out steel",
            "steel/comparison.json",
            prepare=lambda work: _name_alike(work / "data"),
        ),
        step(
            f"fit {images} {dark} --epochs 24 --img-size 128 --output tiles-gen2",
            "tiles-gen2/best.pth",
        ),
        step(
            f"compare {bright} --arm imagenet=imagenet --arm imagenet+source=tiles-gen2 "
            f"--arm 'frozen=imagenet {head}' "
            f"--seeds 1 {few} --out tiles-few",
            "tiles-few/comparison.json",
        ),
        step(
            f"fit {images} {dark} --freeze-epochs 12 --no-aug --img-size 128 "
            "--output tiles-gen2-head-noaug",
            "tiles-gen2-head-noaug/best.pth",
        ),
        step(
            f"compare {bright} --arm 'frozen=imagenet {head}' "
            f"--arm 'frozen+source=tiles-gen2-head-noaug {head} --lr 1e-4' "
            f"--seeds {HEAD_SEEDS} {few} --no-aug --out tiles-head",
            "tiles-head/comparison.json",
        ),
    )


def _arms(starts: Sequence[str], epochs: int, frozen: str = "") -> str:
    """Each start, and the frozen backbone with further flags of its own."""
    flags = [f"--arm {start}={start}" for start in starts]
    return " ".join(
        [*flags, f'--arm "frozen=imagenet --freeze-epochs {epochs} --warmup-epochs 0{frozen}"']
    )


def _budget(seeds: int, epochs: int) -> str:
    """All labels, judged in five folds by group."""
    return f"--folds 5 --shares 1 --seeds {seeds} --epochs {epochs}"


def _link(data: Path, work: Path) -> None:
    """`data` within the folder of the work: the sets of images, as links."""
    (work / "data").mkdir(parents=True, exist_ok=True)
    for name in ("magnetic_tile", *SHARED_LABELS):
        link = work / "data" / name
        if not link.exists():
            link.symlink_to((data / name).resolve(), target_is_directory=True)


def _name_alike(data: Path) -> None:
    """Write a manifest of each set of steel with the shared labels, grouped by content."""
    for name, labels in SHARED_LABELS.items():
        with (data / name / "manifest.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["class"] in labels]
        with (data / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "label", "group"))
            writer.writerows(
                (f"{name}/{row['file']}", labels[row["class"]], row["md5"]) for row in rows
            )


def main() -> None:
    """The comparisons, as far as they are not done yet, then the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the three sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    work: Path = arguments.work
    _link(arguments.data, work)
    done = carry_out(steps(arguments.seeds), work)
    result = setting("torch", "timm", "numpy") | {
        "steps": done,
        "magnetic_tile": read_json(work / "tiles" / "comparison.json"),
        "magnetic_tile, batch norm anew": read_json(work / "tiles-bn" / "comparison.json"),
        "magnetic_tile, batch norm anew, 192 px": read_json(work / "tiles-192" / "comparison.json"),
        "magnetic_tile, more updates": read_json(work / "tiles-few" / "comparison.json"),
        "magnetic_tile, heads alone": read_json(work / "tiles-head" / "comparison.json"),
        "neu_det to xsdd": read_json(work / "steel" / "comparison.json"),
    }
    print(write_result("real-images", result))


if __name__ == "__main__":
    main()
