"""A tiny data set, a run on it and its export, each made once for all tests of this floor."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from optimize.data.manifest import Columns
from train.cli.main import main
from train.data.augment import Augmentation
from train.data.manifest import Source
from train.fitting.machine import Machine
from train.fitting.recipe import Recipe
from train.fitting.record import Settings
from train.run_folder import RunFolder

LABELS = ("crack", "no_defect", "stain")
SIDE = 32


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with ThreadPoolExecutor(2) as workers:
        yield Machine(device=torch.device("cpu"), amp=False, workers=workers)


def draw(label: str, number: int) -> np.ndarray:
    """An image (40, 36, 3) uint8 whose class is plain to see: dark, bright or red."""
    random = np.random.default_rng((LABELS.index(label), number))
    image = random.integers(0, 40, (40, 36, 3), dtype=np.uint8)
    if label == "no_defect":
        image += 180
    if label == "stain":
        image[..., 0] += 150
    return image


def write_folder(root: Path, per_class: int) -> Path:
    """Class folders and a manifest in which two images each share a group; one file is damaged."""
    rows = ["file,kind,serial,line"]
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(per_class):
            name = f"{label}/{number}.png"
            cv2.imwrite(str(root / name), draw(label, number)[..., ::-1])
            rows.append(f"{name},{label},{label[0]}{number // 2},L{number % 2}")
    (root / "stain" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    rows.append("stain/damaged.png,stain,s9,L0")
    (root / "rows.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="session")
def folder_of_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"), 10)


@pytest.fixture(scope="session")
def settings(folder_of_images: Path) -> Settings:
    return Settings(
        source=Source(
            data_dir=folder_of_images,
            manifest="rows.csv",
            columns=Columns(path="file", label="kind", group="serial"),
        ),
        val_split=0.4,
        model="test_efficientnet",
        initial_weights="scratch",
        recipe=Recipe(
            img_size=SIDE,
            train_img_size=SIDE // 2,
            full_size_epochs=1,
            epochs=3,
            freeze_epochs=1,
            warmup_epochs=1,
            min_epoch_images=0,
            batch_size=4,
            lr=3e-3,
            seed=3,
        ),
        augmentation=Augmentation(),
    )


FIT_FLAGS = (
    "--manifest rows.csv --path-column file --label-column kind --group-column serial "
    f"--val-split 0.4 --model test_efficientnet --initial-weights scratch --img-size {SIDE} "
    f"--train-img-size {SIDE // 2} --full-size-epochs 1 --epochs 3 -b 4 --lr 3e-3 "
    "--min-epoch-images 0 --seed 3"
).split()


@pytest.fixture(scope="session")
def finished_run(folder_of_images: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What `train fit` leaves, with the settings of `settings`."""
    output = tmp_path_factory.mktemp("runs") / "first"
    code = main(["fit", "--data-dir", str(folder_of_images), "--output", str(output), *FIT_FLAGS])
    assert code == 0
    return RunFolder(path=output)


@pytest.fixture(scope="session")
def exported_model(finished_run: RunFolder) -> Path:
    """What `train export` leaves."""
    target = finished_run.path.parent / "first.onnx"
    assert main(["export", str(finished_run.path), "--out", str(target)]) == 0
    return target
