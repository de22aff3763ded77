from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import decode
from edge_runtime.preprocessing import fit
from optimize.data.dataset import Dataset
from train.data import stream
from train.data.augment import Augmentation
from train.data.manifest import read_class_folders
from train.data.stream import BatchStream, ImageStore, open_images
from train.errors import DatasetError

SIZE = InputSpec(height=32, width=32)
ENOUGH = 1 << 30


@pytest.fixture(scope="module")
def dataset(folder_of_images: Path) -> Dataset:
    return read_class_folders(folder_of_images)


@pytest.fixture(scope="module")
def images(dataset: Dataset) -> ImageStore:
    return open_images(dataset, SIZE, workers=2, memory_limit=ENOUGH)


def batches(images: ImageStore, threads: int = 1, **changes: object) -> list[np.ndarray]:
    with ThreadPoolExecutor(threads) as pool:
        batches = BatchStream(
            store=images, order=[3, 0, 3, 7, 1], batch_size=2, size=SIZE, pool=pool
        )
        return [batch.frames for batch in replace(batches, **changes)]


def test_what_does_not_decode_is_quarantined_with_its_reason(
    dataset: Dataset, images: ImageStore
) -> None:
    (bad,) = images.quarantined
    assert bad.path == "stain/damaged.png"
    assert bad.label == "stain"
    assert bad.reason
    assert dataset.samples[bad.index].path == bad.path
    assert len(images) == len(dataset.samples) - 1
    assert bad.path not in {sample.path for sample in images.dataset.samples}


def test_pixels_are_those_of_the_runtime(images: ImageStore) -> None:
    for index in (0, 12, len(images) - 1):
        seen_at_the_line = fit(decode(images.dataset.file(index).read_bytes()), SIZE)
        np.testing.assert_array_equal(images[index], seen_at_the_line)


@pytest.mark.parametrize("kept", [0, 1, 7])
def test_memory_limits_what_is_kept_and_not_what_is_seen(
    dataset: Dataset, images: ImageStore, kept: int
) -> None:
    few = open_images(dataset, SIZE, workers=2, memory_limit=kept * 32 * 32 * 3)
    assert len(few.cached) == kept
    assert few.sha256 == images.sha256
    for index in range(len(images)):
        np.testing.assert_array_equal(few[index], images[index])


def test_a_damaged_image_among_the_first_leaves_no_gap(
    dataset: Dataset, images: ImageStore
) -> None:
    backwards = replace(dataset, samples=dataset.samples[::-1])
    few = open_images(backwards, SIZE, workers=2, memory_limit=3 * 32 * 32 * 3)
    assert few.quarantined[0].index == 0
    assert len(few.cached) == 2
    for index in range(len(few)):
        np.testing.assert_array_equal(few[index], images[len(images) - 1 - index])


def test_opening_again_decodes_only_what_is_kept_and_what_could_not_be_decoded(
    dataset: Dataset, images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []

    def counted(data: bytes) -> np.ndarray:
        decoded.append(data)
        return decode(data)

    monkeypatch.setattr(stream, "decode", counted)
    limit = 2 * 32 * 32 * 3
    bad = [quarantined.path for quarantined in images.quarantined]
    again = open_images(dataset, SIZE, workers=2, memory_limit=limit, undecodable=bad)
    assert len(decoded) == 3
    assert again.quarantined == images.quarantined
    assert again.sha256 == images.sha256
    decoded.clear()
    open_images(dataset, SIZE, workers=2, memory_limit=limit)
    assert len(decoded) == len(dataset.samples)


def test_the_hash_follows_bytes_labels_and_groups(dataset: Dataset, images: ImageStore) -> None:
    first = replace(dataset.samples[0], group="another")
    other = Dataset(root=dataset.root, samples=(first, *dataset.samples[1:]))
    assert open_images(other, SIZE, workers=1, memory_limit=0).sha256 != images.sha256


def test_a_class_that_cannot_be_decoded_at_all_is_refused(tmp_path: Path) -> None:
    for label, data in (("a", b""), ("b", b"nothing")):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.jpg").write_bytes(data)
    with pytest.raises(DatasetError, match="none of the 1 images of class 'a' can be decoded"):
        open_images(read_class_folders(tmp_path), SIZE, workers=1, memory_limit=0)


def test_a_file_that_vanished_is_named(tmp_path: Path, images: ImageStore) -> None:
    moved = Dataset(root=tmp_path, samples=images.dataset.samples)
    with pytest.raises(DatasetError, match=r"cannot read .*crack/0\.png"):
        open_images(moved, SIZE, workers=1, memory_limit=0)


def test_batches_come_in_order_with_their_classes(images: ImageStore) -> None:
    with ThreadPoolExecutor(2) as pool:
        order = [25, 0, 12, 3, 11]
        batches = BatchStream(store=images, order=order, batch_size=2, size=SIZE, pool=pool)
        found = list(batches)
    assert [len(batch.frames) for batch in found] == [2, 2, 1]
    shown = np.concatenate([batch.frames for batch in found])
    np.testing.assert_array_equal(shown, np.stack([images[i] for i in order]))
    labels = [images.dataset.labels[k] for batch in found for k in batch.classes]
    assert labels == [images.dataset.samples[i].label for i in order]
    assert batches.waited_s > 0


def test_pixels_do_not_depend_on_the_number_of_threads(images: ImageStore) -> None:
    changes = {"augmentation": Augmentation(), "seed": 5, "epoch": 2}
    alone, together = batches(images, 1, **changes), batches(images, 4, **changes)
    np.testing.assert_array_equal(np.concatenate(alone), np.concatenate(together))


def test_an_image_shown_twice_is_altered_in_two_ways_and_anew_each_epoch(
    images: ImageStore,
) -> None:
    first = np.concatenate(batches(images, augmentation=Augmentation(), epoch=0))
    second = np.concatenate(batches(images, augmentation=Augmentation(), epoch=1))
    assert (first[0] != first[2]).any()
    assert (first[0] != second[0]).any()


def test_a_smaller_size_is_given_out_on_demand(images: ImageStore) -> None:
    small = InputSpec(height=16, width=16)
    assert batches(images, size=small)[0].shape == (2, 16, 16, 3)
