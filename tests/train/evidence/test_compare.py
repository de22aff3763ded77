"""A whole comparison at a tiny size: what it writes, what it keeps, what it refuses."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.train.conftest import write_folder
from train.cli.main import main
from train.data.manifest import read_class_folders
from train.data.split import split_dataset
from train.errors import DatasetError
from train.evidence import trials
from train.evidence.comparison import Comparison, read_comparison
from train.evidence.exam import cross_validation, hold_out

COLUMNS = shlex.split(
    "--manifest rows.csv --path-column file --label-column kind --group-column serial"
)
FLAGS = shlex.split(
    "--model test_efficientnet --img-size 32 --epochs 1 --epoch-images 16 --freeze-epochs 0 -b 4 "
    "--warmup-epochs 0 --lr 3e-3 --no-aug --resamples 50 --shares 0.4 1"
)


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same classes in other groups."""
    folder = write_folder(tmp_path_factory.mktemp("source"), 6)
    rows = (folder / "rows.csv").read_text().splitlines()
    renamed = [
        rows[0],
        *(",".join([*r[:2], f"old-{r[2]}", r[3]]) for r in (x.split(",") for x in rows[1:])),
    ]
    (folder / "rows.csv").write_text("\n".join(renamed) + "\n")
    return folder


@pytest.fixture(scope="session")
def words(folder_of_images: Path, source_folder: Path) -> list[str]:
    where = ["--data-dir", str(folder_of_images), *COLUMNS]
    theirs = ["--source-data-dir", str(source_folder), "--source-manifest", "rows.csv"]
    return ["compare", *where, *theirs, *FLAGS]


