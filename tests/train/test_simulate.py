"""`train simulate`: the folder it writes, and what it refuses."""

import argparse
import csv
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from edge_runtime.decoding import Undecodable, decode
from edge_runtime.errors import UsageError
from edge_runtime.simulation.generations import DEFECTS, LABELS
from train.cli import simulate
from train.data import simulated
from train.data.simulated import COLUMNS, Recipe, balanced_shares, write_dataset


def command(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="train simulate")
    simulate.configure(parser)
    return simulate.run(parser.parse_args(words))


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "gen3"
    recipe = Recipe(generation="gen3", seed=1, size=64, defect_share=0.5)
    write_dataset(recipe, 600, out)
    return out


def test_the_manifest_lists_every_file_with_its_columns(dataset: Path) -> None:
    rows = manifest(dataset)
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 600
    assert {row["path"] for row in rows} == set(contents(dataset)) - {"manifest.csv"}
    assert all(row["path"].startswith(f"{row['label']}/") for row in rows)
    assert {row["generation"] for row in rows} == {"gen3"}
    assert {(row["line"], row["station"]) for row in rows} == {
        ("L07", f"S{number}") for number in range(1, 5)
    }


def test_times_are_utc_and_rise(dataset: Path) -> None:
    texts = [row["captured_at"] for row in manifest(dataset)]
    assert texts == sorted(texts)
    assert all(datetime.fromisoformat(text).utcoffset() is not None for text in texts)
    assert all(text.endswith("Z") for text in texts)


def test_the_manifest_says_which_files_are_damaged(dataset: Path) -> None:
    damaged = 0
    for row in manifest(dataset):
        data = (dataset / row["path"]).read_bytes()
        if row["corrupt"] in {"", "wrong_extension"}:
            assert decode(data).shape == (64, 64, 3)
            assert data.startswith(b"\xff\xd8") == (row["corrupt"] == "")
        else:
            damaged += 1
            with pytest.raises(Undecodable):
                decode(data)
    assert damaged > 0


def test_true_labels_stand_beside_the_given_ones(dataset: Path) -> None:
    rows = manifest(dataset)
    wrong = [row for row in rows if row["label"] != row["true_label"]]
    assert 3 <= len(wrong) <= 35
    assert {row["true_label"] for row in rows} == set(LABELS)


def test_a_defect_share_is_spread_evenly(dataset: Path) -> None:
    counts = Counter(row["true_label"] for row in manifest(dataset))
    assert 250 < counts["no_defect"] < 350
    assert all(35 < counts[label] < 85 for label in DEFECTS)
    assert sum(balanced_shares(0.4).values()) == pytest.approx(1.0)


def test_workers_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "_WORTH_A_POOL", 1)
    recipe = Recipe(generation="gen2", seed=5, size=64)
    write_dataset(recipe, 70, tmp_path / "one", workers=1)
    write_dataset(recipe, 70, tmp_path / "two", workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_clean_set_has_no_damaged_files_and_no_wrong_labels(tmp_path: Path) -> None:
    recipe = Recipe(generation="gen3", seed=1, size=64, clean=True)
    written = write_dataset(recipe, 200, tmp_path / "clean")
    assert (written.corrupt, written.mislabelled) == (0, 0)
    assert written.blurred > 0


def test_the_summary_counts_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "set"
    assert command("--count", "40", "--out", str(out), "--img-size", "64", "--workers", "1") == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert f"{out}: 40 images (" in printed
    assert sum(int(number) for number in re.findall(r"=(\d+)", printed)) == 40
    rows = manifest(out)
    wrong = sum(row["label"] != row["true_label"] for row in rows)
    corrupt = sum(row["corrupt"] != "" for row in rows)
    blurred = sum(row["blurred"] != "" for row in rows)
    assert f"{corrupt} corrupt, {blurred} blurred, {wrong} mislabelled" in printed


def test_progress_counts_every_image(tmp_path: Path) -> None:
    steps: list[int] = []
    recipe = Recipe(generation="gen2", seed=1, size=64)
    write_dataset(recipe, 70, tmp_path / "set", progress=steps.append)
    assert sum(steps) == 70
    assert len(steps) > 1


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    write_dataset(Recipe(generation="gen2", seed=1, size=64), 4, out)
    assert len(manifest(out)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty: name a new folder, or empty this one"):
        command("--count", "4", "--out", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("mine")
    with pytest.raises(UsageError, match="set is a file: name a folder that does not exist yet"):
        command("--count", "4", "--out", str(tmp_path / "set"))
    with pytest.raises(UsageError, match=r"cannot write to .*/set/below: File exists \(.*/set\)"):
        command("--count", "4", "--out", str(tmp_path / "set" / "below"))


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    recipe = Recipe(generation="gen2", seed=1, size=64)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(recipe, 4, tmp_path / "set", progress=interrupted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--generation", "gen1"], "unknown generation 'gen1': choose one of gen2, gen3"),
        (["--count", "0"], "count 0 is too small"),
        (["--workers", "0"], "0 workers cannot work"),
        (["--seed", "-1"], "seed -1 is negative"),
        (["--img-size", "16"], "image size 16 is out of range"),
        (["--defect-share", "1.5"], "defect share must lie between 0 and 1, got 1.5"),
        (["--defect-share", "nan"], "defect share must lie between 0 and 1, got nan"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        command("--out", str(tmp_path / "set"), *words)
    assert list(tmp_path.iterdir()) == []


def test_help_shows_examples() -> None:
    parser = argparse.ArgumentParser(prog="train simulate")
    simulate.configure(parser)
    text = parser.format_help()
    assert "train simulate --generation gen3 --count 2000 --out runs/gen3 --seed 1" in text
    assert "8 % or fewer" in text
