import csv
import shutil
from collections import Counter
from pathlib import Path

import cv2
import pytest

from tests.train.conftest import LABELS, draw
from train.data.enlarge import Shares, enlarge, newcomers
from train.data.freeze import freeze
from train.data.frozen_split import FrozenSplit, read_split
from train.data.manifest import Source
from train.data.split import Plan
from train.errors import DatasetError, SealError

SHARES = Shares(validation=0.2, exam=0.3, test=0.1)


def write(root: Path, numbers: range, *, lone: bool = False) -> Path:
    """Two images of each module of each class; `lone`: each is a group of its own."""
    rows = ["path,label,group"]
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in numbers:
            name = f"{label}/{number}.png"
            cv2.imwrite(str(root / name), draw(label, number))
            rows.append(f"{name},{label},{name if lone else f'{label}-{number // 2}'}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def frozen(tmp_path: Path) -> FrozenSplit:
    images = write(tmp_path / "images", range(40))
    plan = Plan(seed=1, val_share=0.4)
    return freeze(Source(data_dir=images), tmp_path / "split", plan, command="train split")


def grown(frozen: FrozenSplit, labels: Path, out: Path) -> FrozenSplit:
    return enlarge(frozen, Source(data_dir=labels), out, SHARES, seed=1, command="refresh")


def sides(split: FrozenSplit) -> dict[str, str]:
    """The side of each image by its content."""
    teaching, cut = split.teaching()
    held_back = set(cut.validation)
    found = {
        sample.sha256: "validation" if index in held_back else "train"
        for index, sample in enumerate(teaching.samples)
    }
    exam = split.exam()
    found |= {sample.sha256: "exam" for sample in exam.samples} if exam else {}
    return found | {sample.sha256: "test" for sample in split.still_sealed()}


def test_who_taught_teaches_and_who_was_sealed_stays_sealed(
    frozen: FrozenSplit, tmp_path: Path
) -> None:
    before = sides(frozen)
    larger = grown(frozen, write(tmp_path / "new", range(100, 140)), tmp_path / "larger")
    after = sides(larger)
    moved = Counter((side, after[content]) for content, side in before.items())
    assert set(moved) == {
        ("train", "train"),
        ("test", "test"),
        ("validation", "validation"),
        ("validation", "exam"),
    }
    rows = [len(larger.teaching()[0].samples), len((larger.exam() or larger.side("train")).samples)]
    assert sum(rows) + len(list(larger.still_sealed())) == len(after), "nothing is listed twice"
    fresh = Counter(side for content, side in after.items() if content not in before)
    assert fresh.total() == 120
    for side, share in (("exam", 0.3), ("validation", 0.2), ("test", 0.1), ("train", 0.4)):
        assert abs(fresh[side] / 120 - share) < 0.07


def test_the_exam_stays_from_one_enlargement_to_the_next(
    frozen: FrozenSplit, tmp_path: Path
) -> None:
    once = grown(frozen, write(tmp_path / "new", range(100, 140)), tmp_path / "once")
    twice = grown(once, write(tmp_path / "newer", range(200, 240)), tmp_path / "twice")
    before, after = sides(once), sides(twice)
    assert all(after[content] == side for content, side in before.items())
    fresh = newcomers(twice, once)
    assert fresh == {c for c, side in after.items() if c not in before and side == "exam"}
    assert fresh


def test_a_known_group_joins_its_own_and_a_known_image_is_not_added_twice(
    frozen: FrozenSplit, tmp_path: Path
) -> None:
    teaching = frozen.side("train").samples
    labels = write(tmp_path / "new", range(100, 110))
    shutil.copy(tmp_path / "images" / teaching[0].path, labels / "again.png")
    shutil.copy(tmp_path / "images" / teaching[1].path, labels / "otherwise.png")
    cv2.imwrite(str(labels / "sibling.png"), draw(teaching[2].label, 999))
    other = next(label for label in LABELS if label != teaching[1].label)
    with (labels / "manifest.csv").open("a") as file:
        file.write(f"again.png,{teaching[0].label},{teaching[0].group}\n")
        file.write(f"otherwise.png,{other},{teaching[1].group}\n")
        file.write(f"sibling.png,{teaching[2].label},{teaching[2].group}\n")
    larger = grown(frozen, labels, tmp_path / "larger")
    made = larger.record.enlargement
    assert made is not None
    assert (made.added, made.known, made.relabelled) == (31, 1, 1)
    taught = {sample.path: sample for sample in larger.side("train").samples}
    assert "new/sibling.png" in taught
    assert taught[f"images/{teaching[1].path}"].label == other


def test_images_that_are_groups_of_their_own_stay_so(frozen: FrozenSplit, tmp_path: Path) -> None:
    larger = grown(frozen, write(tmp_path / "new", range(100, 140), lone=True), tmp_path / "larger")
    lone = [s for s in larger.side("train").samples if s.path.startswith("new/")]
    assert lone
    assert all(sample.group == sample.path for sample in lone)


def test_an_exam_that_was_changed_is_refused(frozen: FrozenSplit, tmp_path: Path) -> None:
    grown(frozen, write(tmp_path / "new", range(100, 140)), tmp_path / "larger")
    exam = tmp_path / "larger" / "exam.csv"
    with exam.open(newline="") as file:
        rows = list(csv.reader(file))
    with exam.open("w", newline="") as file:
        csv.writer(file).writerows(rows[:-1])
    with pytest.raises(SealError, match=r"exam\.csv was changed"):
        read_split(tmp_path / "larger")


def test_a_class_that_the_split_has_not_is_refused(frozen: FrozenSplit, tmp_path: Path) -> None:
    labels = write(tmp_path / "new", range(100, 110))
    cv2.imwrite(str(labels / "dent.png"), draw("crack", 999))
    with (labels / "manifest.csv").open("a") as file:
        file.write("dent.png,dent,d1\n")
    with pytest.raises(DatasetError, match="a refresh keeps the classes"):
        grown(frozen, labels, tmp_path / "larger")
    assert not (tmp_path / "larger").exists()