@pytest.fixture(scope="session")
def compared(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms, one of them through the source, two shares, two seeds, judged on a held-back side."""
    folder = tmp_path_factory.mktemp("compared") / "held-back"
    arms = ["--arm", "scratch", "--arm", "source"]
    assert main([*words, *arms, "--seeds", "2", "--val-split", "0.4", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copy(compared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(compared, tmp_path / "copy"))


def again(words: list[str], folder: Path, *more: str) -> int:
    arms = ["--arm", "scratch", "--arm", "source"]
    flags = [*words, *arms, "--seeds", "2", "--val-split", "0.4", "--out", str(folder)]
    return main([*flags, *more])


def test_the_contract_holds_every_trial_point_and_difference(compared: Path) -> None:
    made = read_comparison(compared)
    assert len(made.trials) == 8
    assert [(p.arm, p.share) for p in made.points] == [
        ("scratch", 0.4), ("source", 0.4), ("scratch", 1.0), ("source", 1.0)
    ]  # fmt: skip
    assert {(d.arm, d.rival, d.share) for d in made.differences} == {
        ("source", "scratch", 0.4),
        ("source", "scratch", 1.0),
    }
    assert made.folds == 0
    assert sum(made.judged.values()) + sum(made.taught.values()) == 30
    assert made.arms[1].initial_weights.startswith("run scratch")
    for point in made.points:
        seeds = [
            t.figures["macro F1"]
            for t in made.trials
            if (t.arm, t.share) == (point.arm, point.share)
        ]
        assert point.figures["macro F1"].value == pytest.approx(np.mean(seeds))
        assert point.spread["macro F1"] == pytest.approx(np.std(seeds, ddof=1))
    for difference in made.differences:
        values = [
            made.point(name, difference.share).figures["macro F1"].value
            for name in (difference.arm, difference.rival)
        ]
        assert difference.figures["macro F1"].value == pytest.approx(values[0] - values[1])
    assert any("1 images could not be decoded" in note for note in made.notes)


def test_every_trial_shows_equally_many_images_and_arms_share_their_labels(compared: Path) -> None:
    made = read_comparison(compared)
    assert {trial.shown for trial in made.trials} == {16}
    by_seed = {(t.seed, t.share): set() for t in made.trials}
    for trial in made.trials:
        by_seed[trial.seed, trial.share].add(json.dumps(dict(trial.images)))
    assert all(len(found) == 1 for found in by_seed.values())
    labels = {p.share: p.labels for p in made.points}
    assert labels[0.4] < labels[1.0] == sum(made.taught.values())


def test_the_table_the_picture_and_the_terminal_tell_it(
    compared: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with (compared / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    made = read_comparison(compared)
    assert len([r for r in rows if r["what"] == "point"]) == 4 * len(made.points[0].figures)
    assert (compared / "comparison.svg").read_text().startswith("<svg")
    assert again(words, compared) == 0
    told = capsys.readouterr().out
    assert "8 trials, 8 of them finished; 0 images to show" in told
    assert "less scratch" in told
    assert "labels that the others need for the macro F1 of" in told


def test_started_again_it_teaches_what_is_missing_and_comes_to_the_same(
    compared: Path, copy: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copy / "trials" / "source" / "share-0.4" / "seed-1")
    left = copy / "trials" / "source" / "share-0.4" / ".seed-1.5eed5eed.part"
    left.mkdir()  # as a kill -9 leaves it
    (left / "logits.npy").touch()
    taught = counted(monkeypatch)
    assert again(words, copy) == 0
    assert taught == ["source/share-0.4/seed-1"]
    assert figures(read_comparison(copy)) == figures(read_comparison(compared))
    assert not list(copy.rglob(".*"))


def figures(made: Comparison) -> list[object]:
    return [(t.arm, t.share, t.seed, dict(t.figures)) for t in made.trials]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of trials that are taught from here on."""
    names: list[str] = []
    real = trials._write

    def write(place: Path, *args: object) -> None:
        names.append("/".join(place.parts[-3:]))
        real(place, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(trials, "_write", write)
    return names


def test_more_arms_and_seeds_may_be_asked_of_a_folder(
    copy: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = counted(monkeypatch)
    frozen = ["--arm", "frozen=scratch --freeze-epochs 1", "--seeds", "1", "--shares", "1"]
    assert again(words, copy, *frozen) == 0
    assert taught == ["frozen/share-1/seed-0"]
    made = read_comparison(copy)
    assert [compared.arm.name for compared in made.arms] == ["scratch", "source", "frozen"]
    assert made.arms[2].arm.recipe.freeze_epochs == 1
    assert made.points[0].spread["macro F1"] is None


@pytest.mark.parametrize(
    ("more", "code", "expected"),
    [
        (["--lr", "0.5"], 22, "recipe.lr is 0.003 and not 0.5"),
        (["--folds", "3"], 22, "folds is 0 and not 3"),
        (["--arm", "scratch"], 2, "--arm scratch is there twice"),
        (["--arm", "a/b=scratch"], 2, "expected NAME=FROM"),
        (["--arm", "x=scratch --epochs 3"], 2, "all arms see equally many images"),
        (["--arm", "x=scratch --colour red"], 2, "only flags of the recipe"),
        (["--arm", "x=nowhere"], 21, "no such file or folder"),
        (["--shares", "0"], 2, "--shares 0: expected"),
        (["--folds", "1"], 2, "--folds 1"),
        (["--confidence", "1"], 2, "--confidence 1.0"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    copy: Path,
    words: list[str],
    more: list[str],
    code: int,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert again(words, copy, *more) == code
    message = capsys.readouterr().err
    assert message.startswith("train: ")
    assert expected in message
    assert message.count("\n") == 1


def test_an_arm_that_means_another_start_by_now_is_refused(
    copy: Path, words: list[str], finished_run: object, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = ["--arm", "scratch=imagenet", "--out", str(copy), "--val-split", "0.4"]
    assert main([*words, *arms, "--seeds", "1"]) != 0
    changed = [
        *words,
        "--arm",
        "scratch=scratch --lr 0.1",
        "--out",
        str(copy),
        "--val-split",
        "0.4",
    ]
    assert main([*changed, "--seeds", "1"]) == 22
    assert "was made with another recipe" in capsys.readouterr().err


def test_a_damaged_trial_is_refused_by_its_place(
    copy: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    place = copy / "trials" / "scratch" / "share-1" / "seed-0"
    (place / "logits.npy").write_bytes(b"half")
    assert again(words, copy) == 22
    assert f"{place} is damaged" in capsys.readouterr().err


def test_folds_judge_every_image_once_per_seed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "folds"
    flags = ["--arm", "scratch", "--folds", "3", "--seeds", "2", "--shares", "1"]
    assert main([*words, *flags, "--out", str(out), "--keep-weights"]) == 0
    made = read_comparison(out)
    assert sum(made.judged.values()) == 30
    for seed in (0, 1):
        rows = [
            np.load(file) for file in out.glob(f"trials/scratch/share-1/seed-{seed}-*/rows.npy")
        ]
        assert sorted(np.concatenate(rows).tolist()) == list(range(30))
    assert len(list(out.rglob("weights.pth"))) == 6
    assert made.trials[0].images == {
        "crack": pytest.approx(20 / 3),
        "no_defect": pytest.approx(20 / 3),
        "stain": pytest.approx(20 / 3),
    }


def test_a_sealed_test_side_stays_sealed(folder_of_images: Path, tmp_path: Path) -> None:
    split, out = tmp_path / "split", tmp_path / "out"
    where = ["--data-dir", str(folder_of_images), *COLUMNS]
    assert main(["split", *where, "--val-split", "0.4", "--out", str(split)]) == 0
    ledger = (split / "ledger.jsonl").read_bytes()
    flags = ["--split", str(split), *FLAGS, "--arm", "scratch", "--seeds", "1", "--out", str(out)]
    assert main(["compare", *flags]) == 0
    sealed, used = (
        {row["path"] for row in csv.DictReader(file.read_text().splitlines())}
        for file in (split / "sealed.csv", out / "images.csv")
    )
    assert sealed
    assert len(sealed | used) == 30
    assert not sealed & used
    assert (split / "ledger.jsonl").read_bytes() == ledger


def test_what_cannot_be_judged_is_refused_before_anything_is_taught(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([*words, "--val-split", "0.2", "--out", str(out)]) == 20
    assert "thresholds cannot be chosen" in capsys.readouterr().err
    assert not out.exists()


def test_no_image_is_judged_that_taught(folder_of_images: Path) -> None:
    dataset = read_class_folders(folder_of_images)
    split = split_dataset(dataset, share=0.4, seed=0)
    exams = [hold_out(dataset.samples, split)] + [
        cross_validation(dataset.samples, 3, seed) for seed in (0, 1)
    ]
    for exam in exams:
        judged = [index for part in exam.rounds for index in part.judged]
        assert sorted(judged) == exam.judged.tolist()
        assert len(set(judged)) == len(judged)
        for part in exam.rounds:
            assert not set(part.train) & set(part.judged)


def test_groups_that_source_and_target_share_are_told_of(
    words: list[str], folder_of_images: Path, tmp_path: Path
) -> None:
    flags = [*words, "--source-data-dir", str(folder_of_images), "--arm", "source"]
    out = tmp_path / "shared"
    assert (
        main([*flags, "--seeds", "1", "--shares", "1", "--val-split", "0.4", "--out", str(out)])
        == 0
    )
    (note,) = [note for note in read_comparison(out).notes if "source data" in note]
    assert note.startswith("15 groups of the source data are called like groups of the target")


def test_too_few_groups_for_the_folds_are_refused(folder_of_images: Path) -> None:
    dataset = read_class_folders(folder_of_images)
    with pytest.raises(DatasetError, match="take fewer folds"):
        cross_validation(dataset.samples, 12, 0)
