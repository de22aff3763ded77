import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.train.conftest import LABELS, draw
from train.data.freeze import freeze, merge_duplicates
from train.data.frozen_split import FrozenSplit, read_split
from train.data.manifest import Source
from train.data.split import Agreed, Plan
from train.data.stream import read_image
from train.errors import DatasetError, SealError

SERIALS = 6


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of each of six modules of each class, and a damaged one."""
    root = tmp_path / "images"
    rows = ["path,label,group,line,captured_at,side"]
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(2 * SERIALS):
            name = f"{label}/{number}.png"
            serial = number // 2
            cv2.imwrite(str(root / name), draw(label, number))
            side = ("train", "train", "validation", "test")[serial % 4]
            rows.append(
                f"{name},{label},{label}-{serial},L{serial % 2},2025-03-0{serial + 1},{side}"
            )
    (root / "stain" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    rows.append("stain/damaged.png,stain,stain-9,L0,2025-03-01,train")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def frozen(images: Path) -> FrozenSplit:
    return freeze(
        Source(data_dir=images), images.parent / "split", Plan(seed=1), command="train split"
    )


def open_it(split: FrozenSplit):
    return split.open_sealed(model_sha256="a" * 64, thresholds_sha256="b" * 64, command="c")


def test_the_sides_are_disjoint_whole_and_named_by_one_hash(frozen: FrozenSplit) -> None:
    dataset, split = frozen.teaching()
    sealed, openings = open_it(frozen)
    groups = [
        {dataset.samples[i].group for i in split.train},
        {dataset.samples[i].group for i in split.validation},
        {sample.group for sample in sealed.samples},
    ]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 3 * SERIALS
    assert len(dataset.samples) + len(sealed.samples) == 6 * SERIALS
    assert {sample.label for sample in sealed.samples} == set(LABELS)
    validation = frozen.side("validation").samples
    assert list(validation) == [dataset.samples[i] for i in split.validation]
    assert [opening.split_sha256 for opening in openings] == [frozen.record.sha256]
    counts = frozen.record.images["stain"]
    assert (counts.train, counts.validation, counts.test) == (8, 2, 2)


def test_what_cannot_be_decoded_is_listed_and_on_no_side(frozen: FrozenSplit) -> None:
    assert frozen.record.quarantined == 1
    with (frozen.folder / "quarantine.csv").open(newline="") as file:
        (bad,) = csv.DictReader(file)
    assert bad["path"] == "stain/damaged.png"
    assert bad["reason"]


def test_the_same_images_give_the_same_split_wherever_it_lies(
    frozen: FrozenSplit, images: Path
) -> None:
    again = freeze(
        Source(data_dir=images), images.parent / "again", Plan(seed=1), command="another day"
    )
    assert again.record.sha256 == frozen.record.sha256
    other = freeze(Source(data_dir=images), images.parent / "other", Plan(seed=2), command="")
    assert other.record.sha256 != frozen.record.sha256


def test_a_split_is_read_as_it_was_made_and_images_may_move(
    frozen: FrozenSplit, images: Path
) -> None:
    assert read_split(frozen.folder) == frozen
    moved = images.parent / "moved"
    shutil.move(images, moved)
    dataset, _ = read_split(frozen.folder, root=moved).teaching()
    assert read_image(dataset, 0)


@pytest.mark.parametrize("name", ["split.csv", "sealed.csv"])
def test_a_list_that_was_changed_is_refused(name: str, frozen: FrozenSplit) -> None:
    file = frozen.folder / name
    whole = file.read_text()
    file.write_text(whole.replace(",L0,", ",L7,", 1))
    with pytest.raises(SealError, match=rf"{name} was changed since the split was frozen"):
        open_it(read_split(frozen.folder))
    assert (frozen.folder / "ledger.jsonl").read_bytes() == b""
    file.write_text(whole)
    assert open_it(read_split(frozen.folder))


def test_a_record_whose_hashes_were_changed_is_refused(frozen: FrozenSplit) -> None:
    file = frozen.folder / "split.json"
    record = frozen.record.model_copy(update={"sealed_sha256": "0" * 64})
    file.write_text(record.to_json())
    with pytest.raises(SealError, match=r"split\.json was changed"):
        read_split(frozen.folder)


def test_an_image_that_was_changed_is_refused(frozen: FrozenSplit, images: Path) -> None:
    dataset, _ = frozen.teaching()
    assert read_image(dataset, 0)
    shutil.copy(images / dataset.samples[1].path, images / dataset.samples[0].path)
    with pytest.raises(
        DatasetError, match=r"was changed: its sha256 is .*the manifest or split says"
    ):
        read_image(dataset, 0)


def test_an_existing_folder_is_not_touched(frozen: FrozenSplit, images: Path) -> None:
    before = {file: file.read_bytes() for file in frozen.folder.iterdir()}
    with pytest.raises(SealError, match="exists already, and a frozen split is never overwritten"):
        freeze(Source(data_dir=images), frozen.folder, Plan(seed=2), command="")
    assert {file: file.read_bytes() for file in frozen.folder.iterdir()} == before


def test_a_refusal_leaves_nothing_behind(images: Path) -> None:
    before = sorted(images.parent.iterdir())
    rows = (images / "manifest.csv").read_text()
    (images / "manifest.csv").write_text(rows + "crack/none.png,crack,x,,,\n")
    with pytest.raises(DatasetError, match="names 1 of 38 files that do not exist"):
        freeze(Source(data_dir=images), images.parent / "split", Plan(), command="")
    (images / "manifest.csv").write_text(rows.replace(",crack,", ",bend,", 1))
    with pytest.raises(DatasetError, match="class 'bend' has 1 usable image in one group"):
        freeze(Source(data_dir=images), images.parent / "split", Plan(), command="")
    assert sorted(images.parent.iterdir()) == before


def test_a_column_can_say_who_stands_where(images: Path) -> None:
    split = freeze(
        Source(data_dir=images),
        images.parent / "split",
        Agreed(column="side"),
        command="",
    )
    record = read_split(split.folder).record
    assert (record.plan, record.side_column) == (None, "side")
    assert {sample.group[-1] for sample in split.side("validation").samples} == {"2"}
    sealed, _ = open_it(split)
    assert {sample.group[-1] for sample in sealed.samples} == {"3"}


def test_a_column_that_tears_an_image_from_its_twin_is_refused(images: Path) -> None:
    shutil.copy(images / "crack/0.png", images / "crack/6.png")  # one is taught, the other sealed
    with pytest.raises(DatasetError, match=r"group 'crack-0' on two sides, crack/0.png on train"):
        freeze(
            Source(data_dir=images),
            images.parent / "split",
            Agreed(column="side"),
            command="",
        )


def test_groups_with_an_image_in_common_become_one(images: Path) -> None:
    shutil.copy(images / "crack/0.png", images / "crack/2.png")
    shutil.copy(images / "crack/3.png", images / "crack/5.png")
    split = freeze(Source(data_dir=images), images.parent / "split", Plan(), command="")
    dataset, _ = split.teaching()
    sealed, _ = open_it(split)
    samples = [*dataset.samples, *sealed.samples]
    merged = {s.group for s in samples if s.path in {f"crack/{n}.png" for n in range(6)}}
    assert merged == {"crack-0"}
    assert split.record.merged == 2


def test_distinct_images_are_not_merged(images: Path) -> None:
    dataset = Source(data_dir=images).read()
    texts = [f"{number:064x}" for number in range(len(dataset.samples))]
    hashes = np.array([list(bytes.fromhex(text)) for text in texts], np.uint8)
    hashed, merged = merge_duplicates(dataset, hashes)
    assert merged == 0
    assert list(hashed.column("sha256")) == texts
    assert list(hashed.column("group")) == list(dataset.column("group"))
