"""The default calibration set, and the copy of it in the repository."""

import csv
import hashlib
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import decode
from edge_runtime.simulation.generations import LABELS
from optimize.calibration.default_set import draw, write
from optimize.data.dataset import open_dataset
from optimize.data.images import Image, read_images
from optimize.errors import PackageError

SHIPPED = Path(__file__).parents[3] / "calibration_data"


def test_a_drawn_set_is_read_back_whole(tmp_path: Path) -> None:
    size = write(tmp_path / "set", count=6, seed=3)
    images = list(read_images(open_dataset(tmp_path / "set"), InputSpec()))
    assert all(isinstance(image, Image) for image in images)
    assert [image.label for image in images if isinstance(image, Image)] == list(LABELS)
    assert size == sum(path.stat().st_size for path in (tmp_path / "set").glob("*/*.jpg"))


def test_the_same_seed_draws_the_same_set_and_another_does_not() -> None:
    first, again = (list(islice(draw(seed=3), 3)) for _ in range(2))
    other = list(islice(draw(seed=4), 3))
    assert first == again
    assert not {image.sha256 for image in first} & {image.sha256 for image in other}


def test_the_set_in_the_repository_is_what_the_simulation_draws_today() -> None:
    # Not byte for byte: another processor's floats may end in another JPEG.
    for image in islice(draw(), len(LABELS)):
        shipped, drawn = decode((SHIPPED / image.path).read_bytes()), decode(image.data)
        assert np.abs(shipped.astype(int) - drawn).mean() < 1


def test_the_manifest_in_the_repository_says_class_seed_and_domain_of_what_is_drawn() -> None:
    with (SHIPPED / "manifest.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    for row, image in zip(listed, draw(), strict=True):
        assert (row["path"], row["label"]) == (image.path, image.label)
        assert (row["seed"], row["domain"]) == (str(image.seed), image.domain)
        content = (SHIPPED / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_set_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("mine")
    with pytest.raises(PackageError, match="stays as it is"):
        write(tmp_path, count=6, seed=3)
    assert (tmp_path / "manifest.csv").read_text() == "mine"


def test_the_set_in_the_repository_is_whole_balanced_and_small() -> None:
    folder = open_dataset(SHIPPED)
    images = list(read_images(folder, InputSpec()))
    assert all(isinstance(image, Image) for image in images)
    assert Counter(entry.label for entry in folder.samples) == dict.fromkeys(LABELS, 16)
    assert sum((SHIPPED / entry.path).stat().st_size for entry in folder.samples) < 2_500_000
